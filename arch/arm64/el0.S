/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el0.S - into the kernel from EL0, and back.
 *
 * THEORY   The registers of EL0 go straight into the current thread, which is pinned, so there is
 *          no frame to copy and nothing to unwind: a thread that blocks has been saved already, and
 *          whatever thread is resumed, it is resumed the same way. The kernel has one stack per
 *          CPU, empty whenever EL0 runs.
 *          An interrupt is handled on SPx, before the door, with pinned data only. A slow call or a
 *          fault passes the door and runs on SP0 with interrupts on. A CPU may have a kernel
 *          program (run=) that gave it to threads and waits on SP0: SP0 then begins below its
 *          frames (PCPU_SP0_BASE), and it is resumed by host_return.
 * RULES    TPIDRRO_EL0 is 0 at every ERET. ERET clears the exclusive monitor (Arm ARM B2.12.1)
 *          and is a context synchronisation event (D1.4.2), so neither CLREX nor ISB is needed.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/el0_regs.h"

	.text

	/* In: x18 = thread. Out: x0 = thread, x18 = slice, x29 = 0: C may run. Burns: x16. */
	.macro	enter_slice
	mov	x0, x18
	mrs	x18, tpidr_el1
	mov	x16, sp			/* the top of the exception stack, whatever EL0 did */
	sub	x16, x16, x18
	cmp	x16, #SLICE_SPX_TOP
	b.ne	el0_bad_stack
	mov	x29, xzr
	.endm

	/*
	 * In: x18 = thread, TPIDRRO_EL0 = EL0's x18, x16 and x17 saved.
	 * Out: as enter_slice. Burns: x13, x14, x16.
	 */
	.macro	save_rest
	save_words
	save_kept
	enter_slice
	.endm

	/* SP_EL1 is not what it must be. */
el0_bad_stack:
	msr	tpidrro_el0, x0
	msr	tpidr_el0, x1
	mov	x1, #16
	b	enter_fatal

	/* SVC. Call 0 does nothing: it is done here. In: as the prefix leaves it. */
	.global el0_svc
el0_svc:
	cmp	x8, #NR_IPC_REPLY_RECV
	b.eq	ipc_reply_recv_fast
	cbnz	x8, el0_quick
	mrs	x17, tpidr_el1
	add	x17, x17, #PCPU_QUIET
	ldr	x16, [x17]
	add	x16, x16, #2		/* reclaim_quiet() */
	stlr	x16, [x17]
	mrs	x18, tpidrro_el0
	mov	x16, xzr
	mov	x17, xzr
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh			/* nothing is speculated past the ERET */
	isb

	/* Calls that need neither the door nor SP0, if nothing is in the way. */
el0_quick:
	cmp	x8, #NR_EVENT_SIGNAL
	b.eq	event_signal_fast
	cmp	x8, #NR_THREAD_YIELD
	b.eq	thread_yield_fast
	cmp	x8, #NR_EVENT_WAIT
	b.eq	el0_wait
	cmp	x8, #NR_IRQ_ACK
	b.eq	el0_ack
	sub	x17, x8, #NR_IPC_RECV	/* or send, or reply */
	cmp	x17, #2
	b.ls	el0_ipc
	b	el0_sync_slow

	/* What a driver does besides (kern/quick.c). It may block, so it is saved altogether. */
el0_ack:
	save_rest
	bl	entry_el0_ack
	b	el0_called
el0_wait:
	save_rest
	bl	entry_el0_wait
