/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/timer_object.c - see kern/timer_object.h.
 *
 * RACE   A timer may be set anew while its function begins on another CPU. The function looks under
 *        the lock whether what is set now is due, so a time that was replaced does not signal; and
 *        the node is added again only when its queue has let go of it.
 */
#include "kern/timer_object.h"

#include <arch/cpu.h>

#include "pcpu/slab.h"

#define TIMER_OF(n) \
	((struct timer_object *)(void *)((char *)(n) - offsetof(struct timer_object, node)))

static struct slab_class timers = SLAB_CLASS("timers", struct timer_object);

static void expired(struct timerq_node *node)
{
	struct timer_object *timer = TIMER_OF(node);
	const bool bare = spin_lock_spx(&timer->lock);
	const bool due = timer->due != DEADLINE_NONE && counter_now() >= timer->due;
	if (due) {
		timer->due = DEADLINE_NONE;
	}
	spin_unlock_spx(&timer->lock, bare);
	if (due) {
		event_signal_interrupt(timer->event, timer->bits);
	}
}

struct timer_object *timer_object_try_due(void)
{
	struct timerq_node *node = timerq_try_due();

	if (node == nullptr) {
		return nullptr;
	}
	if (node->fn != expired) {
		timerq_leave();
		return nullptr;
	}
	return TIMER_OF(node);
}

/* Its queue is locked and it is in it: who sets it anew takes it out first, and so waits. */
void timer_object_expire_unlock(struct timer_object *timer)
{
	timer->due = DEADLINE_NONE;
	timerq_take_unlock(&timer->node);
}

void timer_object_set(struct timer_object *timer, uint64_t due)
{
	spin_lock(&timer->lock);
	timerq_cancel(&timer->node);
	timer->due = due;
	if (due != DEADLINE_NONE) {
		timerq_add(&timer->node, due, expired);
	}
	spin_unlock(&timer->lock);
}

static bool timer_revoke(struct kobj *obj)
{
	timer_object_set((struct timer_object *)obj, DEADLINE_NONE);
	return true;
}

/* A function that has begun keeps its CPU from being quiet, so one more period is enough. */
static enum kobj_end timer_end(struct kobj *obj)
{
	struct timer_object *timer = (struct timer_object *)obj;

	if (kobj_end_begins(obj)) {
		timer_object_set(timer, DEADLINE_NONE);
		return END_LATER;
	}
	kobj_put(&timer->event->obj);
	slab_free(&timers, timer, obj->payer);
	return END_GONE;
}

static const struct kobj_ops timer_ops = { .type = KOBJ_TIMER,
					   .revoke = timer_revoke,
					   .end = timer_end };

enum kerr timer_object_create(struct memcharge *payer, struct event *ev, uint64_t bits,
			      struct timer_object **out)
{
	if (!kobj_get(&ev->obj)) {
		return KERR_DEAD;
	}
	struct timer_object *timer = slab_alloc(&timers, payer);

	if (timer == nullptr) {
		kobj_put(&ev->obj);
		return KERR_NO_MEMORY;
	}
	kobj_init(&timer->obj, &timer_ops, payer);
	timer->lock = (struct spinlock)SPINLOCK("timer", LOCK_OBJECT);
	timer->event = ev;
	timer->bits = bits;
	*out = timer;
	return KERR_OK;
}
