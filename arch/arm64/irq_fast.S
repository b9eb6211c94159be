/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/irq_fast.S - a device's interrupt out of EL0 whose driver waits here and runs at once.
 *
 * THEORY   What most interrupts come to: one thread waits for the event, for all of the bits and
 *          without a deadline; it is of this CPU, and more urgent than whatever runs or is ready
 *          here. So the choice is made as soon as that thread is found, without the queue that it
 *          would be put in and taken out of, and nothing is to be asked of anybody. The interrupt
 *          is masked at the controller until its driver acknowledges. Who ran is the next of its
 *          priority, with the rest of its slice. The timer may be set to the end of that slice: it
 *          is then early, and finds out.
 *          Whatever is unusual is seen before anything is changed, and left to C, which has the
 *          interrupt, acknowledged by then, served (kern/quick_irq.c). This way is neither recorded
 *          nor measured: it is too short for either.
 * LOCKING  The event's lock, then the run queue's of this CPU, by their words (kern/lock.h), each
 *          if it is free, so that their ranks are of no importance.
 * SEE      kern/quick_irq.c, which does the same for a timer, and says what each store means.
 */
#include <memmap.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/el0_regs.h"

	.text

/*
 * In: as the prefix of el0_irq leaves it.
 * x0 = bits, x1 = the event's lock, x2 and x3 hand it on; x4 = our priority, x5 = what is ready
 * with us, x6 = the run queue, its lock first, x7 and x8 hand it on; x9 = GICD_CTLR, x10 = flags of
 * this CPU, x19 = event, x20 = IAR, x21 = driver, x22 = slice, x26 = the driver's key, x27 = its
 * priority, x28 = the interrupt's object.
 */
	.global el0_irq_entry
