/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq.c - the top halves of interrupts that are not the park's. See kern/entry.h.
 */
#include <arch/cpu.h>
#include <compiler.h>

#include "arch/arm64/gic.h"
#include "arch/arm64/timer.h"
#include "kern/entry.h"
#include "kern/irq.h"
#include "kern/irq_object.h"
#include "kern/lock.h"
#include "kern/sched.h"
#include "kern/timerq.h"
#include "pcpu/pcpu.h"

struct periodic {
	cacheline_aligned struct timerq_node node;
	uint64_t ticks; /* 0: off */
};
static struct periodic periodic[MAX_CPUS];

static void again(struct timerq_node *node)
{
	struct periodic *mine = &periodic[cpu_number()];

	pcpu_this()->timer_fired++;
	timerq_add(node, counter_now() + mine->ticks, again);
}

void irq_timer_start(uint64_t period_ticks)
{
	struct periodic *mine = &periodic[cpu_number()];

	irq_mask();
	mine->ticks = period_ticks;
	timerq_cancel(&mine->node);
	timerq_add(&mine->node, counter_now() + period_ticks, again);
	irq_unmask();
}

void irq_timer_stop(void)
{
	irq_mask();
	timerq_cancel(&periodic[cpu_number()].node);
	irq_timer_arm(timerq_first());
	irq_unmask();
}

void irq_timer_arm(uint64_t deadline)
{
	struct pcpu *p = pcpu_this();
	const uint64_t wanted = deadline != UINT64_MAX ? deadline : 0;

	if (wanted == p->timer_deadline) {
		return;
	}
	p->timer_deadline = wanted;
	if (wanted != 0) {
		timer_set(wanted);
	} else {
		timer_stop();
	}
}

void irq_timer_spent(uint64_t deadline)
{
	pcpu_this()->timer_deadline = UINT64_MAX; /* like nothing that it is ever set to */
	irq_timer_arm(deadline);
}

void irq_timer_no_later(uint64_t deadline)
{
	const struct pcpu *p = pcpu_this();

	if (p->timer_deadline == 0 || deadline < p->timer_deadline) {
		irq_timer_arm(deadline);
	}
}

/* On SPx. The one shot is spent: its level falls when it is set again, or stopped. */
void entry_timer(void)
{
	timer_stop();
	pcpu_this()->timer_deadline = 0;
	sched_timer();
}

/* A driver's: masked, and its event signalled. Nobody's: silenced rather than taken for ever. */
void entry_interrupt(uint32_t intid)
{
	if (!irq_object_signal(intid) && intid >= GIC_PPI_BASE) {
		gic_disable(intid);
	}
}
