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
 * Signal once, at `due` ticks; DEADLINE_NONE: not any more. What is past signals at once. The timer
 * runs on the CPU that set it.
 */
void timer_object_set(struct timer_object *timer, uint64_t due);
