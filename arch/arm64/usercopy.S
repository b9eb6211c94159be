/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/usercopy.S - the only loads and stores of user memory in the kernel.
 *
 * THEORY   LDTR and STTR access memory as EL0 would: the tables judge what the program may do, not
 *          what the kernel may, and PSTATE.PAN stays set. Each may fault. The ranges of such
 *          instructions, with the address to go on at, are in .extable (kern/usercopy.c), which is
 *          searched for faults on SP0 at a user address only: the other end of a copy is kernel
 *          memory, and faults there are bugs as everywhere.
 * Alignment is anything: both ends are Normal memory, or the access faults and is reported.
 */
	.macro	may_fault first, last, go_on
	.pushsection .extable, "a"
	.balign	4
	.long	\first - .
	.long	\last - .
	.long	\go_on - .
	.popsection
	.endm

	.text
/*
 * uint64_t usercopy_in(void *dst, uint64_t src, uint64_t bytes)
 * Out: bytes that were not copied; what was is contiguous from the start. Burns: x1-x6.
 */
	.global usercopy_in
usercopy_in:
	cmp	x2, #32
	b.lo	2f
1:	ldtr	x3, [x1]
	ldtr	x4, [x1, #8]
	ldtr	x5, [x1, #16]
	ldtr	x6, [x1, #24]
9:	stp	x3, x4, [x0], #16
	stp	x5, x6, [x0], #16
	add	x1, x1, #32
	sub	x2, x2, #32
	b	usercopy_in
	may_fault 1b, 9b, usercopy_fault
2:	cmp	x2, #8
	b.lo	4f
3:	ldtr	x3, [x1]
9:	str	x3, [x0], #8
	add	x1, x1, #8
	sub	x2, x2, #8
	b	2b
	may_fault 3b, 9b, usercopy_fault
4:	cbz	x2, usercopy_fault
5:	ldtrb	w3, [x1]
9:	strb	w3, [x0], #1
	add	x1, x1, #1
	sub	x2, x2, #1
	b	4b
	may_fault 5b, 9b, usercopy_fault

/* uint64_t usercopy_out(uint64_t dst, const void *src, uint64_t bytes): likewise */
	.global usercopy_out
usercopy_out:
	cmp	x2, #32
	b.lo	2f
	ldp	x3, x4, [x1], #16
	ldp	x5, x6, [x1], #16
1:	sttr	x3, [x0]
	sttr	x4, [x0, #8]
	sttr	x5, [x0, #16]
	sttr	x6, [x0, #24]
9:	add	x0, x0, #32
	sub	x2, x2, #32
	b	usercopy_out
	may_fault 1b, 9b, usercopy_fault
2:	cmp	x2, #8
	b.lo	4f
	ldr	x3, [x1], #8
3:	sttr	x3, [x0]
9:	add	x0, x0, #8
	sub	x2, x2, #8
	b	2b
	may_fault 3b, 9b, usercopy_fault
4:	cbz	x2, usercopy_fault
	ldrb	w3, [x1], #1
5:	sttrb	w3, [x0]
9:	add	x0, x0, #1
	sub	x2, x2, #1
	b	4b
	may_fault 5b, 9b, usercopy_fault

usercopy_fault:				/* also the end of a copy that met none: x2 is 0 */
	mov	x0, x2
	ret
