/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/fault_fast.S - a page fault that the regions refuse, to a handler that waits on this
 * CPU, and the handler's answer.
 *
 * THEORY   Both are messages between two threads of this CPU, as those of ipc_fast.S are, and end
 *          as those do. A fault is a call whose words are made here. What it asks besides, whether
 *          the access is allowed, is answered by the regions, which are pinned, so it needs neither
 *          the door nor SP0. It is asked last, when there is a handler that waits: a fault that the
 *          memory system resolves, which most are, is spared the search as a rule.
 *          All registers are saved first, as the slow way would do, which begins with them there:
 *          so all may be burnt. Up to "no way back" nothing else has changed.
 *          The keys say whether two threads are alike, as for messages; but one of the two may
 *          have FP registers that the other has not: programs compute, and handlers do not. Then
 *          what this CPU says it runs (fast_key) follows, so that its FP bit is always that of the
 *          thread that runs, and an answer is compared with what it would be swapped for.
 *          Who waits for the answer to an exception has a key that is like no message's
 *          (THREAD_KEY_EXCEPTED). It is written with the run queue locked, as is the state that it
 *          tells: who changes a priority just then makes a key anew (kern/sched.c).
 * LOCKING  The space's lock, alone; the endpoint's, then the run queue's of this CPU. All are
 *          tried, by their words (kern/lock.h), none is waited for: ranks are of no importance.
 * SEE      kern/exception.c for the words, vm/fault.c for who is refused, kern/endpoint.c for what
 *          each store means.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/el0_regs.h"

	.text

/*
 * In: as el0_keep_and_find leaves it.
 * x15 = endpoint, x16 = badge, x21 = handler, x22 = slice, x27 = our key, x28 = its, x0-x7 = words.
 */
	.global el0_fault_entry
