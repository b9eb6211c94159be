/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/user.h> for the host: TTBR0 of a simulated CPU.
 */
#pragma once

#include <types.h>

#include "test/host/sim.h"

static inline void arch_user_root_load(pa_t root, uint64_t asid)
{
	sim_user_root(root.v, asid);
	sim_isb();
}

static inline void arch_user_root_clear(void)
{
	sim_user_root(0, 0);
	sim_isb();
}

static inline void arch_predictor_enter(uint64_t space)
{
	(void)space;
}
