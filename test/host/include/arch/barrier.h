/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/barrier.h> for the host: barriers and hints of the simulated machine.
 */
#pragma once

#include "test/host/sim.h"

static inline void dsb_ish(void)
{
	sim_barrier(SIM_DSB_ISH);
}

static inline void dsb_ishst(void)
{
	sim_barrier(SIM_DSB_ISHST);
}

static inline void dsb_nsh(void)
{
	sim_barrier(SIM_DSB_NSH);
}

static inline void dsb_sy(void)
{
	sim_barrier(SIM_DSB_ISH);
}

static inline void dmb_ish(void)
{
	sim_barrier(SIM_DMB_ISH);
}

static inline void isb(void)
{
	sim_isb();
}

static inline void cpu_wfe(void)
{
	sim_wfe();
}

static inline void cpu_sev(void)
{
	sim_sev();
}

static inline void cpu_wfi(void)
{
	sim_barrier(SIM_DSB_ISH);
	sim_wfi();
}
