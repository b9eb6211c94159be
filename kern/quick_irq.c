/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick_irq.c - an interrupt out of EL0 that concerns few: what irq_fast.S leaves.
 *
 * THEORY   A driver may wait with a deadline, and a timer is due by its place in a heap: C does
 *          both. As in irq_fast.S, if one thread waits for the event, for all of the bits, is of
 *          this CPU, and more urgent than whatever runs or is ready here, it runs at once, and who
 *          ran is the next of its priority, with the rest of its slice. The timer may be set to the
 *          end of that slice: it is then early, and finds out.
 *          A device's interrupt that nobody runs for at once signals, and who was interrupted goes
 *          on unless somebody is to be chosen. What else is unusual is seen before anything is
 *          changed, and left to kern/trap.c. That way is recorded and measured; this one is too
 *          short for either.
 * LOCKING  LOCK_TIMERQ, LOCK_OBJECT of the event, LOCK_SCHED of this CPU: each is tried, none is
 *          waited for, so that their ranks are of no importance. Then, with none, LOCK_TIMERQ for
 *          the deadline.
 */
#include <arch/atomic.h>
#include <arch/user.h>

#include "arch/arm64/gic.h"
#include "kern/entry.h"
#include "kern/event.h"
#include "kern/fpu.h"
#include "kern/ipc_wait.h"
#include "kern/irq.h"
#include "kern/irq_object.h"
#include "kern/sched_impl.h"
#include "kern/timer_object.h"
#include "kern/trap.h"

/* Whom an interrupt is for, and where it comes from: a timer, its queue locked, or a device. */
struct source {
	struct event *event;
	uint64_t bits;
	struct timer_object *timer; /* nullptr: a device */
};

static bool find_source(uint32_t intid, struct source *s)
{
	if (intid >= GIC_SPI_BASE) {
		const struct irq_object *irq = irq_object_of(intid);

		if (irq == nullptr) {
			return false;
		}
		s->event =
			(struct event *)load_acquire((const uint64_t *)(const void *)&irq->event);
		s->bits = irq->bits;
		s->timer = nullptr;
		return s->event != nullptr;
	}
	s->timer = intid == irq_timer_intid() ? timer_object_try_due() : nullptr;
	if (s->timer == nullptr) {
		return false;
	}
	s->event = s->timer->event;
	s->bits = s->timer->bits;
	return true;
}

/* A driver takes it: it will not interrupt again by itself. */
static void settle_source(const struct source *s, uint32_t intid)
{
	if (s->timer == nullptr) {
		gic_disable(intid);
	} else {
		count(CTR_irq_timer);
		timer_object_expire_unlock(s->timer);
	}
}

/* Its deadline may be what makes its key slow: then all else is looked at. Its queue is locked. */
static bool may_run(const struct thread *t, unsigned cpu)
{
	return t->key >> 32 == cpu ||
	       (t->ipc.due != DEADLINE_NONE && t->cpu == cpu && t->not_plain == 0 &&
		(t->affinity >> cpu & 1) != 0 && !arch_predictor_forgets());
}

/* Without the lock: is it worth taking? Who is more urgent than self may have come just now. */
static bool may_be_urgent(const struct event *ev, const struct thread *self)
{
	const struct thread *t =
		(struct thread *)load_relaxed((const uint64_t *)(const void *)&ev->queue.first);

	return t != nullptr && __atomic_load_n(&t->priority, __ATOMIC_RELAXED) > self->priority;
}

/* The thread that waits for these bits, if it can run here now: event and run queue locked. */
static struct thread *hold_driver(struct event *ev, uint64_t bits, const struct thread *self,
				  struct runq *q) __attribute__((no_thread_safety_analysis))
{
	if (!may_be_urgent(ev, self) || !spin_try_bare(&ev->lock)) {
		return nullptr;
	}
	struct thread *t = event_only_waiter(ev, bits);

	if (t != nullptr && spin_try_bare(&q->lock)) {
		if (may_run(t, cpu_number()) && t->priority > self->priority &&
		    runq_top(q) < (int)t->priority) {
			return t;
		}
		spin_unlock_bare(&q->lock);
	}
	spin_unlock_bare(&ev->lock);
	return nullptr;
}

/* It has its bits, and runs; self is ready. Unlocks both. */
static void run_driver(struct event *ev, uint64_t bits, struct runq *q, struct thread *self,
		       struct thread *t) __attribute__((no_thread_safety_analysis))
{
	struct pcpu *p = pcpu_this();
	const uint64_t now = counter_now();

	ipc_queue_empty(&ev->queue, t);
	spin_unlock_bare(&ev->lock);
	t->regs.x[0] = bits;
	t->regs.x[8] = KERR_OK;
	if (unlikely(self->fpu != t->fpu)) { /* both without, or one that has them */
		fpu_leave(self);
		fpu_come(t);
	}
	sched_put_back(p, q, self, now);
	t->state = THREAD_RUNNING;
	q->running = t->priority;
	p->slice_end = now + sched_state.slice_ticks;
	const uint64_t due = t->ipc.due;

	if (due != DEADLINE_NONE) {
		store_release(&t->ipc.due, DEADLINE_NONE);
		t->key = thread_key(t);
	}
	p->fast_key = t->key;
	p->current = t;
	spin_unlock_bare(&q->lock);
	if (due != DEADLINE_NONE) {
		timerq_cancel(&t->deadline); /* it runs here: nobody else has it wait again */
	}
}

/* Nobody runs at once: the bits are set, and whoever they concern is ready. */
static struct thread *signal_only(struct thread *self, const struct source *s, uint32_t iar)
{
	count(CTR_irqs);
	gic_eoi(iar);
	gic_disable(gic_intid(iar)); /* before who acknowledges can run */
	if (unlikely(!event_signal_quick(s->event, s->bits))) {
		irq_mask();
		event_signal_interrupt(s->event, s->bits);
		irq_unmask();
	}
	return load_relaxed(&pcpu_this()->resched) == 0 ? self : entry_el0_exit();
}

/* nullptr: nothing has changed. */
static struct thread *take_quickly(struct thread *self, uint32_t iar)
{
	const struct pcpu *p = pcpu_this();
	const uint32_t intid = gic_intid(iar);
	struct source s;

	if ((load_relaxed(&p->resched) | p->steps_el0) != 0 || !find_source(intid, &s)) {
		return nullptr;
	}
	struct thread *t = hold_driver(s.event, s.bits, self, p->runq);

	if (t == nullptr && s.timer == nullptr) {
		return signal_only(self, &s, iar);
	}
	if (t == nullptr) {
		timerq_leave();
		return nullptr;
	}
	count(CTR_irqs); /* from here on there is no way back */
	gic_eoi(iar);
	settle_source(&s, intid);
	run_driver(s.event, s.bits, p->runq, self, t);
	return t;
}

struct thread *entry_el0_irq(struct thread *self, uint32_t iar)
{
	struct thread *next = take_quickly(self, iar);

	return next != nullptr ? next : interrupt_from_el0(self, iar);
}
