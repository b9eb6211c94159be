/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/sysreg.h - system registers by their Arm ARM names, and the bits that we use.
 */
#pragma once

#include <compiler.h>
#include <types.h>

#define read_sysreg(name)                                               \
	({                                                              \
		uint64_t read_value_;                                   \
		__asm__ volatile("mrs %0, " #name : "=r"(read_value_)); \
		read_value_;                                            \
	})

#define write_sysreg(name, value)                                                          \
	do {                                                                               \
		__asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory"); \
	} while (0)

/* TCR_EL1 (D24.2.201). */
#define TCR_T0SZ_48 (UINT64_C(16) << 0)
#define TCR_T1SZ_48 (UINT64_C(16) << 16)
#define TCR_WALK_WBWA_INNER                                                             \
	(UINT64_C(1) << 8 | UINT64_C(1) << 10 | UINT64_C(3) << 12 | UINT64_C(1) << 24 | \
	 UINT64_C(1) << 26 | UINT64_C(3) << 28)
#define TCR_TG1_4K (UINT64_C(2) << 30)
#define TCR_IPS_SHIFT 32
#define TCR_IPS_48 5
#define TCR_AS_16BIT (UINT64_C(1) << 36)
#define TCR_HA (UINT64_C(1) << 39)

/* SCTLR_EL1 (D24.2.174); RES1 of ARMv8.0 without SPAN. */
#define SCTLR_RES1 UINT64_C(0x30500800)
#define SCTLR_M (UINT64_C(1) << 0)
#define SCTLR_C (UINT64_C(1) << 2)
#define SCTLR_SA (UINT64_C(1) << 3)
#define SCTLR_SA0 (UINT64_C(1) << 4)
#define SCTLR_I (UINT64_C(1) << 12)
#define SCTLR_DZE (UINT64_C(1) << 14)
#define SCTLR_UCT (UINT64_C(1) << 15)
#define SCTLR_WXN (UINT64_C(1) << 19)
#define SCTLR_SPAN (UINT64_C(1) << 23)
#define SCTLR_UCI (UINT64_C(1) << 26)

/* ESR_EL1 (D24.2.40). */
#define ESR_EC(esr) ((unsigned)((esr) >> 26) & 0x3f)
#define ESR_EC_WFX 0x01
#define ESR_EC_FP 0x07
#define ESR_EC_SVC64 0x15
#define ESR_EC_IABT_EL0 0x20
#define ESR_EC_IABT_SAME 0x21
#define ESR_EC_PC_ALIGNMENT 0x22
#define ESR_EC_DABT_EL0 0x24
#define ESR_EC_DABT_SAME 0x25
#define ESR_EC_SP_ALIGNMENT 0x26
#define ESR_EC_BREAKPOINT_EL0 0x30
#define ESR_EC_STEP_EL0 0x32
#define ESR_EC_WATCHPOINT_EL0 0x34
#define ESR_EC_BRK 0x3c
#define ESR_ISS(esr) ((esr) & 0x1ffffff)
#define ESR_WNR (UINT64_C(1) << 6) /* a data abort: of a write */
#define ESR_CM (UINT64_C(1) << 8) /* a data abort: of cache maintenance, which counts as a write */
#define ESR_DFSC(esr) ((unsigned)(esr) & 0x3f)
#define ESR_DFSC_IS_TRANSLATION(dfsc) (((dfsc) & 0x3c) == 0x04)
#define ESR_DFSC_ALIGNMENT 0x21
/* Translation, access flag or permission: an entry can be the reason. */
#define ESR_DFSC_IS_OF_ENTRY(dfsc) ((dfsc) >= 0x04 && (dfsc) <= 0x0f)
#define ESR_DFSC_IS_EXTERNAL(dfsc) (((dfsc) & 0x30) == 0x10) /* on an access or a walk */
#define ESR_DFSC_TLB_CONFLICT 0x30
#define ESR_FNV (UINT64_C(1) << 10) /* FAR is not valid */

#define PAR_F UINT64_C(1)

#define SPSR_I (UINT64_C(1) << 7)
#define SPSR_SS (UINT64_C(1) << 21)
#define SPSR_EL0_MAY (UINT64_C(0xf) << 28 | SPSR_SS) /* bits that EL0 and its debugger choose */
#define DAIF_I (UINT64_C(1) << 7)
