/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick_ipc.c - messages between threads of this CPU that the fast path leaves alone.
 *
 * THEORY   arch/arm64/ipc_fast.S takes messages between two threads that are alike and have nothing
 *          unusual about them. What is unusual is simple as a rule: one of them has a deadline, or
 *          FP registers, or another priority; the caller goes to a reply object; nobody waits yet.
 *          That is done here, on SPx, before the door, as kern/quick.c does it: with locks that are
 *          tried, on pinned memory, and only if all of it goes through. Up to "no way back" nothing
 *          has changed, and the slow call begins anew (kern/endpoint.c).
 *          Left to it are messages with handles, partners of other CPUs, exceptions and pagers,
 *          threads that are to stop, die or step, or may not stay on this CPU, who is bound to an
 *          event, and polls.
 *          Who receives a call, or an answer, runs at once in the rest of the slice, if nothing
 *          more urgent is ready; else the next in turn does. A thread that is handed over is
 *          complete in memory, FP registers included, before anybody can find it.
 * RULES    Nothing is reclaimed here, so what waits for that is a reason to be slow.
 * LOCKING  LOCK_OBJECT of the endpoint, LOCK_TIMERQ and LOCK_SCHED of this CPU: each is tried, none
 *          is waited for. A thread of this CPU is found by its deadline, or by a request to stop,
 *          on this CPU only, which is busy here; by others it is found in a reply object, or by a
 *          priority or affinity that changes, under the run queue's lock.
 * SEE      kern/endpoint.c for what each store means.
 */
#include <arch/atomic.h>
#include <arch/user.h>
#include <gen/call_nr.h>

#include "kern/call_arg.h"
#include "kern/entry.h"
#include "kern/quick_switch.h"
#include "kern/reclaim.h"
#include "kern/task.h"

#define X_BADGE 9 /* in: the handle */
#define X_INFO 10
#define X_REPLY 11
#define X_DEADLINE 12
#define X_LOST_END 18 /* x11 to x17 are no part of a message */

/* One call, and what it has found. */
struct exchange {
	struct pcpu *p;
	struct thread *self;
	struct endpoint *ep;
	uint64_t badge;          /* of what self sends */
	uint64_t due;            /* of what self waits for, ticks */
	struct reply *reply;     /* where its callers are; nullptr: in its own slot */
	struct reply_slot *slot; /* of the two */
	struct thread *caller;   /* who waits there for what it says; nullptr: nobody */
};

/* ---- messages ---- */

/* Up to eight words, and nothing else? */
static always_inline bool is_plain_message(uint64_t info)
{
	return info <= IPC_WORDS;
}

/* As many, and zeros in the others: a message has none or eight as a rule. */
static always_inline void put_words(const uint64_t *from, unsigned words, uint64_t *x)
{
	if (words == 0) {
		for (unsigned i = 0; i < IPC_WORDS; i++) {
			x[i] = 0;
		}
		return;
	}
	for (unsigned i = 0; i < IPC_WORDS; i++) {
		x[i] = from[i];
	}
	for (; unlikely(words < IPC_WORDS); words++) {
		x[words] = 0;
	}
}

static always_inline void put_message(const uint64_t *from, uint64_t info, uint64_t badge,
				      struct thread *to)
{
	uint64_t *const x = to->regs.x;

	put_words(from, IPC_INFO_WORDS(info), x);
	x[8] = KERR_OK;
	x[X_BADGE] = badge;
	x[X_INFO] = info;
	for (unsigned i = X_INFO + 1; i < X_LOST_END; i++) {
		x[i] = 0;
	}
}

/* The caller, complete, goes to where others find it. Who was there learns that it is forgotten. */
static always_inline void put_caller(struct thread *caller, struct reply_slot *slot,
				     struct thread **old)
{
	caller->ipc.held = slot;
	*old = (struct thread *)swap_acq_rel(&slot->caller, word_of(caller));
}

/* The run queue is locked: the one caller that this slot has is ours, and is not there any more. */
static always_inline bool take_caller(const struct exchange *c)
{
	struct thread *const caller = c->caller;

	if (!is_ours(c->p, caller) || !cas_acquire(&c->slot->caller, word_of(caller), 0)) {
		return false;
	}
	store_release((uint64_t *)(void *)&caller->ipc.held, 0);
	return true;
}

/* It has our answer. */
static always_inline void answer_caller(const struct exchange *c)
{
	put_message(c->self->regs.x, c->self->regs.x[X_INFO], c->badge, c->caller);
	end_wait(c->caller);
}

/* Without a lock: somebody was in a slot that has another caller now. */
static noinline struct thread *wake_forgotten(const struct pcpu *p, struct thread *old,
					      struct thread *next)
{
	store_release((uint64_t *)(void *)&old->ipc.held, 0);
	ipc_wake(old, KERR_DEAD);
	return load_relaxed(&p->resched) != 0 ? LEAVE : next;
}

