/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/event.c - see kern/event.h.
 */
#include "kern/event.h"

#include <arch/atomic.h>
#include <arch/cpu.h>

#include "kern/assert.h"
#include "kern/event_queue.h"
#include "kern/ipc_wait.h"
#include "kern/sched.h"
#include "kern/thread.h"
#include "pcpu/slab.h"

#define END_STEPS 16

static struct slab_class events = SLAB_CLASS("events", struct event);
static struct spinlock bind_lock = SPINLOCK("bindings", LOCK_OBJECT);

/* Take those of `bits` that are set. */
static uint64_t take(struct event *ev, uint64_t bits)
{
	return fetch_and_acq_rel(&ev->bits, ~bits) & bits;
}

/*
 * With the lock held: the first who waits for one of `bits` that is set takes all of its own that
 * are, and is out of the queue. nullptr: nobody.
 */
static struct thread *next_served(struct event *ev, uint64_t bits)
{
	struct thread *t = event_queue_find(ev, load_relaxed(&ev->bits) & bits);

	while (t != nullptr) {
		const uint64_t taken = take(ev, t->ipc.event_bits);

		if (taken != 0) {
			event_queue_remove(ev, t);
			t->regs.x[0] = taken;
			return t;
		}
		/* One that is bound has taken them just now. */
		t = event_queue_find(ev, load_relaxed(&ev->bits) & bits);
	}
	return nullptr;
}

/* Each is woken without the lock (R8): up to 64, who take one of `bits` each. */
void event_signal(struct event *ev, uint64_t bits)
{
	struct thread *t;

	spin_lock(&ev->lock);
	fetch_or_acq_rel(&ev->bits, bits);
	while ((t = next_served(ev, bits)) != nullptr) {
		bits &= ~t->regs.x[0]; /* set anew meanwhile: who does that serves them */
		spin_unlock(&ev->lock);
		ipc_wake(t, KERR_OK);
		spin_lock(&ev->lock);
	}
	spin_unlock(&ev->lock);
	event_wake_newly_bound(ev);
}

/* ---- the same where nothing is in the way ---- */

/*
 * With the lock held, of the event, whose only waiter t is: it takes all the bits. Out of the queue
 * it is ours, and its deadline may go before it is ready.
 */
static void wake_from_deadline(struct event *ev, struct thread *t, uint64_t bits)
{
	ipc_queue_empty(&ev->queue, t);
	t->regs.x[0] = bits;
	store_release(&t->ipc.due, DEADLINE_NONE);
	timerq_cancel(&t->deadline);
	struct runq *q = sched_hold_waiter(t);

	if (q == nullptr) {
		thread_wake(t, KERR_OK);
		return;
	}
	t->regs.x[8] = KERR_OK;
	sched_wake_held(q, t);
}

/* With the lock held: the only one that waits takes all the bits, and is ready. */
static bool wake_only_waiter(struct event *ev, uint64_t bits)
{
	struct thread *t = event_only_waiter(ev, bits);

	if (t == nullptr) {
		return false;
	}
	if (t->ipc.due != DEADLINE_NONE) {
		wake_from_deadline(ev, t, bits);
		return true;
	}
	struct runq *q = sched_hold_waiter(t);

	if (q == nullptr) {
		return false;
	}
	ipc_queue_empty(&ev->queue, t);
	t->regs.x[0] = bits;
	t->regs.x[8] = KERR_OK;
	sched_wake_held(q, t);
	return true;
}

/* With the lock held. */
static bool signal_locked(struct event *ev, uint64_t bits)
{
	if (ev->queue.first != nullptr) {
		return wake_only_waiter(ev, bits);
	}
	if (load_relaxed((const uint64_t *)(const void *)&ev->bound) != 0) {
		return false;
	}
	fetch_or_acq_rel(&ev->bits, bits);
	return true;
}

void event_wake_newly_bound(struct event *ev)
{
	struct thread *bound =
		(struct thread *)load_seq_cst((const uint64_t *)(const void *)&ev->bound);

	if (bound != nullptr && load_relaxed(&ev->bits) != 0) {
		ipc_wake_bound(bound);
	}
}

