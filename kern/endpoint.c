/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/endpoint.c - send, receive and reply. See kern/ipc.h.
 *
 * Steps that only touch the two threads run under the endpoint's lock; whoever wakes does it last,
 * when the threads are complete.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>

#include "kern/assert.h"
#include "kern/event.h"
#include "kern/ipc.h"
#include "kern/ipc_message.h"
#include "kern/ipc_wait.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "pcpu/slab.h"

#define END_STEPS 16     /* threads woken in one step of an end */
#define SENDERS_TRIED 16 /* whose handles find no place, in one receive */

static struct slab_class endpoints = SLAB_CLASS("endpoints", struct endpoint);
static struct slab_class replies = SLAB_CLASS("replies", struct reply);

static inline struct thread *thread_at(uint64_t word)
{
	return (struct thread *)word;
}

static inline uint64_t word_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/* ---- reply slots ---- */

/* Whoever gets the caller owes it the answer; nullptr: somebody else has it, or there is none. */
static struct thread *slot_take(struct reply_slot *slot)
{
	struct thread *caller = thread_at(swap_acq_rel(&slot->caller, 0));

	if (caller != nullptr) {
		store_release((uint64_t *)(void *)&caller->ipc.held, 0);
	}
	return caller;
}

/* Put a caller in, which is in no queue; the one that was there is returned. */
static struct thread *slot_put(struct reply_slot *slot, struct thread *caller)
{
	store_release((uint64_t *)(void *)&caller->ipc.held, word_of(slot));
	struct thread *old = thread_at(swap_acq_rel(&slot->caller, word_of(caller)));

	if (old != nullptr) {
		store_release((uint64_t *)(void *)&old->ipc.held, 0);
	}
	return old;
}

static void wake_dead(struct thread *caller)
{
	if (caller != nullptr) {
		ipc_wake(caller, KERR_DEAD);
	}
}

/*
 * t waits again, after it was held for a moment by one that could not serve it. Whoever wanted to
 * end the wait meanwhile found nothing to end: do it for them.
 */
static void recheck(struct thread *t)
{
	if (ipc_is_due(t)) {
		ipc_cancel_due(t);
	} else if (sched_is_called_off(t)) {
		ipc_cancel(t, KERR_CANCELLED);
	}
}

/* ---- a receiver and a sender meet ---- */

/* The message is delivered: the caller waits in the receiver's slot. Returns who waited there. */
static struct thread *hand_over(struct thread *caller, struct thread *receiver)
{
	if (receiver->priority < caller->priority) {
		sched_set_priority(receiver, caller->priority);
	}
	return slot_put(receiver->ipc.slot, caller);
}

/*
 * The same, and the receiver runs at once if that is simple. Not for a pager: the call whose page
 * is missing is not through with the caller's registers.
 */
static bool hand_over_now(struct thread *self, struct thread *receiver, uint64_t due,
			  struct thread **old)
{
	if (due != DEADLINE_NONE || self->ipc.excepted == IPC_FLAG_PAGER) {
		return false;
	}
	store_release(&self->ipc.due, DEADLINE_NONE);
	if (!sched_hand_over(self, receiver, THREAD_CALLING)) {
		return false;
	}
	*old = slot_put(receiver->ipc.slot, self);
	return true;
}

/* With the endpoint's lock held: a receiver waits in it. Unlocks. */
static enum kerr send_now(struct thread *self, struct endpoint *ep, bool calls, uint64_t due)
	__attribute__((release_capability(ep -> lock)))
{
	struct thread *receiver = ipc_queue_pop(&ep->queue);
	struct thread *old = nullptr;
	const enum kerr e = ipc_deliver(self, receiver);

	if (e != KERR_OK) {
		ipc_queue_return(&ep->queue, receiver, &ep->obj);
	} else if (calls && hand_over_now(self, receiver, due, &old)) {
		receiver = nullptr;
	} else if (calls) {
		ipc_block(self, THREAD_CALLING, due);
		old = hand_over(self, receiver);
	}
	spin_unlock(&ep->lock);
	wake_dead(old);
	if (e != KERR_OK) {
		ipc_discard(self);
		recheck(receiver);
	} else if (receiver != nullptr) {
		ipc_wake(receiver, KERR_OK);
	}
	return e;
}

enum kerr ipc_send(struct thread *self, struct endpoint *ep, const struct ipc_message *m,
		   uint64_t due)
{
	enum kerr e = ipc_prepare(self, m);

	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&ep->lock);
	if (kobj_is_dead(&ep->obj)) {
		e = KERR_DEAD;
	} else if (ep->receivers && ep->queue.first != nullptr) {
		return send_now(self, ep, m->calls, due);
	} else if (due == DEADLINE_POLL) {
		e = KERR_TIMEOUT;
	} else {
		ep->receivers = false;
		ipc_queue_add(&ep->queue, self, &ep->obj);
		ipc_block(self, THREAD_SENDING, due);
	}
	spin_unlock(&ep->lock);
	if (e != KERR_OK) {
		ipc_discard(self);
	}
	return e;
}

