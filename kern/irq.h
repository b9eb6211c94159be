/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq.h - this CPU's timer interrupt.
 */
#pragma once

#include <types.h>

/* Interrupt this CPU every `period_ticks` of the counter, until stopped: load for tests. */
void irq_timer_start(uint64_t period_ticks);
void irq_timer_stop(void);

/*
 * Set this CPU's timer to `deadline` ticks, UINT64_MAX: to nothing. Only when it changes is the
 * device touched. Interrupts masked.
 */
void irq_timer_arm(uint64_t deadline);

/* The same, unless it is set to something earlier: that interrupt looks what comes next. */
void irq_timer_no_later(uint64_t deadline);

/* The same in the timer's interrupt: what it was set to has passed. */
void irq_timer_spent(uint64_t deadline);

/* The timer's interrupt number, from the device tree. */
uint32_t irq_timer_intid(void);
