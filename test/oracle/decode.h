/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/decode.h - the A64 instructions that the oracle watches (Arm ARM C4.1, C5).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum watch {
	WATCH_NOTHING,
	WATCH_STORE,   /* may store; a load too, which costs nothing unless loads are watched */
	WATCH_TLBI,
	WATCH_DSB,
	WATCH_DSB_NXS,
	WATCH_ISB,
	WATCH_ERET,
	WATCH_MSR,     /* a register of enum reg that is written with MSR */
	WATCH_ZVA,     /* DC ZVA, DC GZVA */
	WATCH_BULK,    /* SETP, CPYP: the first of three instructions that write a block */
	WATCH_BULK_ON, /* the other two */
};

#define INSN_RT(insn) ((insn) & 0x1f)
#define INSN_RN(insn) ((insn) >> 5 & 0x1f)
#define INSN_CRM(insn) ((insn) >> 8 & 0xf)

/* op0:op1:CRn:CRm:op2 of an MSR or MRS, as one number */
#define SYSREG(op1, crn, crm, op2) (0x180000u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)
#define INSN_SYSREG(insn) ((insn) & 0x1fffe0)

#define SYS_SCTLR_EL1 SYSREG(0u, 1u, 0u, 0u)
#define SYS_TTBR0_EL1 SYSREG(0u, 2u, 0u, 0u)
#define SYS_TTBR1_EL1 SYSREG(0u, 2u, 0u, 1u)
#define SYS_TCR_EL1 SYSREG(0u, 2u, 0u, 2u)
#define SYS_VBAR_EL1 SYSREG(0u, 12u, 0u, 0u)

static inline bool is_watched_msr(uint32_t insn)
{
	uint32_t reg = INSN_SYSREG(insn);

	return (insn & 0xfff00000) == 0xd5100000 &&
	       (reg == SYS_SCTLR_EL1 || reg == SYS_TTBR0_EL1 || reg == SYS_TTBR1_EL1 ||
		reg == SYS_TCR_EL1 || reg == SYS_VBAR_EL1);
}

static inline enum watch decode_sys(uint32_t insn)
{
	unsigned crn = insn >> 12 & 0xf, op1 = insn >> 16 & 7, op2 = insn >> 5 & 7;

	if (crn == 8 || crn == 9) { /* 9: the nXS forms */
		return WATCH_TLBI;
	}
	if (crn == 7 && op1 == 3 && INSN_CRM(insn) == 4 && (op2 == 1 || op2 == 4)) {
		return WATCH_ZVA;
	}
	return WATCH_NOTHING;
}

static inline enum watch decode_bulk(uint32_t insn)
{
	unsigned op1 = insn >> 22 & 3, op2 = insn >> 12 & 0xf;

	return (op1 == 3 ? op2 >> 2 : op1) == 0 ? WATCH_BULK : WATCH_BULK_ON;
}

/* May this instruction take or release a lock: exclusive, ordered, or atomic? */
static inline bool is_lock_store(uint32_t insn)
{
	return (insn & 0x3f000000) == 0x08000000 || (insn & 0x3b200c00) == 0x38200000;
}

static inline enum watch decode(uint32_t insn)
{
	if ((insn & 0xfff80000) == 0xd5080000) {
		return decode_sys(insn);
	}
	if ((insn & 0xfffff0ff) == 0xd503309f) {
		return WATCH_DSB;
	}
	if ((insn & 0xfffff3ff) == 0xd503323f) {
		return WATCH_DSB_NXS;
	}
	if ((insn & 0xfffff0ff) == 0xd50330df) {
		return WATCH_ISB;
	}
	if (insn == 0xd69f03e0 || insn == 0xd69f0bff || insn == 0xd69f0fff) {
		return WATCH_ERET;
	}
	if (is_watched_msr(insn)) {
		return WATCH_MSR;
	}
	if ((insn & 0xfb200c00) == 0x19000400) {
		return decode_bulk(insn);
	}
	return (insn & 0x0a000000) == 0x08000000 ? WATCH_STORE : WATCH_NOTHING;
}
