/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/runq.c - see kern/runq.h.
 */
#include "kern/runq.h"

#include "kern/assert.h"

#define STEAL_LOOKS 16 /* R8: under the lock of another CPU */

static struct runq queues[MAX_CPUS] = {
	[0 ... MAX_CPUS - 1] = { .lock = SPINLOCK("runq", LOCK_SCHED), .running = RUNQ_TAKEN },
};

struct runq *runq_of(unsigned cpu)
{
	return &queues[cpu];
}

void runq_add(struct runq *q, struct thread *t, bool at_front)
{
	const unsigned p = t->priority;

	KASSERT_HELD(&q->lock);
	KASSERT(!t->queued);
	t->state = THREAD_READY;
	t->queued = true;
	t->next = at_front ? q->head[p] : nullptr;
	t->prev = at_front ? nullptr : q->tail[p];
	if (t->next != nullptr) {
		t->next->prev = t;
	} else {
		q->tail[p] = t;
	}
	if (t->prev != nullptr) {
		t->prev->next = t;
	} else {
		q->head[p] = t;
	}
	q->ready |= UINT64_C(1) << p;
}

void runq_remove(struct runq *q, struct thread *t)
{
	const unsigned p = t->priority;

	KASSERT_HELD(&q->lock);
	KASSERT(t->queued);
	if (t->next != nullptr) {
		t->next->prev = t->prev;
	} else {
		q->tail[p] = t->prev;
	}
	if (t->prev != nullptr) {
		t->prev->next = t->next;
	} else {
		q->head[p] = t->next;
	}
	if (q->head[p] == nullptr) {
		q->ready &= ~(UINT64_C(1) << p);
	}
	t->queued = false;
}

struct thread *runq_take(struct runq *q)
{
	const int top = runq_top(q);

	if (top < 0) {
		return nullptr;
	}
	struct thread *t = q->head[top];

	runq_remove(q, t);
	return t;
}

struct thread *runq_steal(struct runq *q, unsigned cpu, const struct thread *not_this)
{
	unsigned looks = 0;

	for (uint64_t left = q->ready; left != 0;) {
		const int p = 63 - __builtin_clzll(left);

		left &= ~(UINT64_C(1) << p);
		for (struct thread *t = q->head[p]; t != nullptr; t = t->next) {
			if ((t->affinity >> cpu & 1) != 0 && t != not_this) {
				runq_remove(q, t);
				return t;
			}
			if (++looks == STEAL_LOOKS) {
				return nullptr;
			}
		}
	}
	return nullptr;
}
