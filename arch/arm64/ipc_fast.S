/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/ipc_fast.S - ipc_call and ipc_reply_recv where nothing is in the way.
 *
 * THEORY   The message stays in x0-x7: only the registers that it does not use change hands. All of
 *          this runs on SPx, before the door, with interrupts masked, on pinned memory. It is taken
 *          when the message is words only, there is no deadline and no reply object, and the
 *          partner waits on this CPU for just that. A handle beyond the table's first page is a
 *          detour.
 *          "Just that" is one comparison. A thread's key is its CPU, its priority and whether it
 *          has FP registers; with any reason for the slow path it is like no other thread's. A
 *          receiver's key must be the caller's, but for a priority that may be higher, and for FP
 *          registers that only one of them has. A caller's must be not less urgent than what its
 *          CPU tells others that it runs: that is how they decide whether to interrupt it, so
 *          nothing more urgent is ready, or an interrupt is pending. A priority that is lent to the
 *          receiver, or given back with the answer, is changed with the run queue locked, which
 *          then says what is ready; what runs is known anew, too. Whatever else holds, C goes on
 *          with what was found and locked, or begins anew (kern/quick_ipc.c), and so does the slow
 *          path after that: up to "no way back" nothing has changed but saved registers. The
 *          partner runs in the rest of our slice.
 * LOCKING  The endpoint's lock, and the run queue's of this CPU where a priority changes, are taken
 *          if they are free, by their words (kern/lock.h), without the books that a spin_lock()
 *          keeps: nothing is called under them.
 * RACE     Waiters of a lock are woken only if there are some. One that draws its ticket just
 *          now may be missed; it looks again at the next tick of the event stream, as every wait
 *          does.
 * SEE      kern/endpoint.c for what each store means, kern/ipc.h for the rules.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/el0_regs.h"

	.text

	/*
	 * In: as the prefix of el0_sync leaves it. Out: x15 = endpoint, x16 = badge.
	 * Burns: x13-x17. \far is of_far_page for it, which comes back to \found.
	 */
	.macro	arguments right, far, found
	orr	x13, x11, x12		/* neither reply object nor deadline: both stay 0 */
	tst	x9, #0xff80		/* first page of the table */
	ccmp	x13, #0, #0, eq
	ccmp	x10, #9, #2, eq		/* words only; else as if "higher or same" */
	b.hs	\far
	ldr	x13, [x18, #TH_TASK]
	ldr	x13, [x13, #TASK_HANDLES]	/* an empty one if there is none */
	ubfiz	x14, x9, #HANDLE_SLOT_SHIFT, #7
	add	x13, x13, x14
	ldar	x14, [x13]		/* pairs with begin_grace(), kern/reclaim.c */
	eor	x17, x14, x9
\found:
	ldp	x15, x16, [x13, #8]
	lsr	x17, x17, #8		/* generation of the handle, and type */
	cmp	x17, #TYPE_ENDPOINT
	b.ne	burnt_slow
	tbz	w14, #\right, burnt_slow
	.endm

	/* It is the page that was in the way, or something else? In: x13 as `arguments` has it. */
	.macro	of_far_page found
	cbnz	x13, burnt_slow
	cmp	x10, #9
	b.hs	burnt_slow
	far_slot x9, x13, x14, x17, burnt_slow
	b	\found
	.endm

	/* What `arguments` burnt is ours, and goes back to EL0; x16 and x17 are saved. */
	.macro	zero_burnt
	mov	x13, xzr
	mov	x14, xzr
	mov	x15, xzr
	.endm

	/* Out: x17 = next ticket's word, x19 = serving's, x20 = what serving will be. */
	.macro	lock_endpoint
	add	x17, x15, #EP_LOCK
	add	x19, x17, #8
	ldaxr	x20, [x17]
	ldar	x13, [x19]
	cmp	x13, x20
	b.ne	restore_slow
	add	x20, x20, #1
	stxr	w13, x20, [x17]
	cbnz	w13, restore_slow
	.endm

	/*
	 * In: x21 = partner, x14 = the key that its own must be, or up to 63 more.
	 * Burns: x13, x23, x30.
	 */
	.macro	compare_keys unlike
	ldr	x13, [x21, #TH_KEY]
	sub	x23, x13, x14
	cmp	x23, #63
	b.hi	\unlike
	tbz	x13, #KEY_FPU_BIT, 4f	/* from here on there is no way back */
	bl	swap_fpu
4:
	.endm

	/* The lock is free; the partner runs, with x8-x10 set. */
	.macro	leave_to_partner
	stlr	x20, [x19]
	ldar	x13, [x17]
	cmp	x13, x20
	b.ne	7f
6:	ldr	x13, [x18, #TH_SPACE]
	ldp	x15, x16, [x21, #TH_SPACE]	/* and TH_ROOT */
	cmp	x13, x15
	b.eq	5f
	switch_space finish_slow
5:	ldp	x13, x14, [x21, #TH_SP]
	ldp	x15, x16, [x21, #TH_PSTATE]
	msr	sp_el0, x13
	msr	elr_el1, x14
	msr	spsr_el1, x15
	msr	tpidr_el0, x16
	ldp	x8, x13, [x21, #TH_ZEROS]
	ldp	x14, x15, [x21, #TH_ZEROS]
	ldp	x16, x17, [x21, #TH_ZEROS]
	load_kept
	msr	tpidrro_el0, xzr
	eret
	dsb	nsh			/* nothing is speculated past the ERET */
	isb
7:	dsb	ishst
	sev
	b	6b
	.endm

	/* In: x21 = partner. Words from x[x10] on are no part of the message: zero. Burns: x13. */
	.macro	scrub_words
	cbz	x10, 10f
	tbnz	w10, #3, 8f
	adr	x13, 9f
	add	x13, x13, x10, lsl #2
	br	x13
9:	mov	x0, xzr
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	mov	x5, xzr
	mov	x6, xzr
	mov	x7, xzr
	b	8f
10:	ldp	x0, x1, [x21, #TH_ZEROS]
	ldp	x2, x3, [x21, #TH_ZEROS]
	ldp	x4, x5, [x21, #TH_ZEROS]
	ldp	x6, x7, [x21, #TH_ZEROS]
8:
	.endm

	/* The first in the queue receives; we wait in its reply slot. */
	.global ipc_call_fast
ipc_call_fast:
	arguments RIGHT_SEND_BIT, call_far, call_found
	save_kept
	lock_endpoint
	ldr	x21, [x15, #EP_FIRST]
	cbz	x21, call_locked
	mrs	x22, tpidr_el1
	ldr	x14, [x18, #TH_KEY]	/* not less urgent than we: nothing to inherit */
	compare_keys call_unlike
	/* fault_fast.S comes here, too; its info says that it is the kernel who calls. */
	.global ipc_call_commit
ipc_call_commit:
	ldr	x23, [x21, #TH_IPC_NEXT]
	str	x23, [x15, #EP_FIRST]
	cbnz	x23, 3f
	str	xzr, [x15, #EP_LAST]
2:	str	xzr, [x21, #TH_IPC_WAIT]
	add	x24, x21, #TH_IPC_OWN
	str	x24, [x18, #TH_IPC_HELD]
	mov	w13, #STATE_CALLING
	str	w13, [x18, #TH_STATE]
	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	x21, [x22, #PCPU_CURRENT]
	stlr	x18, [x24]		/* whoever finds us there finds all of the above */
	mov	x9, x16
	scrub_words
	orr	x10, x10, #INFO_CALL
	leave_to_partner
	/* Others wait: if they are of one run, it begins with the next now (kern/ipc_wait.c). */
3:	ldr	x24, [x21, #TH_RUN_END]
	str	xzr, [x23, #TH_IPC_PREV]
	cmp	x24, x21
	b.eq	2b
	str	x24, [x23, #TH_RUN_END]
	str	x23, [x24, #TH_RUN_END]
	b	2b

	/* Our caller goes on; we wait in the endpoint's queue, which is empty. */
	.global ipc_reply_recv_fast
ipc_reply_recv_fast:
	arguments RIGHT_RECEIVE_BIT, reply_recv_far, reply_recv_found
	ldr	x13, [x18, #TH_IPC_BOUND]
	cbnz	x13, burnt_slow
	save_kept
	lock_endpoint
	ldr	x13, [x15, #EP_FIRST]
	ldr	x14, [x15, #KOBJ_DEAD]
	orr	x13, x13, x14
	cbnz	x13, reply_recv_locked
	ldr	x21, [x18, #TH_IPC_OWN]
	cbz	x21, reply_recv_locked
	mrs	x22, tpidr_el1
	ldr	x14, [x22, #PCPU_FAST_KEY] /* not less urgent than what this CPU says it runs */
	compare_keys answer_unlike
reply_commit:
	wait_for_message
	mov	w13, #STATE_RECEIVING
	str	w13, [x18, #TH_STATE]
	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	x21, [x22, #PCPU_CURRENT]
	mov	x9, xzr
	scrub_words
	leave_to_partner

call_far:
	of_far_page call_found
reply_recv_far:
	of_far_page reply_recv_found

	/* The partner runs, but not at once: its message goes to where its registers are. */
finish_slow:
	stp	x0, x1, [x21, #TH_X(0)]
	stp	x2, x3, [x21, #TH_X(2)]
	stp	x4, x5, [x21, #TH_X(4)]
	stp	x6, x7, [x21, #TH_X(6)]
	stp	xzr, x9, [x21, #TH_X(8)]
	stp	x10, xzr, [x21, #TH_X(10)]
	stp	xzr, xzr, [x21, #TH_X(12)]
	stp	xzr, xzr, [x21, #TH_X(14)]
	stp	xzr, xzr, [x21, #TH_X(16)]
	b	el0_other_space

	/* The caller is unlike us: does it wait for another answer, or is it FP registers only? */
answer_unlike:
	ldr	x13, [x21, #TH_IPC_EXCEPTED]
	cbnz	x13, answer_fault_fast
	ldr	x23, [x21, #TH_KEY]
	unlike_by_fpu x23, x14, x14, answer_less
	bl	change_fpu
	b	reply_commit

	/*
	 * The caller is less urgent than what this CPU says it runs, or we inherited from it. It
	 * runs if nobody who is as urgent is ready; we have our own priority again. As
	 * wait_for_message() of kern/quick_ipc.c.
	 */
answer_less:
	lsr	x13, x23, #KEY_EXCEPTED_BIT
	cbnz	x13, reply_recv_locked	/* slow */
	ldrh	w13, [x22, #PCPU_FLAGS]	/* single step, or something waits to be reclaimed */
	cbnz	w13, reply_recv_locked
	ldr	x24, [x22, #PCPU_RUNQ]
	try_lock x24, x25, reply_recv_locked, x26, 13
	ldr	x23, [x21, #TH_KEY]
	ldr	w27, [x22, #PCPU_CPU]
	ldr	w14, [x18, #TH_NOT_PLAIN]
	ldr	x28, [x18, #TH_AFFINITY]
	ldr	x13, [x24, #RUNQ_READY]
	cmp	x27, x23, lsr #32	/* of this CPU, and not slow */
	ccmp	w14, #0, #0, eq
	b.ne	answer_unlock
	lsr	x28, x28, x27
	tbz	x28, #0, answer_unlock	/* we may not stay here */
	lsr	x13, x13, x23
	cbnz	x13, answer_unlock
	ldrb	w13, [x18, #TH_BASE_PRIORITY]	/* from here on there is no way back */
	ldr	x14, [x18, #TH_FPU]
	ldr	x28, [x21, #TH_FPU]
	strb	w13, [x18, #TH_PRIORITY]
	orr	x13, x13, x27, lsl #32	/* thread_key() */
	cbz	x14, 1f
	orr	x13, x13, #KEY_FPU
1:	str	x13, [x18, #TH_KEY]
	orr	x13, x14, x28
	cbnz	x13, answer_less_fpu
2:	str	x23, [x22, #PCPU_FAST_KEY]
	and	w13, w23, #63
	str	w13, [x24, #RUNQ_RUNNING]
	mov	w13, #STATE_RECEIVING
	str	w13, [x18, #TH_STATE]
	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	x21, [x22, #PCPU_CURRENT]
	pass_on	x24, x25, answer_less_wakes, x26, x13
	b	reply_commit

answer_less_fpu:
	mov	x27, x24
	mov	x28, x25
	bl	change_fpu
	mov	x24, x27
	mov	x25, x28
	ldr	x23, [x21, #TH_KEY]
	b	2b
answer_less_wakes:
	wake_waiters
	b	reply_commit
answer_unlock:
	stlr	x25, [x26]
	wake_waiters
	b	reply_recv_locked

	/* The receiver is unlike us: only by FP registers? */
call_unlike:
	ldr	x24, [x22, #PCPU_FAST_KEY]
	mov	x23, x13
	unlike_by_fpu x23, x14, x24, call_less
	bl	change_fpu
	b	ipc_call_commit

	/*
	 * Only by being less urgent? It has our priority until it receives anew, and a slow key. As
	 * call_receiver() of kern/quick_ipc.c. Two slow keys are never that much alike.
	 */
call_less:
	eor	x13, x23, x14
	cmp	x13, #63
	b.hi	call_locked
	ldrh	w13, [x22, #PCPU_FLAGS]	/* as above */
	cbnz	w13, call_locked
	ldr	x24, [x22, #PCPU_RUNQ]
	try_lock x24, x25, call_locked, x26, 13
	ldr	x23, [x21, #TH_KEY]	/* what they are now */
	ldr	x14, [x18, #TH_KEY]
	eor	x13, x23, x14
	cmp	x13, #63
	ccmp	x23, x14, #2, ls	/* or as if "higher or same" */
	b.hs	call_unlock
	and	w13, w14, #63		/* from here on there is no way back */
	ldr	x23, [x21, #TH_NUMBER]
	strb	w13, [x21, #TH_PRIORITY]
	str	w13, [x24, #RUNQ_RUNNING]
	lsl	x23, x23, #KEY_NUMBER_SHIFT	/* thread_key_slow() */
	orr	x23, x23, #(1 << KEY_SLOW_BIT)
	str	x23, [x21, #TH_KEY]
	str	x23, [x22, #PCPU_FAST_KEY]
	mov	w13, #STATE_CALLING
	str	w13, [x18, #TH_STATE]
	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	x21, [x22, #PCPU_CURRENT]
	pass_on	x24, x25, call_less_wakes, x26, x13
3:	tbz	x14, #KEY_FPU_BIT, ipc_call_commit
	bl	swap_fpu		/* both have some, by their keys */
	b	ipc_call_commit

call_less_wakes:
	wake_waiters
	b	3b
call_unlock:
	stlr	x25, [x26]
	wake_waiters
	b	call_locked

	/*
	 * C can do more of them: kern/quick_ipc.c. The endpoint is locked; x19 to x30 have been
	 * saved.
	 */
	.global ipc_unlock_slow
ipc_unlock_slow:
reply_recv_locked:
	mov	x24, x15
	zero_burnt
	b	el0_reply_recv_locked
call_locked:
	mov	x24, x15
	mov	x25, x16
	zero_burnt
	b	el0_call_locked
	/* The same, with nothing locked. */
restore_slow:
	zero_burnt
	b	el0_ipc_kept
burnt_slow:
	zero_burnt
	b	el0_ipc
