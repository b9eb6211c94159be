/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/hold.h - hold the other CPUs for a while: the debugger's stop, which ends.
 *
 * THEORY   Like a stop request (kern/stop.h), but every CPU goes on where it was. An interrupt
 *          holds a CPU whose interrupts are open; one that waits masked is held in its wait loop,
 *          because stop_poll() asks here too. A window is not interrupted: its CPU is on SPx, and
 *          is held after it. Held, a CPU touches its slice and the image only, and a panic
 *          elsewhere still stops it for good.
 * LOCKING  None. One holder at a time; whoever loses the race is held.
 */
#pragma once

#include <compiler.h>
#include <types.h>

#include "kern/stop.h"

struct trap_frame;

/*
 * Become the holder and hold `cpus`, waiting `ticks` at most. False: another CPU holds. *left: who
 * is not held yet; they are when they look.
 */
bool hold_others(uint64_t cpus, uint64_t ticks, uint64_t *left);

/* Let them go, and wait (bounded) until they are gone. Pre: this CPU is the holder. */
void hold_release(uint64_t ticks);

/*
 * Wait here if another CPU holds. `frame`, `pc`: what an interrupt or exception interrupted;
 * without a frame EL0; neither in a wait loop, or idle. On SPx or with interrupts masked.
 */
void hold_here(struct trap_frame *frame, uint64_t pc);

static inline void hold_poll(void)
{
	if (unlikely(stop_holder(load_relaxed(&stop_wanted)) != 0)) {
		hold_here(nullptr, 0);
	}
}

/* Where a held CPU stands: as it told hold_here(), and a frame pointer for its stack. */
struct held {
	struct trap_frame *frame;
	uint64_t pc;
	uint64_t fp; /* 0: not held */
};
const struct held *hold_of(unsigned cpu);

/* Called by each CPU when it goes on. Set once. */
void hold_set_hook(void (*going_on)(void));
