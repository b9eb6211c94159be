/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_registers.S - every register holds a value of its own while interrupts come.
 *
 * uint64_t ktest_hold_registers(uint64_t rounds)
 * In: x0 = rounds of the loop, not 0. Out: x0 = 0, or 1 + the number of the first register that was
 * not what it had been (31: the flags). Burns: x1-x17. Never: x18, the kernel's.
 */
#define FRAME_BYTES 96
#define FLAGS 6				/* Z and C: what the loop's compare leaves at its end */

	.macro	pattern to, n
	mov	\to, #(\n + 1)
	movk	\to, #0x5eed, lsl #48
	.endm

	.macro	expect n
	pattern	x0, \n
	cmp	x\n, x0
	mov	x0, #(\n + 1)
	b.ne	1f
	.endm

	.text
	.global ktest_hold_registers
ktest_hold_registers:
	stp	x29, x30, [sp, #-FRAME_BYTES]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24
	pattern	x\n, \n
	.endr
	.irp	n, 25, 26, 27, 28, 29, 30
	pattern	x\n, \n
	.endr
2:	sub	x0, x0, #1
	cmp	x0, #0
	b.ne	2b
	mrs	x0, nzcv
	lsr	x0, x0, #28
	cmp	x0, #FLAGS
	mov	x0, #(31 + 1)
	b.ne	1f
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 24
	expect	\n
	.endr
	.irp	n, 25, 26, 27, 28, 29, 30
	expect	\n
	.endr
	mov	x0, #0
1:	ldp	x27, x28, [sp, #80]
	ldp	x25, x26, [sp, #64]
	ldp	x23, x24, [sp, #48]
	ldp	x21, x22, [sp, #32]
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #FRAME_BYTES
	ret
