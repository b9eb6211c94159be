/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/boot.c - pinned memory, the kernel's state at the beginning of a run, its console.
 *
 * THEORY   The kernel's sources keep state in statics. They are compiled into two sections of their
 *          own (test/host/kernel_sections.h), which are copied away once after boot and copied back
 *          before each run, with the pages of the pool that were in use then. Pages that the heap
 *          gives out later are cleared by it.
 */
#include <arch/feature.h>
#include <arch/machine.h>
#include <arch/page.h>
#include <memmap.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/log.h"
#include "kern/symbols.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/host/sim_impl.h"
#include "vm/lifeboat.h"
#include "vm/pmap.h"

#define SLICE_PAGES (SLICE_BYTES / PAGE_BYTES)
#define SLICE_PAGES_KEPT \
	2 /* struct pcpu and the mailbox; stacks are not used, the recorder needs none */

extern char __start_kdata[], __stop_kdata[], __start_kbss[], __stop_kbss[];

struct cpu_features cpu_features;

static char *pool;
static char *saved_pool;
static char *saved_data;
static char *saved_bss;
static unsigned saved_pages;
static bool kept[SIM_POOL_PAGES];
static char line[512];
static char last_line[512];
static size_t line_bytes;
static char console[512];

/* Redzones between the kernel's variables are poisoned: copy as bytes that nobody checks. */
__attribute__((no_sanitize("address"))) static void copy_section(char *to, const char *from,
								 size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		((volatile char *)to)[i] = from[i];
	}
}

bool pool_has(const void *p)
{
	return (uint64_t)((const char *)p - pool) < (uint64_t)SIM_TABLE_PAGES * PAGE_BYTES;
}

uint64_t pool_pa(const void *p)
{
	return SIM_POOL_BASE + (uint64_t)((const char *)p - pool);
}

uint64_t *pool_ptr(uint64_t at)
{
	if (at - SIM_POOL_BASE >= (uint64_t)SIM_TABLE_PAGES * PAGE_BYTES) {
		sim_fail("a walk leaves table memory: %#llx", (unsigned long long)at);
	}
	return (uint64_t *)(void *)(pool + (at - SIM_POOL_BASE));
}

void *arch_pinned_ptr(va_t at)
{
	return pool_ptr(at.v - PINNED_BASE);
}

/* The simulated machine has no second root. */
bool lifeboat_pin(va_t at, uint64_t size)
{
	(void)at;
	(void)size;
	return true;
}

/* What the heap grew by is pinned from the moment that the register says so. */
bool boot_is_pinned(uint64_t at, uint64_t size)
{
	const va_t growth = va(PINNED_BASE + SIM_GROWTH_BASE);

	return ranges_meet(at, size, PINNED_BASE + SIM_POOL_BASE, BLOCK_BYTES) ||
	       (ranges_meet(at, size, growth.v, BLOCK_BYTES) &&
		pin_overlaps_va(growth, BLOCK_BYTES) != nullptr);
}

static void make_slices(void)
{
	for (unsigned cpu = 0; cpu < SIM_CPUS; cpu++) {
		void *slice = heap_alloc(SLICE_PAGES, SLICE_PAGES, 0);

		pcpu_register(cpu, 0, cpu, slice);
		for (unsigned n = SLICE_PAGES_KEPT; n < SLICE_PAGES; n++) {
			kept[(unsigned)((char *)slice - pool) / PAGE_BYTES + n] = false;
		}
		sim.cpu[cpu].base = slice;
	}
}

static void save(void)
{
	const struct heap_stats s = heap_stats();

	saved_pages = SIM_POOL_PAGES - s.pages_free;
	saved_pool = malloc((size_t)SIM_POOL_PAGES * PAGE_BYTES);
	memcpy(saved_pool, pool, (size_t)SIM_POOL_PAGES * PAGE_BYTES);
	saved_data = malloc((size_t)(__stop_kdata - __start_kdata));
	saved_bss = malloc((size_t)(__stop_kbss - __start_kbss));
	copy_section(saved_data, __start_kdata, (size_t)(__stop_kdata - __start_kdata));
	copy_section(saved_bss, __start_kbss, (size_t)(__stop_kbss - __start_kbss));
}

