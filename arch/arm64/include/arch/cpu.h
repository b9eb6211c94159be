/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/cpu.h> - this CPU: its slice, its interrupt mask, its exception stack. Shadowed by the
 * host build.
 */
#pragma once

#include <compiler.h>
#include <cpubase.h>

/*
 * x18 holds the slice in the kernel (-ffixed-x18); no kernel code migrates, so this is a constant.
 */
static inline struct cpubase *this_cpu(void)
{
	struct cpubase *base;

	__asm__("mov %0, x18" : "=r"(base));
	return base;
}

static inline unsigned cpu_number(void)
{
	return this_cpu()->cpu;
}

/*
 * park=nmi: masked means PMR, so that urgent SGIs arrive; PSTATE.I stays for SPx. [c] after boot.
 * 0 or 1: a bool takes another instruction to test.
 */
extern uint64_t arch_irqs_by_priority;
uint64_t arch_irq_mask_priority(void);
void arch_irq_restore_priority(uint8_t priority);
/* In a state to restore: it is a priority, of which this bit is 0. PSTATE.DAIF has bits 9:6. */
#define ARCH_MASKED_BY_PRIORITY UINT64_C(1)

/*
 * Mask interrupts; returns what arch_irq_restore() takes back. By PMR with park=nmi, else by
 * PSTATE.I.
 */
static inline uint64_t arch_irq_mask(void)
{
	uint64_t state;

	if (unlikely(arch_irqs_by_priority != 0)) {
		return arch_irq_mask_priority();
	}
	__asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(state)::"memory");
	return state;
}

static inline void arch_irq_restore(uint64_t state)
{
	if (unlikely((state & ARCH_MASKED_BY_PRIORITY) != 0)) {
		arch_irq_restore_priority((uint8_t)(state & ~ARCH_MASKED_BY_PRIORITY));
		return;
	}
	__asm__ volatile("msr daif, %0" ::"r"(state) : "memory");
}

/* The address of the code that asks: where something was done, for a report. */
static always_inline uint64_t arch_this_place(void)
{
	uint64_t place;

	__asm__ volatile("adr %0, ." : "=r"(place));
	return place;
}

/* The virtual counter without a barrier: for durations of many instructions, and records. */
static inline uint64_t counter_now(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

/*
 * Run fn(arg) on this CPU's exception stack, SPSel = 1, DAIF masked (R4). Pre: on SP0.
 * What fn does there must be pinned; an exception in it is recursion.
 */
static inline uint64_t arch_call_on_spx(uint64_t (*fn)(void *arg), void *arg)
{
	/* vectors.S; the argument stays in its register */
	uint64_t arm64_call_on_spx(void *arg, uint64_t (*fn)(void *arg));

	return arm64_call_on_spx(arg, fn);
}

/* Is this CPU on its exception stack? */
static inline bool arch_on_spx(void)
{
	uint64_t sel;

	__asm__ volatile("mrs %0, spsel" : "=r"(sel));
	return (sel & 1) != 0;
}

/* Translate by the MMU as a read from EL1: true and *out, or false (Arm ARM D8.16, AT S1E1R). */
bool arch_translate_read(va_t va, pa_t *out);
