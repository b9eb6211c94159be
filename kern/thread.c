/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/thread.c - creating threads, and their end. See kern/thread.h.
 *
 * INVARIANTS
 *   TH1  A thread that is not DEAD holds a reference on itself, and one on its task.
 *   TH2  REQUEST_LISTED is set exactly while the thread is on a CPU's list, which holds a
 *        reference.
 */
#include "kern/thread.h"

#include <arch/atomic.h>
#include <arch/cpu.h>
#include <arch/user.h>

#include "arch/arm64/sysreg.h"
#include "kern/assert.h"
#include "kern/fpu.h"
#include "kern/ipc_wait.h"
#include "kern/sched_impl.h"
#include "kern/task.h"
#include "pcpu/slab.h"
#include "vm/pmap.h"

static struct slab_class threads = SLAB_CLASS("thread", struct thread);
static uint64_t alive_count; /* [a] */
static uint64_t last_number; /* [a] */

#define THREAD_OF(kobj) ((struct thread *)(void *)(kobj)) /* obj is first */

static enum kobj_end thread_end(struct kobj *obj)
{
	struct thread *t = THREAD_OF(obj);
	struct task *task = t->task;

	KASSERT(t->state == THREAD_DEAD);
	fpu_free(t);
	slab_free(&threads, t, obj->payer);
	kobj_put(&task->obj);
	return END_GONE;
}

/* The handle that destroys a thread kills it. */
static bool thread_revoke(struct kobj *obj)
{
	thread_ask(THREAD_OF(obj), REQUEST_KILL);
	return true;
}

static const struct kobj_ops thread_ops = {
	.type = KOBJ_THREAD,
	.revoke = thread_revoke,
	.end = thread_end,
};

enum kerr thread_create(struct task *task, const struct thread_start *how, struct thread **out)
{
	if (how->priority >= THREAD_PRIORITIES || how->affinity == 0) {
		return KERR_INVALID;
	}
	struct thread *t = slab_alloc(&threads, &task->charge);

	if (t == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&t->obj, &thread_ops, &task->charge);
	t->number = fetch_add_relaxed(&last_number, 1) + 1;
	t->regs.pc = how->pc;
	t->regs.sp = how->sp;
	t->regs.x[0] = how->arg;
	t->state = THREAD_STOPPED;
	t->priority = how->priority;
	t->base_priority = how->priority;
	t->affinity = how->affinity;
	t->cpu = (how->affinity >> cpu_number() & 1) != 0
			 ? cpu_number()
			 : (uint32_t)__builtin_ctzll(how->affinity);
	t->task = task;
	t->space = &task->pmap->space;
	t->root = task->root;
	const bool exists = kobj_get(&task->obj);

	if (!exists || !task_add(task, t)) {
		slab_free(&threads, t, &task->charge);
		if (exists) {
			kobj_put(&task->obj);
		}
		return KERR_DEAD;
	}
	fetch_add_relaxed(&alive_count, 1);
	*out = t;
	return KERR_OK;
}

enum kerr thread_start(struct thread *t, const struct thread_start *how)
{
	struct runq *q = sched_lock_queue_of(t);

	if (t->state != THREAD_STOPPED) {
		const bool dead = t->state == THREAD_DEAD;

		sched_unlock(q);
		return dead ? KERR_DEAD : KERR_BUSY;
	}
	if (how != nullptr) {
		t->regs.pc = how->pc;
		t->regs.sp = how->sp;
		t->regs.x[0] = how->arg;
		t->regs.tls = how->tls;
	}
	sched_ready_unlock(q, t);
	return KERR_OK;
}

enum kerr thread_read_regs(struct thread *t, struct thread_regs *out)
{
	struct runq *q = sched_lock_queue_of(t);
	const enum kerr e = t->state == THREAD_DEAD                         ? KERR_DEAD
			    : t->state == THREAD_STOPPED || thread_waits(t) ? KERR_OK
									    : KERR_BUSY;

	if (e == KERR_OK) {
		*out = t->regs;
	}
	sched_unlock(q);
	return e;
}

enum kerr thread_write_regs(struct thread *t, const struct thread_regs *regs)
{
	struct runq *q = sched_lock_queue_of(t);
	const bool faulted = thread_waits(t) && t->ipc.excepted;
	const enum kerr e = t->state == THREAD_DEAD                 ? KERR_DEAD
			    : t->state == THREAD_STOPPED || faulted ? KERR_OK
								    : KERR_BUSY;

	if (e == KERR_OK) {
		t->regs = *regs;
		t->regs.pstate &= SPSR_EL0_MAY;
		t->steps = (regs->pstate & SPSR_SS) != 0;
	}
	sched_unlock(q);
	return e;
}

