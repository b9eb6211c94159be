/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/table.h> - the two ways in which a CPU touches table memory. Shadowed by the host build.
 *
 * Single-copy atomic 64-bit accesses. A table walk is another observer: see DSB ISHST in the
 * callers.
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