el0_called:
	cmp	x0, #QUICK_LEAVE
	b.eq	el0_exit
	ldr	x0, [x18, #PCPU_CURRENT]
	b.hi	el0_saved_slow		/* QUICK_SLOW */
	mov	x18, x0
	ldp	x29, x30, [x18, #TH_X(29)]
	load_words x18
	mrs	x18, tpidrro_el0
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh			/* nothing is speculated past the ERET */
	isb

	/* The same in C (kern/quick.c), which can do more of them. In: x9-x15 = 0. */
	.global el0_yield
el0_yield:
	save_rest
	mov	x19, x0
	bl	entry_el0_yield
	cbnz	x0, el0_resume
	mov	x0, x19
	b	el0_saved_slow

	/* Nobody else comes to run, as a rule: only what C burns is saved, and the rest if not. */
	.global el0_signal
el0_signal:
	save_words
	stp	x29, x30, [x18, #TH_X(29)]
	enter_slice
	bl	entry_el0_signal
el0_signalled:
	mov	x15, x0
	ldr	x18, [x18, #PCPU_CURRENT]
	ldp	x29, x30, [x18, #TH_X(29)]
	cbnz	x15, 1f
	load_words x18
	mrs	x18, tpidrro_el0
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh
	isb
1:	save_kept
	enter_slice
	cmp	x15, #QUICK_SLOW
	b.ne	el0_exit
	b	el0_saved_slow

	/* Signalled, but for what C does of it. In: x16 = who is ready, x17 = event; x8-x15 = 0. */
	.global el0_signal_rest
el0_signal_rest:
	save_words
	stp	x29, x30, [x18, #TH_X(29)]
	mov	x15, x16
	enter_slice
	mov	x0, x15
	mov	x1, x17
	bl	entry_el0_signal_rest
	b	el0_signalled

	/* What passes the door: faults (fault_fast.S has saved all registers), and calls. */
	.global el0_fault_slow
el0_fault_slow:
	enter_slice
	b	el0_saved_slow

	/* Messages in C. The second: x19-x30 saved already. In: x13-x15 = 0, if they were burnt. */
	.global el0_ipc
el0_ipc:
	save_words
	save_kept
	b	1f
	.global el0_ipc_kept
el0_ipc_kept:
	save_words
1:	enter_slice
	bl	entry_el0_ipc
el0_ipc_done:
	cmp	x0, #QUICK_LEAVE
	b.hi	el0_resume_in_space
	b.eq	el0_exit
	ldr	x0, [x18, #PCPU_CURRENT]
	b	el0_saved_slow

	/* In: x24 = endpoint, locked, x25 = badge; x19-x30 saved; x13-x15 = 0. */
	.global el0_call_locked
el0_call_locked:
	save_words
	enter_slice
	mov	x1, x24
	mov	x2, x25
	bl	entry_el0_call_locked
	b	el0_ipc_done
	.global el0_reply_recv_locked
el0_reply_recv_locked:
	save_words
	enter_slice
	mov	x1, x24
	bl	entry_el0_reply_recv_locked
	b	el0_ipc_done

	.global el0_sync_slow
el0_sync_slow:
	save_rest
el0_saved_slow:
	mov	x19, x0
	mrs	x20, esr_el1
	mrs	x21, far_el1
	bl	door_enter
	mov	x0, x19
	mov	x1, x20
	mov	x2, x21
	ldr	x9, [x18, #PCPU_SP0_BASE]
	msr	spsel, #0
	mov	sp, x9
	msr	daifclr, #0xf
	bl	entry_el0_sync
	msr	daifset, #0xf		/* before SPSel: no interrupt arrives on SPx */
	msr	spsel, #1
	.global el0_exit
el0_exit:
	bl	entry_el0_exit
	cbz	x0, host_return
	b	el0_resume

	/* What irq_fast.S leaves alone. In: all registers saved, w20 = what was acknowledged. */
	.global el0_irq_slow
el0_irq_slow:
	enter_slice
	mov	w1, w20
	bl	entry_el0_irq
	cbz	x0, host_return

	/* In: x0 = PCPU_CURRENT, complete; whether its space is loaded is seen here. */
el0_resume_in_space:
	mov	x21, x0
	mov	x22, x18
	/* The same. In: x21 = PCPU_CURRENT, x22 = slice. */
	.global el0_resume_partner
el0_resume_partner:
	ldr	x13, [x22, #PCPU_SPACE]
	ldr	x13, [x13]
	ldp	x15, x16, [x21, #TH_SPACE]	/* and TH_ROOT */
	cmp	x13, x15
	b.eq	1f
	switch_space el0_other_space
1:	resume

	/* AArch32: no thread is started there, so one that is has no business to be. */
	.global el0_aarch32
el0_aarch32:
	save_rest
	bl	entry_el0_aarch32
	cbz	x0, host_return

	/* In: x0 = the thread to run, on SPx, DAIF masked, before the door. */
el0_resume:
	mov	x21, x0
el0_first:				/* the first time: here a CPU goes to EL0 */
	resume

	/*
	 * A fast path has chosen, and the space of its thread does not load at once: for now there
	 * is none. In: x22 = slice; PCPU_CURRENT is the thread, complete in memory.
	 */
	.global el0_other_space
el0_other_space:
	mov	x18, x22
	mov	x29, xzr
	bl	entry_el0_no_space
	b	el0_exit

/*
 * void arch_run_threads(void)
 * Give this CPU to threads until entry_el0_exit() returns nullptr.
 * In: on SP0, interrupts on, past the door. Out: the same. The callee-saved registers wait on SP0.
 */
	.global arch_run_threads
arch_run_threads:
	stp	x29, x30, [sp, #-96]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	mov	x9, sp
	stp	x9, x9, [x18, #PCPU_SP0_BASE]	/* and PCPU_HOST_SP */
	msr	daifset, #0xf
	msr	spsel, #1
	b	el0_exit

host_return:
	msr	spsel, #0
	ldr	x9, [x18, #PCPU_HOST_SP]
	mov	sp, x9
	msr	daifclr, #0xf
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret
