/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/cpu.h> for the host: the simulated CPU that runs now.
 */
#pragma once

#include <cpubase.h>

#include "test/host/sim.h"

static inline struct cpubase *this_cpu(void)
{
	return sim_this();
}

static inline unsigned cpu_number(void)
{
	return this_cpu()->cpu;
}

uint64_t arch_irq_mask(void);
void arch_irq_restore(uint64_t state);

/* There is one way to mask here. */
#define arch_irqs_by_priority 0
#define arch_irq_mask_priority arch_irq_mask

static inline uint64_t arch_this_place(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

static inline uint64_t counter_now(void)
{
	return sim_now();
}

uint64_t arch_call_on_spx(uint64_t (*fn)(void *arg), void *arg);
bool arch_on_spx(void);
bool arch_translate_read(va_t va, pa_t *out);
