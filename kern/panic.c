/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/panic.c - panic, and stopping the others. See kern/stop.h, kern/assert.h.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>
#include <arch/machine.h>
#include <memmap.h>
#include <stdarg.h>

#include "kern/assert.h"
#include "kern/log.h"
#include "kern/stop.h"
#include "kern/symbols.h"

#define STOP_ROUNDS 100000 /* of WFE: 10 s at most with a 100 us event stream */

/* In the image, pinned. */
static uint64_t reporter; /* CPU number + 1; 0: nobody */
static uint64_t stopped;  /* CPUs that stopped */
static uint64_t running;  /* CPUs that were ever started */
uint64_t stop_frame[MAX_CPUS];

void stop_note_running(unsigned cpu)
{
	__atomic_fetch_or(&running, UINT64_C(1) << cpu, __ATOMIC_RELAXED);
}

void stop_note_off(unsigned cpu)
{
	__atomic_fetch_and(&running, ~(UINT64_C(1) << cpu), __ATOMIC_RELAXED);
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
	if (load_acquire(&reporter) != 0) {
		stop_forever(arch_cpu_number_safe());
	}
}

bool stop_is_mine(void)
{
	const uint64_t by = load_relaxed(&reporter);

	return unlikely(by != 0) && by == (uint64_t)arch_cpu_number_safe() + 1;
}

static noinline void stop_unless_mine(void)
{
	if (!stop_is_mine()) {
		stop_forever(arch_cpu_number_safe());
	}
}

void stop_poll(void)
{
	if (unlikely(load_relaxed(&reporter) != 0)) {
		stop_unless_mine();
	}
}

bool stop_take_over_safe(unsigned cpu)
{
	return cas_acquire(&reporter, 0, (uint64_t)cpu + 1) ||
	       load_relaxed(&reporter) == (uint64_t)cpu + 1;
}

void stop_take_over(void)
{
	const unsigned cpu = arch_cpu_number_safe();

	if (!stop_take_over_safe(cpu)) {
		stop_forever(cpu);
	}
	log_panic(cpu);
}

uint64_t stop_others_safe(unsigned cpu)
{
	const uint64_t others = load_relaxed(&running) & ~(UINT64_C(1) << cpu);

	dsb_ishst();
	if (others != 0) {
		arch_ipi_send(SGI_STOP, others);
		cpu_sev(); /* whoever waits with interrupts masked wakes by this, and polls */
	}
	for (unsigned round = 0; round < STOP_ROUNDS; round++) {
		if ((load_acquire(&stopped) & others) == others) {
			return 0;
		}
		cpu_wfe();
	}
	return others & ~load_acquire(&stopped);
}

/* The host build has panic() and no table of symbols; the kernel's is in kern/symbols.c. */
[[gnu::weak]] void symbol_print(uint64_t pc)
{
	(void)pc;
}

static void backtrace(void)
{
	const uint64_t *frame = __builtin_frame_address(0);
	const uint64_t slice = this_cpu()->slice;

	/* Frames of this slice only: a broken chain ends the walk, not the machine. */
	for (unsigned depth = 0; depth < 24; depth++) {
		const uint64_t at = (uint64_t)(uintptr_t)frame;

		if (at - slice >= SLICE_BYTES || at % 16 != 0) {
			return;
		}
		kprintf("  #%u %#llx", depth, (unsigned long long)frame[1]);
		symbol_print(frame[1] - 4); /* the call, not what follows it */
		kprintf("\n");
		frame = (const uint64_t *)(uintptr_t)frame[0];
	}
}

static _Noreturn void end(void)
{
	const uint64_t left = stop_others_safe(arch_cpu_number_safe());

	backtrace();
	if (left != 0) {
		kprintf("CPUs that did not stop: %#llx\n", (unsigned long long)left);
	}
	kprintf("PANIC END\n");
	arch_machine_end(1);
}

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	(void)arch_irq_mask();
	stop_take_over();
	kprintf("PANIC cpu%u: ", arch_cpu_number_safe());
	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
	kprintf("\n");
	end();
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
	stop_take_over();
	kprintf("PANIC cpu%u: %s:%d: assertion failed: %s\n", arch_cpu_number_safe(), file, line,
		fact);
	end();
}
