/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/ipc_wait.c - see kern/ipc_wait.h.
 */
#include "kern/ipc_wait.h"

#include <arch/atomic.h>
#include <arch/cpu.h>

#include "kern/assert.h"
#include "kern/sched.h"

static void set_wait(struct thread *t, struct kobj *obj)
{
	/* STLR: pairs with the LDAR of ipc_cancel() and, for bound events, of event_signal(). */
	store_seq_cst((uint64_t *)(void *)&t->ipc.wait_obj, (uint64_t)(uintptr_t)obj);
}

static void insert_after(struct ipc_queue *q, struct thread *t, struct thread *before)
{
	struct thread *after = before != nullptr ? before->ipc.next : q->first;

	t->ipc.prev = before;
	t->ipc.next = after;
	if (before != nullptr) {
		before->ipc.next = t;
	} else {
		q->first = t;
	}
	if (after != nullptr) {
		after->ipc.prev = t;
	} else {
		q->last = t;
	}
}

static void begin_run(struct thread *t, uint8_t rank)
{
	t->place.rank = rank;
	t->place.run_end = t;
}

/* t is beside the run that `end` is an end of, and of its rank: it is that end from now on. */
static void lengthen_run(struct thread *end, struct thread *t)
{
	struct thread *other = end->place.run_end;

	t->place.run_end = other;
	other->place.run_end = t;
}

/* An end of a run leaves it; `next`, its neighbour, becomes that end. */
static void shorten_run(struct thread *t, struct thread *next)
{
	struct thread *other = t->place.run_end;

	next->place.run_end = other;
	other->place.run_end = next;
}

static bool is_alone(const struct ipc_queue *q)
{
	return q->first == q->last;
}

void ipc_queue_add(struct ipc_queue *q, struct thread *t, struct kobj *obj)
{
	struct thread *before = q->last;

	KASSERT(t->ipc.wait_obj == nullptr);
	if (before != nullptr && is_alone(q)) {
		begin_run(before, before->priority);
	}
	begin_run(t, t->priority);
	while (before != nullptr && before->place.rank < t->place.rank) {
		const uint8_t passed = before->place.rank;

		before = before->place.run_end->ipc.prev;
		KASSERT(before == nullptr || before->place.rank > passed); /* R8: 63 steps */
	}
	if (before != nullptr && before->place.rank == t->place.rank) {
		lengthen_run(before, t);
	}
	insert_after(q, t, before);
	set_wait(t, obj);
}

void ipc_queue_return(struct ipc_queue *q, struct thread *t, struct kobj *obj)
{
	if (q->first != nullptr) {
		t->place.run_end = t;
		if (q->first->place.rank == t->place.rank) {
			lengthen_run(q->first, t);
		}
	}
	insert_after(q, t, nullptr);
	set_wait(t, obj);
}

/* With others in the queue: the run that t is an end of, if it is one of several, goes on. */
static void leave_run(struct thread *t)
{
	struct thread *prev = t->ipc.prev;
	struct thread *next = t->ipc.next;
	const bool more_before = prev != nullptr && prev->place.rank == t->place.rank;
	const bool more_behind = next != nullptr && next->place.rank == t->place.rank;

	if (more_before && !more_behind) {
		shorten_run(t, prev);
	} else if (more_behind && !more_before) {
		shorten_run(t, next);
	}
}

void ipc_queue_remove(struct ipc_queue *q, struct thread *t)
{
	if (!is_alone(q)) {
		leave_run(t);
	}
	if (t->ipc.prev != nullptr) {
		t->ipc.prev->ipc.next = t->ipc.next;
	} else {
		q->first = t->ipc.next;
	}
	if (t->ipc.next != nullptr) {
		t->ipc.next->ipc.prev = t->ipc.prev;
	} else {
		q->last = t->ipc.prev;
	}
	set_wait(t, nullptr);
}

struct thread *ipc_queue_pop(struct ipc_queue *q)
{
	struct thread *t = q->first;

	if (t != nullptr) {
		ipc_queue_remove(q, t);
	}
	return t;
}

void ipc_deadline_passed(struct timerq_node *node)
{
	struct thread *t = thread_of_deadline(node);

	ipc_cancel_due(t);
}

bool ipc_is_due(const struct thread *t)
{
	const uint64_t due = load_acquire(&t->ipc.due);

	return due != DEADLINE_NONE && counter_now() >= due;
}

void ipc_block(struct thread *self, enum thread_state why, uint64_t due)
{
	store_release(&self->ipc.due, due);
	thread_block(self, why);
	if (due != DEADLINE_NONE) {
		timerq_add(&self->deadline, due, ipc_deadline_passed);
	}
}

void ipc_release_slot(struct thread *t)
{
	struct reply *object = t->ipc.slot_object;

	t->ipc.slot_object = nullptr;
	if (object != nullptr) {
		kobj_put(&object->obj);
	}
}

void ipc_answer_exception(struct thread *t, const uint64_t *words, unsigned count)
{
	const bool pager = t->ipc.excepted == IPC_FLAG_PAGER;

	t->ipc.excepted = 0;
	if (pager) {
		thread_resume(
			t); /* whatever was said, or lost: the page is there, or asked for again */
	} else {
		thread_exception_reply(t, words, count);
	}
}

void ipc_wake(struct thread *t, enum kerr error)
{
	if (t->ipc.due != DEADLINE_NONE) {
		store_release(&t->ipc.due, DEADLINE_NONE);
		timerq_cancel(&t->deadline);
	}
	ipc_release_slot(t);
	if (t->ipc.excepted != 0) {
		ipc_answer_exception(t, nullptr, 0); /* its answer is lost */
	} else {
		thread_wake(t, error);
	}
}
