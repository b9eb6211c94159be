/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick_switch.h - of quick messages: how a thread of this CPU begins to wait, ends to, and
 * runs instead of another one.
 *
 * THEORY   As sched_impl.h has it, but for threads that need not be alike. What is asked here is
 *          what a key asks for, but for the priority, and for a wait that has a deadline or a reply
 *          object.
 * LOCKING  But for lock_queues(): the run queue of this CPU is locked, and so are its timers where
 *          one of the threads has a deadline. SPx, masked.
 */
#pragma once

#include <arch/atomic.h>

#include "kern/ipc_wait.h"
#include "kern/irq.h"
#include "kern/quick.h"
#include "kern/sched_impl.h"
#include "kern/timerq.h"

/* What entry_el0_ipc() returns beside threads. */
#define SLOW nullptr
#define LEAVE ((struct thread *)QUICK_LEAVE)

static inline uint64_t word_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* ---- locks ---- */

/* Of this CPU: the run queue, and its timers, if one of the two has a deadline. */
static always_inline bool lock_queues(const struct pcpu *p, bool timers)
	__attribute__((no_thread_safety_analysis))
{
	if (!spin_try_bare(&p->runq->lock)) {
		return false;
	}
	if (timers && !timerq_try_enter()) {
		spin_unlock_bare(&p->runq->lock);
		return false;
	}
	return true;
}

static always_inline void unlock_queues(const struct pcpu *p, bool timers)
	__attribute__((no_thread_safety_analysis))
{
	if (timers) {
		timerq_leave();
	}
	spin_unlock_bare(&p->runq->lock);
}

/* ---- threads; the run queue is locked ---- */

/*
 * Is t, which waits, of this CPU, and to go on here, with nothing asked of it? A key that is not
 * slow says so.
 */
static always_inline bool is_ours(const struct pcpu *p, const struct thread *t)
{
	const uint64_t cpu = p->base.cpu;

	return t->key >> 32 == cpu ||
	       (t->cpu == cpu && t->not_plain == 0 && (t->affinity >> cpu & 1) != 0);
}

/* Who found it slow finds out whether it still is; what is plain stays so. */
static always_inline void renew_key(struct thread *t)
{
	if ((t->key & THREAD_KEY_SLOW) != 0) {
		t->key = thread_key(t);
	}
}

/* self waits from here on. Its deadline is in the queue before it can pass: we are masked. */
static always_inline void wait_until(struct thread *self, enum thread_state why, uint64_t due)
{
	self->state = why;
	store_release(&self->ipc.due, due);
	if (due != DEADLINE_NONE) {
		timerq_add_held(&self->deadline, due, ipc_deadline_passed);
	}
	if (due != DEADLINE_NONE || why == THREAD_SENDING || self->ipc.slot_object != nullptr) {
		self->key = thread_key_slow(self);
	} else {
		renew_key(self);
	}
}

/* t waits no more: it is out of its queue, or slot. */
static always_inline void end_wait(struct thread *t)
{
	if (t->ipc.due != DEADLINE_NONE) {
		store_release(&t->ipc.due, DEADLINE_NONE);
		timerq_cancel_held(&t->deadline);
	}
	if (t->ipc.slot_object != nullptr) {
		ipc_release_slot(t);
	}
	t->state = THREAD_RUNNING; /* or READY in a moment; for its key it is the same */
	renew_key(t);
}

/* self is served by this CPU with that priority. */
static always_inline void take_priority(struct pcpu *p, struct thread *self, uint8_t priority)
{
	if (self->priority != priority) {
		self->priority = priority;
		self->key = thread_key(self);
		p->runq->running = priority;
		p->fast_key = self->key;
	}
}

/* This CPU runs `to` instead of self, which is where it belongs, in the rest of its slice. */
static always_inline void switch_to(struct pcpu *p, struct thread *self, struct thread *to)
{
	p->current = to;
	p->runq->running = to->priority;
	p->fast_key = to->key;
	if (unlikely(self->fpu != to->fpu)) { /* both without, or one that has them */
		fpu_leave(self);
		fpu_come(to);
	}
}

/*
 * self waits. `to`, which waits no more, runs; but if something more urgent is ready, or there is
 * no such thread, the next in turn.
 */
static always_inline struct thread *run_other(struct pcpu *p, struct thread *self,
					      struct thread *to)
{
	struct runq *q = p->runq;

	if (likely(to != nullptr && runq_top(q) <= (int)to->priority)) {
		switch_to(p, self, to);
		if ((q->ready >> to->priority & 1) != 0) {
			irq_timer_no_later(p->slice_end);
		}
		return to;
	}
	if (to != nullptr) {
		runq_add(q, to, false);
	}
	to = sched_take_turn(p);
	if (to == nullptr) {
		store_relaxed(&p->resched, 1);
	}
	return to != nullptr ? to : LEAVE;
}

/* self goes on, unless something is more urgent now. */
static always_inline struct thread *go_on(struct pcpu *p, struct thread *self)
{
	const int top = runq_top(p->runq);

	if (top > (int)self->priority) {
		store_relaxed(&p->resched, 1);
		return LEAVE;
	}
	if (top == (int)self->priority) {
		irq_timer_no_later(p->slice_end);
	}
	return self;
}

/* The queue is free. t was put in it perhaps: whoever is idle looks. Pairs with idle_once(). */
static always_inline void tell_idle(const struct thread *t)
{
	if ((load_seq_cst(&sched_state.idle) & t->affinity) != 0) {
		sched_announce(t);
	}
}