/* What a receive leaves to do when the lock is free. */
struct meeting {
	struct thread *old;     /* was in the slot: nobody answers it any more */
	struct thread *caller;  /* is in the slot now */
	struct thread *sent;    /* waits for nothing more */
	struct thread *refused; /* its handles found no place */
};

/* With the lock held: take the message of the most urgent sender. KERR_ABSENT: there is none. */
static enum kerr receive_now(struct thread *self, struct endpoint *ep, struct meeting *meeting)
{
	struct thread *sender = ep->receivers ? nullptr : ipc_queue_pop(&ep->queue);

	if (sender == nullptr) {
		return KERR_ABSENT;
	}
	const bool calls = (sender->ipc.info & IPC_FLAG_CALL) != 0;
	const enum kerr e = ipc_deliver(sender, self);

	if (e != KERR_OK) {
		meeting->refused = sender;
	} else if (calls) {
		sched_change_wait(sender, THREAD_CALLING);
		meeting->old = hand_over(sender, self);
		meeting->caller = sender;
	} else {
		meeting->sent = sender;
	}
	return e;
}

/* With the lock held: self receives, or waits for it. */
static enum kerr receive_or_wait(struct thread *self, struct endpoint *ep, uint64_t due,
				 struct meeting *meeting)
{
	if (kobj_is_dead(&ep->obj)) {
		return KERR_DEAD;
	}
	const enum kerr e = receive_now(self, ep, meeting);

	if (e != KERR_ABSENT) {
		return e;
	}
	if (event_deliver_bound(self)) {
		return KERR_OK;
	}
	if (due == DEADLINE_POLL) {
		return KERR_TIMEOUT;
	}
	ep->receivers = true;
	ipc_queue_add(&ep->queue, self, &ep->obj);
	/* Dekker: the signaller sets bits, then looks who waits. (event_signal) */
	if (event_deliver_bound(self)) {
		ipc_queue_remove(&ep->queue, self);
		return KERR_OK;
	}
	ipc_block(self, THREAD_RECEIVING, due);
	return KERR_BUSY; /* of no importance: it waits */
}

/* What receive_or_wait() has left. */
static void after_meeting(const struct meeting *meeting, enum kerr e)
{
	wake_dead(meeting->old);
	if (meeting->caller != nullptr) {
		recheck(meeting->caller);
	}
	if (meeting->sent != nullptr) {
		ipc_wake(meeting->sent, KERR_OK);
	}
	if (meeting->refused != nullptr) {
		ipc_discard(meeting->refused);
		ipc_wake(meeting->refused, e);
	}
}

enum kerr ipc_recv(struct thread *self, struct endpoint *ep, struct reply *reply, uint64_t due)
{
	struct meeting meeting;
	enum kerr e;
	bool waits;

	if (reply != nullptr && !kobj_get(&reply->obj)) {
		return KERR_DEAD;
	}
	self->ipc.slot = reply != nullptr ? &reply->slot : &self->ipc.own;
	self->ipc.slot_object = reply;
	wake_dead(slot_take(self->ipc.slot));
	if (self->priority != self->base_priority) {
		sched_set_priority(self, self->base_priority);
	}
	for (unsigned n = 0; n < SENDERS_TRIED; n++) {
		meeting = (struct meeting){ 0 };
		spin_lock(&ep->lock);
		e = receive_or_wait(self, ep, due, &meeting);
		waits = self->ipc.wait_obj != nullptr;
		spin_unlock(&ep->lock);
		after_meeting(&meeting, e);
		if (meeting.refused == nullptr) {
			break;
		}
	}
	if (!waits) {
		ipc_release_slot(self);
	}
	return e;
}

enum kerr ipc_reply(struct thread *self, struct reply *reply, const struct ipc_message *m)
{
	struct reply_slot *slot = reply != nullptr ? &reply->slot : &self->ipc.own;
	enum kerr e = ipc_prepare(self, m);

	if (e != KERR_OK) {
		return e;
	}
	struct thread *caller = slot_take(slot);

	if (caller == nullptr) {
		ipc_discard(self);
		return KERR_ABSENT;
	}
	if (caller->ipc.excepted != 0) {
		ipc_discard(self);
		ipc_answer_exception(caller, m->words, IPC_INFO_WORDS(m->info));
		return KERR_OK;
	}
	e = ipc_deliver(self, caller);
	if (e != KERR_OK) {
		ipc_discard(self);
		wake_dead(slot_put(slot, caller)); /* it waits on, for an answer that finds place */
		recheck(caller);
		return e;
	}
	ipc_wake(caller, KERR_OK);
	return KERR_OK;
}

enum kerr ipc_send_exception(struct thread *t, struct endpoint *ep, uint64_t badge, uint64_t flag)
{
	const struct ipc_message m = {
		.words = t->ipc.exception,
		.info = IPC_INFO(IPC_WORDS, 0) | flag,
		.badge = badge,
		.calls = true,
	};

	t->ipc.excepted = flag;
	const enum kerr e = ipc_send(t, ep, &m, DEADLINE_NONE);

	if (e != KERR_OK) {
		t->ipc.excepted = 0;
	}
	return e;
}

/* ---- ends of waits ---- */

