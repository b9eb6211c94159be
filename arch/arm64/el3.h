/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el3.h - what Perch does at EL3 when it was entered there: there is no firmware.
 *
 * start.S, entered at EL3, calls el3_setup on every CPU. Afterwards EL3 holds a monitor that
 * answers one call and refuses all others with -1, the SMCCC's NOT_SUPPORTED.
 */
#pragma once

/*
 * SMC64 fast call, silicon provider service.
 *   x1 GIC version (2 or 3), x2 physical address of the distributor,
 *   x3 physical address of the CPU interface (GICv2) or of *this CPU's* redistributor (GICv3)
 * Gives all interrupts of this CPU, and the shared ones, to group 1 non-secure, opens the secure
 * priority mask, wakes the redistributor, and enables the groups. Each CPU, once, before its
 * gic_init_cpu(). Result 0, or -1 when the version is not known.
 */
#define EL3_GIC_NONSECURE 0xc2000001

#ifndef __ASSEMBLER__
#include <types.h>

static inline int64_t el3_gic_nonsecure(uint32_t version, pa_t dist, pa_t cpu_or_redist)
{
	register uint64_t x0 __asm__("x0") = EL3_GIC_NONSECURE;
	register uint64_t x1 __asm__("x1") = version;
	register uint64_t x2 __asm__("x2") = dist.v;
	register uint64_t x3 __asm__("x3") = cpu_or_redist.v;

	__asm__ volatile("smc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
			 :
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
			   "x15", "x16", "x17", "memory", "cc");
	return (int64_t)x0;
}
#endif