void boot_restore(void)
{
	/* The heap fills its block from the front, but for the alignment of the slices. */
	for (unsigned i = 0; i < SIM_POOL_PAGES && i < saved_pages + SLICE_PAGES; i++) {
		if (kept[i]) {
			memcpy(pool + i * PAGE_BYTES, saved_pool + i * PAGE_BYTES, PAGE_BYTES);
		}
	}
	copy_section(__start_kdata, saved_data, (size_t)(__stop_kdata - __start_kdata));
	copy_section(__start_kbss, saved_bss, (size_t)(__stop_kbss - __start_kbss));
	tlb_link_root(kernel_pmap.root);
	line_bytes = 0;
	console[0] = '\0';
}

void sim_boot(void)
{
	static _Alignas(SLICE_BYTES) char boot_slice[SLICE_BYTES];
	static const pte_t empty_root[PT_ENTRIES];

	pool = aligned_alloc(BLOCK_BYTES, 2 * BLOCK_BYTES);
	memset(pool, 0, 2 * BLOCK_BYTES);
	memset(kept, true, sizeof(kept));
	sim.current = &sim.cpu[0];
	sim.cpu[0].base = (struct cpubase *)(void *)boot_slice;
	sim.cpus = SIM_CPUS;
	sim.quiet = 1;
	pcpu_register(0, 0, 0, boot_slice);
	heap_add_block(pool, pa(SIM_POOL_BASE), SIM_POOL_PAGES, 0);
	tlb_reset();
	(void)pmap_init(empty_root);
	tlb_link_root(kernel_pmap.root);
	make_slices();
	park_init(1000000);
	if (pmap_map(&kernel_pmap, va(PINNED_BASE + SIM_POOL_BASE), pa(SIM_POOL_BASE), BLOCK_BYTES,
		     PMAP_WRITE | PMAP_NO_PROMOTE) != KERR_OK) {
		abort();
	}
	pin_add(va(PINNED_BASE + SIM_POOL_BASE), pa(SIM_POOL_BASE), BLOCK_BYTES, "pool");
	pin_seal();
	save();
}

/* ---- the console ---- */
static void end_of_line(void)
{
	line[line_bytes] = '\0';
	line_bytes = 0;
	snprintf(last_line, sizeof(last_line), "%s", line);
	if (strncmp(line, "PANIC cpu", 9) == 0) {
		snprintf(console, sizeof(console), "%s", line);
		if (!sim.config.expect_panic) {
			sim_fail("%s", line);
		}
	}
	if (strncmp(line, "CPUs that did not stop", 22) == 0) {
		sim_fail("panic: %s", line);
	}
	if (sim.config.verbose) {
		fprintf(stderr, "          console: %s\n", line);
	}
}

void kvprintf(const char *fmt, va_list ap)
{
	char text[400];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (const char *s = text; *s != '\0'; s++) {
		if (*s == '\n' || line_bytes == sizeof(line) - 1) {
			end_of_line();
		} else {
			line[line_bytes++] = *s;
		}
	}
}

void kprintf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
}

void log_printf(const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	if (sim.current->in_window) {
		sim_fail("R4: a message inside the window");
	}
	kprintf("%s: ", subsystem);
	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
	kprintf("\n");
}

void log_panic(unsigned cpu)
{
	(void)cpu;
}

void symbol_print(uint64_t pc)
{
	kprintf("  %#llx\n", (unsigned long long)pc);
}

const char *sim_last_line(void)
{
	return last_line;
}

const char *sim_console(void)
{
	return console;
}

/* ---- the machine as a whole ---- */
unsigned arch_cpu_number_safe(void)
{
	return sim_index(sim.current);
}

_Noreturn void arch_halt(void)
{
	sim.current->masked = true;
	sim.current->spx = true;
	for (;;) {
		sim_halt();
	}
}

/* Its tables are what is under test. */
_Noreturn void arch_lifeboat(void (*fn)(uint64_t), uint64_t arg)
{
	fn(arg);
	abort();
}

_Noreturn void arch_machine_end(unsigned status)
{
	(void)status;
	if (!sim.running) {
		fprintf(stderr, "panic outside of a run: %s\n", console);
		abort();
	}
	sim_end();
}
