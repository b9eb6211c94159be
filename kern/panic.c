/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/panic.c - panic, and stopping the others. See kern/stop.h, kern/assert.h.
 *
 * THEORY   A panic formats its text where it is, because its arguments are there, into the image.
 *          Then it goes to the lifeboat and reports from there: whatever broke the fact that was
 *          asserted may have broken the tables too.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>
#include <arch/machine.h>
#include <memmap.h>
#include <stdarg.h>

#include "kern/assert.h"
#include "kern/format.h"
#include "kern/hold.h"
#include "kern/log.h"
#include "kern/stop.h"

#define STOP_ROUNDS 100000 /* of WFE, as long as nobody has set a time */
#define HALF_LIFEBOAT ((SLICE_LIFEBOAT_TOP - SLICE_LIFEBOAT) / 2)
#define LEVELS_REPORTED 2

/* In the image, pinned. */
uint64_t stop_wanted;
static uint64_t stopped;  /* CPUs that stopped */
static uint64_t running;  /* CPUs that were ever started */
static uint64_t patience_ticks;
static unsigned depth[MAX_CPUS];
static char panic_text[LOG_LINE_BYTES];
uint64_t stop_frame[MAX_CPUS];
uint64_t lifeboat_sp[MAX_CPUS];
uint64_t lifeboat_slice[MAX_CPUS];

void stop_set_patience(uint64_t ticks)
{
	patience_ticks = ticks;
}

void stop_note_running(unsigned cpu)
{
	__atomic_fetch_or(&running, UINT64_C(1) << cpu, __ATOMIC_RELAXED);
}

void stop_note_off(unsigned cpu)
{
	__atomic_fetch_and(&running, ~(UINT64_C(1) << cpu), __ATOMIC_RELAXED);
}

uint64_t stop_running(void)
{
	return load_relaxed(&running);
}

_Noreturn void stop_forever(unsigned cpu)
{
	stop_frame[cpu] = (uint64_t)(uintptr_t)__builtin_frame_address(0);
	__atomic_fetch_or(&stopped, UINT64_C(1) << cpu, __ATOMIC_RELEASE);
	dsb_ishst();
	cpu_sev();
	arch_halt();
}

void stop_self(void)
{
	if (stop_reporter(load_acquire(&stop_wanted)) != 0) {
		stop_forever(arch_cpu_number_safe());
	}
}

bool stop_is_mine(void)
{
	const uint64_t by = stop_reporter(load_relaxed(&stop_wanted));

	return unlikely(by != 0) && by == (uint64_t)arch_cpu_number_safe() + 1;
}

static noinline void stop_unless_mine(void)
{
	if (!stop_is_mine()) {
		stop_forever(arch_cpu_number_safe());
	}
}

void stop_check(void)
{
	if (unlikely(stop_reporter(load_relaxed(&stop_wanted)) != 0)) {
		stop_unless_mine();
	}
}

void stop_or_hold(void)
{
	stop_check();
	hold_poll();
}

void stop_take_over(unsigned cpu)
{
	uint64_t was;

	do { /* again only if a debugger came or went meanwhile */
		was = load_relaxed(&stop_wanted);
		if (stop_reporter(was) != 0) {
			if (stop_reporter(was) != (uint64_t)cpu + 1) {
				stop_forever(cpu);
			}
			return;
		}
	} while (!cas_acquire(&stop_wanted, was, was | ((uint64_t)cpu + 1)));
}

unsigned stop_deeper(unsigned cpu)
{
	const unsigned level = ++depth[cpu];

	if (level == 1) {
		lifeboat_sp[cpu] -= HALF_LIFEBOAT;
	} else if (level == LEVELS_REPORTED + 1) {
		arch_machine_end(1);
	} else if (level > LEVELS_REPORTED + 1) {
		arch_halt(); /* even the end does not work */
	}
	return level;
}

uint64_t stop_others_safe(unsigned cpu)
{
	const uint64_t others = load_relaxed(&running) & ~(UINT64_C(1) << cpu);
	const uint64_t start = counter_now();

	dsb_ishst();
	if (others != 0) {
		arch_ipi_send(SGI_STOP, others);
		cpu_sev(); /* whoever waits with interrupts masked wakes by this, and polls */
	}
	for (unsigned round = 0; (load_acquire(&stopped) & others) != others; round++) {
		if (patience_ticks != 0 ? counter_now() - start > patience_ticks
					: round > STOP_ROUNDS) {
			break;
		}
		cpu_wfe();
	}
	return others & ~load_acquire(&stopped);
}

/* The host build has panic() and no report; the kernel's is in kern/fatal.c. */
[[gnu::weak]] void report_panic(uint64_t fp, uint64_t stopped_not)
{
	(void)fp;
	(void)stopped_not;
}

/* On the lifeboat. A panic inside a report says so, and ends it. */
static void tell(uint64_t fp)
{
	const unsigned cpu = arch_cpu_number_safe();
	const unsigned level = stop_deeper(cpu);
	const uint64_t left = stop_others_safe(cpu);

	log_panic(cpu);
	kprintf("PANIC cpu%u: %s%s\n", cpu, panic_text, level > 1 ? " (inside a report)" : "");
	if (level == 1) {
		report_panic(fp, left);
	}
	kprintf("PANIC END\n");
	arch_machine_end(1);
}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	(void)arch_irq_mask();
	stop_take_over(arch_cpu_number_safe());
	va_start(ap, fmt);
	kvsnprintf(panic_text, sizeof(panic_text), fmt, ap);
	va_end(ap);
	arch_lifeboat(tell, (uint64_t)(uintptr_t)__builtin_frame_address(0));
}

_Noreturn void boot_fail(const char *fmt, ...)
{
	va_list ap;

	kprintf("boot failed: ");
	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
	kprintf("\n");
	arch_machine_end(1);
}

_Noreturn void panic_assert(const char *file, int line, const char *fact)
{
	(void)arch_irq_mask();
	stop_take_over(arch_cpu_number_safe());
	ksnprintf(panic_text, sizeof(panic_text), "%s:%d: assertion failed: %s", file, line, fact);
	arch_lifeboat(tell, (uint64_t)(uintptr_t)__builtin_frame_address(0));
}
