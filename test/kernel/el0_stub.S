/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/el0_stub.S - small EL0 programs for ktest_thread.c: position-independent, copied into
 * a page that EL0 may execute. Each begins with x0 = its argument, and ends with a UDF, which kills
 * it: the registers at that point are what the test looks at.
 */
#include "arch/arm64/el0.h"

	.section .rodata.el0_stub, "a"
	.global el0_stub, el0_stub_end
	.global el0_driver, el0_server, el0_client
	.global el0_null, el0_spin_until, el0_keep, el0_fp, el0_spin, el0_count, el0_wfi
	.balign	16
el0_stub:

	/* x0 null calls; x1 = TPIDRRO_EL0 seen, or-ed; x19-x30 and x18 keep a pattern. */
el0_null:
	mov	x2, x0
	mov	x1, xzr
	mov	x18, #0x1818
	mov	x19, #0x1919
	mov	x28, #0x2828
	mov	x30, #0x3030
1:	mov	x8, #0
	svc	#0
	cbnz	x8, 2f
	mrs	x3, tpidrro_el0
	orr	x1, x1, x3
	subs	x2, x2, #1
	b.ne	1b
	udf	#1
2:	udf	#2

	/* *x0 = 1, then until *sp is not 0. */
el0_spin_until:
	mov	x1, #1
	str	x1, [x0]
1:	ldr	x1, [sp]
	cbz	x1, 1b
	udf	#1

	/* Fill every register from x0, wait until *sp is not 0, and compare. */
el0_keep:
	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29
	add	x\n, x0, #\n
	.endr
	msr	tpidr_el0, x29
1:	ldr	x30, [sp]
	cbz	x30, 1b
	mrs	x30, tpidr_el0
	cmp	x30, x29
	b.ne	2f
	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29
	sub	x30, x\n, x0
	cmp	x30, #\n
	b.ne	2f
	.endr
	udf	#1
2:	udf	#2

	.arch	armv8-a+fp+simd
	/* Vector registers from x0; x1 rounds of WFI (which yields), comparing after each. */
el0_fp:
	mov	x1, #200
	dup	v0.2d, x0
	add	x2, x0, #1
	dup	v15.2d, x2
	add	x2, x0, #2
	dup	v31.2d, x2
	msr	fpsr, xzr
	mov	x3, #0x01000000		/* FZ */
	msr	fpcr, x3
1:	wfi
	umov	x4, v0.d[1]
	cmp	x4, x0
	b.ne	2f
	umov	x4, v15.d[0]
	sub	x4, x4, #1
	cmp	x4, x0
	b.ne	2f
	umov	x4, v31.d[1]
	sub	x4, x4, #2
	cmp	x4, x0
	b.ne	2f
	mrs	x4, fpcr
	cmp	x4, x3
	b.ne	2f
	subs	x1, x1, #1
	b.ne	1b
	udf	#1
2:	udf	#2

	/* For ever. */
el0_spin:
	add	x1, x1, #1
	b	el0_spin

	/* Add 1 to *x0, atomically, x1 = 1000 times. */
el0_count:
	mov	x1, #1000
1:	ldxr	x2, [x0]
	add	x2, x2, #1
	stxr	w3, x2, [x0]
	cbnz	w3, 1b
	subs	x1, x1, #1
	b.ne	1b
	udf	#1

	/* 3 times WFI and WFE: both come back. */
el0_wfi:
	mov	x1, #3
1:	wfi
	wfe
	subs	x1, x1, #1
	b.ne	1b
	udf	#1

	/* Receive at x0 for ever; each answer is the message, every word plus the badge. */
el0_server:
	mov	x19, x0
	mov	x9, x19
	mov	x10, #0
	mov	x11, #0
	mov	x12, #0
	mov	x8, #NR_IPC_RECV
	svc	#0
1:	cbnz	x8, 3f
	cbz	x9, 3f			/* no badge */
	orr	x11, x11, x13
	orr	x12, x12, x14
	orr	x15, x15, x16
	orr	x11, x11, x12
	orr	x15, x15, x17
	orr	x11, x11, x15
	cbnz	x11, 3f			/* not scrubbed */
	add	x0, x0, x9
	add	x1, x1, x9
	add	x2, x2, x9
	add	x3, x3, x9
	add	x4, x4, x9
	add	x5, x5, x9
	add	x6, x6, x9
	add	x7, x7, x9
	and	x10, x10, #15
	mov	x9, x19
	mov	x11, #0
	mov	x12, #0
	mov	x8, #NR_IPC_REPLY_RECV
	svc	#0
	b	1b
3:	udf	#3

	/* x0 = handle with badge 5, *sp = rounds: call, and look at every word of the answer. */
el0_client:
	mov	x19, x0
	ldr	x20, [sp]
	mov	x21, #0x1000
	add	x22, x21, #0x22
1:	mov	x0, x21
	add	x1, x21, #1
	add	x2, x21, #2
	add	x3, x21, #3
	add	x4, x21, #4
	add	x5, x21, #5
	add	x6, x21, #6
	add	x7, x21, #7
	mov	x9, x19
	mov	x10, #8
	mov	x11, #0
	mov	x12, #0
	mov	x8, #NR_IPC_CALL
	svc	#0
	cbnz	x8, 3f
	cmp	x10, #8
	b.ne	2f
	cmp	x9, #0
	b.ne	2f
	.irp	n, 0,1,2,3,4,5,6,7
	sub	x9, x\n, x21
	cmp	x9, #(5 + \n)
	b.ne	2f
	.endr
	sub	x23, x22, x21
	cmp	x23, #0x22
	b.ne	2f
	subs	x20, x20, #1
	b.ne	1b
	udf	#1
2:	udf	#2
3:	udf	#3

	/* A driver: x0 = event, *sp = its interrupt; waits for bit 4 and acknowledges, 5 times. */
el0_driver:
	mov	x19, x0
	ldr	x20, [sp]
	mov	x21, #5
1:	mov	x0, x19
	mov	x1, #0xff
	mov	x2, #0
	mov	x8, #NR_EVENT_WAIT
	svc	#0
	cbnz	x8, 3f
	cmp	x0, #0x10
	b.ne	2f
	mov	x0, x20
	mov	x8, #NR_IRQ_ACK
	svc	#0
	cbnz	x8, 3f
	subs	x21, x21, #1
	b.ne	1b
	udf	#1
2:	udf	#2
3:	udf	#3
el0_stub_end:
