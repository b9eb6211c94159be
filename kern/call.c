/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call.c - see kern/call.h.
 */
#include "kern/call.h"

#include <gen/call_args.h>

#include "arch/arm64/sysreg.h"
#include "kern/exception.h"
#include "kern/grow.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "pcpu/pcpu.h"
#include "vm/space.h"

#define X_CALL 8 /* in: the number; out: the error */
#define SVC_BYTES 4

/*
 * A page that the call copies from or to was missing: is it there now, or asked for? Then the call
 * is made anew. Its registers say so before the pager is asked: from then on self waits, and others
 * may read and write them.
 */
static bool again_when_page_came(struct thread *self)
{
	const struct user_fault fault = pcpu_this()->user_fault;

	self->regs.pc -= SVC_BYTES;
	if (fault.esr != 0 && exception_page(self, fault.va, fault.esr, false)) {
		return true;
	}
	self->regs.pc += SVC_BYTES;
	return false;
}

static void finish(struct thread *self, const struct call_entry *call, enum kerr e,
		   const struct call_result *r)
{
	self->regs.x[X_CALL] = (uint64_t)e;
	for (unsigned i = 0; e == KERR_OK && i < call->results; i++) {
		self->regs.x[i] = r->x[i];
	}
}

void call_dispatch(struct thread *self, uint64_t esr)
{
	const uint64_t number = self->regs.x[X_CALL];
	const struct call_entry *call = number < CALL_LIMIT ? &call_table[number] : nullptr;
	struct call_result r = { 0 };

	if (ESR_ISS(esr) != 0 || call == nullptr || call->run == nullptr) {
		self->regs.pc -= SVC_BYTES;
		exception_raise(self, EXC_UNKNOWN_CALL, number, esr);
		return;
	}
	const uint64_t held = budget_meter();
	const enum kerr e = call->run(self, self->regs.x, &r);

	if (thread_this() != self || self->state != THREAD_RUNNING) {
		return; /* another one runs; or it waits, or is dead */
	}
	budget_bill(&self->task->space->budget, held);
	if (e == KERR_FAULT && again_when_page_came(self)) {
		return;
	}
	if (r.again || (e == KERR_NO_MEMORY && grow_pinned_when_refused())) {
		self->regs.pc -= SVC_BYTES;
		return;
	}
	finish(self, call, e, &r);
}
