/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/table.h> - the ways in which a CPU touches table memory. Shadowed by the host build.
 *
 * Single-copy atomic 64-bit accesses: each of the two of a pair is one (Arm ARM B2.2.1). A table
 * walk is another observer: see DSB ISHST in the callers.
 */
#pragma once

#include <arch/pte.h>

static inline pte_t arch_pte_load(const pte_t *slot)
{
	return (pte_t){ __atomic_load_n(&slot->v, __ATOMIC_RELAXED) };
}

static inline void arch_pte_store(pte_t *slot, pte_t e)
{
	__atomic_store_n(&slot->v, e.v, __ATOMIC_RELAXED);
}

/*
 * Replace `was` by `e` in one atomic step; false: something else was there. FEAT_LSE only, which
 * every CPU has whose walker changes entries (arch_features_init()). The walker's own update is a
 * read-modify-write of the same kind (Arm ARM D8.5), so neither undoes the other.
 */
static inline bool arch_pte_exchange(pte_t *slot, pte_t was, pte_t e)
{
	uint64_t seen = was.v;

	__asm__ volatile(".arch_extension lse\n\tcas %0, %2, %1"
			 : "+&r"(seen), "+Q"(slot->v)
			 : "r"(e.v)
			 : "memory");
	return seen == was.v;
}

/* Two neighbours in one instruction, for who goes through a whole table. */
static inline void arch_pte_load_pair(const pte_t *slot, pte_t *first, pte_t *second)
{
	__asm__ volatile("ldp %0, %1, [%2]"
			 : "=r"(first->v), "=r"(second->v)
			 : "r"(slot)
			 : "memory");
}

/* Returns the slot behind them. */
static inline pte_t *arch_pte_store_pair(pte_t *slot, pte_t first, pte_t second)
{
	__asm__ volatile("stp %x1, %x2, [%0], #16"
			 : "+&r"(slot) /* written back: never also one of the values */
			 : "rZ"(first.v), "rZ"(second.v)
			 : "memory");
	return slot;
}
