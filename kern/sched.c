/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/sched.c - run queues, and what a CPU does next. See kern/sched.h.
 */
#include "kern/sched.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>
#include <compiler.h>

#include "kern/assert.h"
#include "kern/fpu.h"
#include "kern/lock.h"
#include "kern/runq.h"
#include "kern/sched_impl.h"
#include "pcpu/pcpu.h"
#include "pcpu/recorder.h"

struct sched_state sched_state;

void sched_init(uint64_t counter_hz)
{
	sched_state.slice_ticks = counter_hz / 1000 * SCHED_SLICE_MS;
}

uint64_t sched_cpus(void)
{
	return load_acquire(&sched_state.giving);
}

struct thread *thread_this(void)
{
	return pcpu_this()->current;
}

struct runq *sched_lock_queue_of(struct thread *t) __attribute__((no_thread_safety_analysis))
{
	for (;;) {
		const uint32_t cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
		struct runq *q = runq_of(cpu);

		spin_lock(&q->lock);
		if (t->cpu == cpu) {
			return q;
		}
		spin_unlock(&q->lock);
	}
}

void sched_unlock(struct runq *q) __attribute__((no_thread_safety_analysis))
{
	spin_unlock(&q->lock);
}

void sched_poke_cpu(unsigned cpu)
{
	store_release(&pcpu_of(cpu)->resched, 1);
	if (cpu != cpu_number()) {
		dsb_ishst();
		arch_ipi_send(SGI_WAKE, CPU_BIT(cpu));
	}
}

void sched_poke(void)
{
	store_relaxed(&pcpu_this()->resched, 1);
}

/*
 * t was put into the queue of `cpu`, which runs something of priority `running`. If it has to wait
 * there, an idle CPU that may take it is woken; else that CPU is interrupted, when t is to preempt
 * what runs there or gives it a time slice.
 */
static void announce(const struct thread *t, unsigned cpu, int running)
{
	const uint64_t idlers = load_seq_cst(&sched_state.idle) & t->affinity;

	if ((int)t->priority <= running && idlers != 0 && (idlers & CPU_BIT(cpu)) == 0) {
		sched_poke_cpu((unsigned)__builtin_ctzll(idlers));
	} else if ((int)t->priority >= running || idlers != 0) {
		sched_poke_cpu(cpu);
	}
}

/* A CPU for a thread that cannot stay where it is. */
static unsigned choose_cpu(const struct thread *t)
{
	const uint64_t may = t->affinity & sched_cpus();
	const uint64_t idlers = may & load_seq_cst(&sched_state.idle);
	const uint64_t from = idlers != 0 ? idlers : may != 0 ? may : t->affinity;

	return (unsigned)__builtin_ctzll(from);
}

void sched_ready_unlock(struct runq *q, struct thread *t) __attribute__((no_thread_safety_analysis))
{
	const bool held = pcpu_of(t->cpu)->current ==
			  t; /* SQ2: it is saved when that one lets go */

	t->state = THREAD_READY;
	if ((t->affinity & CPU_BIT(t->cpu)) == 0 && !held) {
		t->cpu = choose_cpu(t);
		sched_unlock(q);
		q = sched_lock_queue_of(t);
		if (t->state != THREAD_READY || t->queued) {
			sched_unlock(q); /* meanwhile it was killed, or moved on */
			return;
		}
	}
	const unsigned cpu = t->cpu;
	const int running = q->running;

	runq_add(q, t, false);
	sched_unlock(q);
	announce(t, cpu, running);
}

void thread_block(struct thread *self, enum thread_state why)
{
	struct runq *q = sched_lock_queue_of(self);

	KASSERT(self == pcpu_this()->current);
	KASSERT(self->state == THREAD_RUNNING);
	self->state = why;
	self->key = thread_key(self);
	sched_unlock(q);
	sched_poke();
}

bool sched_hand_over(struct thread *self, struct thread *to, enum thread_state why)
	__attribute__((no_thread_safety_analysis))
{
	struct pcpu *p = pcpu_this();
	struct runq *q = runq_of(p->base.cpu);

	if (!spin_try_bare(&q->lock)) {
		return false;
	}
	const bool simple = thread_key_serves(to->key, self->key);

	if (simple) {
		to->regs.x[8] = KERR_OK;
		sched_run_instead(p, self, to, why);
		self->key = thread_key(self);
	}
	spin_unlock_bare(&q->lock);
	return simple;
}

