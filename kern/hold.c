/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/hold.c - see kern/hold.h.
 */
#include "kern/hold.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>

#include "kern/stop.h"

/* In the image: pinned. */
static uint64_t held_cpus;
static struct held held[MAX_CPUS]; /* [p] */
static void (*hook)(void);

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

void hold_set_hook(void (*going_on)(void))
{
	hook = going_on;
}

const struct held *hold_of(unsigned cpu)
{
	return &held[cpu];
}

bool hold_others(uint64_t cpus, uint64_t ticks, uint64_t *left)
{
	const uint64_t me = (uint64_t)cpu_number() + 1;
	const uint64_t others = cpus & ~CPU_BIT(cpu_number());
	const uint64_t start = counter_now();

	const uint64_t was = load_relaxed(&stop_wanted);

	if (stop_holder(was) != 0 ||
	    !cas_acquire(&stop_wanted, was, was | me << STOP_HOLDER_SHIFT)) {
		return false; /* held, or stopped for good, when we look */
	}
	dsb_ishst(); /* the holder is visible before the interrupt; pairs with hold_here() */
	if (others != 0) {
		arch_ipi_send(SGI_HOLD, others);
		cpu_sev(); /* whoever waits masked looks */
	}
	while ((load_acquire(&held_cpus) & others) != others && counter_now() - start < ticks) {
		stop_check();
		cpu_wfe();
	}
	*left = others & ~load_acquire(&held_cpus);
	return true;
}

void hold_release(uint64_t ticks)
{
	const uint64_t start = counter_now();

	(void)fetch_and_acq_rel(&stop_wanted, ~(UINT64_MAX << STOP_HOLDER_SHIFT));
	dsb_ishst();
	cpu_sev();
	while (load_acquire(&held_cpus) != 0 && counter_now() - start < ticks) {
		stop_check();
		cpu_wfe();
	}
}

void hold_here(struct trap_frame *frame, uint64_t pc)
{
	const unsigned cpu = cpu_number();
	const uint64_t start = counter_now();
	const uint64_t holder = stop_holder(load_acquire(&stop_wanted));

	if (holder == 0 || holder == (uint64_t)cpu + 1) {
		return;
	}
	held[cpu] = (struct held){ frame, pc, (uint64_t)(uintptr_t)__builtin_frame_address(0) };
	__atomic_fetch_or(&held_cpus, CPU_BIT(cpu), __ATOMIC_RELEASE);
	dsb_ishst();
	cpu_sev();
	while (stop_holder(load_acquire(&stop_wanted)) != 0) {
		stop_check();
		cpu_wfe();
	}
	if (hook != nullptr) {
		hook();
	}
	held[cpu].fp = 0;
	this_cpu()->mask_since += counter_now() - start;
	__atomic_fetch_and(&held_cpus, ~CPU_BIT(cpu), __ATOMIC_RELEASE);
	dsb_ishst();
	cpu_sev();
}
