/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/quick_fast.S - event_signal and thread_yield where nothing at all is in the way.
 *
 * THEORY   What most signals and yields are: nobody waits, or one thread of this CPU does; the
 *          next in turn is a thread like ourselves. x8-x17 are lost in a call, so a signal needs no
 *          register saved, unless the waiter is more urgent, and runs at once. Both take their
 *          locks only if they are free, and compare keys as fast messages do (kern/thread.h): one
 *          comparison says that a thread is of this CPU and has nothing unusual about it. For
 *          anything else the same call in C begins anew (kern/quick.c), and does more: up to "no
 *          way back" nothing has changed.
 *          A READY thread's key may be of a time before it was stopped and started again, so
 *          `not_plain`, which makes a key slow, is asked besides.
 * RULES    Nothing is reclaimed here: whatever waits for that is a reason to leave.
 * LOCKING  The event's lock, then the run queue's of this CPU, by their words (kern/lock.h),
 *          without the books that a spin_lock() keeps: nothing is called under them.
 * SEE      event_signal_quick() and sched_yield_quick() for what each store means.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/el0_regs.h"

	.text

	/* pass_on, where the word's address was not kept. Burns: x13, x17. */
	.macro	hand_on lock, serving, wakes
	add	x13, \lock, #8
	pass_on	\lock, \serving, \wakes, x13, x17
	.endm

	/* Out: x17 = 0 if nothing waits to be reclaimed. */
	.macro	load_deferred
	adrp	x17, reclaim_deferred
	ldr	x17, [x17, :lo12:reclaim_deferred]
	.endm

	/* In: x18 = thread. The registers that a call loses are zero. */
	.macro	zero_lost
	ldp	x9, x10, [x18, #TH_ZEROS]
	ldp	x11, x12, [x18, #TH_ZEROS]
	ldp	x13, x14, [x18, #TH_ZEROS]
	mov	x15, xzr
	.endm

/*
 * event_signal(x0 = handle, x1 = bits).
 * x9 = event, x10 = its lock's words, x11 = who waits, x12 = run queue, x14 = its lock's.
 */
	.global event_signal_fast
event_signal_fast:
	load_deferred
	cbnz	x17, signal_slow
	tst	x0, #0xff80		/* first page of the table */
	ccmp	x1, #0, #4, eq
	b.eq	signal_far		/* another page, or no bits */
	ldr	x13, [x18, #TH_TASK]
	ldr	x13, [x13, #TASK_HANDLES]	/* an empty one if there is none */
	ubfiz	x14, x0, #HANDLE_SLOT_SHIFT, #7
	add	x13, x13, x14
	ldar	x14, [x13]		/* pairs with begin_grace(), kern/reclaim.c */
	eor	x17, x14, x0
signal_found:
	ldr	x9, [x13, #8]
	lsr	x17, x17, #8		/* generation of the handle, and type */
	cmp	x17, #TYPE_EVENT
	b.ne	signal_slow
	tbz	w14, #RIGHT_WRITE_BIT, signal_slow
	add	x8, x9, #EV_LOCK
	try_lock x8, x10, signal_slow
	ldr	x13, [x9, #KOBJ_DEAD]
	ldr	x14, [x9, #EV_BOUND]
	orr	x13, x13, x14
	cbnz	x13, signal_unlock
	ldp	x14, x11, [x9, #EV_BITS]	/* and the first in the queue */
	cbz	x11, signal_nobody
	ldr	x13, [x11, #TH_IPC_NEXT]
	ldr	x17, [x11, #TH_IPC_EVENT_BITS]
	orr	x13, x13, x14
	bic	x17, x1, x17
	orr	x13, x13, x17
	cbnz	x13, signal_unlock	/* two wait, not for all of it, or not for what is set */
	mrs	x15, tpidr_el1
	ldr	x12, [x15, #PCPU_RUNQ]
	try_lock x12, x14, signal_unlock
	ldr	x16, [x11, #TH_KEY]
	ldr	w13, [x15, #PCPU_CPU]
	cmp	x13, x16, lsr #32	/* of this CPU, and not slow */
	b.ne	signal_unlock_both
	ldr	w13, [x12, #RUNQ_RUNNING]
	and	x16, x16, #63
	cmp	w16, w13
	b.ge	signal_preempts		/* or shares a slice */
	stp	xzr, xzr, [x9, #EV_FIRST]	/* from here on there is no way back */
	str	xzr, [x11, #TH_IPC_WAIT]
	str	x1, [x11, #TH_X(0)]
	str	xzr, [x11, #TH_X(8)]	/* KERR_OK */
	add	x13, x12, x16, lsl #3	/* runq_add() */
	ldr	x17, [x13, #RUNQ_TAIL]
	str	x11, [x13, #RUNQ_TAIL]
	str	xzr, [x11, #TH_NEXT]
	str	x17, [x11, #TH_PREV]
	mov	w15, #1			/* READY, and true */
	str	w15, [x11, #TH_STATE]
	strb	w15, [x11, #TH_QUEUED]
	cbnz	x17, 1f
	str	x11, [x13, #RUNQ_HEAD]
	ldr	x17, [x12, #RUNQ_READY]
	lsl	x15, x15, x16
	orr	x17, x17, x15
	str	x17, [x12, #RUNQ_READY]
	b	2f
1:	str	x11, [x17, #TH_NEXT]
2:	hand_on	x12, x14, signal_wakes_runq
3:	hand_on	x8, x10, signal_wakes
	/* It is queued, then we look who is idle: pairs with idle_once(), kern/sched_cpu.c. */
4:	adrp	x13, sched_state
	add	x13, x13, :lo12:sched_state + SCHED_IDLE
	ldar	x13, [x13]
	ldr	x14, [x11, #TH_AFFINITY]
	tst	x13, x14
	b.ne	signal_announce
signal_done:
	mov	x8, xzr			/* KERR_OK */
	zero_lost
	ldp	x16, x17, [x18, #TH_ZEROS]
	mrs	x18, tpidrro_el0
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh			/* nothing is speculated past the ERET */
	isb

	/*
	 * They are set until somebody waits. Who is bound to it meanwhile has looked at the bits
	 * before, or we see the binding.
	 */
signal_nobody:
	add	x13, x9, #EV_BITS
	ldaxr	x14, [x13]
	orr	x14, x14, x1
	stlxr	w17, x14, [x13]
	cbnz	w17, signal_unlock
	hand_on	x8, x10, signal_wakes_nobody
5:	add	x13, x9, #EV_BOUND
	ldar	x13, [x13]
	cbz	x13, signal_done
	mov	x16, xzr
	b	signal_rest

signal_wakes_nobody:
	wake_waiters
	b	5b
signal_wakes_runq:
	wake_waiters
	b	3b
signal_wakes:
	wake_waiters
	b	4b

signal_far:
	cbz	x1, signal_slow
	far_slot x0, x13, x14, x17, signal_slow
	b	signal_found

	/* An idle CPU may take the thread that is ready now. */
signal_announce:
	mov	x16, x11
signal_rest:
	mov	x17, x9
	mov	x8, xzr
	zero_lost
	b	el0_signal_rest

	/*
	 * The waiter runs at once, as if an interrupt had come for it: the rest is irq_fast.S,
	 * which finds in x0-x8 and x19-x27 what it would have put there. x13 = our priority.
	 */
signal_preempts:
	ldp	x13, x17, [x15, #PCPU_FLAGS]	/* and PCPU_RESCHED */
	add	x17, x17, w13, uxth
	cbnz	x17, signal_unlock_both
	ldr	x17, [x12, #RUNQ_READY]
	ldrb	w13, [x18, #TH_PRIORITY]
	lsr	x17, x17, x16
	cbnz	x17, signal_unlock_both
	cmp	w13, w16
	b.hs	signal_unlock_both
	stp	x0, x1, [x18, #TH_X(0)]	/* from here on there is no way back */
	stp	x2, x3, [x18, #TH_X(2)]
	stp	x4, x5, [x18, #TH_X(4)]
	stp	x6, x7, [x18, #TH_X(6)]
	str	xzr, [x18, #TH_X(8)]	/* KERR_OK; x9-x17 are what they were at some time */
	mov	x0, x1
	mov	x1, x8
	add	x2, x8, #8
	mov	x3, x10
	mov	x4, x13
	mov	w5, #1
	lsl	x5, x5, x4
	ldr	x17, [x12, #RUNQ_READY]
	orr	x5, x5, x17
	mov	x6, x12
	add	x7, x12, #8
	mov	x8, x14
	save_kept
	mov	x19, x9
	mov	x21, x11
	mov	x22, x15
	ldr	x26, [x21, #TH_KEY]
	mov	x27, x16
	b	run_waiter

signal_unlock_both:
	add	x13, x12, #8
	stlr	x14, [x13]
signal_unlock:
	add	x13, x8, #8
	stlr	x10, [x13]
	wake_waiters
signal_slow:
	mov	x8, #NR_EVENT_SIGNAL
	zero_lost
	b	el0_signal

/*
 * thread_yield(): the next in turn is like ourselves, so the queue loses it and gains us.
 * x9 = slice, x11 = run queue, x12 = its lock's words, x8 = next, x10 = our key and its.
 */
	.global thread_yield_fast
thread_yield_fast:
	load_deferred
	mrs	x9, tpidr_el1
	ldr	x8, [x9, #PCPU_RESCHED]
	orr	x17, x17, x8
	cbnz	x17, yield_slow
	ldr	x11, [x9, #PCPU_RUNQ]
	try_lock x11, x12, yield_slow
	ldr	x10, [x18, #TH_KEY]
	ldr	x14, [x11, #RUNQ_READY]
	and	x15, x10, #63
	clz	x14, x14
	eor	x14, x14, #63		/* most urgent; more than 63: nobody */
	cmp	x14, x15
	b.ne	yield_unlock
	add	x16, x11, x14, lsl #3
	ldr	x8, [x16, #RUNQ_HEAD]
	ldr	x17, [x8, #TH_KEY]
	cmp	x17, x10
	b.ne	yield_unlock
	ldr	w17, [x8, #TH_NOT_PLAIN]
	cbnz	w17, yield_unlock
	adrp	x15, sched_state
	ldr	x15, [x15, :lo12:sched_state + SCHED_SLICE_TICKS]
	mrs	x17, cntvct_el0
	add	x15, x15, x17		/* where its slice ends */
	ldr	x17, [x9, #PCPU_TIMER]
	sub	x17, x17, #1		/* no timer: later than anything */
	cmp	x17, x15
	b.hs	yield_unlock		/* it would have to be set */
	str	x15, [x9, #PCPU_SLICE_END]	/* from here on there is no way back */
	str	x10, [x9, #PCPU_FAST_KEY]
	str	w14, [x11, #RUNQ_RUNNING]	/* we may have come by a fast message */
	str	x8, [x9, #PCPU_CURRENT]
	ldr	x15, [x8, #TH_NEXT]
	cbz	x15, 1f
	ldr	x14, [x16, #RUNQ_TAIL]
	str	xzr, [x15, #TH_PREV]
	str	x18, [x14, #TH_NEXT]
	str	x15, [x16, #RUNQ_HEAD]
2:	str	x18, [x16, #RUNQ_TAIL]
	str	xzr, [x18, #TH_NEXT]
	str	x14, [x18, #TH_PREV]
	mov	w15, #1			/* READY, and true */
	str	w15, [x18, #TH_STATE]
	strb	w15, [x18, #TH_QUEUED]
	mov	w15, #STATE_RUNNING
	str	w15, [x8, #TH_STATE]
	strb	wzr, [x8, #TH_QUEUED]
	str	xzr, [x8, #TH_SLICE_LEFT]
	stp	x0, x1, [x18, #TH_X(0)]	/* all of it before the lock is free: then it may move */
	stp	x2, x3, [x18, #TH_X(2)]
	stp	x4, x5, [x18, #TH_X(4)]
	stp	x6, x7, [x18, #TH_X(6)]
	str	xzr, [x18, #TH_X(8)]	/* KERR_OK; x9-x17 are what they were at some time */
	save_kept
	mov	x21, x8
	mov	x22, x9
	tbnz	x10, #KEY_FPU_BIT, yield_swaps
5:	hand_on	x11, x12, yield_wakes
3:	ldr	x13, [x18, #TH_SPACE]
	ldp	x15, x16, [x21, #TH_SPACE]	/* and TH_ROOT */
	cmp	x13, x15
	b.eq	4f
	switch_space el0_other_space
4:	resume

1:	str	x18, [x16, #RUNQ_HEAD]	/* it was alone */
	mov	x14, xzr
	b	2b
yield_swaps:				/* both have some, by their keys */
	bl	swap_fpu
	b	5b
yield_wakes:
	wake_waiters
	b	3b

yield_unlock:
	add	x13, x11, #8
	stlr	x12, [x13]
	wake_waiters
yield_slow:
	mov	x8, #NR_THREAD_YIELD
	zero_lost
	b	el0_yield
