/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/boot.S - entry of the proof guest on QEMU virt, at EL1, MMU off.
 */

	.section .text.boot, "ax"

/* In: nothing. Burns: x0, x1. The boot CPU comes here from the emulator. */
	.global	_start
_start:
	adrp	x0, stacks
	add	x0, x0, :lo12:stacks
	add	x0, x0, #0x4000
	mov	sp, x0
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	b	guest_main

/* In: x0 = CPU number, PSCI's context argument. Burns: x1, x2. */
	.global	secondary_entry
secondary_entry:
	adrp	x1, stacks
	add	x1, x1, :lo12:stacks
	add	x2, x0, #1
	add	x1, x1, x2, lsl #14
	mov	sp, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	b	guest_secondary

/* Every exception but one is a defect of the guest: say so and stop. SVC counts and returns. */
	.macro	vector target
	.balign	0x80
	b	\target
	.endm

	.balign	0x800
	.global	vectors
vectors:
	.rept	4
	vector	guest_stop
	.endr
	.balign	0x80
	b	current_sync
	.rept	11
	vector	guest_stop
	.endr

/* In: an exception from EL1 with SP_EL1. Burns: nothing. */
current_sync:
	stp	x0, x1, [sp, #-16]!
	mrs	x0, esr_el1
	lsr	x0, x0, #26
	cmp	x0, #0x15
	b.ne	guest_stop
	ldp	x0, x1, [sp], #16
	eret

/*
 * A second table, whose entry code itself takes an exception: SVC #2 arrives in the slot, which
 * executes SVC #3, which arrives there again and returns. What the oracle counts as nested.
 * Burns: x0 to x2.
 */
	.balign	0x800
	.global	nesting_vectors
nesting_vectors:
	.rept	4
	vector	guest_stop
	.endr
	.balign	0x80
	mrs	x0, esr_el1
	and	x0, x0, #0xffff
	cmp	x0, #2
	b.ne	1f
	mrs	x1, elr_el1
	mrs	x2, spsr_el1
	svc	#3
	msr	elr_el1, x1
	msr	spsr_el1, x2
1:	eret
	.rept	11
	vector	guest_stop
	.endr

guest_stop:
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	guest_fault

	.bss
	.balign	0x1000
stacks:
	.space	0x4000 * 8
