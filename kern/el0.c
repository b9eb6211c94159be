/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/el0.c - what el0.S calls: exceptions from EL0, and the way back.
 *
 * THEORY   An interrupt from EL0 is served on SPx, before the door: its top half touches pinned
 *          memory only. A call or a fault is served on SP0, past the door, with interrupts on.
 *          Both end in leave(), which chooses who runs next.
 * RULES    R6: whoever fills an invalidation batch holds the lock of its tables until the batch is
 *          flushed (IB2), so no lock held means that nothing is owed.
 */
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <gen/call_nr.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/el0.h"
#include "arch/arm64/sysreg.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/call.h"
#include "kern/entry.h"
#include "kern/exception.h"
#include "kern/fpu.h"
#include "kern/lock.h"
#include "kern/reclaim.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/trap.h"
#include "pcpu/recorder.h"

static_assert(offsetof(struct pcpu, current) == PCPU_CURRENT);
static_assert(offsetof(struct pcpu, quiet) == PCPU_QUIET);
static_assert(offsetof(struct pcpu, sp0_base) == PCPU_SP0_BASE);
static_assert(offsetof(struct pcpu, host_sp) == PCPU_HOST_SP);
static_assert(CALL_NULL == NR_NULL && CALL_IPC_CALL == NR_IPC_CALL);
static_assert(CALL_IPC_REPLY_RECV == NR_IPC_REPLY_RECV && CALL_IPC_RECV == NR_IPC_RECV);
static_assert(ESR_EC_SVC64 == EC_SVC64);
static_assert(offsetof(struct thread, regs) == TH_REGS);
static_assert(offsetof(struct thread, regs.sp) == TH_SP);
static_assert(offsetof(struct thread, regs.pc) == TH_PC);
static_assert(offsetof(struct thread, regs.pstate) == TH_PSTATE);
static_assert(offsetof(struct thread, regs.tls) == TH_TLS);

#define RECLAIM_STEPS 4

/* Masked, on SPx: the thread to resume, before the door; nullptr: the kernel program goes on. */
static struct thread *leave(void)
{
	KASSERT(this_cpu()->lock_count == 0); /* R6 */
	struct thread *next = sched_next();

	if (next != nullptr) {
		write_sysreg(ttbr0_el1, next->task->ttbr0);
		isb();
		reclaim_quiet();
	} else if (pcpu_mailbox(pcpu_this())->door != DOOR_KERNEL) {
		door_enter();
	}
	irq_unmask();
	KASSERT(this_cpu()->mask_depth == 0);
	return next;
}

struct thread *entry_el0_exit(void)
{
	irq_mask();
	return leave();
}

struct thread *entry_el0_irq(struct thread *t)
{
	irq_mask();
	trap_top_half(t->regs.pc, nullptr);
	return leave();
}

struct thread *entry_el0_aarch32(struct thread *t)
{
	irq_mask();
	thread_die(t, read_sysreg(esr_el1));
	return leave();
}

void entry_el0_sync(struct thread *t, uint64_t esr, uint64_t far)
{
	struct record *r = rec(REC_FAULT, far, esr);

	r->d = t->regs.pc;
	switch (ESR_EC(esr)) {
	case ESR_EC_SVC64:
		call_dispatch(t, esr);
		break;
	case ESR_EC_WFX:
		t->regs.pc += 4; /* who waits for an event gives the CPU away */
		sched_yield();
		break;
	case ESR_EC_FP:
		if (fpu_first_use(t)) {
			break;
		}
		exception_raise(t, EXC_NO_MEMORY, 0, esr);
		break;
	default:
		exception_from_el0(t, esr, far);
		break;
	}
	rec_end(r);
	if (reclaim_pending()) {
		reclaim_poll(RECLAIM_STEPS);
	}
	KASSERT(pcpu_stacks_intact(pcpu_this()));
}
