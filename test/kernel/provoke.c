/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/provoke.c - provoke=: break the kernel on purpose, to see that it says how.
 *
 * THEORY   Each provocation is a bug that somebody has shipped. It must end in its report and in
 *          the end marker; coming back from one is a failure, which run_main() then reports.
 *          Those that break mappings are in provoke_map.c.
 */
#include "test/kernel/provoke.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <compiler.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/report.h"
#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/programs.h"
#include "vm/kmap.h"
#include "vm/pmap.h"

#define DEEP_BYTES 256
#define PATIENCE 20 /* busy changes; the kernel gives up long before */

static uint64_t ready;

unsigned provoke_victim(void)
{
	const uint64_t cpus = work_cpus();

	if (cpus == 0) {
		panic("provoke=%s takes two CPUs", bootargs.provoke);
	}
	return (unsigned)__builtin_ctzll(cpus);
}

void provoke_ready(void)
{
	__atomic_fetch_add(&ready, 1, __ATOMIC_RELEASE);
	dsb_ishst();
	cpu_sev();
}

void provoke_wait_ready(uint64_t count)
{
	while (load_acquire(&ready) < count) {
		cpu_wfe();
	}
}

void provoke_linger(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		cpu_wfe();
	}
}

/* x18 that is no slice: the next exception, here the load through it, must notice. */
static void provoke_x18(void)
{
	__asm__ volatile("mov x18, %0\n\tldr x0, [x18]" ::"r"(UNMAPPED) : "x0", "memory");
}

/* A fault on the exception stack, and one more in the report on it. */
static void provoke_report(void)
{
	report_provoked = true;
	__asm__ volatile("msr daifset, #0xf\n\tmsr spsel, #1\n\tldr x0, [%0]" ::"r"(UNMAPPED)
			 : "x0", "memory");
}

/*
 * Recursion in C without end, down through the red zone. Each level makes the check of a slow exit
 * (work_loop() makes it between pieces of work).
 */
static unsigned descend(volatile char *above);
static unsigned (*volatile deeper)(volatile char *above) = descend;

static unsigned descend(volatile char *above)
{
	volatile char here[DEEP_BYTES];

	/* All of it: a frame that is not written can step over a red zone. */
	for (unsigned i = 0; i < DEEP_BYTES; i++) {
		here[i] = above[i % 16];
	}
	if (!pcpu_stacks_intact(pcpu_this())) {
		panic("stack overflow: a red zone of cpu%u is overwritten", cpu_number());
	}
	return deeper(here) + (unsigned)here[0];
}

static void provoke_overflow(void)
{
	volatile char top[16] = { 0 };

	(void)deeper(top);
}

/* An interrupt that arrives on the exception stack: somebody opened the mask there. */
static uint64_t open_the_mask(void *unused)
{
	(void)unused;
	arch_ipi_send(SGI_STORM, UINT64_C(1) << cpu_number());
	__asm__ volatile("msr daifclr, #2" ::: "memory");
	provoke_linger(1000);
	return 0;
}

static void provoke_nmi(void)
{
	(void)arch_call_on_spx(open_the_mask, nullptr);
}

/* Past the door with everything masked, for ever. irq_mask() so that the place is on record. */
static void be_deaf(void *unused)
{
	(void)unused;
	irq_mask();
	__asm__ volatile("msr daifset, #0xf" ::: "memory");
	provoke_ready();
	for (;;) {
		cpu_wfe();
	}
}

static void provoke_deadlock(void)
{
	va_t at;

	if (kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, &at) != KERR_OK ||
	    pmap_map(&kernel_pmap, at, pa(UINT64_C(0xc000000000)), BLOCK_BYTES,
		     PMAP_DEVICE | PMAP_NO_PROMOTE) != KERR_OK) {
		panic("provoke=deadlock: nothing to demote");
	}
	/* A caller that tries for 1 s, not 3: whoever looks on waits less for the same verdict. */
	park_set_limits(arch_counter_hz() / 20, 20);
	work_start(UINT64_C(1) << provoke_victim(), be_deaf, nullptr);
	provoke_wait_ready(1);
	for (unsigned i = 0; i < PATIENCE; i++) {
		if (pmap_demote(&kernel_pmap, at, PAGE_BYTES, PAGE_BYTES) != KERR_BUSY) {
			return;
		}
	}
}

/* What a debugger is entered by; without one it is a fault like any other. */
static void provoke_brk(void)
{
	__asm__ volatile("brk #1");
}

/* Deaf as in `deadlock`, and nobody wants it to park: only a warden misses it. */
static void provoke_silence(void)
{
	work_start(UINT64_C(1) << provoke_victim(), be_deaf, nullptr);
	provoke_wait_ready(1);
	log_printf("provoke", "silence: cpu%u answers nobody", provoke_victim());
	for (unsigned i = 0; i < PATIENCE && bootargs.warden != 0; i++) {
		timer_delay_us(1000000);
	}
}

static const struct {
	const char *name;
	void (*run)(void);
} provocations[] = {
	{ "x18", provoke_x18 },           { "report", provoke_report },
	{ "overflow", provoke_overflow }, { "pcpu", provoke_pcpu },
	{ "stack", provoke_stack },       { "vector", provoke_vector },
	{ "current", provoke_current },   { "trace", provoke_trace },
	{ "tables", provoke_tables },     { "deadlock", provoke_deadlock },
	{ "nmi", provoke_nmi },           { "silence", provoke_silence },
	{ "brk", provoke_brk },           { "timer", provoke_timer },
	{ "call", provoke_call },
};

void provoke_arguments(struct bootargs *args)
{
	if (strcmp(args->provoke, "pcpu") == 0) {
		args->pcpu = PCPU_SCATTERED;
		args->bbm = BBM_NAIVE;
	}
	if (strcmp(args->provoke, "vector") == 0 && args->warden == 0) {
		log_printf("provoke", "vector: nobody but a warden can report it: warden=cpu1");
		args->warden = 2;
	}
}

unsigned provoke_main(void)
{
	for (unsigned i = 0; i < array_len(provocations); i++) {
		if (strcmp(bootargs.provoke, provocations[i].name) == 0) {
			provocations[i].run();
			log_printf("provoke", "%s: nothing happened", bootargs.provoke);
			return 1;
		}
	}
	log_printf("provoke", "provoke=%s is unknown; there are:", bootargs.provoke);
	for (unsigned i = 0; i < array_len(provocations); i++) {
		log_printf("provoke", "  %s", provocations[i].name);
	}
	return 2;
}
