/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/event.h - events: 64 bits that are set by signals, and cleared by who waits for them.
 *
 * THEORY   A signal is never lost and never waits: it sets bits. A thread waits for some of them
 *          and takes those that are set. Interrupts and timers signal; a driver is a thread that
 *          waits. A thread may be bound to an event: then it wakes for its bits while it receives
 *          messages. `bits` is atomic, so that a bound thread's endpoint can take them under its
 *          own lock.
 *          A signal wakes up to 64 threads, one for each bit at most, and holds the lock for one
 *          at a time. An interrupt wakes one, and has the timer interrupt again for the others.
 * LOCKING  [l] the event's lock (LOCK_OBJECT)  [a] atomic
 */
#pragma once

#include <arch/atomic.h>

#include "kern/thread.h"
#include "kern/timerq.h"

struct event {
	struct kobj obj;
	struct spinlock lock;
	uint64_t bits;          /* [a] set and not taken */
	struct ipc_queue queue; /* [l] threads that wait for bits that are not set */
	struct thread *bound; /* [a] wakes for them when it receives; referenced by the binding */
	struct avl_tree waiters; /* [l] the same, by what they wait for (kern/event_queue.h) */
	struct timerq_node rest; /* [l] more to wake; referenced while it is in a queue */
};

enum kerr event_create(struct memcharge *payer, struct event **out);

/* Set bits, and wake whom they concern. Pre: SP0, no lock held. */
void event_signal(struct event *ev, uint64_t bits);

/*
 * The same if it is simple: nobody waits, or one thread does, for all of these bits, and is of this
 * CPU or waits with a deadline. False: nothing has changed. Pre: SPx, masked, no lock held.
 */
bool event_signal_quick(struct event *ev, uint64_t bits);

/*
 * The one thread that waits, if it waits for all of these bits, none is set, and nobody is bound;
 * else nullptr. With the lock held.
 */
static inline struct thread *event_only_waiter(const struct event *ev, uint64_t bits)
{
	struct thread *t = ev->queue.first;

	if (t == nullptr || t->ipc.next != nullptr || (bits & ~t->ipc.event_bits) != 0 ||
	    (load_relaxed(&ev->bits) | (uint64_t)(uintptr_t)ev->bound) != 0) {
		return nullptr;
	}
	return t;
}

/*
 * After bits were set because nobody waits: who was bound meanwhile has looked at them before that,
 * or is seen here. Any context that may take LOCK_OBJECT.
 */
void event_wake_newly_bound(struct event *ev);

/* From an interrupt, on SPx: the one or the other. */
void event_signal_interrupt(struct event *ev, uint64_t bits);

/*
 * Wait for any of `bits`; those that are set are cleared and are the result. KERR_TIMEOUT,
 * KERR_DEAD. As ipc_recv() for a thread that has to wait: x0 and x8 are its waker's.
 */
enum kerr event_wait(struct thread *self, struct event *ev, uint64_t bits, uint64_t due,
		     uint64_t *out);

/*
 * The same as the call has it, x0 and x8 included: bits in x1, a deadline in x2. False: no bit, a
 * deadline that is a time, or the lock is taken; nothing has changed. Pre: SPx, masked, before the
 * door, all of self's registers saved.
 */
bool event_wait_quick(struct thread *self, struct event *ev);

/* Bind t to the event. KERR_EXISTS: one of them is bound; KERR_DEAD: t has ended. */
enum kerr event_bind(struct event *ev, struct thread *t);

/* Whatever t is bound to, it is no longer. */
void event_unbind(struct thread *t);
void event_unbind_event(struct event *ev);

/* If the event that self is bound to has bits, take them as its message. Pre: self held still. */
bool event_deliver_bound(struct thread *self);
