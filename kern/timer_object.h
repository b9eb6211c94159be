/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/timer_object.h - timers that signal an event at an absolute time.
 */
#pragma once

#include "kern/event.h"
#include "kern/timerq.h"

struct timer_object {
	struct kobj obj;
	struct spinlock lock; /* LOCK_OBJECT */
	struct event *event;  /* [c] referenced */
	uint64_t bits;        /* [c] */
	uint64_t due;         /* [l] ticks; 0: not set */
	struct timerq_node node;
};

enum kerr timer_object_create(struct memcharge *payer, struct event *ev, uint64_t bits,
			      struct timer_object **out);

/*
 * The timer that is due on this CPU, if the first of whatever is due is one; nullptr: see
 * timerq_try_due(). The queue is locked: either it has expired, without a signal, or
 * timerq_leave().
 */
struct timer_object *timer_object_try_due(void);
void timer_object_expire_unlock(struct timer_object *timer);

/*
 * Signal once, at `due` ticks; DEADLINE_NONE: not any more. What is past signals at once. The timer
 * runs on the CPU that set it.
 */
void timer_object_set(struct timer_object *timer, uint64_t due);