/* t, whose queue is locked, has waited. Unlocks. */
static void wake_unlock(struct runq *q, struct thread *t) __attribute__((no_thread_safety_analysis))
{
	const bool dies = t->kill_pending;

	KASSERT(thread_waits(t));
	if (!t->stop_pending) {
		sched_ready_unlock(q, t);
		return;
	}
	t->stop_pending = false;
	t->kill_pending = false;
	t->state = THREAD_STOPPED;
	sched_unlock(q);
	if (dies) {
		thread_ask(t, REQUEST_KILL); /* carried out by its own CPU */
	}
}

void thread_wake(struct thread *t, enum kerr error)
{
	struct runq *q = sched_lock_queue_of(t);

	t->regs.x[8] = (uint64_t)error;
	wake_unlock(q, t);
}

void thread_resume(struct thread *t)
{
	wake_unlock(sched_lock_queue_of(t), t);
}

struct runq *sched_hold_waiter(struct thread *t) __attribute__((no_thread_safety_analysis))
{
	const unsigned cpu = cpu_number();
	struct runq *q = runq_of(cpu);

	if (!spin_try_bare(&q->lock)) {
		return nullptr;
	}
	if (t->cpu != cpu || t->stop_pending || (t->affinity & CPU_BIT(cpu)) == 0 ||
	    pcpu_of(cpu)->current == t) {
		spin_unlock_bare(&q->lock);
		return nullptr;
	}
	return q;
}

void sched_wake_held(struct runq *q, struct thread *t) __attribute__((no_thread_safety_analysis))
{
	const int running = q->running;

	runq_add(q, t, false);
	spin_unlock_bare(&q->lock);
	announce(t, cpu_number(), running);
}

void sched_announce(const struct thread *t)
{
	const unsigned cpu = cpu_number();

	announce(t, cpu, runq_of(cpu)->running);
}

void sched_change_wait(struct thread *t, enum thread_state why)
{
	struct runq *q = sched_lock_queue_of(t);

	KASSERT(thread_waits(t));
	t->state = why;
	t->key = thread_key(t);
	sched_unlock(q);
}

void sched_condemn(struct thread *t)
{
	struct runq *q = sched_lock_queue_of(t);

	t->stop_pending = true;
	t->kill_pending = true;
	t->key = thread_key(t);
	sched_unlock(q);
}

bool sched_is_called_off(struct thread *t)
{
	struct runq *q = sched_lock_queue_of(t);
	const bool yes = t->kill_pending || (t->stop_pending && t->ipc.excepted == 0);

	sched_unlock(q);
	return yes;
}

/* q, of t's CPU, is locked: a new priority in force. Unlocks. Does t run? Its CPU looks again. */
static bool set_priority_unlock(struct runq *q, struct thread *t, uint8_t priority)
{
	const bool runs = t->state == THREAD_RUNNING;

	if (t->queued) {
		runq_remove(q, t);
		t->priority = priority;
		t->key = thread_key(t);
		sched_ready_unlock(q, t);
		return false;
	}
	t->priority = priority;
	t->key = thread_key(t);
	if (runs) {
		q->running = priority;
	}
	sched_unlock(q);
	return runs;
}

void sched_set_priority(struct thread *t, uint8_t priority)
{
	struct runq *q = sched_lock_queue_of(t);
	const unsigned cpu = t->cpu;

	if (set_priority_unlock(q, t, priority)) {
		sched_poke_cpu(cpu);
	}
}

void sched_set_base_priority(struct thread *t, uint8_t priority)
{
	struct runq *q = sched_lock_queue_of(t);
	const bool inherits = t->priority > t->base_priority && t->priority > priority;
	const unsigned cpu = t->cpu;

	t->base_priority = priority;
	if (inherits) {
		sched_unlock(q);
		return;
	}
	(void)set_priority_unlock(q, t, priority);
	sched_poke_cpu(cpu);
}

void sched_set_affinity(struct thread *t, uint64_t cpus)
{
	struct runq *q = sched_lock_queue_of(t);
	const unsigned cpu = t->cpu;

	t->affinity = cpus;
	t->key = thread_key(t);
	if (t->queued) {
		runq_remove(q, t);
		sched_ready_unlock(q, t);
		return;
	}
	sched_unlock(q);
	if ((cpus & CPU_BIT(cpu)) == 0) {
		sched_poke_cpu(cpu);
	}
}

void sched_yield(void)
{
	pcpu_this()->slice_end = 0;
	sched_poke();
}

bool sched_wants_cpu(void)
{
	const struct pcpu *p = pcpu_this();

	return load_relaxed(&p->resched) != 0 || __atomic_load_n(&p->requests, __ATOMIC_RELAXED);
}

static bool slice_is_over(const struct pcpu *p)
{
	return counter_now() >= p->slice_end;
}