/* Of an endpoint's queue; as a rule there is nobody else in it. */
static always_inline void take_out(struct ipc_queue *q, struct thread *t)
{
	if (likely(q->first == q->last)) {
		ipc_queue_empty(q, t);
	} else {
		ipc_queue_remove(q, t);
	}
}

static always_inline void put_in(struct endpoint *ep, struct thread *t)
{
	if (likely(ep->queue.first == nullptr)) {
		ipc_queue_fill(&ep->queue, t, &ep->obj);
	} else {
		ipc_queue_add(&ep->queue, t, &ep->obj);
	}
}

/* ---- call and send: with the endpoint's lock held ---- */

/* `to`, which receives first, runs with our call. */
static always_inline struct thread *call_receiver(const struct exchange *c, struct thread *to,
						  struct thread **old)
{
	struct pcpu *const p = c->p;
	struct thread *const self = c->self;
	struct reply_slot *const slot = to->ipc.slot;
	const bool timers = (c->due | to->ipc.due) != DEADLINE_NONE;

	if (!lock_queues(p, timers)) {
		return SLOW;
	}
	const bool ours = is_ours(p, to);

	if (ours) { /* no way back */
		take_out(&c->ep->queue, to);
		put_message(self->regs.x, self->regs.x[X_INFO] | IPC_FLAG_CALL, c->badge, to);
		end_wait(to);
		if (to->priority < self->priority) {
			to->priority = self->priority;
			to->key = thread_key_slow(to);
		}
		wait_until(self, THREAD_CALLING, c->due);
		switch_to(p, self, to);
	}
	unlock_queues(p, timers);
	if (ours) {
		put_caller(self, slot, old);
	}
	return ours ? to : SLOW;
}

/* `to`, which receives first, has our message, and is ready. */
static always_inline struct thread *send_to_receiver(const struct exchange *c, struct thread *to)
{
	struct pcpu *const p = c->p;
	struct thread *const self = c->self;
	struct thread *next = SLOW;
	const bool timers = to->ipc.due != DEADLINE_NONE;

	if (!lock_queues(p, timers)) {
		return SLOW;
	}
	if (is_ours(p, to)) { /* no way back */
		take_out(&c->ep->queue, to);
		put_message(self->regs.x, self->regs.x[X_INFO], c->badge, to);
		end_wait(to);
		runq_add(p->runq, to, false);
		self->regs.x[8] = KERR_OK;
		next = go_on(p, self);
	}
	unlock_queues(p, timers);
	return next;
}

/* Nobody receives: self waits for one who does. */
static always_inline struct thread *wait_for_receiver(const struct exchange *c, uint64_t flag)
{
	struct pcpu *const p = c->p;
	struct thread *const self = c->self;
	const bool timers = c->due != DEADLINE_NONE;

	if (!lock_queues(p, timers)) {
		return SLOW;
	}
	self->ipc.words = self->regs.x; /* no way back */
	self->ipc.badge = c->badge;
	self->ipc.info = self->regs.x[X_INFO] | flag;
	c->ep->receivers = false;
	put_in(c->ep, self);
	wait_until(self, THREAD_SENDING, c->due);
	struct thread *const next = run_other(p, self, nullptr);

	unlock_queues(p, timers);
	return next;
}

/* Unlocks. */
static always_inline struct thread *send_locked(const struct exchange *c, uint64_t flag)
	__attribute__((no_thread_safety_analysis))
{
	struct endpoint *const ep = c->ep;
	struct thread *old = nullptr;
	struct thread *next = SLOW;
	struct thread *const to = ep->receivers ? ep->queue.first : nullptr;

	if (kobj_is_dead(&ep->obj)) {
		/* slow */
	} else if (to == nullptr) {
		next = wait_for_receiver(c, flag);
	} else if (flag != 0) {
		next = call_receiver(c, to, &old);
	} else {
		next = send_to_receiver(c, to);
	}
	spin_unlock_bare(&ep->lock);
	if (unlikely(old != nullptr)) {
		return wake_forgotten(c->p, old, next);
	}
	if (flag == 0 && to != nullptr && next != SLOW) {
		tell_idle(to);
	}
	return next;
}

/* ---- reply and receive ---- */

