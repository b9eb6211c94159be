/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/sched_impl.h - what sched.c (queues), sched_cpu.c (what a CPU does between two threads),
 * quick_irq.c and quick_ipc.c (one thread for another) share. Nobody else includes it.
 */
#pragma once

#include "kern/fpu.h"
#include "kern/runq.h"
#include "kern/sched.h"
#include "pcpu/pcpu.h"

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

extern struct sched_state {
	uint64_t giving;      /* [a] CPUs that run threads */
	uint64_t idle;        /* [a] of these, those that sleep */
	uint64_t slice_ticks; /* [c] */
} sched_state;

/* Lock the run queue of t's CPU, which may change until it is locked. */
struct runq *sched_lock_queue_of(struct thread *t);
void sched_unlock(struct runq *q);

/* q, of t's CPU, is locked: t becomes READY in it, or where it may run. Unlocks. */
void sched_ready_unlock(struct runq *q, struct thread *t);

/* Make a CPU look again for what it should run. */
void sched_poke_cpu(unsigned cpu);

/* What this CPU runs next, from its own queue; nullptr: nothing is ready. */
struct thread *sched_pick(struct pcpu *p);

/*
 * prev was running and has to let go, `now`: within its slice it is the next of its priority and
 * has what is left of the slice, not a whole one. Else who is preempted more often than slices end
 * would never make room for its equals. q, its queue, is locked.
 */
static inline void sched_put_back(const struct pcpu *p, struct runq *q, struct thread *prev,
				  uint64_t now)
{
	prev->slice_left = p->slice_end > now ? p->slice_end - now : 0;
	runq_add(q, prev, prev->slice_left != 0);
}

/*
 * `to`, which waits, and whose key serves, runs in the rest of self's time slice; self waits. Their
 * keys, of which one is wrong now, are the caller's to write. The queue of this CPU is locked: who
 * changes a priority just now makes a key anew as well.
 */
static always_inline void sched_run_instead(struct pcpu *p, struct thread *self, struct thread *to,
					    enum thread_state why)
{
	KASSERT(self == p->current);
	self->state = why;
	to->state = THREAD_RUNNING;
	p->current = to;
	if (self->fpu != nullptr) { /* so has the other, by the key */
		fpu_leave(self);
		fpu_come(to);
	}
}

/* The CPU runs next from here on (SQ2); nullptr: nothing. q, its queue, is locked. */
void sched_switch_to(struct pcpu *p, struct runq *q, struct thread *next);

/*
 * The thread that ran waits, or is in the queue: the next in turn runs; nullptr: there is none, or
 * it may not run here, and sched_next() is to choose. The queue of this CPU is locked. SPx, masked.
 */
struct thread *sched_take_turn(struct pcpu *p);

/* Idle pull: a thread that waits for another CPU, and not the one which that CPU still holds. */
struct thread *sched_pull(struct pcpu *p);

/* The kernel program wants its CPU back: nothing runs here, what is ready looks for other CPUs. */
void sched_vacate(struct pcpu *p);
