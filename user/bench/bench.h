/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/bench.h - what the cases of init=bench share: stamps, samples, the line of a case.
 *
 * THEORY   A stamp is the counter and a mark, a hint that no architecture defines, for the plugin
 *          that counts from outside (test/bench/count.c). A case takes SAMPLES of them, and has one
 *          line, in the form that test/bench/run knows.
 */
#pragma once

#include <perch/calls.h>
#include <perch/spawn.h>

#include <stdbool.h>
#include <stdint.h>

#define SAMPLES 33u

struct stamps;

/* What all cases share. */
extern struct bench {
	uint64_t overhead; /* of two stamps */
	uint64_t id;       /* of the case that is measured: marks and lines have it */
	const char *only;
	handle_t endpoint, parent;
	struct child server;
	struct stamps *stamps;
	uint64_t sample[SAMPLES];
	uint64_t back[SAMPLES]; /* of the way back, where both are measured */
	bool failed;
} bench;

/* What is measured begins after the one and ends before the other. */
static inline uint64_t stamp_begin(uint64_t id)
{
	register uint64_t x0 __asm__("x0") = id;

	__asm__ volatile("hint #126\n\tisb\n\tmrs %0, cntvct_el0" : "+r"(x0) : : "memory");
	return x0;
}

static inline uint64_t stamp_end(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\thint #127" : "=r"(ticks) : : "memory");
	return ticks;
}

/* Ticks between two stamps, less what an empty sample takes. */
uint64_t less_overhead(uint64_t ticks);

/* A sample was `units` of what the figure is for. The next case has the next number. */
void report(const char *name, unsigned units, const char *goal);

/* Run fn on a thread that has not used FP registers, and wait for its end. */
bool on_fresh_thread(void (*fn)(void *), void *argument);

/* Events, interrupts, timers, and a driver in another task: interrupts.c. */
void measure_events(const char *program_name);
void serve_driver(void *stamps);

/* Measure `statement` SAMPLES times. */
#define MEASURE(name, goal, statement)                                       \
	do {                                                                 \
		for (unsigned i = 0; i < SAMPLES; i++) {                     \
			const uint64_t from = stamp_begin(bench.id);         \
			statement;                                           \
			bench.sample[i] = less_overhead(stamp_end() - from); \
		}                                                            \
		report(name, 1, goal);                                       \
	} while (0)
