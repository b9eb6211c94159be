/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/recover.S - back to a place on the same stack, from however deep: arch/arm64/debug.h.
 * What a function must keep (AAPCS64: x19-x29, SP) and the return address; x18 is the slice.
 */
	.text

/* bool recover_point(uint64_t context[13]). Out: 0. Burns: x1. */
	.global recover_point
recover_point:
	stp	x19, x20, [x0]
	stp	x21, x22, [x0, #16]
	stp	x23, x24, [x0, #32]
	stp	x25, x26, [x0, #48]
	stp	x27, x28, [x0, #64]
	stp	x29, x30, [x0, #80]
	mov	x1, sp
	str	x1, [x0, #96]
	mov	w0, #0
	ret

/* void recover(const uint64_t context[13]). Comes out of recover_point() with 1. */
	.global recover
recover:
	ldp	x19, x20, [x0]
	ldp	x21, x22, [x0, #16]
	ldp	x23, x24, [x0, #32]
	ldp	x25, x26, [x0, #48]
	ldp	x27, x28, [x0, #64]
	ldp	x29, x30, [x0, #80]
	ldr	x1, [x0, #96]
	mov	sp, x1
	mov	w0, #1
	ret
