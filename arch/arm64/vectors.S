/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/vectors.S - exceptions, and the way of no return to the lifeboat.
 *
 * THEORY   The vector group tells how deep we are. From SP0: an interrupt, or a fault of the
 *          kernel, handled on the exception stack (SPx). From SPx: recursion, always a bug;
 *          straight to the lifeboat: its root first (by a bit of TTBR1_EL1, so without memory),
 *          then its stack. Until the root is switched nothing but this page is needed, and of it
 *          only its instructions. Before the first store SP_EL1 is compared with what it must be
 *          (the top of this CPU's exception stack) in registers only. TPIDRRO_EL0 is the scratch.
 *          CNTP_CVAL_EL0 keeps ELR across the prefix: when a push faults, hardware overwrites
 *          ELR_EL1, and this is where it began. Only system calls do without
 *          (docs/decisions/013).
 * IN       TPIDR_EL1: this CPU's slice. CONTEXTIDR_EL1: its number, for when TPIDR_EL1 is wrong.
 * NOT HERE What to do about an exception: trap.c.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"

#define FRAME_BYTES 288			/* struct trap_frame: x0-x30, sp, elr, spsr, esr, far */
#define FRAME_SP 248
#define TRAP_BY_INTERRUPT 0x100		/* kern/trap.h */

	/* One slot: `body` follows; the assembler fails when it does not fit. */
	.macro	vector_begin name
	.balign	0x80
\name:
	.endm
	.macro	vector_end name
	.if	(. - \name) > 0x80
	.error	"vector \name is longer than 128 bytes"
	.endif
	.endm

	/* From SP0: check SP against the slice, make a frame, go to `handler`. */
	.macro	vector_sp0 name, handler
	vector_begin \name
	msr	tpidrro_el0, x0
	mrs	x0, elr_el1
	msr	cntp_cval_el0, x0
	mrs	x0, tpidr_el1
	sub	sp, sp, x0
	mov	x0, sp
	cmp	x0, #SLICE_SPX_TOP	/* flags are in SPSR */
	b.ne	bad_stack
	mrs	x0, tpidr_el1
	add	sp, sp, x0
	sub	sp, sp, #FRAME_BYTES
	mrs	x0, tpidrro_el0
	stp	x0, x1, [sp]
	adr	x1, \handler
	b	enter_sp0
	vector_end \name
	.endm

	/* Anything else: no way back. */
	.macro	vector_fatal name, reason
	vector_begin \name
	msr	tpidrro_el0, x0
	msr	tpidr_el0, x1
	mov	x1, #\reason
	b	enter_fatal
	vector_end \name
	.endm

	/* Into the frame at sp. */
	.macro	save_x4_x29
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x19, [sp, #144]
	stp	x20, x21, [sp, #160]
	stp	x22, x23, [sp, #176]
	stp	x24, x25, [sp, #192]
	stp	x26, x27, [sp, #208]
	stp	x28, x29, [sp, #224]
	.endm

	/*
	 * From EL0. x18 is EL0's: it waits in TPIDRRO_EL0 while x18 finds the slice, then the
	 * thread. x16 and x17 are saved first: every path needs two registers. Nothing here uses
	 * SP: el0.S looks at it before something does.
	 * Out: x18 = the thread, TPIDRRO_EL0 = EL0's x18.
	 */
	.macro	el0_find_thread
	mrs	x18, tpidr_el1
	ldr	x18, [x18, #PCPU_CURRENT]
	stp	x16, x17, [x18, #TH_X(16)]
	.endm

	/* The same for what EL0 did not ask for: its ELR is kept, as from SP0. */
	.macro	el0_keep_and_find
	mrs	x18, elr_el1
	msr	cntp_cval_el0, x18
	el0_find_thread
	.endm

	/* A call keeps no ELR: it would pay two instructions for what x8 and x30 tell as well. */
	.macro	vector_el0_sync name, fault
	vector_begin \name
	msr	tpidrro_el0, x18
	mrs	x18, esr_el1
	lsr	w18, w18, #ESR_EC_SHIFT
	cmp	w18, #EC_SVC64
	b.ne	\fault
	el0_find_thread
	cmp	x8, #NR_IPC_CALL
	b.eq	ipc_call_fast
	b	el0_svc
\fault:
	el0_keep_and_find
	b	el0_fault_entry
	vector_end \name
	.endm

	.macro	vector_el0 name, to
	vector_begin \name
	msr	tpidrro_el0, x18
	el0_keep_and_find
	b	\to
	vector_end \name
	.endm

	/* To the lifeboat's root; \scratch is burnt. Never: memory. */
	.macro	switch_to_lifeboat scratch
	mrs	\scratch, ttbr1_el1
	orr	\scratch, \scratch, #LIFEBOAT_ROOT_BIT
	msr	ttbr1_el1, \scratch
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	.endm

	.section .text.vectors, "ax"
	.balign	4096			/* the page that a CPU needs to reach the lifeboat */
	.global vectors
vectors:
	vector_sp0 sp0_sync, trap_sync
	vector_sp0 sp0_irq, trap_irq
	vector_fatal sp0_fiq, 1
	vector_fatal sp0_serror, 2
	vector_fatal spx_sync, 4
	vector_fatal spx_irq, 5
	vector_fatal spx_fiq, 6
	vector_fatal spx_serror, 7
	vector_el0_sync el0_sync, el0_fault
	vector_el0 el0_irq, el0_irq_entry
	vector_fatal el0_fiq, 10
	vector_fatal el0_serror, 11
	vector_el0 el0_32_sync, el0_aarch32
	vector_el0 el0_32_irq, el0_aarch32
	vector_fatal el0_32_fiq, 14
	vector_fatal el0_32_serror, 15
	.balign	0x80

bad_stack:				/* sp = what it was - slice; x0 = the same */
	mrs	x0, tpidr_el1
	add	sp, sp, x0
	msr	tpidr_el0, x1
	mov	x1, #16
	b	enter_fatal

	/*
	 * In: TPIDRRO_EL0 = x0, TPIDR_EL0 = x1, x1 = reason. Neither SP nor any mapping but this
	 * page's is trusted.
	 */
	.global enter_fatal
enter_fatal:
	switch_to_lifeboat x0
	mrs	x0, contextidr_el1
	and	x0, x0, #63
	lsl	x0, x0, #3
	add	x0, x0, x1, lsl #32	/* the reason rides in the upper half */
	adrp	x1, lifeboat_sp
	add	x1, x1, :lo12:lifeboat_sp
	add	x1, x1, w0, uxtw
	ldr	x1, [x1]
	sub	x1, x1, #FRAME_BYTES
	stp	x2, x3, [x1, #16]
	mov	x2, sp
	mov	sp, x1
	lsr	x3, x0, #32		/* reason */
	mrs	x0, tpidrro_el0
	mrs	x1, tpidr_el0
	stp	x0, x1, [sp]
	save_x4_x29
	mrs	x4, elr_el1
	mrs	x5, spsr_el1
	mrs	x6, esr_el1
	mrs	x7, far_el1
	stp	x30, x2, [sp, #240]
	stp	x4, x5, [sp, #256]
	stp	x6, x7, [sp, #272]
	mov	x1, x3
	/* the slice by number: neither x18 nor TPIDR_EL1 is trusted */
	mrs	x0, contextidr_el1
	and	x0, x0, #63
	adrp	x2, lifeboat_slice
	add	x2, x2, :lo12:lifeboat_slice
	ldr	x3, [x2, x0, lsl #3]
	mov	x2, x18
	mov	x18, x3
	mov	x29, xzr
	mov	x0, sp
	b	trap_fatal

/*
 * _Noreturn void arch_lifeboat(void (*fn)(uint64_t), uint64_t arg)
 * fn(arg) on the lifeboat: root, stack, and slice by number. In: any state of this CPU.
 */
	.global arch_lifeboat
arch_lifeboat:
	msr	daifset, #0xf
	switch_to_lifeboat x2
	msr	spsel, #1
	mrs	x2, contextidr_el1
	and	x2, x2, #63
	adrp	x3, lifeboat_sp
	add	x3, x3, :lo12:lifeboat_sp
	ldr	x3, [x3, x2, lsl #3]
	mov	sp, x3
	adrp	x3, lifeboat_slice
	add	x3, x3, :lo12:lifeboat_slice
	ldr	x18, [x3, x2, lsl #3]
	mov	x29, xzr
	mov	x30, xzr
	mov	x2, x0
	mov	x0, x1
	blr	x2			/* not BR: a function that comes back is caught */
0:	wfe
	b	0b

	/*
	 * Up to here in the vectors' page: asserted by perch.ld.
	 * In: frame with x0, x1 stored; x1 = C handler.
	 */
	.global enter_sp0
enter_sp0:
	stp	x2, x3, [sp, #16]
	save_x4_x29
	mrs	x2, sp_el0
	mrs	x3, elr_el1
	mrs	x4, spsr_el1
	mrs	x5, esr_el1
	mrs	x6, far_el1
	stp	x30, x2, [sp, #240]
	stp	x3, x4, [sp, #256]
	stp	x5, x6, [sp, #272]
	mrs	x7, tpidr_el1
	cmp	x7, x18			/* the kernel's x18 must be our slice */
	b.ne	bad_x18
	sub	x8, x2, x7
	sub	x8, x8, #SLICE_SP0	/* SP0 lies in its stack, or at its top */
	mov	x9, #(SLICE_SP0_TOP - SLICE_SP0)
	cmp	x8, x9
	b.hi	bad_sp0
	mov	x29, xzr
	mov	x0, sp
	blr	x1
	ldp	x3, x4, [sp, #256]
	ldp	x30, x2, [sp, #240]
	msr	elr_el1, x3
	msr	spsr_el1, x4
	ldp	x28, x29, [sp, #224]
	ldp	x26, x27, [sp, #208]
	ldp	x24, x25, [sp, #192]
	ldp	x22, x23, [sp, #176]
	ldp	x20, x21, [sp, #160]
	ldr	x19, [sp, #152]		/* x18 is not restored: it is checked, not trusted */
	ldp	x16, x17, [sp, #128]
	ldp	x14, x15, [sp, #112]
	ldp	x12, x13, [sp, #96]
	ldp	x10, x11, [sp, #80]
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp], #FRAME_BYTES
	msr	tpidrro_el0, xzr
	eret

bad_sp0:				/* what ran below it is overwritten: no way back */
	mov	x3, #18
	b	1f
bad_x18:
	mov	x3, #17
1:	adr	x2, trap_sync
	cmp	x1, x2
	orr	x4, x3, #TRAP_BY_INTERRUPT
	csel	x1, x3, x4, eq
	mov	x2, x18
	mov	x18, x7			/* trap_die() needs a slice */
	mov	x29, xzr
	mov	x0, sp
	b	trap_die

/*
 * uint64_t arm64_call_on_spx(void *arg, uint64_t (*fn)(void *))
 * In: on SP0, any DAIF. Out: x0 = fn's result, DAIF and SP0 as before.
 */
	.text
	.global arm64_call_on_spx
arm64_call_on_spx:
	mrs	x9, daif
	msr	daifset, #0xf		/* before SPSel: no interrupt arrives on SPx */
	msr	spsel, #1
	stp	x29, x30, [sp, #-32]!
	mov	x29, sp
	str	x9, [sp, #16]
	blr	x1
	ldr	x9, [sp, #16]
	ldp	x29, x30, [sp], #32
	msr	spsel, #0
	msr	daif, x9
	ret
