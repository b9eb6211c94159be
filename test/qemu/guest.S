/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.S - the smallest machine that ends the way Perch does, to test scripts/run itself.
 *
 * Prints TEXT on the UART at UART, then ends in the way END says: PSCI SYSTEM_OFF (0), a loop
 * (1), or the Pi's watchdog (2). Secondary CPUs, where the board starts them, wait for ever.
 */
	.section .text.start, "ax"
	.globl	_start
_start:
	mrs	x0, mpidr_el1
	and	x0, x0, #0xff
	cbnz	x0, .Lwait
	adr	x1, text
	ldr	x2, =UART
.Lnext:
	ldrb	w3, [x1], #1
	cbz	w3, .Lend
.Lfull:
	ldr	w4, [x2, #0x18]			/* UARTFR */
	tbnz	w4, #5, .Lfull			/* TXFF */
	str	w3, [x2]
	b	.Lnext
.Lend:
.if END == 0
	ldr	x0, =0x84000008			/* SYSTEM_OFF */
	hvc	#0
.endif
.if END == 2
	ldr	x0, =0xfe100000
	ldr	w1, =0x5a000001
	str	w1, [x0, #0x24]			/* PM_WDOG: one tick */
	ldr	w1, =0x5a000020
	str	w1, [x0, #0x1c]			/* PM_RSTC: full reset */
.endif
.Lwait:
	wfe
	b	.Lwait
	.ltorg
text:	.asciz	TEXT
