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
