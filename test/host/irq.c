/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/irq.c - interrupts between CPUs: they arrive late, and where PSTATE.I lets them.
 *
 * What the top half does is kern/trap.c's: the park's, the stop's, and nothing for the others.
 */
#include "ipi/park.h"
#include "kern/stop.h"
#include "pcpu/pcpu.h"
#include "test/host/sim_impl.h"
#include "vm/pmap_user.h"

bool sim_sgi_arrived(const struct sim_cpu *c, unsigned sgi)
{
	return (c->sgi >> sgi & 1) != 0 && c->sgi_at[sgi] <= sim.now;
}

bool sim_irq_arrived(const struct sim_cpu *c, unsigned *sgi)
{
	for (*sgi = 0; c->sgi != 0 && !c->spx && *sgi < SIM_SGIS; ++*sgi) {
		const bool urgent = *sgi == SGI_PARK || *sgi == SGI_STOP;

		if (sim_sgi_arrived(c, *sgi) &&
		    (!c->masked || (sim.config.park_by_nmi && urgent))) {
			return true;
		}
	}
	return false;
}

void sim_sync(struct sim_cpu *c)
{
	c->early_count = 0;
}

static void top_half(struct sim_cpu *c, unsigned sgi)
{
	struct pcpu *p = pcpu_this();

	count(CTR_irqs);
	if (sgi == SGI_PARK && p->irq_drop_parks > 0) {
		p->irq_drop_parks--;
	} else if (sgi == SGI_PARK) {
		park_answer((uint64_t)(uintptr_t)c);
	} else if (sgi == SGI_STOP) {
		stop_self();
	} else if (sgi == SGI_SPACE) {
		pmap_leave_retired();
	}
}

void sim_take_irqs(struct sim_cpu *c)
{
	unsigned sgi;

	while (sim_irq_arrived(c, &sgi)) {
		const bool masked = c->masked;

		c->sgi &= ~(UINT64_C(1) << sgi);
		trace(EV_IRQ, sgi, 0);
		sim_sync(c); /* taking an exception is a context synchronisation */
		c->masked = true;
		c->spx = true;
		c->in_irq = true;
		top_half(c, sgi);
		c->in_irq = false;
		c->spx = false;
		c->masked = masked;
		c->event = true; /* by an exception return: it calls SendEventLocal() */
		sim_sync(c);
		trace(EV_ERET, sgi, 0);
	}
}

void arch_ipi_send(enum sgi sgi, uint64_t cpus)
{
	trace(EV_SGI, sgi, cpus);
	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		struct sim_cpu *c = &sim.cpu[__builtin_ctzll(scan)];

		if (!c->alive) {
			continue;
		}
		if ((c->sgi >> sgi & 1) == 0) {
			c->sgi_at[sgi] = sim.now + sim_chance(sim.irq_delay);
		}
		c->sgi |= UINT64_C(1) << sgi;
	}
	sim_step(true);
}
