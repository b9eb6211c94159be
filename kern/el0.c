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
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <gen/call_nr.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/el0.h"
#include "arch/arm64/fpu.h"
#include "arch/arm64/sysreg.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/call.h"
#include "kern/entry.h"
#include "kern/event.h"
#include "kern/exception.h"
#include "kern/fpu.h"
#include "kern/grow.h"
#include "kern/ipc.h"
#include "kern/irq_object.h"
#include "kern/lock.h"
#include "kern/reclaim.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/trap.h"
#include "pcpu/recorder.h"
#include "vm/asid.h"
#include "vm/pmap_user.h"
#include "vm/region.h"
#include "vm/space.h"

static_assert(offsetof(struct pcpu, current) == PCPU_CURRENT);
static_assert(offsetof(struct pcpu, quiet) == PCPU_QUIET);
static_assert(offsetof(struct pcpu, sp0_base) == PCPU_SP0_BASE);
static_assert(offsetof(struct pcpu, host_sp) == PCPU_HOST_SP);
static_assert(CALL_NULL == NR_NULL && CALL_IPC_CALL == NR_IPC_CALL);
static_assert(CALL_THREAD_YIELD == NR_THREAD_YIELD && CALL_EVENT_SIGNAL == NR_EVENT_SIGNAL);
static_assert(CALL_EVENT_WAIT == NR_EVENT_WAIT && CALL_IRQ_ACK == NR_IRQ_ACK);
static_assert(CALL_IPC_REPLY_RECV == NR_IPC_REPLY_RECV && CALL_IPC_RECV == NR_IPC_RECV);
static_assert(CALL_IPC_SEND == NR_IPC_RECV + 1 && CALL_IPC_REPLY == NR_IPC_RECV + 2);
static_assert(ESR_EC_SVC64 == EC_SVC64);
static_assert(offsetof(struct thread, regs) == TH_REGS);
static_assert(offsetof(struct thread, regs.sp) == TH_SP);
static_assert(offsetof(struct thread, regs.pc) == TH_PC);
static_assert(offsetof(struct thread, regs.pstate) == TH_PSTATE);
static_assert(offsetof(struct thread, regs.tls) == TH_TLS);

/* ipc_fast.S */
static_assert(offsetof(struct pcpu, fast_key) == PCPU_FAST_KEY);
static_assert(offsetof(struct thread, key) == TH_KEY);
static_assert(offsetof(struct thread, task) == TH_TASK);
static_assert(offsetof(struct thread, state) == TH_STATE);
static_assert(offsetof(struct thread, fpu) == TH_FPU);
static_assert(THREAD_KEY_FPU == 1 << KEY_FPU_BIT);
static_assert(offsetof(struct thread, ipc.wait_obj) == TH_IPC_WAIT);
static_assert(offsetof(struct thread, ipc.next) == TH_IPC_NEXT);
static_assert(offsetof(struct thread, ipc.prev) == TH_IPC_NEXT + 8 &&
	      TH_IPC_PREV == TH_IPC_NEXT + 8);
static_assert(offsetof(struct thread, place.run_end) == TH_RUN_END);
static_assert(offsetof(struct thread, ipc.own.caller) == TH_IPC_OWN);
static_assert(offsetof(struct thread, ipc.slot) == TH_IPC_SLOT);
static_assert(offsetof(struct thread, ipc.held) == TH_IPC_HELD);
static_assert(offsetof(struct thread, ipc.bound) == TH_IPC_BOUND);
static_assert(offsetof(struct thread, ipc.excepted) == TH_IPC_EXCEPTED);
static_assert(offsetof(struct task, handles.page) == TASK_HANDLES);
static_assert(offsetof(struct thread, space) == TH_SPACE && TH_ROOT == TH_SPACE + 8);
static_assert(offsetof(struct thread, root) == TH_ROOT);
static_assert(offsetof(struct thread, zeros) == TH_ZEROS);
static_assert(offsetof(struct park_space, window) == 0 && offsetof(struct park_space, asid) == 8);
static_assert(offsetof(struct pcpu, asid_active) == PCPU_ASID_ACTIVE);
static_assert(offsetof(struct pcpu, space_word) == PCPU_SPACE &&
	      PCPU_ASID_ACTIVE == PCPU_SPACE + 8);