bool event_signal_quick(struct event *ev, uint64_t bits)
{
	if (bits == 0 || !spin_try_bare(&ev->lock)) {
		return false;
	}
	const bool done = signal_locked(ev, bits);

	spin_unlock_bare(&ev->lock);
	if (done) {
		event_wake_newly_bound(ev);
	}
	return done;
}

/* ---- from an interrupt ---- */

static void serve_rest(struct timerq_node *node);

/*
 * Set bits, and wake one whom those that are set concern. Is there perhaps another one, the timer
 * interrupts again for it, as soon as it can (R8). Until then whoever waits anew may be faster.
 */
static void signal_step(struct event *ev, uint64_t bits)
{
	spin_lock(&ev->lock);
	fetch_or_acq_rel(&ev->bits, bits);
	struct thread *t = next_served(ev, UINT64_MAX);
	const bool more = t != nullptr && load_relaxed(&ev->bits) != 0 &&
			  ev->queue.first != nullptr && kobj_get(&ev->obj);

	if (more && load_relaxed(&ev->rest.cpu) != 0) {
		kobj_put(&ev->obj); /* it does so already */
	} else if (more) {
		timerq_add(&ev->rest, counter_now(), serve_rest);
	}
	spin_unlock(&ev->lock);
	if (t != nullptr) {
		ipc_wake(t, KERR_OK);
	}
	if (!more) {
		event_wake_newly_bound(ev);
	}
}

static void serve_rest(struct timerq_node *node)
{
	struct event *ev = (struct event *)(void *)((char *)node - offsetof(struct event, rest));

	signal_step(ev, 0);
	kobj_put(&ev->obj);
}

void event_signal_interrupt(struct event *ev, uint64_t bits)
{
	if (!event_signal_quick(ev, bits)) {
		signal_step(ev, bits);
	}
}

/* ---- waits ---- */

/* With the lock held. */
static enum kerr wait_locked(struct thread *self, struct event *ev, uint64_t bits, uint64_t due,
			     uint64_t *out)
{
	const uint64_t taken = (load_relaxed(&ev->bits) & bits) != 0 ? take(ev, bits) : 0;

	if (taken != 0) {
		*out = taken;
		return KERR_OK;
	}
	if (kobj_is_dead(&ev->obj)) {
		return KERR_DEAD;
	}
	if (due == DEADLINE_POLL) {
		return KERR_TIMEOUT;
	}
	self->ipc.event_bits = bits;
	event_queue_add(ev, self);
	ipc_block(self, THREAD_EVENT_WAIT, due);
	return KERR_OK; /* of no importance: it waits */
}

enum kerr event_wait(struct thread *self, struct event *ev, uint64_t bits, uint64_t due,
		     uint64_t *out)
{
	spin_lock(&ev->lock);
	const enum kerr e = wait_locked(self, ev, bits, due, out);

	spin_unlock(&ev->lock);
	return e;
}

bool event_wait_quick(struct thread *self, struct event *ev)
{
	uint64_t *const x = self->regs.x;

	if (x[1] == 0 || x[2] > DEADLINE_POLL || !spin_try_bare(&ev->lock)) {
		return false;
	}
	const enum kerr e = wait_locked(self, ev, x[1], x[2], &x[0]);

	if (self->state == THREAD_RUNNING) {
		x[8] = (uint64_t)e; /* else it is its waker's */
	}
	spin_unlock_bare(&ev->lock);
	return true;
}

bool event_cancel(struct event *ev, struct thread *t, enum kerr why, bool only_due)
{
	bool mine;

	spin_lock(&ev->lock);
	mine = t->ipc.wait_obj == &ev->obj && (!only_due || ipc_is_due(t));
	if (mine) {
		event_queue_remove(ev, t);
	}
	spin_unlock(&ev->lock);
	if (mine) {
		ipc_wake(t, why);
	}
	return mine;
}

/* ---- bindings ---- */

bool event_deliver_bound(struct thread *self)
{
	struct event *ev =
		(struct event *)load_seq_cst((const uint64_t *)(const void *)&self->ipc.bound);
	const uint64_t bits = ev != nullptr ? take(ev, UINT64_MAX) : 0;

	if (bits == 0) {
		return false;
	}
	for (unsigned i = 1; i <= 17; i++) {
		self->regs.x[i] = 0;
	}
	self->regs.x[0] = bits;
	self->regs.x[10] = IPC_FLAG_EVENT;
	return true;
}

