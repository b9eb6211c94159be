/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick_fault.c - a page fault that the regions refuse, to a handler that waits on this CPU,
 * and the handler's answer.
 *
 * THEORY   Both are messages between two threads of this CPU that are alike, as fast messages are
 *          (arch/arm64/ipc_fast.S), and are handed over in the same way: no run queue, no choice,
 *          the rest of the time slice. What a fault asks besides, whether the access is allowed, is
 *          answered by the regions, which are pinned; so it needs neither the door nor SP0. It is
 *          asked last, when there is a handler: a fault that the memory system will resolve, which
 *          most are, is spared the search as a rule.
 *          Whatever is unusual is seen before anything is changed: a lock that is taken, a handler
 *          that is bound, busy or elsewhere, a thread that is to stop or to step. The slow way then
 *          does the same from the beginning (kern/exception.c, kern/endpoint.c), and records it.
 * LOCKING  LOCK_SPACE, LOCK_TASK, each alone; LOCK_OBJECT of the endpoint, then LOCK_SCHED of this
 *          CPU: tried, none is waited for.
 * SEE      kern/endpoint.c for what each store means.
 */
#include <arch/atomic.h>

#include "kern/entry.h"
#include "kern/exception.h"
#include "kern/handle.h"
#include "kern/ipc_wait.h"
#include "kern/sched_impl.h"
#include "kern/task.h"
#include "vm/fault.h"

#define X_BADGE 9
#define X_INFO 10
#define X_LOST_END 18 /* x11 to x17 are no part of a message */

/*
 * Who receives first there, if it can run instead of self. Without the endpoint's lock that is a
 * hint: threads and endpoints stay what they are while this CPU is in the kernel (kern/reclaim.h).
 */
static always_inline struct thread *receiver_alike(const struct endpoint *ep,
						   const struct thread *self)
{
	struct thread *to = ep->queue.first;

	return to != nullptr && ep->receivers && thread_key_serves(to->key, self->key) ? to
										       : nullptr;
}

/* The run queue locked: self waits for the answer, and `to` runs. */
static always_inline void switch_to_handler(struct pcpu *p, struct thread *self, struct thread *to)
{
	self->ipc.excepted = IPC_FLAG_EXCEPTION;
	self->key = thread_key_slow(self); /* an answer to it is not a message */
	sched_run_instead(p, self, to, THREAD_CALLING);
}

static always_inline void put_message(const struct thread *from, const struct exception *e,
				      uint64_t badge, struct thread *to)
{
	exception_put(from, e, to->regs.x);
	to->regs.x[8] = KERR_OK;
	to->regs.x[X_BADGE] = badge;
	to->regs.x[X_INFO] = IPC_INFO(IPC_WORDS, 0) | IPC_FLAG_EXCEPTION | IPC_FLAG_CALL;
	for (unsigned i = X_INFO + 1; i < X_LOST_END; i++) {
		to->regs.x[i] = 0;
	}
}

/* With the endpoint's lock held: its first receiver runs, and self waits. */
static always_inline struct thread *run_handler(struct thread *self, const struct endpoint *ep)
	__attribute__((no_thread_safety_analysis))
{
	struct pcpu *p = pcpu_this();
	struct thread *to = receiver_alike(ep, self);

	if (to == nullptr || !spin_try_bare(&p->runq->lock)) {
		return nullptr;
	}
	const bool runs = thread_key_serves(to->key, self->key); /* now it stays so */

	if (runs) {
		switch_to_handler(p, self, to);
	}
	spin_unlock_bare(&p->runq->lock);
	return runs ? to : nullptr;
}

