/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/sched_cpu.c - what a CPU does between two threads: requests, the choice, idling, the timer.
 *
 * THEORY   Every way back to EL0 ends in sched_next(), on SPx with interrupts masked. It answers
 *          what is pending from the last to the first: a kernel program that wants its CPU back,
 *          threads of this CPU that are to stop or to die, then the choice. With nothing to run
 *          the CPU sleeps before the door, so that windows need not interrupt it, and serves its
 *          interrupts there by asking the controller: pinned data only, as for one from EL0.
 *          What was deferred must end also when nobody calls the kernel any more: an idle CPU looks
 *          after it every now and then, on SP0, where kernel programs are.
 * RACE     A CPU says that it is idle (seq_cst), then looks at the queues; whoever makes a thread
 *          ready puts it in a queue, then looks who is idle (seq_cst). One sees the other.
 * LOCKING  See kern/sched.h. Requests: a lock-free list for each CPU, pushed by anyone, taken whole
 *          by the CPU.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/user.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/debug.h"
#include "arch/arm64/el0.h"
#include "arch/arm64/gic.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/irq.h"
#include "kern/reclaim.h"
#include "kern/sched_impl.h"
#include "kern/trap.h"
#include "pcpu/recorder.h"
#include "vm/pmap_user.h"

/* quick_fast.S */
static_assert(offsetof(struct sched_state, idle) == SCHED_IDLE);
static_assert(offsetof(struct sched_state, slice_ticks) == SCHED_SLICE_TICKS);
static_assert(offsetof(struct runq, lock.next) == 0 && offsetof(struct runq, lock.serving) == 8);
static_assert(offsetof(struct runq, ready) == RUNQ_READY);
static_assert(offsetof(struct runq, running) == RUNQ_RUNNING);
static_assert(offsetof(struct runq, head) == RUNQ_HEAD);
static_assert(offsetof(struct runq, tail) == RUNQ_TAIL);
static_assert(THREAD_READY == 1); /* and true: one register for both */

#define RECLAIM_PAUSE (sched_state.slice_ticks / 8)
#define IDLE_RECLAIM_STEPS 16

/* On the request list of its CPU; the reference that keeps it there is the caller's gift. */
void sched_ask(struct thread *t)
{
	const unsigned cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
	struct thread **list = &pcpu_of(cpu)->requests;
	struct thread *first = __atomic_load_n(list, __ATOMIC_RELAXED);

	do {
		t->request_next = first;
	} while (!__atomic_compare_exchange_n(list, &first, t, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	sched_poke_cpu(cpu);
}

static bool has_requests(struct pcpu *p)
{
	return __atomic_load_n(&p->requests, __ATOMIC_RELAXED) != nullptr;
}

/*
 * R8: programs choose how many requests there are at once. What interrupts meanwhile is served
 * here, on SPx and with no lock held, as it would be on the way in from EL0.
 */
static void let_interrupts_in(void)
{
	struct cpubase *cpu = this_cpu();
	const uint64_t place = (uint64_t)(uintptr_t)let_interrupts_in;

	masked_note(cpu, place);
	cpu->mask_since = counter_now();
	if (arch_irq_is_pending()) {
		trap_top_half(place, nullptr);
	}
}

/* Until there are none: serving one may leave another one on this list, without an interrupt. */
static void serve_requests(struct pcpu *p)
{
	while (has_requests(p)) {
		struct thread *t = __atomic_exchange_n(&p->requests, nullptr, __ATOMIC_ACQUIRE);

		while (t != nullptr) {
			struct thread *next = t->request_next;

			thread_serve_request(t);
			let_interrupts_in();
			t = next;
		}
	}
}

/* Before the door, in which state? */
static void stay_before_door(enum door_state state)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());

	if (m->door == DOOR_KERNEL) {
		door_leave(state);
	} else {
		store_release(&m->door, state); /* from one side of it to the same */
	}
}

/* Nothing to run: look once more as an idle CPU, then sleep until an interrupt, and serve it. */
static struct thread *idle_once(struct pcpu *p)
{
	struct cpubase *cpu = &p->base;
	struct thread *found = nullptr;

	__atomic_fetch_or(&sched_state.idle, CPU_BIT(cpu->cpu), __ATOMIC_SEQ_CST);
	if (load_seq_cst(&runq_of(cpu->cpu)->ready) == 0) {
		found = sched_pull(p);
	}
	if (found == nullptr && load_seq_cst(&p->resched) == 0) {
		irq_timer_arm(timerq_first());
		if (reclaim_pending()) {
			irq_timer_no_later(counter_now() + RECLAIM_PAUSE);
			p->idle_work = true;
		}
		pmap_activate(nullptr);
		stay_before_door(DOOR_IDLE);
		irq_unmask(); /* R8: the stretch ends; on SPx nothing is taken */
		reclaim_asleep();
		cpu_wfi();
		reclaim_awake();
		irq_mask();
	}
	__atomic_fetch_and(&sched_state.idle, ~CPU_BIT(cpu->cpu), __ATOMIC_SEQ_CST);
	if (found == nullptr && arch_irq_is_pending()) {
		trap_top_half(0, nullptr); /* R8: one; whoever has nothing to run comes again */
	}
	return found;
}

