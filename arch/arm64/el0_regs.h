/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el0_regs.h - assembly: the registers of EL0 that no message carries, from and to a
 * thread. Every path that switches threads has them: el0.S, ipc_fast.S.
 */
#pragma once

/* clang-format off */
	/* In: x18 = thread, TPIDRRO_EL0 = EL0's x18. Burns: x13, x14. */
	.macro	save_kept
	mrs	x13, tpidrro_el0
	stp	x13, x19, [x18, #TH_X(18)]
	stp	x20, x21, [x18, #TH_X(20)]
	stp	x22, x23, [x18, #TH_X(22)]
	stp	x24, x25, [x18, #TH_X(24)]
	stp	x26, x27, [x18, #TH_X(26)]
	stp	x28, x29, [x18, #TH_X(28)]
	mrs	x13, sp_el0
	stp	x30, x13, [x18, #TH_X(30)]
	mrs	x13, elr_el1
	mrs	x14, spsr_el1
	stp	x13, x14, [x18, #TH_PC]
	mrs	x13, tpidr_el0
	str	x13, [x18, #TH_TLS]
	.endm

	/* In: x21 = thread. Out: x18-x30 are EL0's. The system registers have been written. */
	.macro	load_kept
	ldp	x18, x19, [x21, #TH_X(18)]
	ldp	x22, x23, [x21, #TH_X(22)]
	ldp	x24, x25, [x21, #TH_X(24)]
	ldp	x26, x27, [x21, #TH_X(26)]
	ldp	x28, x29, [x21, #TH_X(28)]
	ldr	x30, [x21, #TH_X(30)]
	ldp	x20, x21, [x21, #TH_X(20)]
	.endm
