/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq.c - the top halves of interrupts that are not the park's. See kern/entry.h.
 */
#include "arch/arm64/gic.h"
#include "arch/arm64/timer.h"
#include "kern/entry.h"
#include "kern/irq.h"
#include "pcpu/pcpu.h"

void irq_timer_start(uint64_t period_ticks)
{
	struct pcpu *p = pcpu_this();

	p->timer_period = period_ticks;
	timer_set(counter_now() + period_ticks);
	gic_enable(irq_timer_intid());
}

void irq_timer_stop(void)
{
	pcpu_this()->timer_period = 0;
	gic_disable(irq_timer_intid());
	timer_stop();
}

/* On SPx: re-arm, or stop. The level falls with either. */
void entry_timer(void)
{
	struct pcpu *p = pcpu_this();

	p->timer_fired++;
	if (p->timer_period != 0) {
		timer_set(counter_now() + p->timer_period);
	} else {
		timer_stop();
	}
}

/* Nobody claimed it: silence it rather than take it for ever. */
void entry_interrupt(uint32_t intid)
{
	if (intid >= GIC_PPI_BASE) {
		gic_disable(intid);
	}
}
