/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/exception.c - see kern/exception.h.
 */
#include "kern/exception.h"

#include "arch/arm64/sysreg.h"
#include "kern/grow.h"
#include "kern/ipc.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/mem_object.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "vm/fault.h"

static void kill_for(struct thread *t, uint64_t address, uint64_t esr)
{
	log_printf("thread", "thread %llu of task %llu: %s at pc=%#llx address=%#llx: killed",
		   (unsigned long long)t->number, (unsigned long long)t->task->number,
		   trap_ec_name(ESR_EC(esr)), (unsigned long long)t->regs.pc,
		   (unsigned long long)address);
	thread_die(t, esr);
}

/* What a page fault wanted to do: VM_READ, VM_WRITE or VM_EXEC. */
static uint64_t access_of(uint64_t esr)
{
	const unsigned ec = ESR_EC(esr);

	if (ec == ESR_EC_IABT_EL0 || ec == ESR_EC_IABT_SAME) {
		return VM_EXEC;
	}
	return (esr & ESR_WNR) != 0 && (esr & ESR_CM) == 0 ? VM_WRITE : VM_READ;
}

/* The words of the message about t, whose registers are saved (enum exception_word). */
static void put_words(struct thread *t, enum exception_kind kind, uint64_t address, uint64_t esr)
{
	uint64_t *const words = t->ipc.exception;

	words[EXC_WORD_KIND] = kind;
	words[EXC_WORD_THREAD] = t->number;
	words[EXC_WORD_PC] = t->regs.pc;
	words[EXC_WORD_ADDRESS] = address;
	words[EXC_WORD_ESR] = esr;
	words[EXC_WORD_ACCESS] = kind == EXC_PAGE_FAULT ? access_of(esr) : 0;
	words[EXC_WORD_SP] = t->regs.sp;
	words[EXC_WORD_LR] = t->regs.x[30];
}

void exception_raise(struct thread *self, enum exception_kind kind, uint64_t address, uint64_t esr)
{
	struct handle_view handler;

	put_words(self, kind, address, esr);
	if (!task_handler(self->task, &handler) ||
	    ipc_send_exception(self, (struct endpoint *)handler.obj, handler.badge,
			       IPC_FLAG_EXCEPTION) != KERR_OK) {
		kill_for(self, address, esr);
	}
}

/* What the memory system says of a fault that it does not resolve. */
static enum exception_kind kind_of(enum fault_verdict verdict)
{
	switch (verdict) {
	case FAULT_ALIGNMENT:
		return EXC_ALIGNMENT;
	case FAULT_NO_MEMORY:
		return EXC_NO_MEMORY;
	case FAULT_WAIT_PAGER: /* and there is no pager */
	case FAULT_HARDWARE:
	case FAULT_ENDLESS:
		return EXC_HARDWARE;
	default:
		return EXC_PAGE_FAULT;
	}
}

bool exception_page(struct thread *self, uint64_t address, uint64_t esr, bool from_el0)
{
	struct fault_info info;
	const enum fault_verdict verdict = vm_fault(self->task->space, va(address), esr, &info);

	if (verdict == FAULT_RESOLVED) {
		return true;
	}
	if (verdict == FAULT_NO_MEMORY && grow_pinned_when_refused()) {
		return true;
	}
	if (verdict == FAULT_WAIT_PAGER &&
	    pager_ask(self, info.pager, info.offset, info.class.access)) {
		return true;
	}
	if (from_el0) {
		exception_raise(self, kind_of(verdict), address, esr);
	}
	return false;
}

void exception_from_el0(struct thread *self, uint64_t esr, uint64_t far)
{
	switch (ESR_EC(esr)) {
	case ESR_EC_IABT_EL0:
	case ESR_EC_DABT_EL0:
		(void)exception_page(self, (esr & ESR_FNV) != 0 ? 0 : far, esr, true);
		break;
	case ESR_EC_PC_ALIGNMENT:
		exception_raise(self, EXC_ALIGNMENT, far, esr);
		break;
	case ESR_EC_SP_ALIGNMENT:
		exception_raise(self, EXC_ALIGNMENT, self->regs.sp, esr);
		break;
	case ESR_EC_BREAKPOINT_EL0:
	case ESR_EC_WATCHPOINT_EL0:
	case ESR_EC_BRK:
		exception_raise(self, EXC_BREAKPOINT, 0, esr);
		break;
	case ESR_EC_STEP_EL0:
		self->steps = false;
		exception_raise(self, EXC_STEP, 0, esr);
		break;
	default: /* what EL0 may not do, or what is not there: one and the same to it */
		exception_raise(self, EXC_UNDEFINED, 0, esr);
		break;
	}
}