el0_fault_entry:
	save_words
	save_kept x6, x2
	mrs	x22, tpidr_el1
	mov	x7, x30
	ldr	x14, [x18, #TH_TASK]
	/* What lies between two equal even counts was there together (task_set_handler()). */
	add	x13, x14, #TASK_HANDLER_CHANGES
	ldar	x11, [x13]
	add	x15, x14, #TASK_HANDLER
	ldar	x15, [x15]
	add	x16, x14, #TASK_HANDLER_BADGE
	ldar	x16, [x16]
	ldr	x13, [x13]
	cmp	x11, x13
	ccmp	x15, #0, #4, eq
	b.eq	el0_fault_slow		/* it changes, or there is none */
	tbnz	x11, #0, el0_fault_slow
	ldr	x21, [x15, #EP_FIRST]	/* a hint, without the lock; threads stay what they are */
	cbz	x21, el0_fault_slow
	ldr	x27, [x18, #TH_KEY]
	ldr	x28, [x21, #TH_KEY]
	sub	x13, x28, x27
	cmp	x13, #63
	b.hi	fault_unlike
fault_serves:
	mrs	x4, esr_el1
	mrs	x3, far_el1
	lsr	w13, w4, #ESR_EC_SHIFT
	cmp	w13, #EC_DABT
	b.ne	fault_of_fetch
	mov	w13, #(ISS_WNR | ISS_CM)
	and	w13, w4, w13
	cmp	w13, #ISS_WNR		/* cache maintenance reads */
	mov	w5, #ACCESS_READ
	cinc	w5, w5, eq
fault_access:
	tst	w4, #0x30		/* ESR_DFSC_IS_OF_ENTRY(): 0b0001xx to 0b0011xx */
	b.ne	el0_fault_slow
	tst	w4, #0xc
	b.eq	el0_fault_slow

	/* Do the regions refuse? As resolve_once() of vm/fault.c asks: region_find() first. */
	ldr	x23, [x14, #TASK_SPACE]
	add	x24, x23, #SPACE_LOCK
	try_lock x24, x25, el0_fault_slow, x26, 13
	ldr	x23, [x23, #SPACE_ROOT]
	cbz	x23, fault_refused
1:	ldp	x11, x12, [x23, #REGION_BASE]
	subs	x11, x3, x11
	cset	w13, hs			/* left: 0, right: 1 */
	cmp	x11, x12
	b.lo	fault_in_region
	ldr	x23, [x23, x13, lsl #3]
	cbnz	x23, 1b
fault_refused:
	pass_on	x24, x25, fault_wakes_space, x26, x13
2:	add	x17, x15, #EP_LOCK
	try_lock x17, x20, el0_fault_slow, x19, 13
	ldr	x13, [x15, #EP_FIRST]
	cmp	x13, x21
	b.ne	fault_unlock
	ldr	x26, [x22, #PCPU_RUNQ]
	try_lock x26, x11, fault_unlock, x12, 13
	ldr	x13, [x18, #TH_KEY]	/* what they were without a lock? */
	ldr	x23, [x21, #TH_KEY]
	cmp	x13, x27
	ccmp	x23, x28, #0, eq
	b.ne	fault_unlock_both
	orr	x13, x27, #KEY_EXCEPTED	/* from here on there is no way back */
	str	x13, [x18, #TH_KEY]
	mov	x10, #INFO_EXCEPTION
	str	x10, [x18, #TH_IPC_EXCEPTED]
	mov	w13, #STATE_CALLING
	str	w13, [x18, #TH_STATE]
	orr	x13, x27, x28
	tbnz	x13, #KEY_FPU_BIT, fault_fpu
3:	pass_on	x26, x11, fault_wakes_runq, x12, x13
4:	ldr	x13, [x22, #PCPU_FAULTS]
	add	x13, x13, #1
	str	x13, [x22, #PCPU_FAULTS]
	mov	w0, #KIND_PAGE_FAULT
	ldr	x1, [x18, #TH_NUMBER]
	orr	x10, x10, #8		/* words */
	ldp	x11, x12, [x18, #TH_ZEROS]
	b	ipc_call_commit

fault_of_fetch:
	cmp	w13, #EC_IABT
	mov	w5, #ACCESS_EXEC
	b.eq	fault_access
	b	el0_fault_slow

fault_unlike:
	ldr	x23, [x22, #PCPU_FAST_KEY]
	unlike_by_fpu x28, x27, x23, el0_fault_slow
	b	fault_serves

	/* is_there() and allows() of vm/fault.c. */
fault_in_region:
	ldr	x11, [x23, #REGION_OBJECT]
	cbz	x11, fault_refused
	ldrb	w11, [x23, #REGION_DYING]
	cbnz	w11, fault_refused
	ldrh	w11, [x23, #REGION_PROT]
	cmp	w5, #ACCESS_READ
	csinv	w12, w5, wzr, ne
	tst	w11, w12
	b.eq	fault_refused
	pass_on	x24, x25, fault_wake_slow, x26, x13
	b	el0_fault_slow

fault_fpu:
	bl	change_fpu
	b	3b
fault_wakes_space:
	wake_waiters
	b	2b
fault_wakes_runq:
	wake_waiters
	b	4b
fault_unlock_both:
	stlr	x11, [x12]
fault_unlock:
	stlr	x20, [x19]
fault_wake_slow:
	wake_waiters
	b	el0_fault_slow

	/*
	 * The FP registers of x18 go, those of x21 come; what this CPU says it runs has them if x21
	 * has. In: one of the two has some. Burns: x23-x25, x30.
	 */
	.global change_fpu
change_fpu:
	ldr	x23, [x18, #TH_FPU]
	ldr	x24, [x21, #TH_FPU]
	ldr	x25, [x22, #PCPU_FAST_KEY]
	cbz	x23, 1f
	cbnz	x24, swap_fpu
	bic	x25, x25, #KEY_FPU
	str	x25, [x22, #PCPU_FAST_KEY]
	b	leave_fpu
1:	orr	x25, x25, #KEY_FPU
	str	x25, [x22, #PCPU_FAST_KEY]
	b	come_fpu

/*
 * ipc_reply_recv to who waits for more than a message, of whom ipc_fast.S has seen all that a
 * message's caller has to fulfil but the key.
 * In: x10 = words, x13 = what it waits for, x14 = what this CPU says it runs, x15 = endpoint,
 * locked by x17, x19, x20, x18 = we, x21 = caller, x22 = slice; ours are saved from x18 on.
 * Slow: x0-x12 are as they were.
 */
	.global answer_fault_fast
answer_fault_fast:
	cmp	x13, #INFO_EXCEPTION	/* not a page */
	b.ne	ipc_unlock_slow
	sub	x13, x0, #ANSWER_RESUME
	cmp	x13, #(ANSWER_SKIP - ANSWER_RESUME)
	ccmp	x10, #0, #4, ls
	b.eq	ipc_unlock_slow		/* to die, or no answer */
	ldr	x24, [x22, #PCPU_RUNQ]
	try_lock x24, x25, ipc_unlock_slow, x16, 13
	ldr	w23, [x21, #TH_NOT_PLAIN]	/* its registers may have been written: a step */
	cbnz	w23, answer_unlock_both
	ldr	x23, [x21, #TH_KEY]
	eor	x23, x23, #KEY_EXCEPTED
	sub	x13, x23, x14
	cmp	x13, #63
	b.hi	answer_unlike_fpu
1:	ldr	x13, [x21, #TH_PC]	/* from here on there is no way back */
	add	x13, x13, x0, lsl #2
	sub	x13, x13, #(ANSWER_RESUME << 2)	/* to skip is one more */
	str	x13, [x21, #TH_PC]
	str	x23, [x21, #TH_KEY]
	str	xzr, [x21, #TH_IPC_EXCEPTED]
	mov	w13, #STATE_RECEIVING
	str	w13, [x18, #TH_STATE]
	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	x21, [x22, #PCPU_CURRENT]
	orr	x13, x23, x14
	tbnz	x13, #KEY_FPU_BIT, answer_fpu
2:	pass_on	x24, x25, answer_wakes_runq, x16, x13
3:	wait_for_message
	pass_on	x17, x20, answer_wakes, x19, x13
	b	el0_resume_partner

answer_unlike_fpu:
	unlike_by_fpu x23, x14, x14, answer_unlock_both
	b	1b
answer_fpu:
	mov	x26, x24
	mov	x27, x25
	bl	change_fpu
	mov	x24, x26
	mov	x25, x27
	b	2b
answer_wakes_runq:
	wake_waiters
	b	3b
answer_wakes:
	wake_waiters
	b	el0_resume_partner
answer_unlock_both:
	stlr	x25, [x16]
	b	ipc_unlock_slow
