/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/probe.S - accesses that may fault. trap_sync() sends a fault whose ELR lies between
 * probe_first and probe_last, or whose ELR is the address called, to probe_failed.
 */
	.text
	.global probe_read, probe_write, probe_call, probe_first, probe_last, probe_failed
	.global probe_called

/* bool probe_read(va_t, uint64_t *) */
probe_read:
probe_first:
	ldr	x2, [x0]
	str	x2, [x1]
	mov	w0, #1
	ret

/* bool probe_write(va_t, uint64_t) */
probe_write:
	str	x1, [x0]
	mov	w0, #1
probe_last:
	ret

/* bool probe_call(va_t, uint64_t *): the function called returns a value and keeps x9, x10 */
probe_call:
	mov	x9, x30
	mov	x10, x1
	blr	x0
probe_called:
	str	x0, [x10]
	mov	w0, #1
	ret	x9

probe_failed:
	mov	w0, #0
	ret
