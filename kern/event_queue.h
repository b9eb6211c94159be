/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/event_queue.h - the queue of an event: the first who waits for certain bits, in few steps.
 *
 * THEORY   Those who wait are in order in an ipc_queue, and in the same order in a tree whose nodes
 *          know the bits that are waited for below them (kern/avl.h). So the first whom a bit
 *          concerns is found in one descent, however many others wait (R8).
 *          One that waits alone is in no tree: the fast paths put it in and take it out by the
 *          queue alone. The tree begins when a second comes.
 * INVARIANTS
 *   EQ1  With two and more in the queue the tree has them all, in the queue's order.
 * LOCKING  The event's.
 */
#pragma once

#include "kern/event.h"

/* Put t in, which waits for its event_bits, as ipc_queue_add() does. */
void event_queue_add(struct event *ev, struct thread *t);

/* Take t out, as ipc_queue_remove() does. */
void event_queue_remove(struct event *ev, struct thread *t);

/* The first who waits for one of `bits`, nullptr. It stays in. */
struct thread *event_queue_find(const struct event *ev, uint64_t bits);

/* For event_create(). */
void event_queue_init(struct event *ev);
