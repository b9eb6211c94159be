/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/crew.h - the other CPUs, in the workloads on address spaces.
 *
 * THEORY   The crew's CPUs run one function each, over and over, in user space as far as the CPU
 *          can tell (vm_user.h), until they are told to stop. What they find wrong is counted.
 */
#pragma once

#include <types.h>

#include "kern/work.h"

struct space;
struct memory_object;

struct crew {
	uint64_t stop;       /* [a] */
	uint64_t wrong;      /* [a] facts that did not hold */
	uint64_t rounds;     /* [a] done by all */
	struct space *space; /* what they share */
	struct memory_object *object;
};
extern struct crew crew;

/* Let every other CPU run `fn`. */
void crew_start(work_fn *fn);
/* Tell them to stop, wait until they have, and check that nothing was wrong. */
void crew_end(void);

/* Of the crew: a fact that must hold; a round is done: is there another? */
void crew_fact(bool fact);
bool crew_goes_on(void);

/* A generator for who has no time for a better one. */
uint64_t crew_random(uint64_t *x);