/* With the endpoint's lock held: nobody sends. self waits, its caller goes on. */
static always_inline struct thread *wait_for_message(const struct exchange *c)
{
	struct pcpu *const p = c->p;
	struct thread *const self = c->self;
	const bool timers = c->due != DEADLINE_NONE ||
			    (c->caller != nullptr && c->caller->ipc.due != DEADLINE_NONE);
	struct thread *next = SLOW;

	if (c->reply != nullptr && !kobj_get(&c->reply->obj)) {
		return SLOW;
	}
	if (lock_queues(p, timers)) {
		if (c->caller == nullptr || take_caller(c)) { /* no way back */
			if (c->caller != nullptr) {
				answer_caller(c);
			}
			self->priority = self->base_priority;
			self->ipc.slot = c->slot;
			self->ipc.slot_object = c->reply;
			c->ep->receivers = true;
			put_in(c->ep, self);
			wait_until(self, THREAD_RECEIVING, c->due);
			next = run_other(p, self, c->caller);
		}
		unlock_queues(p, timers);
	}
	if (next == SLOW && c->reply != nullptr) {
		kobj_put(&c->reply->obj);
	}
	return next;
}

/* The run queue is locked: the sender's message is ours; it waits for the answer, or is ready. */
static always_inline void take_message(const struct exchange *c, struct thread *sender, bool calls)
{
	struct thread *const self = c->self;
	const uint64_t inherits = calls && sender->priority > self->base_priority
					  ? sender->priority
					  : self->base_priority;

	take_out(&c->ep->queue, sender);
	put_message(sender->ipc.words, sender->ipc.info, sender->ipc.badge, self);
	sender->ipc.info = 0;
	self->ipc.slot = c->slot;
	take_priority(c->p, self, (uint8_t)inherits);
	if (calls) {
		sender->state = THREAD_CALLING;
		sender->key = thread_key(sender);
		return;
	}
	end_wait(sender);
	sender->regs.x[8] = KERR_OK;
	runq_add(c->p->runq, sender, false);
}

/* With the endpoint's lock held: somebody sends. self goes on with that, its caller is ready. */
static always_inline struct thread *receive_from(const struct exchange *c, struct thread *sender,
						 struct thread **old)
{
	struct pcpu *const p = c->p;
	struct thread *const caller = c->caller;
	const bool calls = (sender->ipc.info & IPC_FLAG_CALL) != 0;
	const bool timers = (sender->ipc.due | (caller != nullptr ? caller->ipc.due : 0)) != 0;
	struct thread *next = SLOW;

	if (sender->ipc.excepted != 0 || IPC_INFO_HANDLES(sender->ipc.info) != 0 ||
	    !lock_queues(p, timers)) {
		return SLOW;
	}
	if (is_ours(p, sender) && (caller == nullptr || take_caller(c))) { /* no way back */
		if (caller != nullptr) {
			answer_caller(c);
			runq_add(p->runq, caller, false);
		}
		take_message(c, sender, calls);
		next = go_on(p, c->self);
	}
	unlock_queues(p, timers);
	if (next != SLOW && calls) {
		put_caller(sender, c->slot, old);
	}
	return next;
}

/* With the endpoint's lock held: answer the caller, if there is one, and receive. Unlocks. */
static always_inline struct thread *receive_locked(const struct exchange *c)
	__attribute__((no_thread_safety_analysis))
{
	struct endpoint *const ep = c->ep;
	struct thread *const self = c->self;
	struct thread *old = nullptr;
	struct thread *next = SLOW;
	struct thread *const sender = ep->receivers ? nullptr : ep->queue.first;

	if (kobj_is_dead(&ep->obj) || self->ipc.bound != nullptr) {
		/* slow; who binds it from here on asks this CPU to look again (kern/event.c) */
	} else if (sender == nullptr) {
		next = wait_for_message(c);
	} else {
		next = receive_from(c, sender, &old);
	}
	spin_unlock_bare(&ep->lock);
	if (next == SLOW) {
		return SLOW;
	}
	if (unlikely(old != nullptr)) {
		next = wake_forgotten(c->p, old, next);
	}
	if (next != c->caller && c->caller != nullptr) {
		tell_idle(c->caller);
	}
	return next;
}

/* Answer, and go on. */
static always_inline struct thread *reply(const struct exchange *c)
{
	struct pcpu *const p = c->p;
	const bool timers = c->caller->ipc.due != DEADLINE_NONE;
	struct thread *next = SLOW;

	if (!lock_queues(p, timers)) {
		return SLOW;
	}
	if (take_caller(c)) { /* no way back */
		answer_caller(c);
		runq_add(p->runq, c->caller, false);
		c->self->regs.x[8] = KERR_OK;
		next = go_on(p, c->self);
	}
	unlock_queues(p, timers);
	if (next != SLOW) {
		tell_idle(c->caller);
	}
	return next;
}

/* ---- what is asked for ---- */

