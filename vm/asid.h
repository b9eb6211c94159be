/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/asid.h - address space identifiers: 8 or 16 bits, shared by any number of spaces.
 *
 * THEORY   A TLB entry of a user page carries the number of its space, so that a switch flushes
 *          nothing. There are fewer numbers than spaces: a space keeps its number for one
 *          *generation*. When the numbers run out, a rollover begins the next one: all numbers are
 *          free again but those that some CPU runs with, and each CPU flushes its own TLB before
 *          it uses a number of the new generation. Nobody is interrupted.
 *          The word of a space is generation << 16 | number; 0: it never had one. Number 0 belongs
 *          to the reserved empty root.
 * INVARIANTS
 *   AS1  CPUs that run with one number run the same space, and a space that runs on several CPUs
 *        has one number.
 *   AS2  A CPU loads a number only when its TLB has nothing of another space under it.
 *   AS3  A space that runs keeps its number, through any number of rollovers.
 *        A CPU that has called asid_use() and not loaded the number yet still has its old root in
 *        TTBR0, whatever a rollover does meanwhile: it runs neither space, and flushes before
 *        the next.
 *   AS4  A new word is visible to every CPU before the first walk with it.
 *        (test/host/test_asid.c)
 * LOCKING  LOCK_ASID inside, on the slow path only; it waits as every lock does (R5).
 */
#pragma once

#include <types.h>

#include "kern/lock.h"

#define ASID_NUMBER_BITS 16

extern struct spinlock asid_lock; /* LOCK_ASID */

/*
 * Hand out numbers of so many bits: what the CPU has, or fewer, for tests. Numbers in use keep
 * theirs. Begins a new generation. Pre: 2^bits - 1 is more than the CPUs there are.
 */
void asid_set_bits(unsigned bits);

/*
 * The number to load for the space whose word this is; renews the word when its generation is
 * over. Pre: interrupts masked until TTBR0 is loaded. Any stack; takes no lock when the word is
 * of this generation.
 */
uint64_t asid_use(uint64_t *word);

/*
 * The space is gone. Pre: no CPU has its root loaded, and its number was invalidated on all CPUs
 * since. The number may be given out again at once.
 */
void asid_give_back(uint64_t *word);

static inline uint64_t asid_number(uint64_t word)
{
	return word & ((UINT64_C(1) << ASID_NUMBER_BITS) - 1);
}

/*
 * The word that CPU `cpu` runs with, 0 after a rollover: for the fast switch of ipc_fast.S, which
 * replaces it by the word of the next space, by compare-and-swap, if both are not 0 and of one
 * generation, and takes the slow path if not.
 */
uint64_t *asid_active(unsigned cpu);

/* Generations begun so far: for tests. */
uint64_t asid_generations(void);
