/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/timer.h - the generic timer: counter, virtual timer of this CPU, event stream.
 *
 * Everything uses the virtual counter. Its offset, CNTVOFF_EL2, is UNKNOWN at reset; whoever
 * leaves EL2 writes 0 to it on each CPU.
 */
#pragma once

#include <types.h>

/* The counter, not earlier than any instruction before this one (Arm ARM D12: hence the ISB). */
static inline uint64_t arch_counter(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}

/* Ticks a second; never 0 (timer_init_cpu() checks). */
static inline uint64_t arch_counter_hz(void)
{
	uint64_t hz;

	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz & UINT32_MAX;
}

/* Conversions that neither overflow nor divide by 0 (a frequency of 0 counts as 1 Hz). */
uint64_t timer_ticks_to_ns(uint64_t ticks);
uint64_t timer_ns_to_ticks(uint64_t ns);

/*
 * This CPU: both timers off, event stream on (EL1 and EL0 WFE wake up at least every 100 us),
 * EL0 may read the virtual counter, but no timer. False if CNTFRQ_EL0 is 0: firmware forgot it.
 */
bool timer_init_cpu(void);

/* One shot at the counter value `deadline`; raises the timer's PPI until the next set or stop. */
void timer_set(uint64_t deadline_ticks);
void timer_stop(void);

/* Is the condition of the one shot met?  (The PPI is level-sensitive: stop or set it to clear.) */
bool timer_expired(void);

/* The event stream's period, for tests and the boot log. */
uint64_t timer_event_period_ns(void);

/* Wait without interrupts or locks: for hardware handshakes only. */
void timer_delay_us(uint64_t us);