/* prev runs: does it go on? Gives it a new slice if it may go on beyond the old one. */
static bool goes_on(struct pcpu *p, const struct runq *q, const struct thread *prev)
{
	const int top = runq_top(q);

	if ((prev->affinity & CPU_BIT(p->base.cpu)) == 0 || top > (int)prev->priority) {
		return false;
	}
	if (slice_is_over(p)) {
		if (top == (int)prev->priority) {
			return false;
		}
		p->slice_end = counter_now() + sched_state.slice_ticks;
	}
	return true;
}

void sched_switch_to(struct pcpu *p, struct runq *q, struct thread *next)
{
	struct thread *prev = p->current;

	KASSERT_HELD(&q->lock);
	if (prev != nullptr && prev != next) {
		fpu_leave(prev); /* before anybody else may take it: that takes this lock */
	}
	p->current = next;
	if (next == nullptr) {
		q->running = RUNQ_IDLE;
		if (prev != nullptr) {
			rec(REC_SWITCH, 0, prev->number);
		}
		return;
	}
	next->state = THREAD_RUNNING;
	q->running = next->priority;
	p->slice_end = counter_now() +
		       (next->slice_left != 0 ? next->slice_left : sched_state.slice_ticks);
	next->slice_left = 0;
	if (next != prev) {
		fpu_come(next);
		rec(REC_SWITCH, next->number, prev != nullptr ? prev->number : 0);
	}
}

/* The first that may run here; those before it, woken or moved while held, go to *stray. */
static struct thread *take_own(struct runq *q, unsigned cpu, struct thread **stray)
{
	for (;;) {
		struct thread *t = runq_take(q);

		if (t == nullptr || (t->affinity & CPU_BIT(cpu)) != 0) {
			return t;
		}
		t->next = *stray;
		*stray = t;
	}
}

struct thread *sched_pick(struct pcpu *p) __attribute__((no_thread_safety_analysis))
{
	struct runq *q = runq_of(p->base.cpu);
	struct thread *prev = p->current;
	struct thread *moves = nullptr;

	const bool bare = spin_lock_spx(&q->lock);

	if (prev != nullptr && prev->state == THREAD_RUNNING) {
		if (goes_on(p, q, prev)) {
			q->running = prev->priority; /* it may have come by a fast message */
			spin_unlock_spx(&q->lock, bare);
			return prev;
		}
		if ((prev->affinity & CPU_BIT(p->base.cpu)) != 0) {
			sched_put_back(p, q, prev, counter_now());
		} else {
			prev->state = THREAD_READY;
			prev->next = nullptr;
			moves = prev;
		}
	}
	struct thread *next = take_own(q, p->base.cpu, &moves);

	sched_switch_to(p, q, next);
	spin_unlock_spx(&q->lock, bare);
	while (moves != nullptr) {
		struct thread *t = moves;

		moves = t->next;
		sched_ready_unlock(sched_lock_queue_of(t), t);
	}
	return next;
}

struct thread *sched_pull(struct pcpu *p) __attribute__((no_thread_safety_analysis))
{
	const unsigned me = p->base.cpu;
	struct runq *mine = runq_of(me);

	for (unsigned i = 1; i < pcpu_count(); i++) {
		const unsigned cpu = (me + i) % pcpu_count();
		struct runq *q = runq_of(cpu);
		struct thread *t = nullptr;

		if (load_seq_cst(&q->ready) == 0) {
			continue;
		}
		spin_lock(&q->lock);
		t = runq_steal(q, me, pcpu_of(cpu)->current);
		if (t != nullptr) {
			t->cpu = me;
			t->state = THREAD_RUNNING; /* nobody else takes it */
		}
		sched_unlock(q);
		if (t != nullptr) {
			spin_lock(&mine->lock);
			sched_switch_to(p, mine, t);
			sched_unlock(mine);
			return t;
		}
	}
	return nullptr;
}

void sched_vacate(struct pcpu *p) __attribute__((no_thread_safety_analysis))
{
	struct runq *q = runq_of(p->base.cpu);
	struct thread *prev = p->current;
	uint64_t idlers;

	spin_lock(&q->lock);
	if (prev != nullptr && prev->state == THREAD_RUNNING) {
		sched_put_back(p, q, prev, counter_now());
	}
	sched_switch_to(p, q, nullptr);
	q->running = RUNQ_TAKEN;
	const bool some = q->ready != 0;

	sched_unlock(q);
	/* Not before the unlock, whose STLR orders `ready` before this: pairs with idle_once(). */
	idlers = some ? load_seq_cst(&sched_state.idle) : 0;
	for (; idlers != 0; idlers &= idlers - 1) {
		sched_poke_cpu((unsigned)__builtin_ctzll(idlers));
	}
}
