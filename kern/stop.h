/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/stop.h - stop requests: panic beats park. And how deep in disaster each CPU is.
 *
 * THEORY   The first CPU that fails takes over the console and stops the others; a CPU that fails
 *          meanwhile stops as if it had been asked. State is in the image: a stop must work when
 *          slices are what broke, so functions take the CPU's number and trust no register.
 *          A failure inside a report is a level deeper. The lifeboat stack is cut in halves, so
 *          that no depth of failure overwrites the first: level 1 reports, level 2 says a short
 *          form, level 3 only ends the machine, and one that fails even there halts.
 */
#pragma once

#include <arch/atomic.h>
#include <compiler.h>
#include <types.h>

/*
 * Who wants the others to stand still, one word for who asks all the time: CPU number + 1 of the
 * one that reports a panic (31:0, for ever) and of the one that debugs (63:32, kern/hold.h).
 */
extern uint64_t stop_wanted;
#define STOP_HOLDER_SHIFT 32

static inline uint64_t stop_reporter(uint64_t wanted)
{
	return (uint32_t)wanted;
}

static inline uint64_t stop_holder(uint64_t wanted)
{
	return wanted >> STOP_HOLDER_SHIFT;
}

void stop_or_hold(void);

/*
 * Stop here for ever if a panic asked for it, or wait here while another CPU debugs (kern/hold.h).
 * Called in every wait loop, a parked CPU's included.
 */
static inline void stop_poll(void)
{
	if (unlikely(load_relaxed(&stop_wanted) != 0)) {
		stop_or_hold();
	}
}

/* The first half of it alone. */
void stop_check(void);

/* Is the report this CPU's? Then it waits for nobody any more. */
bool stop_is_mine(void);

/* The stop interrupt. Does not return if a panic asked for it. */
void stop_self(void);

/* Claim the report for this CPU; if another has it, stop here. Again by the same CPU: nothing. */
void stop_take_over(unsigned cpu);

/* One level deeper in disaster: 1 or 2; does not return past that. On the lifeboat stack. */
unsigned stop_deeper(unsigned cpu);

/*
 * Ask the other CPUs to stop and wait, as long as stop_set_patience() says. Returns those that did
 * not.
 */
uint64_t stop_others_safe(unsigned cpu);
void stop_set_patience(uint64_t ticks);

_Noreturn void stop_forever(unsigned cpu);

/* A CPU runs: from now on it is asked to stop. It goes off: no longer. */
void stop_note_running(unsigned cpu);
void stop_note_off(unsigned cpu);
uint64_t stop_running(void);

/* The frame in which a CPU stopped, for its backtrace; 0: it did not. */
extern uint64_t stop_frame[MAX_CPUS];

/* By CPU number: top of the lifeboat stack, and slice, both pinned whatever pcpu= says. */
extern uint64_t lifeboat_sp[MAX_CPUS];
extern uint64_t lifeboat_slice[MAX_CPUS];

/*
 * What a panic says after its first line, on the lifeboat. `fp`: the frame of panic(), on the
 * stack that was left. kern/fatal.c; the host build has an empty one.
 */
void report_panic(uint64_t fp, uint64_t stopped_not);
