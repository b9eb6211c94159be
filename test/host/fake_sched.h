/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fake_sched.h - a scheduler that only writes down, for tests of what blocks and wakes.
 *
 * thread_block() and its kin change states and count; no thread runs. Each state of both partners
 * can be made by hand, and a wait that ends twice, or with references left, fails the test.
 */
#pragma once

#include "kern/thread.h"

#define THREADS 200

extern struct thread thread[THREADS];
extern unsigned wakes[THREADS];
extern unsigned timers; /* that are set */
extern struct timerq_node *timer_set; /* the last of them */

/* Called, if not nullptr, while t is out of one queue and not yet where it waits next. */
extern void (*at_change)(struct thread *t);

/* The last answer to an exception. */
extern struct thread *excepted;
extern uint64_t verdict;

/* By thread_ask(): whose CPU is to look whether its event has bits. */
extern struct thread *asked;
