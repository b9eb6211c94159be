/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/fpu.h - access to the FP/SIMD registers, which the compiler never uses.
 */
#pragma once

#include <types.h>

#include "arch/arm64/sysreg.h"

struct fpu_state;

/* q0-q31, FPCR, FPSR. Pre: arch_fpu_open(true), or EL1 may use them anyway. */
void arch_fpu_save(struct fpu_state *to);
void arch_fpu_load(const struct fpu_state *from);

#define CPACR_FPEN_EL1 (UINT64_C(1) << 20)     /* EL1 may, EL0 traps */
#define CPACR_FPEN_ALL (UINT64_C(3) << 20) /* both may */

/* May EL0 use them? EL1 may in any case. For EL0 an ERET makes it effective (Arm ARM D19.2.30). */
static inline void arch_fpu_open(bool for_el0)
{
	write_sysreg(cpacr_el1, for_el0 ? CPACR_FPEN_ALL : CPACR_FPEN_EL1);
}
