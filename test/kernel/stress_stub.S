/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_stub.S - code that is copied into a block and changes that block (`self`).
 *
 * uint64_t stub(uint64_t (*fn)(void *), void *arg): call fn(arg) from here; position-independent.
 * Returns fn's result + the value behind the code, read from the block too.
 */
	.text
	.global stress_stub, stress_stub_end
	.balign 8
stress_stub:
	stp	x29, x30, [sp, #-16]!
	mov	x29, sp
	mov	x2, x0
	mov	x0, x1
	blr	x2
	adr	x3, 1f
	ldr	x3, [x3]
	add	x0, x0, x3
	ldp	x29, x30, [sp], #16
	ret
	.balign 8
1:	.quad	0x1000
stress_stub_end:
