/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.S - a boot loader of six instructions: our image with a device tree that no QEMU edits.
 *
 * QEMU rewrites the tree it passes to a kernel (memory, chosen), and refuses a malformed one.
 * This is an ELF program to QEMU; it carries the image and the tree, passes x0 = TREE (0: none),
 * and wipes the tree that QEMU leaves at the start of RAM, so that nobody can find that instead.
 */
	.section .text.start, "ax"
	.globl	_start
_start:
	ldr	x0, =QEMU_TREE
	str	xzr, [x0]
	ldr	x0, =TREE
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	ldr	x4, =LOAD
	br	x4
	.ltorg

	.section .image, "a"
	.incbin	IMAGE_FILE

	.section .tree, "a"
	.incbin	TREE_FILE