/* The endpoint of x9, and the badge; the deadline of x12, if it is none, or a time. */
static always_inline bool find_endpoint(struct exchange *c, uint8_t right)
{
	const uint64_t *const x = c->self->regs.x;
	const struct handle_slot *slot =
		handle_quick_slot(&c->self->task->handles, x[X_BADGE], KOBJ_ENDPOINT, right);

	if (slot == nullptr || x[X_DEADLINE] == DEADLINE_POLL) {
		return false;
	}
	c->ep = (struct endpoint *)slot->obj;
	c->badge = slot->badge;
	c->due = x[X_DEADLINE] == DEADLINE_NONE ? DEADLINE_NONE : arg_due(x[X_DEADLINE]);
	return true;
}

/* Its own reply slot, or that of handle h, who is there, and the badge of an answer. */
static always_inline bool find_slot(struct exchange *c, uint64_t h, uint8_t right)
{
	c->reply = nullptr;
	c->badge = 0;
	c->slot = &c->self->ipc.own;
	if (h != HANDLE_NONE) {
		const struct handle_slot *slot =
			handle_quick_slot(&c->self->task->handles, h, KOBJ_REPLY, right);

		if (slot == nullptr) {
			return false;
		}
		c->reply = (struct reply *)slot->obj;
		c->badge = slot->badge;
		c->slot = &c->reply->slot;
	}
	c->caller = (struct thread *)load_acquire(&c->slot->caller);
	return c->caller == nullptr || c->caller->ipc.excepted == 0; /* an exception's is slow */
}

static always_inline bool lock_endpoint(const struct exchange *c)
	__attribute__((no_thread_safety_analysis))
{
	return spin_try_bare(&c->ep->lock);
}

/* Each call apart: what it has found stays in registers. */
static noinline struct thread *do_call(struct thread *self)
{
	struct exchange c = { .p = pcpu_this(), .self = self };

	return self->regs.x[X_REPLY] == HANDLE_NONE && find_endpoint(&c, RIGHT_SEND) &&
			       lock_endpoint(&c)
		       ? send_locked(&c, IPC_FLAG_CALL)
		       : SLOW;
}

static noinline struct thread *do_send(struct thread *self)
{
	struct exchange c = { .p = pcpu_this(), .self = self };

	return self->regs.x[X_REPLY] == 0 && find_endpoint(&c, RIGHT_SEND) && lock_endpoint(&c)
		       ? send_locked(&c, 0)
		       : SLOW;
}

static noinline struct thread *do_receive(struct thread *self)
{
	struct exchange c = { .p = pcpu_this(), .self = self };
	const uint64_t *const x = self->regs.x;

	if (!find_endpoint(&c, RIGHT_RECEIVE) || !find_slot(&c, x[X_REPLY], RIGHT_MANAGE)) {
		return SLOW;
	}
	if (x[8] == CALL_IPC_RECV && (x[X_INFO] != 0 || c.caller != nullptr)) {
		return SLOW;
	}
	return lock_endpoint(&c) ? receive_locked(&c) : SLOW;
}

static noinline struct thread *do_reply(struct thread *self)
{
	struct exchange c = { .p = pcpu_this(), .self = self };
	const uint64_t *const x = self->regs.x;

	return x[X_BADGE] == 0 && find_slot(&c, x[X_REPLY], RIGHT_SEND) && c.caller != nullptr
		       ? reply(&c)
		       : SLOW;
}

/* May self take the quick way at all? */
static always_inline bool may_be_quick(const struct thread *self)
{
	return !reclaim_pending() && !pcpu_this()->steps_el0 && self->not_plain == 0 &&
	       !arch_predictor_forgets();
}

struct thread *entry_el0_ipc(struct thread *self)
{
	const uint64_t *const x = self->regs.x;

	if (!may_be_quick(self) || !is_plain_message(x[X_INFO])) {
		return SLOW;
	}
	switch (x[8]) {
	case CALL_IPC_CALL:
		return do_call(self);
	case CALL_IPC_REPLY_RECV:
	case CALL_IPC_RECV:
		return do_receive(self);
	case CALL_IPC_SEND:
		return do_send(self);
	case CALL_IPC_REPLY:
		return do_reply(self);
	default:
		return SLOW;
	}
}

struct thread *entry_el0_call_locked(struct thread *self, struct endpoint *ep, uint64_t badge)
	__attribute__((no_thread_safety_analysis))
{
	const struct exchange c = { .p = pcpu_this(), .self = self, .ep = ep, .badge = badge };

	if (!may_be_quick(self)) {
		spin_unlock_bare(&ep->lock);
		return SLOW;
	}
	return send_locked(&c, IPC_FLAG_CALL);
}

struct thread *entry_el0_reply_recv_locked(struct thread *self, struct endpoint *ep)
	__attribute__((no_thread_safety_analysis))
{
	struct exchange c = { .p = pcpu_this(), .self = self, .ep = ep };

	if (!may_be_quick(self) || !find_slot(&c, HANDLE_NONE, 0)) {
		spin_unlock_bare(&ep->lock);
		return SLOW;
	}
	return receive_locked(&c);
}
