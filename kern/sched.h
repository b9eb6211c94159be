/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/sched.h - which thread a CPU runs.
 *
 * THEORY   64 fixed priorities; the most urgent ready thread of a CPU runs, in turns with others
 *          of the same priority. Each CPU has its own queues, found by one bitmap. A thread stays
 *          with its CPU, where its data are warm, until that CPU is busy and another is idle: then
 *          the idle one is woken, and takes it (idle pull). A CPU with nothing to do sleeps
 *          before the door.
 *          There is no tick: the timer is set only when something is due, or when a time slice
 *          has a successor that waits for its end.
 *          A kernel program (run=, test/kernel) has its CPU until it gives it to threads.
 * INVARIANTS
 *   SQ1  A READY thread is in exactly one run queue, or in the hands of one CPU that is about to
 *        put it there.
 *   SQ2  pcpu->current of one CPU at most is t; while it is, nobody else runs t.
 * LOCKING  LOCK_SCHED, one run queue at a time.
 */
#pragma once

#include <types.h>

#include "kern/thread.h"
#include "pcpu/pcpu.h"

#define SCHED_SLICE_MS 10

/* Boot CPU, before sched_give(). */
void sched_init(uint64_t counter_hz);

/*
 * The caller's thread waits from here on. Its CPU takes another on the way out.
 * Pre: self is this CPU's, RUNNING; the lock of what it waits for is held.
 */
void thread_block(struct thread *self, enum thread_state why);

/*
 * self waits from here on, and `to` runs at once instead, in the rest of the time slice: what the
 * fast paths do (arch/arm64/ipc_fast.S), by the same comparison of keys, and without a place in the
 * run queue. False: something is in the way, and nothing has changed.
 * From here on self is not this CPU's: once it is where others find it, it may run elsewhere.
 * Pre: `to` received, has its message, and is out of the queue, whose lock is held; self->ipc says
 * how it waits, but nobody can find it yet.
 */
bool sched_hand_over(struct thread *self, struct thread *to, enum thread_state why);

/*
 * Whoever waits goes on, with this error in x8. Pre: t waits, and the caller took it out of what it
 * waited for, so nobody else wakes it.
 */
void thread_wake(struct thread *t, enum kerr error);

/* The same, with all its registers as they are. */
void thread_resume(struct thread *t);

/* t, which waits, waits for something else from now on. Pre: it is out of its queue. */
void sched_change_wait(struct thread *t, enum thread_state why);

/* t, which waits, dies when its wait ends. */
void sched_condemn(struct thread *t);

/*
 * Is t, which waits, to stop or to die, and not to wait for that? Who waits for the answer to its
 * exception stops when it has it.
 */
bool sched_is_called_off(struct thread *t);

/*
 * Lock the run queue of t, which waits, if it can wake into it without more ado: on this CPU, and
 * nothing asked of it. nullptr: it cannot, or the lock is taken.
 * Then sched_wake_held(): t is ready, and complete. Unlocks.
 * Pre: SPx, masked; the lock of what t waits for is held.
 */
struct runq;
struct runq *sched_hold_waiter(struct thread *t);
void sched_wake_held(struct runq *q, struct thread *t);

/* t was made ready on this CPU by assembly, which saw that a CPU may be idle that can take it. */
void sched_announce(const struct thread *t);

/* The rest of the time slice goes to others of the same priority. */
void sched_yield(void);

/*
 * Should this CPU look for another thread, or at requests? Then a call that can go on later leaves
 * the kernel with `again` (R8).
 */
static inline bool sched_is_asked(void)
{
	return load_relaxed(&pcpu_this()->resched) != 0;
}

/*
 * The same at once, if that is all there is to do: the thread to run now; nullptr: nothing has
 * changed. Pre: SPx, masked, before the door, self runs.
 */
struct thread *sched_yield_quick(struct thread *self);

/*
 * A new priority in force, or new CPUs. Any state, any CPU.
 * RACE: a fast message may be making t run, with the key that we change, on the CPU where we see it
 * wait. So that CPU is interrupted although t waits: once it is out, it looks again. Only a waker
 * need not: nobody else can find t.
 */
void sched_set_priority(struct thread *t, uint8_t priority);
void sched_set_affinity(struct thread *t, uint64_t cpus);

/* A new priority of its own; what it inherited from a caller stays in force until it receives. */
void sched_set_base_priority(struct thread *t, uint8_t priority);

/* Is something more urgent than what runs? For preemption points of long calls. */
bool sched_wants_cpu(void);

/*
 * Give this CPU to threads until until(arg) is true, asked whenever one leaves the kernel or the
 * CPU wakes from idling; it touches pinned memory only.
 * Pre: SP0, interrupts on, no lock.
 */
void sched_give(bool (*until)(void *arg), void *arg);

/* On SPx, masked: the thread to run now, or nullptr: back to the kernel program. */
struct thread *sched_next(void);

/* The timer's and the wake interrupt's part. On SPx, masked. */
void sched_timer(void);
void sched_poke(void);

/* CPUs that take threads now, a bit each. */
uint64_t sched_cpus(void);

/* For thread.c: onto the list of requests of its CPU. */
void sched_ask(struct thread *t);
