/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/stop.h - stop requests: panic beats park.
 *
 * THEORY   The first CPU that fails takes over the console and stops the others; a CPU that fails
 *          meanwhile stops as if it had been asked. State is in the image: a stop must work when
 *          slices are what broke. The _safe forms take the CPU's number and trust no register.
 */
#pragma once

#include <types.h>

/*
 * Stop here for ever if a panic asked for it. Called in every wait loop, a parked CPU's included.
 */
void stop_poll(void);

/* Is the report this CPU's? Then it waits for nobody any more. */
bool stop_is_mine(void);

/* The stop interrupt. Does not return if a panic asked for it. */
void stop_self(void);

/* Claim the report for this CPU; if another has it, stop here. */
void stop_take_over(void);
/* The same; false: another CPU has it. True again for the CPU that has it already. */
bool stop_take_over_safe(unsigned cpu);

/* Ask the other CPUs to stop and wait, bounded. Returns those that did not. */
uint64_t stop_others_safe(unsigned cpu);

_Noreturn void stop_forever(unsigned cpu);

/* A CPU runs: from now on it is asked to stop. It goes off: no longer. */
void stop_note_running(unsigned cpu);
void stop_note_off(unsigned cpu);
