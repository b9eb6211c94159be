/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/tlb.h> for the host: invalidations of the simulated TLBs.
 *
 * The last-level form is here for the seeded defects only; the kernel has none.
 */
#pragma once

#include <arch/tlbi_operand.h>

#include "test/host/sim.h"

static inline void tlbi_vaae1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_VA, operand);
}

static inline void tlbi_vaale1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_VA_LAST, operand);
}

static inline void tlbi_vaae1(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_VA_LOCAL, operand);
}

static inline void tlbi_rvaae1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_RANGE, operand);
}

/* Of one number, for entries that are not global. */
static inline void tlbi_vae1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_VA_ASID, operand);
}

static inline void tlbi_rvae1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_RANGE_ASID, operand);
}

/* Everything of one number, not the global entries. */
static inline void tlbi_aside1is(uint64_t operand)
{
	sim_tlbi(SIM_TLBI_ASID, operand);
}

static inline void tlbi_vmalle1is(void)
{
	sim_tlbi(SIM_TLBI_ALL, 0);
}

static inline void tlbi_vmalle1(void)
{
	sim_tlbi(SIM_TLBI_ALL_LOCAL, 0);
}
