/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/ipc_wait.h - the queues in which threads wait, for endpoints and events.
 */
#pragma once

#include <arch/atomic.h>

#include "kern/assert.h"
#include "kern/ipc.h"
#include "kern/thread.h"

/*
 * Put t in, behind those of its priority and above; it waits in `obj` from now on. At most 63
 * steps, as many as there are lower priorities among those that wait. Pre: obj's lock.
 */
void ipc_queue_add(struct ipc_queue *q, struct thread *t, struct kobj *obj);

/* Back to the front: it was taken out under this hold of obj's lock, and could not be served. */
void ipc_queue_return(struct ipc_queue *q, struct thread *t, struct kobj *obj);

/* Take t out: from here on the caller, and nobody else, ends its wait. Pre: obj's lock. */
void ipc_queue_remove(struct ipc_queue *q, struct thread *t);

/* The same for t that is alone in it. */
static inline void ipc_queue_empty(struct ipc_queue *q, struct thread *t)
{
	q->first = nullptr;
	q->last = nullptr;
	/* As ipc_queue_remove() does: pairs with the LDAR of ipc_cancel(). */
	store_seq_cst((uint64_t *)(void *)&t->ipc.wait_obj, 0);
}

/* As ipc_queue_add() where nobody waits. */
static inline void ipc_queue_fill(struct ipc_queue *q, struct thread *t, struct kobj *obj)
{
	KASSERT(t->ipc.wait_obj == nullptr);
	q->first = t;
	q->last = t;
	t->ipc.next = nullptr;
	t->ipc.prev = nullptr;
	store_seq_cst((uint64_t *)(void *)&t->ipc.wait_obj, (uint64_t)(uintptr_t)obj);
}

/* Take the first one out, nullptr if there is none. Pre: obj's lock. */
struct thread *ipc_queue_pop(struct ipc_queue *q);

/* self waits from here on, until `due`. Pre: it is in a queue whose lock is held, or in a slot. */
void ipc_block(struct thread *self, enum thread_state why, uint64_t due);

/*
 * What the timer calls for a thread's deadline, on SPx: it may come late, when the thread waits for
 * something else.
 */
void ipc_deadline_passed(struct timerq_node *node);

/* Has t a deadline that has passed? */
bool ipc_is_due(const struct thread *t);

/*
 * End the wait for what the kernel asked in t's name; count 0: there is no answer.
 * Pre: the caller took t out of its slot.
 */
void ipc_answer_exception(struct thread *t, const uint64_t *words, unsigned count);

/* End t's wait. Pre: the caller took it out of its queue or slot. */
void ipc_wake(struct thread *t, enum kerr error);

/* Give back the reply object that t's receive held. */
void ipc_release_slot(struct thread *t);

/* As ipc_cancel(), with KERR_TIMEOUT, if t waits and its deadline has passed. */
void ipc_cancel_due(struct thread *t);

/* event.c: end t's wait in ev, if it waits there and, with only_due, its deadline has passed. */
bool event_cancel(struct event *ev, struct thread *t, enum kerr why, bool only_due);

/* endpoint.c: t is bound to an event that has bits: if it receives, that ends its wait. */
void ipc_wake_bound(struct thread *t);
