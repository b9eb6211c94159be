/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/cpu.h - this CPU's features, and masking by priority.
 */
#pragma once

#include <arch/cpu.h>
#include <arch/feature.h>
#include <arch/pte.h>
#include <memmap.h>

/* Fill cpu_features from the ID registers. Boot CPU, once, before anything asks. */
void arch_features_init(void);

/*
 * From now on arch_irq_mask() masks by PMR, so that park and stop arrive as pseudo-NMIs.
 * Pre: gic_has_pseudo_nmi(); interrupts masked nowhere; before other CPUs start.
 */
void arch_mask_by_priority(void);
bool arch_masks_by_priority(void);

/* This CPU's number by CONTEXTIDR_EL1: for code that does not trust x18. */
static inline unsigned cpu_number_safe(void)
{
	uint64_t v;

	__asm__ volatile("mrs %0, contextidr_el1" : "=r"(v));
	return (unsigned)v & (MAX_CPUS - 1);
}

/* Unmask what PSTATE masks: once, when a CPU enters its main function on SP0. */
static inline void cpu_unmask_all(void)
{
	__asm__ volatile("msr daifclr, #0xf" ::: "memory");
}

/* Is an interrupt pending that PSTATE.I masks? (ISR_EL1.I) */
static inline bool arch_irq_is_pending(void)
{
	uint64_t isr;

	__asm__ volatile("mrs %0, isr_el1" : "=r"(isr));
	return (isr >> 7 & 1) != 0;
}

/*
 * Give this CPU to EL0 until entry_el0_exit() returns nullptr (el0.S). Pre: SP0, past the door,
 * interrupts on.
 */
void arch_run_threads(void);

/* The mask by priority opens when a CPU has a GIC and is through the door. */
void arch_irq_open(void);

static inline void tlbi_vmalle1_local(void)
{
	__asm__ volatile("tlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
}

/*
 * Read, write or call an address that may not be mapped: false if it faulted. Nothing else of the
 * kernel may fault; trap.c knows these by their addresses.
 */
bool probe_read(va_t va, uint64_t *value);
bool probe_write(va_t va, uint64_t value);
bool probe_call(va_t va, uint64_t *result);
