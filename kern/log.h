/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/log.h - formatted output on the console.
 *
 * Formats: kern/format.h.
 *
 * A line is formatted on the caller's stack and given to the sink under the lock, so that lines
 * of different CPUs do not mix. Without a lock (early boot, one CPU; or after log_panic()) it
 * uses no atomic instruction and runs with the MMU off.
 */
#pragma once

#include <stdarg.h>
#include <types.h>

#include "kern/format.h"

#define LOG_LINE_BYTES 256 /* the longest log_printf() line; what is past it is cut */

/* Where characters go. `put` may wait for the device, takes no lock and never fails. */
struct log_sink {
	void (*put)(char c);
};

/* The lock around one line. `acquire` returns what `release` gets back (the interrupt state). */
struct log_lock {
	uint64_t (*acquire)(void);
	void (*release)(uint64_t state);
};

/*
 * The three hooks are called through pointers, so the caller installs them again after it moved
 * the image to another address (MMU on). NULL (the state at reset): no output, no lock, cpu0.
 */
void log_set_sink(const struct log_sink *sink);
void log_set_lock(const struct log_lock *lock);
void log_set_cpu_hook(unsigned (*cpu)(void));

/* A program drives the console: print nothing until it is over, or a panic comes. */
void log_quiet(bool on);
bool log_is_quiet(void);

/* End the line that somebody began and was stopped in, or whose format is lost. */
void log_fresh_line(void);

/* From here on no lock is taken and the CPU hook is not called: for a CPU that stopped the rest. */
void log_panic(unsigned cpu);

/* As long as it is on no lock is taken: for a CPU that holds the others (kern/hold.h). */
void log_bypass(bool on);

/* Print `[   0.001234] cpu1 vm: message` and a newline. */
[[gnu::format(printf, 2, 3)]] void log_printf(const char *subsystem, const char *fmt, ...);
[[gnu::format(printf, 2, 0)]] void log_vprintf(const char *subsystem, const char *fmt, va_list ap);

/* Print as is, with no prefix and no newline of its own. */
[[gnu::format(printf, 1, 2)]] void kprintf(const char *fmt, ...);
[[gnu::format(printf, 1, 0)]] void kvprintf(const char *fmt, va_list ap);

/* Print a string as is; for text that is not a format. */
void kputs(const char *s);
