/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/trap.c - what exceptions lead to.
 *
 * THEORY   From SP0 there are interrupts and faults. An interrupt's top half is here, on SPx,
 *          with pinned data only. A translation fault on a kernel address may be *transient*: in
 *          the modes that do not park, another CPU is between break and make. It is told from a
 *          real one by asking the MMU again, after any open window has closed.
 *          Everything else has no way back: trap_fatal().
 */
#include "kern/trap.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/cpu.h"
#include "arch/arm64/gic.h"
#include "kern/machine.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/entry.h"
#include "kern/hold.h"
#include "kern/irq.h"
#include "kern/kdb.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/sched.h"
#include "kern/stop.h"
#include "kern/usercopy.h"
#include "pcpu/recorder.h"
#include "vm/pmap_user.h"

extern char probe_first[], probe_last[], probe_failed[], probe_called[];

static uint32_t timer_intid;

void trap_set_timer(uint32_t intid)
{
	timer_intid = intid;
}

uint32_t irq_timer_intid(void)
{
	return timer_intid;
}

/* Whatever is not the park's or a stop, which record themselves or end all records. */
static void other_interrupt(uint32_t intid, uint64_t pc, struct trap_frame *frame)
{
	struct record *r = rec(REC_IRQ, intid, pc);

	if (intid == SGI_WAKE || intid == SGI_STORM) {
		count(CTR_irq_sgi);
		sched_poke();
	} else if (intid == SGI_SPACE) {
		pmap_leave_retired();
	} else if (intid == timer_intid) {
		count(CTR_irq_timer);
		entry_timer();
	} else if (!kdb_interrupt(intid, pc, frame)) {
		entry_interrupt(intid);
	}
	rec_end(r);
}

void trap_interrupt(uint32_t iar, uint64_t pc, struct trap_frame *frame)
{
	const uint32_t intid = gic_intid(iar);
	struct pcpu *p = pcpu_this();

	if (gic_is_spurious(iar)) {
		count(CTR_irq_spurious);
		return;
	}
	count(CTR_irqs);
	gic_eoi(iar);
	if (intid == SGI_PARK) {
		if (p->irq_drop_parks > 0) {
			p->irq_drop_parks--; /* test `lost`: as if it had never come */
			return;
		}
		if (!park_answer(pc)) {
			count(CTR_park_stale);
		}
	} else if (intid == SGI_STOP) {
		stop_self();
	} else if (intid == SGI_HOLD) {
		hold_here(frame, pc);
	} else {
		other_interrupt(intid, pc, frame);
	}
}

void trap_top_half(uint64_t pc, struct trap_frame *frame)
{
	trap_interrupt(gic_ack(), pc, frame);
}

void trap_irq(struct trap_frame *frame)
{
	struct interrupted was;

	interrupt_begin(&was);
	trap_top_half(frame->elr, frame);
	interrupt_end(&was, (uint64_t)(uintptr_t)trap_irq);
}

/* The walk that failed may have been one of a window, or early (no FEAT_ETS): is it good now? */
static bool fault_is_transient(const struct trap_frame *frame)
{
	const unsigned ec = ESR_EC(frame->esr);
	const unsigned dfsc = ESR_DFSC(frame->esr);
	const va_t far = va(frame->far);
	const bool on_record = inval_changed_lately(far);
	pa_t out;

	if ((ec != ESR_EC_DABT_SAME && ec != ESR_EC_IABT_SAME) || !ESR_DFSC_IS_TRANSLATION(dfsc) ||
	    (frame->esr & ESR_FNV) != 0) {
		return false;
	}
	for (;;) {
		const uint64_t gen = park_generation();

		while (park_window() != 0) {
			ipi_poll();
			cpu_wfe();
		}
		isb();
		if (arch_translate_read(far, &out)) {
			break;
		}
		if (park_generation() == gen) {
			return false; /* no window opened meanwhile: nothing is mapped there */
		}
	}
	count(on_record ? CTR_transient_faults : CTR_spurious_make);
	return true;
}

static bool fault_is_probe(struct trap_frame *frame)
{
	const uint64_t pc = frame->elr;

	if (pc >= (uint64_t)(uintptr_t)probe_first && pc < (uint64_t)(uintptr_t)probe_last) {
		frame->elr = (uint64_t)(uintptr_t)probe_failed;
		return true;
	}
	if (frame->x[30] == (uint64_t)(uintptr_t)probe_called &&
	    ESR_EC(frame->esr) == ESR_EC_IABT_SAME) {
		frame->x[30] = frame->x[9];
		frame->elr = (uint64_t)(uintptr_t)probe_failed;
		return true;
	}
	return false;
}

void trap_sync(struct trap_frame *frame)
{
	struct record *r = rec(REC_FAULT, frame->far, frame->esr);

	r->d = frame->elr;
	if (usercopy_fixup(frame) || fault_is_transient(frame) || fault_is_probe(frame) ||
	    kdb_exception(frame)) {
		rec_end(r);
		return;
	}
	trap_die(frame, TRAP_SP0_SYNC, frame->x[18]);
}
