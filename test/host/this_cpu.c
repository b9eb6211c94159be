/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/this_cpu.c - the CPU that runs now: its slice, its interrupt mask, its stacks; and the
 * set-up's silence.
 */
#include <arch/cpu.h>

#include "test/host/sim_impl.h"

struct cpubase *sim_this(void)
{
	return sim.current->base;
}

uint64_t sim_now(void)
{
	if (sim.quiet == 0) {
		sim.now++;
	}
	return sim.now;
}

void sim_set_now(uint64_t ticks)
{
	sim.now = ticks;
}

uint64_t arch_irq_mask(void)
{
	const uint64_t was = sim.current->masked;

	sim.current->masked = true;
	return was;
}

void arch_irq_restore(uint64_t state)
{
	sim.current->masked = state != 0;
	sim_step(true);
}

uint64_t arch_call_on_spx(uint64_t (*fn)(void *arg), void *arg)
{
	struct sim_cpu *c = sim.current;
	const bool masked = c->masked;

	if (c->spx) {
		sim_fail("arch_call_on_spx() on SPx");
	}
	c->masked = true;
	c->spx = true;
	const uint64_t result = fn(arg);

	c->spx = false;
	c->masked = masked;
	sim_step(true);
	return result;
}

bool arch_on_spx(void)
{
	return sim.current->spx;
}

void sim_irq_open(void)
{
	sim.current->masked = false;
	sim_step(true);
}

void sim_irq_close(void)
{
	sim.current->masked = true;
}

void sim_set_spx(bool spx)
{
	sim.current->spx = spx;
}

unsigned sim_cpu_count(void)
{
	return sim.cpus;
}

void sim_quiet(bool quiet)
{
	sim.quiet = quiet ? sim.quiet + 1 : sim.quiet - 1;
}

void sim_settle(void)
{
	tlb_settle();
}

bool sim_is_quiet(void)
{
	return sim.quiet != 0;
}

void sim_point(void)
{
	sim_step(true);
}

void sim_isb(void)
{
	sim_step(true);
	trace(EV_ISB, 0, 0);
	sim_sync(sim.current);
}