struct thread *entry_el0_fault(struct thread *self, uint64_t esr, uint64_t far)
	__attribute__((no_thread_safety_analysis))
{
	const struct exception e = { EXC_PAGE_FAULT, far, esr, exception_access(esr) };
	struct handle_view handler;

	if (e.access == 0 || !ESR_DFSC_IS_OF_ENTRY(ESR_DFSC(esr)) ||
	    !task_peek_handler(self->task, &handler)) {
		return nullptr;
	}
	struct endpoint *ep = (struct endpoint *)handler.obj;

	if (receiver_alike(ep, self) == nullptr ||
	    !fault_is_refused(self->task->space, va(far), (unsigned)e.access) ||
	    !spin_try_bare(&ep->lock)) {
		return nullptr;
	}
	struct thread *to = run_handler(self, ep);

	if (to != nullptr) {
		ipc_queue_remove(&ep->queue, to);
		put_message(self, &e, handler.badge, to);
		self->ipc.held = &to->ipc.own;
		/* Whoever finds us there finds all of the above. */
		store_release(&to->ipc.own.caller, (uint64_t)(uintptr_t)self);
	}
	spin_unlock_bare(&ep->lock);
	return to;
}

/* ---- the way back ---- */

/*
 * The run queue locked: does `caller`, once nothing is expected of it but to go on, run instead of
 * self? Its key is compared as an answer's is, with that of what this CPU says it runs.
 */
static bool goes_on(const struct pcpu *p, struct thread *caller)
{
	const uint64_t excepted = caller->ipc.excepted;

	if (caller->cpu != p->base.cpu) {
		return false; /* another queue's: not to be touched */
	}
	caller->ipc.excepted = 0;
	const uint64_t key = thread_key(caller);

	if (!thread_key_serves(key, p->fast_key)) {
		caller->ipc.excepted = excepted;
		return false;
	}
	caller->key = key;
	return true;
}

static always_inline bool switch_to_caller(struct thread *self, struct thread *caller)
	__attribute__((no_thread_safety_analysis))
{
	struct pcpu *p = pcpu_this();

	if (!spin_try_bare(&p->runq->lock)) {
		return false;
	}
	const bool runs = goes_on(p, caller);

	if (runs) {
		sched_run_instead(p, self, caller, THREAD_RECEIVING);
	}
	spin_unlock_bare(&p->runq->lock);
	return runs;
}

/* With the endpoint's lock held: the caller goes on, and self receives. */
static bool answer(struct thread *self, struct endpoint *ep, struct thread *caller)
{
	if (ep->queue.first != nullptr || kobj_is_dead(&ep->obj) ||
	    !switch_to_caller(self, caller)) {
		return false;
	}
	if (self->regs.x[0] == EXC_SKIP) {
		caller->regs.pc += 4;
	}
	/* Nobody else takes it out: only threads of this CPU would. */
	store_relaxed(&self->ipc.own.caller, 0);
	caller->ipc.held = nullptr;
	self->ipc.slot = &self->ipc.own;
	ep->receivers = true;
	ipc_queue_add(&ep->queue, self, &ep->obj);
	return true;
}

/*
 * By ipc_fast.S, which has seen that the handle is of the table's first page, and that there are no
 * handles, no reply object, no deadline and no bound event.
 */
struct thread *entry_el0_answer(struct thread *self) __attribute__((no_thread_safety_analysis))
{
	const uint64_t *const x = self->regs.x;
	struct thread *caller = (struct thread *)load_acquire(&self->ipc.own.caller);
	struct endpoint *ep = (struct endpoint *)handle_quick(&self->task->handles, x[X_BADGE],
							      KOBJ_ENDPOINT, RIGHT_RECEIVE);

	if (ep == nullptr || caller == nullptr || caller->ipc.excepted != IPC_FLAG_EXCEPTION ||
	    IPC_INFO_WORDS(x[X_INFO]) == 0 || (x[0] != EXC_RESUME && x[0] != EXC_SKIP) ||
	    !spin_try_bare(&ep->lock)) {
		return nullptr;
	}
	const bool done = answer(self, ep, caller);

	spin_unlock_bare(&ep->lock);
	return done ? caller : nullptr;
}
