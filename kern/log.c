/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/log.c - formatted output on the console.
 *
 * THEORY   The log must be usable by a CPU that has nothing but a stack: with the MMU off, from
 *          the vectors, after the tables are found to be garbage. So it has no buffer but the
 *          stack, no state but three pointers, and a lock only if one was given.
 * LOCKING  The lock given by log_set_lock() is held for one log_printf() or kprintf(). It is a
 *          leaf: nothing is called under it but the sink. log_panic() takes it out of use.
 *          While a program drives the console, what is not a panic or the debugger is lost.
 * NOT HERE Which UART, buffering, levels, the decision that a line is worth printing.
 */
#include "kern/log.h"

#include "arch/arm64/timer.h"

/* Set by the boot CPU before the others run, or by a CPU that stopped the others. */
static void (*sink_put)(char c);
static uint64_t (*lock_acquire)(void);
static void (*lock_release)(uint64_t state);
static unsigned (*cpu_hook)(void);
static bool bypass;        /* no lock: its holder is held */
static bool quiet;         /* a program drives the console */
static unsigned cpu_fixed; /* what to print without a hook */

static char last_char = '\n';

static void sink_char(char c)
{
	last_char = c;
	if (c == '\n') {
		sink_put('\r');
	}
	sink_put(c);
}

static uint64_t log_acquire(void)
{
	return lock_acquire != NULL && !bypass ? lock_acquire() : 0;
}

static void log_release(uint64_t state)
{
	if (lock_release != NULL && !bypass) {
		lock_release(state);
	}
}

void kvprintf(const char *fmt, va_list ap)
{
	struct format_out out = { .put = sink_char };

	if (sink_put == NULL || (quiet && !bypass)) {
		return;
	}
	uint64_t state = log_acquire();

	format_out(&out, fmt, ap);
	log_release(state);
}

void kprintf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
}

void kputs(const char *s)
{
	kprintf("%s", s);
}

void log_vprintf(const char *subsystem, const char *fmt, va_list ap)
{
	char line[LOG_LINE_BYTES];
	uint64_t us = timer_ticks_to_ns(arch_counter()) / 1000;
	unsigned cpu = cpu_hook != NULL ? cpu_hook() : cpu_fixed;
	size_t len = ksnprintf(line, sizeof(line),
			       "[%4lu.%06lu] cpu%u %s: ", (unsigned long)(us / 1000000),
			       (unsigned long)(us % 1000000), cpu, subsystem);

	if (len < sizeof(line)) {
		kvsnprintf(line + len, sizeof(line) - len, fmt, ap);
	}
	kprintf("%s\n", line);
}

void log_printf(const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprintf(subsystem, fmt, ap);
	va_end(ap);
}

void log_set_sink(const struct log_sink *sink)
{
	sink_put = sink != NULL ? sink->put : NULL;
}

void log_set_lock(const struct log_lock *lock)
{
	lock_acquire = lock != NULL ? lock->acquire : NULL;
	lock_release = lock != NULL ? lock->release : NULL;
}

void log_set_cpu_hook(unsigned (*cpu)(void))
{
	cpu_hook = cpu;
}

void log_bypass(bool on)
{
	bypass = on;
}

void log_quiet(bool on)
{
	quiet = on;
}

bool log_is_quiet(void)
{
	return quiet;
}

void log_fresh_line(void)
{
	if (last_char != '\n') {
		kprintf("\n");
	}
}

void log_panic(unsigned cpu)
{
	quiet = false;
	log_set_lock(NULL);
	cpu_hook = NULL;
	cpu_fixed = cpu;
	log_fresh_line();
}