/* The first of: something is due, a slice ends that somebody waits for. */
static void arm_timer(const struct pcpu *p, const struct thread *next)
{
	const uint64_t first = timerq_first();
	const uint64_t same = UINT64_C(1) << next->priority;
	const bool successor = (load_relaxed(&runq_of(p->base.cpu)->ready) & same) != 0;

	irq_timer_arm(successor && p->slice_end < first ? p->slice_end : first);
}

/*
 * What follows the thread beside its registers: single step, and what the fast paths compare: a
 * receiver with its caller's key, a caller with fast_key, which has the priority that others
 * believe this CPU runs. Here the two are one.
 */
static void prepare(struct pcpu *p, struct thread *t)
{
	if (t->steps != p->steps_el0) {
		p->steps_el0 = t->steps;
		debug_step_el0(t->steps);
	}
	t->key = thread_key(t);
	p->fast_key = t->key;
}

struct thread *sched_next(void)
{
	struct pcpu *p = pcpu_this();

	for (;;) {
		struct thread *next = p->current;

		serve_requests(p);
		if (p->idle_work || p->host_until(p->host_arg)) {
			sched_vacate(p);
			irq_timer_arm(timerq_first());
			return nullptr;
		}
		if (load_relaxed(&p->resched) != 0 || next == nullptr) {
			store_relaxed(&p->resched, 0);
			next = sched_pick(p);
		}
		if (next == nullptr) {
			next = idle_once(p);
		}
		if (next != nullptr) {
			arm_timer(p, next);
			prepare(p, next);
			stay_before_door(DOOR_EL0);
			return next;
		}
	}
}

/* With the lock held: the next in turn takes over from self; nullptr: that is not so simple. */
static struct thread *take_turns(struct pcpu *p, struct runq *q, struct thread *self)
{
	const int top = runq_top(q);

	if (top < (int)self->priority) {
		return self;
	}
	struct thread *next = q->head[top];

	if (top > (int)self->priority || (next->affinity & CPU_BIT(p->base.cpu)) == 0 ||
	    (self->affinity & CPU_BIT(p->base.cpu)) == 0) {
		return nullptr;
	}
	runq_remove(q, next);
	runq_add(q, self, false);
	sched_switch_to(p, q, next);
	return next;
}

struct thread *sched_yield_quick(struct thread *self) __attribute__((no_thread_safety_analysis))
{
	struct pcpu *p = pcpu_this();
	struct runq *q = runq_of(p->base.cpu);

	if (load_relaxed(&p->resched) != 0 || has_requests(p) || p->idle_work ||
	    !spin_try_bare(&q->lock)) {
		return nullptr;
	}
	struct thread *next = take_turns(p, q, self);

	spin_unlock_bare(&q->lock);
	if (next != nullptr) {
		p->slice_end = counter_now() + sched_state.slice_ticks;
	}
	if (next != nullptr && next != self) {
		irq_timer_no_later(p->slice_end); /* self waits for its turn */
		prepare(p, next);
	}
	return next;
}

struct thread *sched_take_turn(struct pcpu *p)
{
	struct runq *q = p->runq;
	const int top = runq_top(q);
	struct thread *next = top >= 0 ? q->head[top] : nullptr;

	if (next == nullptr || (next->affinity & CPU_BIT(p->base.cpu)) == 0) {
		return nullptr;
	}
	runq_remove(q, next);
	sched_switch_to(p, q, next);
	if (next->key >> 32 == p->base.cpu && (next->not_plain | p->steps_el0) == 0) {
		p->fast_key = next->key; /* as quick_fast.S has it of a READY thread */
	} else {
		prepare(p, next);
	}
	if ((q->ready >> top & 1) != 0) {
		irq_timer_no_later(p->slice_end);
	}
	return next;
}

void sched_timer(void)
{
	timerq_run();
	if (pcpu_this()->current == nullptr) {
		irq_timer_arm(timerq_first()); /* else on the way to EL0, by what runs then */
	}
	sched_poke();
}

void sched_give(bool (*until)(void *arg), void *arg)
{
	struct pcpu *p = pcpu_this();

	KASSERT(p->base.lock_count == 0 && p->base.mask_depth == 0);
	KASSERT(p->host_until == nullptr);
	p->runq = runq_of(p->base.cpu);
	p->gicv2 = gic_version() == 2;
	p->host_until = until;
	p->host_arg = arg;
	__atomic_fetch_or(&sched_state.giving, CPU_BIT(p->base.cpu), __ATOMIC_RELEASE);
	for (arch_run_threads(); p->idle_work; arch_run_threads()) {
		p->idle_work = false; /* until() was perhaps not asked */
		reclaim_poll_until(IDLE_RECLAIM_STEPS, &p->runq->ready);
	}
	__atomic_fetch_and(&sched_state.giving, ~CPU_BIT(p->base.cpu), __ATOMIC_RELEASE);
	p->host_until = nullptr;
}
