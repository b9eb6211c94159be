/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/timer.c - the generic timer.
 *
 * THEORY   The virtual timer needs no offset from us and may be used at EL1 whatever EL2 set up.
 *          The event stream wakes WFE whenever bit EVNTI of the counter rises, so every
 *          2^(EVNTI + 1) ticks: it is the backstop of every wait, so its period is chosen from
 *          the frequency, between 25 and 50 us, whatever the frequency is.
 * NOT HERE Interrupt numbers, who owns the one shot.
 */
#include "arch/arm64/timer.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define US_PER_SECOND UINT64_C(1000000)

#define CNTV_CTL_ENABLE (UINT64_C(1) << 0)
#define CNTV_CTL_IMASK (UINT64_C(1) << 1)
#define CNTV_CTL_ISTATUS (UINT64_C(1) << 2)

#define CNTKCTL_EL0VCTEN (UINT64_C(1) << 1)
#define CNTKCTL_EVNTEN (UINT64_C(1) << 2)
#define CNTKCTL_EVNTI_SHIFT 4
#define CNTKCTL_EVNTI_MAX 15

#define EVENTS_PER_SECOND_MIN 20000 /* the longest period: 50 us */

static uint64_t counter_hz_or_1(void)
{
	uint64_t hz = arch_counter_hz();

	return hz != 0 ? hz : 1;
}

uint64_t timer_ticks_to_ns(uint64_t ticks)
{
	uint64_t hz = counter_hz_or_1();

	/* hz < 2^32, so the remainder's product stays below 2^62. */
	return ticks / hz * NS_PER_SECOND + ticks % hz * NS_PER_SECOND / hz;
}

uint64_t timer_ns_to_ticks(uint64_t ns)
{
	uint64_t hz = counter_hz_or_1();

	return ns / NS_PER_SECOND * hz + ns % NS_PER_SECOND * hz / NS_PER_SECOND;
}

/* The bit of the counter whose rise is the event: the largest period that is not too long. */
static unsigned event_bit(void)
{
	uint64_t ticks_max = counter_hz_or_1() / EVENTS_PER_SECOND_MIN;
	unsigned bit = 0;

	while (bit < CNTKCTL_EVNTI_MAX && UINT64_C(4) << bit <= ticks_max) {
		bit++;
	}
	return bit;
}

uint64_t timer_event_period_ns(void)
{
	return timer_ticks_to_ns(UINT64_C(2) << event_bit());
}

bool timer_init_cpu(void)
{
	uint64_t cntkctl = CNTKCTL_EL0VCTEN | CNTKCTL_EVNTEN |
			   (uint64_t)event_bit() << CNTKCTL_EVNTI_SHIFT;

	timer_stop();
	/* Its comparator keeps the ELR of an exception (vectors.S), so it must never fire. */
	__asm__ volatile("msr cntp_ctl_el0, %0" : : "r"(CNTV_CTL_IMASK) : "memory");
	__asm__ volatile("msr cntkctl_el1, %0\n\tisb" : : "r"(cntkctl) : "memory");
	return arch_counter_hz() != 0;
}

void timer_set(uint64_t deadline_ticks)
{
	/* The deadline first: enabling with the old one could fire at once. */
	__asm__ volatile("msr cntv_cval_el0, %0\n\t"
			 "msr cntv_ctl_el0, %1\n\t"
			 "isb"
			 :
			 : "r"(deadline_ticks), "r"(CNTV_CTL_ENABLE)
			 : "memory");
}

void timer_stop(void)
{
	__asm__ volatile("msr cntv_ctl_el0, %0\n\tisb" : : "r"(CNTV_CTL_IMASK) : "memory");
}

bool timer_expired(void)
{
	uint64_t ctl;

	__asm__ volatile("mrs %0, cntv_ctl_el0" : "=r"(ctl) : : "memory");
	return (ctl & CNTV_CTL_ENABLE) != 0 && (ctl & CNTV_CTL_ISTATUS) != 0;
}

void timer_delay_us(uint64_t us)
{
	uint64_t start = arch_counter();
	uint64_t ticks = us * counter_hz_or_1() / US_PER_SECOND + 1;

	while (arch_counter() - start < ticks) {
	}
}
