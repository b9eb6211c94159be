/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/runq.h - the run queue of one CPU: 64 lists, and a bitmap of those that are not empty.
 *
 * INVARIANTS  RQ1  Bit p of `ready` is set exactly if list p is not empty. Its threads are READY,
 *                  `queued`, and their `cpu` is this queue's.
 * LOCKING     LOCK_SCHED: all of it; `ready` may be read without, as a hint.
 * NOT HERE    Which thread runs: kern/sched.c, sched_cpu.c and thread.c, the only users.
 */
#pragma once

#include <compiler.h>
#include <types.h>

#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/thread.h"

#define RUNQ_IDLE (-1)
#define RUNQ_TAKEN THREAD_PRIORITIES /* a kernel program has the CPU: nothing preempts it */

struct runq {
	cacheline_aligned struct spinlock lock;
	uint64_t ready; /* [l] */
	int running;    /* [l] priority of what the CPU runs, RUNQ_IDLE or RUNQ_TAKEN */
	struct thread *head[THREAD_PRIORITIES]; /* [l] next in turn */
	struct thread *tail[THREAD_PRIORITIES]; /* [l] */
};

extern struct runq runq_all[MAX_CPUS];

static inline struct runq *runq_of(unsigned cpu)
{
	return &runq_all[cpu];
}

/* READY from here on; at the front if it was preempted within its slice. */
static inline void runq_add(struct runq *q, struct thread *t, bool at_front)
{
	const unsigned p = t->priority;
	struct thread *after = at_front ? q->head[p] : nullptr;
	struct thread *before = at_front ? nullptr : q->tail[p];

	KASSERT_HELD(&q->lock);
	KASSERT(!t->queued);
	t->state = THREAD_READY;
	t->queued = true;
	t->next = after;
	t->prev = before;
	*(after != nullptr ? &after->prev : &q->tail[p]) = t;
	*(before != nullptr ? &before->next : &q->head[p]) = t;
	q->ready |= UINT64_C(1) << p;
}

static inline void runq_remove(struct runq *q, struct thread *t)
{
	const unsigned p = t->priority;

	KASSERT_HELD(&q->lock);
	KASSERT(t->queued);
	*(t->next != nullptr ? &t->next->prev : &q->tail[p]) = t->prev;
	*(t->prev != nullptr ? &t->prev->next : &q->head[p]) = t->next;
	if (q->head[p] == nullptr) {
		q->ready &= ~(UINT64_C(1) << p);
	}
	t->queued = false;
}

/* The highest priority that is ready, -1: none. */
static inline int runq_top(const struct runq *q)
{
	return 63 - (q->ready != 0 ? __builtin_clzll(q->ready) : 64);
}

/* Take out the next in turn; nullptr: none. */
static inline struct thread *runq_take(struct runq *q)
{
	const int top = runq_top(q);
	struct thread *t = top >= 0 ? q->head[top] : nullptr;

	if (t != nullptr) {
		runq_remove(q, t);
	}
	return t;
}

/*
 * Take out the most urgent thread that may run on `cpu` and is not `not_this`; looks at a bounded
 * number. nullptr: none of these.
 */
struct thread *runq_steal(struct runq *q, unsigned cpu, const struct thread *not_this);
