/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el0_regs.h - assembly: the registers of EL0 from and to a thread, and its address
 * space; locks. What paths that switch threads are made of: el0.S, ipc_fast.S, quick_fast.S,
 * fault_fast.S, irq_fast.S.
 */
#pragma once

/* clang-format off */
	/* In: x18 = thread. What a message is made of, and what a function of C may burn. */
	.macro	save_words
	stp	x0, x1, [x18, #TH_X(0)]
	stp	x2, x3, [x18, #TH_X(2)]
	stp	x4, x5, [x18, #TH_X(4)]
	stp	x6, x7, [x18, #TH_X(6)]
	stp	x8, x9, [x18, #TH_X(8)]
	stp	x10, x11, [x18, #TH_X(10)]
	stp	x12, x13, [x18, #TH_X(12)]
	stp	x14, x15, [x18, #TH_X(14)]
	.endm

	/* In: \thread, any but x0-x17. */
	.macro	load_words thread
	ldp	x0, x1, [\thread, #TH_X(0)]
	ldp	x2, x3, [\thread, #TH_X(2)]
	ldp	x4, x5, [\thread, #TH_X(4)]
	ldp	x6, x7, [\thread, #TH_X(6)]
	ldp	x8, x9, [\thread, #TH_X(8)]
	ldp	x10, x11, [\thread, #TH_X(10)]
	ldp	x12, x13, [\thread, #TH_X(12)]
	ldp	x14, x15, [\thread, #TH_X(14)]
	ldp	x16, x17, [\thread, #TH_X(16)]
	.endm

	/* In: x18 = thread, TPIDRRO_EL0 = EL0's x18. Out: SP and PC if wanted. Burns: x13, x14. */
	.macro	save_kept sp=x13, pc=x13
	mrs	x13, tpidrro_el0
	stp	x13, x19, [x18, #TH_X(18)]
	stp	x20, x21, [x18, #TH_X(20)]
	stp	x22, x23, [x18, #TH_X(22)]
	stp	x24, x25, [x18, #TH_X(24)]
	stp	x26, x27, [x18, #TH_X(26)]
	stp	x28, x29, [x18, #TH_X(28)]
	mrs	\sp, sp_el0
	stp	x30, \sp, [x18, #TH_X(30)]
	mrs	\pc, elr_el1
	mrs	x14, spsr_el1
	stp	\pc, x14, [x18, #TH_PC]
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

	/* To EL0. In: x21 = thread, TTBR0 its space's. */
	.macro	resume
	ldp	x0, x1, [x21, #TH_SP]	/* SP, PC */
	ldp	x2, x3, [x21, #TH_PSTATE]	/* PSTATE, TLS */
	msr	sp_el0, x0
	msr	elr_el1, x1
	msr	spsr_el1, x2
	msr	tpidr_el0, x3
	load_words x21
	load_kept
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh			/* nothing is speculated past the ERET */
	isb
	.endm

	/*
	 * pmap_activate() and asid_use() (vm/), where no window is open, and both spaces have a
	 * number of this generation: a rollover takes this CPU's word away, so a word that is
	 * there is of the newest. A space that is not retired (its window would be open) and has
	 * run has a word, so that no word here, 0, is of another generation than it.
	 * In: x15 = the partner's space, x16 = its root, x22 = slice. \slow: no; the way is
	 * el0_other_space. Burns: x13, x16, x23-x25.
	 */
	.macro	switch_space slow
	ldp	x23, x25, [x22, #PCPU_SPACE]	/* and PCPU_ASID_ACTIVE */
	stlr	x15, [x23]		/* we come; pairs with open_window(), ipi/park.c */
	ldar	x13, [x15]
	cbnz	x13, \slow
	ldr	x24, [x15, #8]
	ldaxr	x13, [x25]
	eor	x13, x13, x24
	lsr	x13, x13, #16
	cbnz	x13, \slow
	stxr	w13, x24, [x25]
	cbnz	w13, \slow
	orr	x16, x16, x24, lsl #48
	msr	ttbr0_el1, x16
	isb
	str	x15, [x23, #8]		/* loaded */
	.endm

	/*
	 * Take the lock at \lock if it is free. Out: \serving = what hands it on, \word = where to.
	 * Burns: x\temp. `Free` as spin_try_bare() has it.
	 */
	.macro	try_lock lock, serving, busy, word=x13, temp=17
	add	\word, \lock, #8
	ldaxr	\serving, [\lock]
	ldar	x\temp, [\word]
	cmp	x\temp, \serving
	b.ne	\busy
	add	\serving, \serving, #1
	stxr	w\temp, \serving, [\lock]
	cbnz	w\temp, \busy
	.endm

	/* ticket_pass(), \word as try_lock has left it; \wakes: who waits is to be woken. */
	.macro	pass_on lock, serving, wakes, word, temp
	stlr	\serving, [\word]
	ldar	\temp, [\lock]
	cmp	\temp, \serving
	b.ne	\wakes
	.endm

	.macro	wake_waiters
	dsb	ishst
	sev
	.endm

	/*
	 * handle_quick_slot() of any page, but for type and rights. In: x18 = thread. Out: \slot,
	 * \word = its word, \differs = from bit 8 on its type if it is of the handle's generation.
	 * The index is no part of that: it takes bits 8 to 15 of the handle.
	 */
	.macro	far_slot handle, slot, word, differs, none
	ubfx	\word, \handle, #7, #9	/* page */
	cmp	\word, #TABLE_PAGES
	b.hs	\none
	ldr	\slot, [x18, #TH_TASK]
	add	\slot, \slot, \word, lsl #3
	add	\slot, \slot, #TASK_HANDLES
	ldar	\slot, [\slot]		/* pairs with grow() of kern/handle.c */
	cbz	\slot, \none
	ubfiz	\word, \handle, #HANDLE_SLOT_SHIFT, #7
	add	\slot, \slot, \word
	ldar	\word, [\slot]
	and	\differs, \handle, #~0xff00
	eor	\differs, \differs, \word
	.endm

	/*
	 * What an answer leaves behind: nobody is in our slot, and we wait in the endpoint's queue,
	 * which is empty. In: x15 = endpoint, x18 = we, x21 = who was in the slot. Burns: x13, x24.
	 */
	.macro	wait_for_message
	str	xzr, [x18, #TH_IPC_OWN]	/* only this CPU's threads compete for it */
	str	xzr, [x21, #TH_IPC_HELD]
	stp	x18, x18, [x15, #EP_FIRST]
	stp	xzr, xzr, [x18, #TH_IPC_NEXT]
	str	x15, [x18, #TH_IPC_WAIT]
	add	x24, x18, #TH_IPC_OWN
	str	x24, [x18, #TH_IPC_SLOT]
	mov	w13, #1
	strb	w13, [x15, #EP_RECEIVERS]
	.endm

	/*
	 * Keys that do not serve: would they, but for the FP registers that one of the two has? And
	 * is what this CPU says it runs plain, so that it can follow? Burns: x13.
	 */
	.macro	unlike_by_fpu key, instead_of, fast_key, unlike
	eor	x13, \key, #KEY_FPU
	sub	x13, x13, \instead_of
	cmp	x13, #63
	b.hi	\unlike
	orr	x13, \key, \fast_key	/* slow keys are numbers: without a bit, another's */
	tbnz	x13, #KEY_SLOW_BIT, \unlike
	.endm
