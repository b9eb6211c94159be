/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq.h - this CPU's timer interrupt.
 */
#pragma once

#include <types.h>

/* Interrupt this CPU every `period_ticks` of the counter, until stopped. */
void irq_timer_start(uint64_t period_ticks);
void irq_timer_stop(void);

/* The timer's interrupt number, from the device tree. */
uint32_t irq_timer_intid(void);