static_assert(offsetof(struct mailbox, loaded) == offsetof(struct mailbox, space) + 8);
static_assert(ASID_NUMBER_BITS == 16);
static_assert(offsetof(struct endpoint, lock.next) == EP_LOCK);
static_assert(offsetof(struct endpoint, lock.serving) == EP_LOCK + 8);
static_assert(offsetof(struct endpoint, queue.first) == EP_FIRST);
static_assert(offsetof(struct endpoint, queue.last) == EP_FIRST + 8 && EP_LAST == EP_FIRST + 8);
static_assert(offsetof(struct endpoint, receivers) == EP_RECEIVERS);
static_assert(offsetof(struct endpoint, obj.dead) == KOBJ_DEAD);
static_assert(sizeof(struct handle_slot) == 1 << HANDLE_SLOT_SHIFT);
static_assert(offsetof(struct handle_slot, word) == 0 && offsetof(struct handle_slot, obj) == 8);
static_assert(offsetof(struct handle_slot, badge) == 16);
static_assert(HANDLE_PAGE_SLOTS == 0x80); /* a handle's index and 0xff80 */
static_assert(HANDLE_PAGES == TABLE_PAGES);
static_assert(KOBJ_ENDPOINT == TYPE_ENDPOINT);
static_assert(RIGHT_SEND == 1 << RIGHT_SEND_BIT && RIGHT_RECEIVE == 1 << RIGHT_RECEIVE_BIT);
static_assert(THREAD_RUNNING == STATE_RUNNING && THREAD_RECEIVING == STATE_RECEIVING);
static_assert(THREAD_CALLING == STATE_CALLING && sizeof(enum thread_state) == 4);
static_assert(IPC_FLAG_CALL == INFO_CALL && IPC_WORDS == 8);

/* irq_fast.S */
static_assert(offsetof(struct pcpu, steps_el0) == PCPU_FLAGS && PCPU_RESCHED == PCPU_FLAGS + 8);
static_assert(offsetof(struct pcpu, idle_work) == PCPU_FLAGS + 1);
static_assert(offsetof(struct pcpu, gicv2) == PCPU_FLAGS + FLAG_GICV2_BIT / 8);
static_assert(offsetof(struct pcpu, counter[CTR_irqs]) == PCPU_IRQS);
static_assert(offsetof(struct thread, priority) == TH_PRIORITY);
static_assert(offsetof(struct thread, base_priority) == TH_BASE_PRIORITY);
static_assert(offsetof(struct irq_object, event) == IRQ_EVENT);
static_assert(offsetof(struct irq_object, bits) == IRQ_BITS);
static_assert(offsetof(struct irq_object, line.disable) == IRQ_LINE);
static_assert(offsetof(struct irq_object, line.bit) == IRQ_LINE + 8);
static_assert(offsetof(struct irq_object, line.ctlr) == IRQ_LINE_CTLR);
static_assert(IAR_INTID == IRQ_NUMBERS - 1);

/* quick_fast.S; of run queues, in sched_cpu.c */
static_assert(offsetof(struct pcpu, runq) == PCPU_RUNQ);
static_assert(offsetof(struct pcpu, base.cpu) == PCPU_CPU);
static_assert(offsetof(struct pcpu, resched) == PCPU_RESCHED);
static_assert(offsetof(struct pcpu, slice_end) == PCPU_SLICE_END);
static_assert(offsetof(struct pcpu, timer_deadline) == PCPU_TIMER);
static_assert(offsetof(struct thread, ipc.event_bits) == TH_IPC_EVENT_BITS);
static_assert(offsetof(struct thread, queued) == TH_QUEUED);
static_assert(offsetof(struct thread, not_plain) == TH_NOT_PLAIN);
static_assert(offsetof(struct thread, affinity) == TH_AFFINITY);
static_assert(offsetof(struct thread, next) == TH_NEXT && offsetof(struct thread, prev) == TH_PREV);
static_assert(offsetof(struct thread, slice_left) == TH_SLICE_LEFT);
static_assert(offsetof(struct event, lock.next) == EV_LOCK);
static_assert(offsetof(struct event, lock.serving) == EV_LOCK + 8);
static_assert(offsetof(struct event, bits) == EV_BITS && EV_FIRST == EV_BITS + 8);
static_assert(offsetof(struct event, queue.first) == EV_FIRST);
static_assert(offsetof(struct event, queue.last) == EV_FIRST + 8);
static_assert(offsetof(struct event, bound) == EV_BOUND);
static_assert(KOBJ_EVENT == TYPE_EVENT && RIGHT_WRITE == 1 << RIGHT_WRITE_BIT);
static_assert(THREAD_PRIORITIES == 64 && KERR_OK == 0); /* what a key's low bits hold */

