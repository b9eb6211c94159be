/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/reclaim.h - free what others may still be looking at, once they cannot be.
 *
 * THEORY   The kernel is driven by events and has no threads of its own: a CPU that is back in EL0,
 *          or idle, holds no pointer to any object. So a look-up needs neither lock nor reference.
 *          Whoever takes an object out of reach defers its end: the function runs after every CPU
 *          has been quiet once since then. Each CPU counts that in its slice (`quiet`): two more on
 *          every return to EL0, odd while it sleeps.
 *
 *              the one who ends it               the one who looks
 *              slot = empty                      quiet += 2      (STLR, on the way out)
 *              DMB ISH                           ...
 *              read quiet                        read slot       (LDAR, after the way in)
 *
 *          LDAR does not pass an earlier STLR (Arm ARM B2.3.8, RCsc), so a CPU whose new count was
 *          seen reads the slot afterwards, and finds it empty. A plain load would not do.
 *
 *          One CPU at a time runs what is due; who comes meanwhile goes on with its own work. All
 *          ends take the same few locks: CPUs that wait for each other there gain nothing. And
 *          where a host runs fewer CPUs than we have, each lock that changes hands costs a turn of
 *          its scheduler: calls that only passed by were seen to take half a second each.
 * INVARIANTS
 *   RC1  fn runs only after each CPU was quiet at some moment after reclaim_defer().
 *   RC2  A node is on one list; fn may defer it again.
 *   RC3  No two fn run at the same time.
 * LOCKING  LOCK_RECLAIM inside; fn runs with no lock held, on the CPU that polls, on SP0.
 * NOT HERE References: kern/object.h.
 */
#pragma once

#include <arch/atomic.h>
#include <types.h>

#include "pcpu/pcpu.h"

struct reclaim_node {
	struct reclaim_node *next;
	/* One bounded step (R8). True: done with; false: call again. */
	bool (*fn)(struct reclaim_node *node);
};

/* Run fn(node) after a grace period. Pre: what it frees is out of reach; node is on no list. */
void reclaim_defer(struct reclaim_node *node, bool (*fn)(struct reclaim_node *node));

/*
 * Is anything deferred that has not run to its end? One load: ask on every slow way out of the
 * kernel. False: what ran before is seen by this CPU.
 */
extern uint64_t reclaim_deferred; /* [a] reclaim.c's, but for this */
static inline bool reclaim_pending(void)
{
	return load_acquire(&reclaim_deferred) != 0; /* pairs with run() */
}

/*
 * Advance: at most `steps` calls of functions whose time has come; nothing while another CPU does
 * it. CPUs that hold a grace period up for two polls are interrupted, so that they pass the way
 * out. Pre: SP0, no lock held.
 */
void reclaim_poll(unsigned steps);

/* The same, but after each step also: no further one once *asked, of this CPU, is not 0 (R8). */
void reclaim_poll_until(unsigned steps, const uint64_t *asked);

/* The same for a kernel program that holds no pointer to any object: this CPU counts as quiet. */
void reclaim_poll_quiet(unsigned steps);

/* This CPU is about to return to EL0: it holds no pointer. Pre: interrupts masked. */
static inline void reclaim_quiet(void)
{
	struct pcpu *p = pcpu_this();

	store_release(&p->quiet, p->quiet + 2);
}

/* This CPU sleeps, or is off, from here to reclaim_awake(). Pre: interrupts masked. */
void reclaim_asleep(void);
void reclaim_awake(void);
