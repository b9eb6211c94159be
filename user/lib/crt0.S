/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/crt0.S - the first instructions of a program, and the last ones of a thread.
 */

/*
 * In:    x0 address of the start block; for init, which the kernel starts: its handle on the
 *        machine.
 * Never: returns.
 */
	.section .text.start, "ax"
	.globl _start
_start:
	adrp	x9, __stack_top
	add	x9, x9, :lo12:__stack_top
	mov	sp, x9
	mov	x29, xzr
	mov	x30, xzr
	bl	start_program
	brk	#0

/*
 * thread_leave - tell who waits that the thread is over, and end it.
 *
 * In:    x0 event, x1 its bits, x2 number of event_signal, x3 number of thread_exit.
 * Never: touches the stack: from the signal on, the one who joined may have unmapped it.
 */
	.text
	.globl thread_leave
thread_leave:
	mov	x19, x3
	mov	x8, x2
	svc	#0
	mov	x8, x19
	svc	#0
	brk	#0