/* t leaves the queue, if it is still in it. */
static bool endpoint_cancel(struct endpoint *ep, struct thread *t, enum kerr why, bool only_due)
{
	bool mine;

	spin_lock(&ep->lock);
	mine = t->ipc.wait_obj == &ep->obj && (!only_due || ipc_is_due(t));
	if (mine) {
		ipc_queue_remove(&ep->queue, t);
	}
	spin_unlock(&ep->lock);
	if (mine) {
		ipc_discard(t);
		ipc_wake(t, why);
	}
	return mine;
}

static bool slot_cancel(struct reply_slot *slot, struct thread *t, enum kerr why)
{
	if (!cas_acquire(&slot->caller, word_of(t), 0)) {
		return false;
	}
	store_release((uint64_t *)(void *)&t->ipc.held, 0);
	ipc_wake(t, why);
	return true;
}

static bool cancel(struct thread *t, enum kerr why, bool only_due)
{
	struct kobj *obj =
		(struct kobj *)load_seq_cst((const uint64_t *)(const void *)&t->ipc.wait_obj);

	if (obj != nullptr && obj->ops->type == KOBJ_ENDPOINT &&
	    endpoint_cancel((struct endpoint *)obj, t, why, only_due)) {
		return true;
	}
	if (obj != nullptr && obj->ops->type == KOBJ_EVENT &&
	    event_cancel((struct event *)obj, t, why, only_due)) {
		return true;
	}
	struct reply_slot *slot =
		(struct reply_slot *)load_acquire((const uint64_t *)(const void *)&t->ipc.held);

	return slot != nullptr && (!only_due || ipc_is_due(t)) && slot_cancel(slot, t, why);
}

bool ipc_cancel(struct thread *t, enum kerr why)
{
	return cancel(t, why, false);
}

void ipc_cancel_due(struct thread *t)
{
	(void)cancel(t, KERR_TIMEOUT, true);
}

void ipc_wake_bound(struct thread *t)
{
	struct kobj *obj =
		(struct kobj *)load_seq_cst((const uint64_t *)(const void *)&t->ipc.wait_obj);
	bool mine = false;

	if (obj == nullptr || obj->ops->type != KOBJ_ENDPOINT) {
		return;
	}
	struct endpoint *ep = (struct endpoint *)obj;

	spin_lock(&ep->lock);
	if (t->ipc.wait_obj == obj && ep->receivers && event_deliver_bound(t)) {
		ipc_queue_remove(&ep->queue, t);
		mine = true;
	}
	spin_unlock(&ep->lock);
	if (mine) {
		ipc_wake(t, KERR_OK);
	}
}

void ipc_thread_end(struct thread *t)
{
	wake_dead(slot_take(&t->ipc.own));
	event_unbind(t);
}

/* ---- objects ---- */

/* Wake up to `steps` of those that wait. True: nobody is left. */
static bool wake_waiters(struct endpoint *ep, unsigned steps)
{
	for (unsigned n = 0; n < steps; n++) {
		spin_lock(&ep->lock);
		struct thread *t = ipc_queue_pop(&ep->queue);

		spin_unlock(&ep->lock);
		if (t == nullptr) {
			return true;
		}
		ipc_discard(t);
		ipc_wake(t, KERR_DEAD);
	}
	return false;
}

static bool endpoint_revoke(struct kobj *obj)
{
	return wake_waiters((struct endpoint *)obj, END_STEPS);
}

static enum kobj_end endpoint_end(struct kobj *obj)
{
	if (!wake_waiters((struct endpoint *)obj, END_STEPS)) {
		return END_MORE;
	}
	if (kobj_end_begins(obj)) {
		return END_LATER; /* cancel() may have seen it in a thread that waited */
	}
	slab_free(&endpoints, obj, obj->payer);
	return END_GONE;
}

static bool reply_revoke(struct kobj *obj)
{
	wake_dead(slot_take(&((struct reply *)obj)->slot));
	return true;
}

static enum kobj_end reply_end(struct kobj *obj)
{
	(void)reply_revoke(obj);
	if (kobj_end_begins(obj)) {
		return END_LATER; /* the same */
	}
	slab_free(&replies, obj, obj->payer);
	return END_GONE;
}

static const struct kobj_ops endpoint_ops = { .type = KOBJ_ENDPOINT,
					      .revoke = endpoint_revoke,
					      .end = endpoint_end };
static const struct kobj_ops reply_ops = { .type = KOBJ_REPLY,
					   .revoke = reply_revoke,
					   .end = reply_end };

enum kerr endpoint_create(struct memcharge *payer, struct endpoint **out)
{
	struct endpoint *ep = slab_alloc(&endpoints, payer);

	if (ep == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&ep->obj, &endpoint_ops, payer);
	ep->lock = (struct spinlock)SPINLOCK("endpoint", LOCK_OBJECT);
	*out = ep;
	return KERR_OK;
}

enum kerr reply_create(struct memcharge *payer, struct reply **out)
{
	struct reply *r = slab_alloc(&replies, payer);

	if (r == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&r->obj, &reply_ops, payer);
	*out = r;
	return KERR_OK;
}