/* fault_fast.S */
static_assert(offsetof(struct pcpu, counter[CTR_faults]) == PCPU_FAULTS);
static_assert(offsetof(struct thread, number) == TH_NUMBER);
static_assert(offsetof(struct task, handler.obj) == TASK_HANDLER);
static_assert(offsetof(struct task, handler.badge) == TASK_HANDLER_BADGE);
static_assert(offsetof(struct task, handler_changes) == TASK_HANDLER_CHANGES);
static_assert(offsetof(struct task, space) == TASK_SPACE);
static_assert(offsetof(struct space, lock.next) == SPACE_LOCK);
static_assert(offsetof(struct spinlock, serving) == offsetof(struct spinlock, next) + 8);
static_assert(offsetof(struct space, tree.by_address.root) == SPACE_ROOT);
static_assert(offsetof(struct region, node) == 0);
static_assert(offsetof(struct avl_node, left) == 0 && offsetof(struct avl_node, right) == 8);
static_assert(offsetof(struct region, base) == REGION_BASE);
static_assert(offsetof(struct region, size) == REGION_BASE + 8);
static_assert(offsetof(struct region, object) == REGION_OBJECT);
static_assert(offsetof(struct region, prot) == REGION_PROT);
static_assert(offsetof(struct region, dying) == REGION_DYING);
static_assert(VM_READ == ACCESS_READ && VM_WRITE == ACCESS_WRITE && VM_EXEC == ACCESS_EXEC);
static_assert(EXC_PAGE_FAULT == KIND_PAGE_FAULT);
static_assert(EXC_RESUME == ANSWER_RESUME && EXC_SKIP == ANSWER_SKIP);
static_assert(EXC_WORD_KIND == 0 && EXC_WORD_THREAD == 1 && EXC_WORD_PC == 2);
static_assert(EXC_WORD_ADDRESS == 3 && EXC_WORD_ESR == 4 && EXC_WORD_ACCESS == 5);
static_assert(EXC_WORD_SP == 6 && EXC_WORD_LR == 7);
static_assert(IPC_FLAG_EXCEPTION == INFO_EXCEPTION);
static_assert(THREAD_KEY_EXCEPTED >> KEY_EXCEPTED_BIT == 1);
static_assert(THREAD_KEY_SLOW >> KEY_SLOW_BIT == 1);
static_assert(THREAD_KEY_NUMBER_SHIFT == KEY_NUMBER_SHIFT);
static_assert(ESR_EC_IABT_EL0 == EC_IABT && ESR_EC_DABT_EL0 == EC_DABT);
static_assert(ESR_WNR == ISS_WNR && ESR_CM == ISS_CM);
static_assert(CPACR_FPEN_EL1 == CPACR_EL0_TRAPS && CPACR_FPEN_ALL == CPACR_EL0_MAY);

#define RECLAIM_STEPS 4

/*
 * Masked, on SPx: the thread to resume, before the door; nullptr: the kernel program goes on.
 * If nobody has asked this CPU to look for another thread the same one goes on. Everything that
 * asks sets `resched`, another CPU before its interrupt: what is set after the look is seen by the
 * interrupt that then comes.
 */
static struct thread *choose(struct pcpu *p, bool asked)
{
	struct thread *next = p->current;

	KASSERT(p->base.lock_count == 0); /* R6 */
	if (asked) {
		next = sched_next();
	} else if (pcpu_mailbox(p)->door == DOOR_KERNEL) {
		door_leave(DOOR_EL0);
	}
	if (next != nullptr) {
		pmap_activate(next->task->pmap);
		reclaim_quiet();
		return next;
	}
	pmap_activate(nullptr);
	if (pcpu_mailbox(p)->door != DOOR_KERNEL) {
		door_enter();
	}
	return nullptr;
}

/* One look, which also says whether the stretch is measured: sched_next() is masked. */
static bool is_asked(const struct pcpu *p)
{
	return load_relaxed(&p->resched) != 0 || p->current == nullptr;
}

/* What is short because nobody asked for anything is not measured. */
static struct thread *leave(void)
{
	struct pcpu *p = pcpu_this();

	KASSERT(p->base.mask_depth == 0);
	if (!is_asked(p)) {
		return choose(p, false);
	}
	irq_mask();
	struct thread *next = choose(p, true);

	irq_unmask();
	return next;
}

struct thread *entry_el0_exit(void)
{
	return leave();
}

void entry_el0_no_space(void)
{
	irq_mask();
	pmap_activate(nullptr);
	irq_unmask();
}

struct thread *interrupt_from_el0(const struct thread *t, uint32_t iar)
{
	struct pcpu *p = pcpu_this();

	irq_mask();
	trap_interrupt(iar, t->regs.pc, nullptr);
	struct thread *next = choose(p, is_asked(p));

	irq_unmask();
	return next;
}

struct thread *entry_el0_aarch32(struct thread *t)
{
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
		if (fpu_first_use(t) || grow_pinned_when_refused()) {
			break;
		}
		exception_raise(t, EXC_NO_MEMORY, 0, esr);
		break;
	default:
		exception_from_el0(t, esr, far);
		break;
	}
	rec_end(r);
	(void)grow_pinned_if_low();
	if (reclaim_pending()) {
		reclaim_poll_until(RECLAIM_STEPS, &pcpu_this()->resched);
	}
	KASSERT(pcpu_stack_untouched(pcpu_this()));
}