enum kerr event_bind(struct event *ev, struct thread *t)
{
	enum kerr e = KERR_OK;

	if (!kobj_get(&ev->obj)) {
		return KERR_DEAD;
	}
	if (!kobj_get(&t->obj)) {
		kobj_put(&ev->obj);
		return KERR_DEAD;
	}
	spin_lock(&bind_lock);
	if (ev->bound != nullptr || t->ipc.bound != nullptr) {
		e = KERR_EXISTS;
	} else if (t->state == THREAD_DEAD) {
		e = KERR_DEAD;
	} else {
		store_seq_cst((uint64_t *)(void *)&ev->bound, (uint64_t)(uintptr_t)t);
		store_seq_cst((uint64_t *)(void *)&t->ipc.bound, (uint64_t)(uintptr_t)ev);
	}
	spin_unlock(&bind_lock);
	if (e != KERR_OK) {
		kobj_put(&ev->obj);
		kobj_put(&t->obj);
	} else {
		if (load_relaxed(&ev->bits) != 0) {
			ipc_wake_bound(t);
		}
		/*
		 * A fast message (arch/arm64/ipc_fast.S) looks for a binding first and receives
		 * then, with no barrier between the two. Its own CPU does not look in the middle
		 * of one: so that one looks once more whether t receives and there are bits.
		 */
		thread_ask(t, REQUEST_EVENT);
	}
	return e;
}

/* With the lock held: undo a binding. */
static void unbind_locked(struct event *ev, struct thread *t)
{
	store_seq_cst((uint64_t *)(void *)&ev->bound, 0);
	store_seq_cst((uint64_t *)(void *)&t->ipc.bound, 0);
}

void event_unbind(struct thread *t)
{
	spin_lock(&bind_lock);
	struct event *ev = t->ipc.bound;

	if (ev != nullptr) {
		unbind_locked(ev, t);
	}
	spin_unlock(&bind_lock);
	if (ev != nullptr) {
		kobj_put(&ev->obj);
		kobj_put(&t->obj);
	}
}

void event_unbind_event(struct event *ev)
{
	spin_lock(&bind_lock);
	struct thread *t = ev->bound;

	if (t != nullptr) {
		unbind_locked(ev, t);
	}
	spin_unlock(&bind_lock);
	if (t != nullptr) {
		kobj_put(&ev->obj);
		kobj_put(&t->obj);
	}
}

/* ---- the object ---- */

static bool wake_waiters(struct event *ev, unsigned steps)
{
	for (unsigned n = 0; n < steps; n++) {
		spin_lock(&ev->lock);
		struct thread *t = ev->queue.first;

		if (t != nullptr) {
			event_queue_remove(ev, t);
		}
		spin_unlock(&ev->lock);
		if (t == nullptr) {
			return true;
		}
		ipc_wake(t, KERR_DEAD);
	}
	return false;
}

static bool event_revoke(struct kobj *obj)
{
	struct event *ev = (struct event *)obj;

	event_unbind_event(ev);
	return wake_waiters(ev, END_STEPS);
}

/* No binding is left: it would hold a reference. */
static enum kobj_end event_end(struct kobj *obj)
{
	if (!wake_waiters((struct event *)obj, END_STEPS)) {
		return END_MORE;
	}
	if (kobj_end_begins(obj)) {
		return END_LATER; /* who saw it in a thread calls event_cancel() */
	}
	slab_free(&events, obj, obj->payer);
	return END_GONE;
}

static const struct kobj_ops event_ops = { .type = KOBJ_EVENT,
					   .revoke = event_revoke,
					   .end = event_end };

enum kerr event_create(struct memcharge *payer, struct event **out)
{
	struct event *ev = slab_alloc(&events, payer);

	if (ev == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&ev->obj, &event_ops, payer);
	ev->lock = (struct spinlock)SPINLOCK("event", LOCK_OBJECT);
	event_queue_init(ev);
	*out = ev;
	return KERR_OK;
}
