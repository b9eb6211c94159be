/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/table.h> for the host: table memory, which the simulated walkers read too.
 */
#pragma once

#include <arch/pte.h>

#include "test/host/sim.h"

static inline pte_t arch_pte_load(const pte_t *slot)
{
	return (pte_t){ sim_pte_load(&slot->v) };
}

static inline void arch_pte_store(pte_t *slot, pte_t e)
{
	sim_pte_store(&slot->v, e.v);
}

static inline bool arch_pte_exchange(pte_t *slot, pte_t was, pte_t e)
{
	return sim_pte_exchange(&slot->v, was.v, e.v);
}

static inline void arch_pte_load_pair(const pte_t *slot, pte_t *first, pte_t *second)
{
	*first = arch_pte_load(slot);
	*second = arch_pte_load(slot + 1);
}

static inline pte_t *arch_pte_store_pair(pte_t *slot, pte_t first, pte_t second)
{
	arch_pte_store(slot, first);
	arch_pte_store(slot + 1, second);
	return slot + 2;
}