el0_irq_entry:
	save_words
	save_kept
	mrs	x22, tpidr_el1
	ldp	x10, x14, [x22, #PCPU_FLAGS]	/* and PCPU_RESCHED */
	tbnz	w10, #FLAG_GICV2_BIT, ack_gicv2
	mrs	x20, icc_iar1_el1
	dsb	sy			/* as gicv3_ack() */
10:
	adrp	x13, irq_claimed
	add	x13, x13, :lo12:irq_claimed
	and	x15, x20, #IAR_INTID
	ldr	x28, [x13, x15, lsl #3]	/* nobody's: an SGI, a PPI, none at all */
	cbz	x28, el0_irq_slow
	add	x14, x14, w10, uxth	/* single step, or something waits to be reclaimed */
	cbnz	x14, el0_irq_slow
	add	x13, x28, #IRQ_EVENT
	ldar	x19, [x13]		/* pairs with irq_object_bind() */
	cbz	x19, el0_irq_slow
	ldr	x0, [x28, #IRQ_BITS]
	add	x1, x19, #EV_LOCK
	try_lock x1, x3, el0_irq_slow, word=x2
	ldp	x14, x21, [x19, #EV_BITS]	/* and the first in the queue */
	cbz	x21, unlock_event
	ldr	x13, [x19, #EV_BOUND]
	ldr	x15, [x21, #TH_IPC_NEXT]
	ldr	x16, [x21, #TH_IPC_EVENT_BITS]
	orr	x13, x13, x14
	orr	x13, x13, x15
	bic	x16, x0, x16
	orr	x13, x13, x16
	cbnz	x13, unlock_event	/* event_only_waiter() has another answer */
	ldr	x6, [x22, #PCPU_RUNQ]
	try_lock x6, x8, unlock_event, word=x7
	ldr	x26, [x21, #TH_KEY]
	ldr	w13, [x22, #PCPU_CPU]
	cmp	x13, x26, lsr #32	/* of this CPU, and not slow */
	b.ne	unlock_both
	and	x27, x26, #63
	ldrb	w4, [x18, #TH_PRIORITY]
	ldr	x5, [x6, #RUNQ_READY]
	mov	w15, #1
	lsl	x15, x15, x4
	orr	x5, x5, x15
	lsr	x15, x5, x27
	cbnz	x15, unlock_both	/* we are, or who is ready is, not less urgent */
	ldr	x13, [x22, #PCPU_IRQS]	/* from here on there is no way back */
	add	x13, x13, #1
	str	x13, [x22, #PCPU_IRQS]
	ldp	x13, x15, [x28, #IRQ_LINE]	/* the register that masks it, its bit */
	ldr	x9, [x28, #IRQ_LINE_CTLR]
	str	w15, [x13]
	tbnz	w10, #FLAG_GICV2_BIT, end_gicv2
	msr	icc_eoir1_el1, x20
	isb
	ldr	w13, [x9]
	tbnz	w13, #31, await_mask	/* GICD_CTLR.RWP */

	/*
	 * Who waits in the event alone has its bits, and runs; x18 is ready. Both locks are taken.
	 * In: x0-x8, x18, x19, x21, x22, x26, x27 as above; x18's registers are saved.
	 */
	.global run_waiter
run_waiter:
11:	mov	w14, #1			/* READY, and true */
	stp	xzr, xzr, [x19, #EV_FIRST]
	str	xzr, [x21, #TH_IPC_WAIT]
	str	x0, [x21, #TH_X(0)]
	str	xzr, [x21, #TH_X(8)]	/* KERR_OK */
	mrs	x17, cntvct_el0		/* sched_put_back() */
	ldr	x13, [x22, #PCPU_SLICE_END]
	subs	x13, x13, x17
	csel	x13, x13, xzr, hi
	str	x13, [x18, #TH_SLICE_LEFT]
	add	x16, x6, x4, lsl #3
	str	x5, [x6, #RUNQ_READY]
	str	w14, [x18, #TH_STATE]
	strb	w14, [x18, #TH_QUEUED]
	cbz	x13, .Ladd_behind
	ldr	x13, [x16, #RUNQ_HEAD]
	str	x18, [x16, #RUNQ_HEAD]
	str	x13, [x18, #TH_NEXT]
	str	xzr, [x18, #TH_PREV]
	cbnz	x13, 1f
	str	x18, [x16, #RUNQ_TAIL]
2:	mov	w13, #STATE_RUNNING
	str	w13, [x21, #TH_STATE]
	str	w27, [x6, #RUNQ_RUNNING]
	adrp	x13, sched_state
	ldr	x13, [x13, :lo12:sched_state + SCHED_SLICE_TICKS]
	add	x13, x13, x17
	str	x13, [x22, #PCPU_SLICE_END]
	str	x26, [x22, #PCPU_FAST_KEY]
	str	x21, [x22, #PCPU_CURRENT]
	ldr	x13, [x18, #TH_FPU]
	ldr	x14, [x21, #TH_FPU]
	orr	x15, x13, x14
	cbnz	x15, .Lchange_fpu
3:	pass_on	x1, x3, .Lwake_of_event, x2, x13
4:	pass_on	x6, x8, .Lwake_of_runq, x7, x13
5:	ldr	x13, [x18, #TH_SPACE]
	ldp	x15, x16, [x21, #TH_SPACE]	/* and TH_ROOT */
	cmp	x13, x15
	b.eq	6f
	switch_space el0_other_space
6:	resume

1:	str	x18, [x13, #TH_PREV]	/* others are ready who are as urgent as we */
	b	2b

.Ladd_behind:				/* the slice is over */
	ldr	x13, [x16, #RUNQ_TAIL]
	str	x18, [x16, #RUNQ_TAIL]
	str	xzr, [x18, #TH_NEXT]
	str	x13, [x18, #TH_PREV]
	cbz	x13, 7f
	str	x18, [x13, #TH_NEXT]
	b	2b
7:	str	x18, [x16, #RUNQ_HEAD]
	b	2b

.Lchange_fpu:
	cbz	x13, 8f
	cbz	x14, 9f
	bl	swap_fpu
	b	3b
8:	bl	come_fpu
	b	3b
9:	bl	leave_fpu
	b	3b

.Lwake_of_event:
	wake_waiters
	b	4b
.Lwake_of_runq:
	wake_waiters
	b	5b

	/* As gicv2_ack(), gicv2_disable(), gicv2_eoi(). */
ack_gicv2:
	adrp	x13, gicv2_cpuif
	ldr	x13, [x13, :lo12:gicv2_cpuif]
	ldr	w20, [x13, #GICC_IAR]
	dmb	ld
	b	10b
end_gicv2:
	ldr	w15, [x13]		/* returns after the write has reached it */
	dsb	sy
	adrp	x13, gicv2_cpuif
	ldr	x13, [x13, :lo12:gicv2_cpuif]
	str	w20, [x13, #GICC_EOIR]
	b	11b

	/* The write is on its way. As long as gicv3_disable() waits for it, no longer. */
await_mask:
	mov	w15, #(GIC_POLL_LIMIT & 0xffff)
	movk	w15, #(GIC_POLL_LIMIT >> 16), lsl #16
1:	ldr	w13, [x9]
	tbz	w13, #31, 11b
	subs	w15, w15, #1
	b.ne	1b
	b	11b

unlock_both:
	stlr	x8, [x7]
unlock_event:
	stlr	x3, [x2]
	wake_waiters
	b	el0_irq_slow
