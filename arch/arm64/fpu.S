/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/fpu.S - the FP/SIMD registers, to and from a struct fpu_state.
 * In: x0 = area, 16-byte aligned. Burns: x1, x2. CPACR_EL1.FPEN lets EL1 in at all times but
 * before the first thread of a CPU; sched.c opens it before it saves or loads.
 */
#include "arch/arm64/el0.h"

	.arch	armv8-a+fp+simd
	.text

	.macro	each_pair op, area=x0
	\op	q0, q1, [\area]
	\op	q2, q3, [\area, #32]
	\op	q4, q5, [\area, #64]
	\op	q6, q7, [\area, #96]
	\op	q8, q9, [\area, #128]
	\op	q10, q11, [\area, #160]
	\op	q12, q13, [\area, #192]
	\op	q14, q15, [\area, #224]
	\op	q16, q17, [\area, #256]
	\op	q18, q19, [\area, #288]
	\op	q20, q21, [\area, #320]
	\op	q22, q23, [\area, #352]
	\op	q24, q25, [\area, #384]
	\op	q26, q27, [\area, #416]
	\op	q28, q29, [\area, #448]
	\op	q30, q31, [\area, #480]
	.endm

	.global arch_fpu_save
arch_fpu_save:
	each_pair stp
	mrs	x1, fpcr
	mrs	x2, fpsr
	str	x1, [x0, #512]
	str	x2, [x0, #520]
	ret

	.global arch_fpu_load
arch_fpu_load:
	isb				/* CPACR_EL1 was written: EL1's own access needs it */
	each_pair ldp
	ldr	x1, [x0, #512]
	ldr	x2, [x0, #520]
	msr	fpcr, x1
	msr	fpsr, x2
	ret

	/* Save those of thread x18. Burns: x23, x24, x25. */
	.macro	save_self
	ldr	x23, [x18, #TH_FPU]
	each_pair stp, x23
	mrs	x24, fpcr
	mrs	x25, fpsr
	add	x23, x23, #512
	stp	x24, x25, [x23]
	.endm

/*
 * For the fast paths: save those of thread x18, and load those of thread x21. swap_fpu: both have
 * some. Burns: x23, x24, x25.
 */
	.global leave_fpu
leave_fpu:
	save_self
	mov	x23, #CPACR_EL0_TRAPS	/* as fpu_come() of who has none */
	msr	cpacr_el1, x23
	ret

	.global come_fpu
come_fpu:
	mov	x23, #CPACR_EL0_MAY
	msr	cpacr_el1, x23
	b	1f

	.global swap_fpu
swap_fpu:
	save_self
1:	ldr	x23, [x21, #TH_FPU]
	each_pair ldp, x23
	add	x23, x23, #512
	ldp	x24, x25, [x23]
	msr	fpcr, x24
	msr	fpsr, x25
	ret
