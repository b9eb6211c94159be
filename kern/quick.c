/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick.c - event_signal, event_wait, irq_ack and thread_yield where nothing is in the way.
 *
 * THEORY   What passes the door and runs on SP0 saves all registers, records itself, and measures
 *          every lock that it takes: some 300 instructions before anything is done. These calls
 *          are short and touch pinned memory only. So they run on SPx, before the door, as fast
 *          messages do, and take their locks only if they are free (spin_try_bare()). Whatever is
 *          unusual, a waiter with a deadline, a binding, another CPU, ends in the slow call, which
 *          begins anew: up to there nothing has changed. Of signals and yields quick_fast.S has
 *          done those where even less is unusual before this is asked.
 * RULES    Nothing is reclaimed here, so what waits for that is a reason to be slow: a program that
 *          does nothing but quick calls cannot keep memory from being freed.
 * LOCKING  LOCK_OBJECT, then LOCK_SCHED of this CPU: both tried, neither waited for; but who begins
 *          to wait takes the second as ever.
 */
#include <arch/atomic.h>

#include "kern/entry.h"
#include "kern/event.h"
#include "kern/irq_object.h"
#include "kern/quick.h"
#include "kern/reclaim.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "pcpu/pcpu.h"
#include "vm/pmap_user.h"

uint64_t entry_el0_signal(struct thread *self)
{
	const uint64_t bits = self->regs.x[1];
	struct event *ev = (struct event *)handle_quick(&self->task->handles, self->regs.x[0],
							KOBJ_EVENT, RIGHT_WRITE);

	if (ev == nullptr || reclaim_pending() || !event_signal_quick(ev, bits)) {
		return QUICK_SLOW;
	}
	self->regs.x[8] = KERR_OK;
	if (load_relaxed(&pcpu_this()->resched) != 0) {
		return QUICK_LEAVE;
	}
	reclaim_quiet();
	return QUICK_DONE;
}

/* Of a quick call that is done: does the CPU look for another thread? */
static uint64_t done(void)
{
	return load_relaxed(&pcpu_this()->resched) != 0 ? QUICK_LEAVE : QUICK_DONE;
}

uint64_t entry_el0_wait(struct thread *self)
{
	struct event *ev = (struct event *)handle_quick(&self->task->handles, self->regs.x[0],
							KOBJ_EVENT, RIGHT_READ);

	return ev == nullptr || reclaim_pending() || !event_wait_quick(self, ev) ? QUICK_SLOW
										 : done();
}

uint64_t entry_el0_ack(struct thread *self)
{
	const struct irq_object *irq = (struct irq_object *)handle_quick(
		&self->task->handles, self->regs.x[0], KOBJ_IRQ, RIGHT_MANAGE);

	if (irq == nullptr || reclaim_pending()) {
		return QUICK_SLOW;
	}
	self->regs.x[8] = (uint64_t)irq_object_ack(irq);
	return done();
}

uint64_t entry_el0_signal_rest(const struct thread *woken, struct event *ev)
{
	if (woken != nullptr) {
		sched_announce(woken);
	} else {
		event_wake_newly_bound(ev);
	}
	return done();
}

struct thread *entry_el0_yield(struct thread *self)
{
	struct thread *next = reclaim_pending() ? nullptr : sched_yield_quick(self);

	if (next != nullptr) {
		self->regs.x[8] = KERR_OK;
		pmap_activate(next->task->pmap);
		reclaim_quiet();
	}
	return next;
}
