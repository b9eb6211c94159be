/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fake_sched.c - see test/host/fake_sched.h.
 */
#include "test/host/fake_sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kern/sched.h"
#include "kern/timerq.h"

struct thread thread[THREADS];
unsigned wakes[THREADS];
unsigned timers;
struct timerq_node *timer_set;
struct thread *excepted;
struct thread *asked;
uint64_t verdict;
void (*at_change)(struct thread *t);

void thread_block(struct thread *self, enum thread_state why)
{
	assert_int_equal(self->state, THREAD_RUNNING);
	self->state = why;
}

/* As if their keys differed: the slow way, which has more steps. */
bool sched_hand_over(struct thread *self, struct thread *to, enum thread_state why)
{
	(void)self;
	(void)to;
	(void)why;
	return false;
}

/* As if the queue's lock were taken. */
struct runq *sched_hold_waiter(struct thread *t)
{
	(void)t;
	return nullptr;
}

void sched_wake_held(struct runq *q, struct thread *t)
{
	(void)q;
	(void)t;
	fail(); /* nothing is held */
}

void sched_change_wait(struct thread *t, enum thread_state why)
{
	assert_int_equal(t->state, THREAD_SENDING);
	if (at_change != nullptr) {
		at_change(t);
	}
	t->state = why;
}

void thread_wake(struct thread *t, enum kerr error)
{
	assert_true(t->state >= THREAD_SENDING && t->state <= THREAD_EVENT_WAIT);
	assert_null(t->ipc.wait_obj);
	assert_null(t->ipc.held);
	assert_int_equal(IPC_INFO_HANDLES(t->ipc.info), 0); /* holds no references */
	assert_int_equal(this_cpu()->lock_count, 0); /* R8: one after the other */
	wakes[t - thread]++;
	t->regs.x[8] = (uint64_t)error;
	t->state = THREAD_RUNNING;
}

void thread_ask(struct thread *t, enum thread_request request)
{
	assert_int_equal(request, REQUEST_EVENT);
	asked = t;
}

void sched_set_priority(struct thread *t, uint8_t priority)
{
	t->priority = priority;
}

void timerq_add(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *))
{
	assert_int_equal(node->cpu, 0);
	node->cpu = 1;
	node->deadline = deadline;
	node->fn = fn;
	timer_set = node;
	timers++;
}

bool timerq_cancel(struct timerq_node *node)
{
	const bool was = node->cpu != 0;

	timers -= was ? 1 : 0;
	node->cpu = 0;
	return was;
}

bool sched_is_called_off(struct thread *t)
{
	return t->kill_pending || (t->stop_pending && t->ipc.excepted == 0);
}

void thread_exception_reply(struct thread *t, const uint64_t *words, unsigned count)
{
	excepted = t;
	verdict = count > 0 ? words[0] : EXC_KILL;
	t->state = THREAD_RUNNING;
}

void thread_resume(struct thread *t)
{
	t->state = THREAD_RUNNING;
}