/* Onto the list of t's CPU, if it is on none. True: the list has a use for the reference. */
static bool list_request(struct thread *t, uint64_t what)
{
	const uint64_t before =
		__atomic_fetch_or(&t->requests, what | REQUEST_LISTED, __ATOMIC_ACQ_REL);

	if ((before & REQUEST_LISTED) != 0) {
		return false;
	}
	sched_ask(t);
	return true;
}

void thread_ask(struct thread *t, enum thread_request request)
{
	if (kobj_get(&t->obj) && !list_request(t, (uint64_t)request)) {
		kobj_put(&t->obj);
	}
}

/* Does it wait for nothing but a message, an answer, or a signal? */
static bool waits_plainly(const struct thread *t)
{
	return (t->state == THREAD_RECEIVING || t->state == THREAD_CALLING ||
		t->state == THREAD_EVENT_WAIT) &&
	       t->ipc.due == DEADLINE_NONE && t->ipc.slot_object == nullptr;
}

uint64_t thread_key(const struct thread *t)
{
	const bool waits = thread_waits(t);
	const bool slow = t->not_plain != 0 || t->priority != t->base_priority ||
			  (t->affinity >> t->cpu & 1) == 0 || (waits && !waits_plainly(t)) ||
			  arch_predictor_forgets();

	if (slow) {
		return thread_key_slow(t);
	}
	return (uint64_t)t->cpu << 32 | (t->fpu != nullptr ? THREAD_KEY_FPU : 0) |
	       (waits && t->ipc.excepted != 0 ? THREAD_KEY_EXCEPTED : 0) | t->priority;
}

/* No thread is left: kernel programs that gave their CPU for so long look again. */
static void poke_all(void)
{
	for (uint64_t scan = sched_cpus(); scan != 0; scan &= scan - 1) {
		sched_poke_cpu((unsigned)__builtin_ctzll(scan));
	}
}

/* It is DEAD, in no queue, and this CPU's. What hangs on it goes with its last reference. */
static void bury(struct thread *t)
{
	timerq_cancel(&t->deadline);
	ipc_thread_end(t);
	task_remove(t->task, t);
	if (fetch_add_relaxed(&alive_count, UINT64_MAX) == 1) {
		poke_all();
	}
	kobj_put(&t->obj);
}

uint64_t thread_alive_count(void)
{
	return load_acquire(&alive_count);
}

void thread_die(struct thread *self, uint64_t reason)
{
	struct runq *q = sched_lock_queue_of(self);

	KASSERT(self == pcpu_this()->current);
	KASSERT(self->state == THREAD_RUNNING);
	self->exit_reason = reason;
	self->state = THREAD_DEAD;
	sched_unlock(q);
	sched_poke();
	bury(self);
}

/* What becomes of t, whose queue is locked. False: it waits, and must be taken out first. */
static bool obey_locked(struct runq *q, struct thread *t, uint64_t what)
{
	const bool kill = (what & REQUEST_KILL) != 0;

	if ((what & (REQUEST_STOP | REQUEST_KILL)) == 0 || t->state == THREAD_DEAD ||
	    (t->state == THREAD_STOPPED && !kill)) {
		return true;
	}
	if (thread_waits(t)) {
		t->stop_pending = true;
		t->kill_pending = t->kill_pending || kill;
		t->key = thread_key(t);
		return !kill && t->ipc.excepted;
	}
	if (t->queued) {
		runq_remove(q, t);
	}
	if (t->state == THREAD_RUNNING) {
		sched_poke();
	}
	t->state = kill ? THREAD_DEAD : THREAD_STOPPED;
	return true;
}

void thread_serve_request(struct thread *t)
{
	const uint64_t what = __atomic_exchange_n(&t->requests, 0, __ATOMIC_ACQ_REL);
	struct runq *q = sched_lock_queue_of(t);
	const bool mine = t->cpu == cpu_number();
	bool dies = false;
	bool waits = false;

	if (mine) {
		const bool was_dead = t->state == THREAD_DEAD;

		waits = !obey_locked(q, t, what);
		dies = t->state == THREAD_DEAD && !was_dead;
	}
	sched_unlock(q);
	if (waits) {
		/* If somebody else ends the wait, thread_wake() asks again. */
		(void)ipc_cancel(t, KERR_CANCELLED);
	}
	if (mine && (what & REQUEST_EVENT) != 0) {
		ipc_wake_bound(t);
	}
	if (!mine && list_request(t, what)) {
		return;
	}
	if (dies) {
		bury(t);
	}
	kobj_put(&t->obj);
}

void thread_exception_reply(struct thread *t, const uint64_t *words, unsigned count)
{
	const uint64_t verdict = count > 0 ? words[0] : EXC_KILL;

	if (verdict == EXC_SKIP) {
		t->regs.pc += 4;
	} else if (verdict != EXC_RESUME) {
		sched_condemn(t);
	}
	thread_resume(t);
}
