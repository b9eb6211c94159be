/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/user.h> - the lower half of this CPU's address space: TTBR0. Shadowed by the host build.
 *
 * TCR_EL1.A1 is 0, so the ASID travels with the root in TTBR0 and both change in one instruction:
 * no walk combines the one with the other's predecessor, and no detour over an empty root is
 * needed between two spaces (Arm ARM D8.16).
 */
#pragma once

#include <types.h>

#define TTBR_ASID_SHIFT 48

/* Load a root, a level-0 table, with its ASID; then ISB: later accesses use it. */
static inline void arch_user_root_load(pa_t root, uint64_t asid)
{
	__asm__ volatile("msr ttbr0_el1, %0\n\tisb" ::"r"(root.v | asid << TTBR_ASID_SHIFT)
			 : "memory");
}

/* The reserved empty root, ASID 0: nothing is mapped below the kernel's half. */
void arch_user_root_clear(void);

/* Does arch_predictor_enter() do anything on this machine? */
extern bool arm64_predictor_forgets; /* [c] after arch_speculation_init() */
static inline bool arch_predictor_forgets(void)
{
	return arm64_predictor_forgets;
}

/*
 * A space, by a number that is never used again for another, is about to run at EL0. If the last
 * one was another: forget what that one taught the branch predictor, where this CPU needs that and
 * the firmware offers it.
 */
void arch_predictor_enter(uint64_t space);
