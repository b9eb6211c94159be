/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/warden.c - see kern/warden.h.
 */
#include "kern/warden.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <arch/machine.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/physread.h"
#include "kern/reclaim.h"
#include "kern/report.h"
#include "kern/run.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/pcpu.h"
#include "vm/lifeboat.h"

#define ROUND_MS 20   /* between looks at the tables, and between probes */
#define SILENCE_MS 3000 /* without a beat, though probed: longer than any masked stretch */
#define SILENCE_PROBES (SILENCE_MS / ROUND_MS / 2)

#define TICKS(ms) (arch_counter_hz() / 1000 * (ms))

struct beat {
	uint64_t count;
	uint64_t since;   /* counter, when it changed last */
	unsigned unheard; /* probes since then: a machine that was paused as a whole shows few */
};

/* [p] of the warden. In the image: a report is made on another stack. */
static struct {
	struct beat beat[MAX_CPUS];
	struct lifeboat_difference difference;
	uint64_t silent; /* CPUs */
} watch;

extern char vectors[];

bool warden_is(unsigned cpu)
{
	return bootargs.warden == (uint64_t)cpu + 1 && cpu != 0 && bootargs.pcpu == PCPU_BLOCK;
}

void warden_announce(void)
{
	const uint64_t cpu = bootargs.warden - 1;

	if (bootargs.warden == 0) {
		return;
	}
	if (cpu == 0 || bootargs.pcpu != PCPU_BLOCK || (stop_running() >> cpu & 1) == 0) {
		log_printf("boot", "warden=cpu%llu: %s; no warden", (unsigned long long)cpu,
			   cpu == 0                      ? "this CPU runs the program"
			   : bootargs.pcpu != PCPU_BLOCK ? "pcpu=scattered"
							 : "no such CPU");
		return;
	}
	log_printf("boot", "warden=cpu%llu", (unsigned long long)cpu);
}

/* A CPU's beat; zero for one that never ran. Read in the pinned map, which the lifeboat has too. */
static uint64_t beats(unsigned cpu)
{
	return load_relaxed(&pcpu_slice[cpu]->counter[CTR_irqs]);
}

/* CPUs that were asked for a beat again and again and gave none. */
static uint64_t listen(uint64_t others)
{
	const uint64_t now = counter_now();
	uint64_t silent = 0;

	for (; others != 0; others &= others - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(others);
		struct beat *b = &watch.beat[cpu];

		if (b->since == 0 || beats(cpu) != b->count) {
			*b = (struct beat){ .count = beats(cpu), .since = now };
		} else if (++b->unheard > SILENCE_PROBES && now - b->since > TICKS(SILENCE_MS)) {
			silent |= UINT64_C(1) << cpu;
		}
	}
	return silent;
}

static void print_difference(const struct lifeboat_difference *d)
{
	struct report_walk w;

	kprintf("pinned: %s", d->what);
	symbol_print(d->at.v);
	kprintf(", must be %016llx at L%u, is %016llx\n", (unsigned long long)d->lifeboat.v,
		d->level, (unsigned long long)d->live.v);
	report_walk(d->at, &w);
	kprintf("walk of %#llx in the live tables:\n", (unsigned long long)d->at.v);
	report_print_walk(d->at, &w);
	report_print_owner(d->at);
	report_print_culprit(d->at, &w);
}

/* The first line, for scripts. */
static void print_head(unsigned cpu)
{
	const struct lifeboat_difference *d = &watch.difference;

	if (watch.silent != 0) {
		kprintf("WARDEN cpu%u cause=silence cpus=%#llx\n", cpu,
			(unsigned long long)watch.silent);
		return;
	}
	kprintf("WARDEN cpu%u cause=%s va=%#llx entry=L%u[%u]\n", cpu,
		d->at.v == (uint64_t)(uintptr_t)vectors ? "vectors" : "pinned",
		(unsigned long long)d->at.v, d->level, level_index(d->at, d->level));
}

/* On the lifeboat stack. */
static void tell(uint64_t unused)
{
	const unsigned cpu = arch_cpu_number_safe();

	(void)unused;
	(void)stop_deeper(cpu);
	const uint64_t stopped_not = stop_others_safe(cpu);

	log_panic(cpu);
	print_head(cpu);
	report_cpus(stopped_not);
	if (watch.silent == 0) {
		print_difference(&watch.difference);
	}
	report_print_others(cpu);
	kprintf("REPORT END\n");
	arch_machine_end(1);
}

static _Noreturn void report(void)
{
	stop_take_over(arch_cpu_number_safe());
	arch_lifeboat(tell, 0);
}

/*
 * The vectors are what no other CPU can miss and still say so. They are looked at again when
 * something differs: the entry may be one on their walk that broke after the first look.
 */
static bool tables_are_right(void)
{
	const va_t of_vectors = va((uint64_t)(uintptr_t)vectors);

	if (lifeboat_compare_at(of_vectors, &watch.difference) &&
	    lifeboat_compare(&watch.difference)) {
		return true;
	}
	(void)lifeboat_compare_at(of_vectors, &watch.difference);
	return false;
}

/* A debugger may hold everybody for minutes (kern/hold.h): that is no silence. */
static void poll_patiently(void)
{
	const uint64_t start = counter_now();

	stop_poll();
	if (counter_now() - start > TICKS(ROUND_MS)) {
		memset(watch.beat, 0, sizeof(watch.beat));
	}
}

static uint64_t watch_on_spx(void *unused)
{
	const unsigned cpu = cpu_number();
	uint64_t next = 0;

	(void)unused;
	door_leave(DOOR_IDLE);
	(void)lifeboat_enter();
	for (;;) {
		const uint64_t others = stop_running() & ~(UINT64_C(1) << cpu);

		poll_patiently();
		if (counter_now() >= next) {
			if (!tables_are_right()) {
				report();
			}
			watch.silent = listen(others);
			if (watch.silent != 0) {
				report();
			}
			dsb_ishst();
			arch_ipi_send(SGI_WAKE, others);
			next = counter_now() + TICKS(ROUND_MS);
		}
		cpu_wfe();
	}
	return 0;
}

_Noreturn void warden_main(void)
{
	irq_mask();
	reclaim_asleep(); /* it looks at no object, and is waited for by nobody */
	irq_unmask();
	arch_call_on_spx(watch_on_spx, nullptr);
	panic("the warden came back");
}
