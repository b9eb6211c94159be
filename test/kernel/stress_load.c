/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_load.c - arenas, and the CPUs that use them while they change.
 *
 * The access loop has a section of its own, so that an interrupted PC tells whether a parked CPU
 * was using the very block that changed (`busy`). It yields now and then: under single-threaded
 * TCG a loop that never does keeps the host's only thread for itself.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <memmap.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/irq.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/stress.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap.h"

#define access_loop __attribute__((section(".text.access_loop"), __noinline__))
#define YIELD_ROUNDS 8

extern char access_loop_start[], access_loop_end[];

struct load_cpu {
	cacheline_aligned uint64_t wrong; /* values that were not what they must be */
	uint64_t added;                   /* to the arena's shared counters */
	uint64_t random;
};

static struct load_cpu load_cpu[MAX_CPUS];
static const struct arena *load_arena;
static unsigned load_what;
static uint64_t load_end;
static uint64_t loaded;
static bool running;
static uint64_t counters_before;

uint64_t arena_pattern(const struct arena *a, uint64_t page)
{
	return (a->pa.v + page * PAGE_BYTES) * UINT64_C(0x9e3779b97f4a7c15) ^
	       UINT64_C(0x5045524348);
}

static uint64_t *word(va_t base, uint64_t page, uint64_t offset)
{
	return (uint64_t *)(uintptr_t)(base.v + page * PAGE_BYTES + offset);
}

/* movz w0, #page & 0xffff; movk w0, #page >> 16, lsl 16; ret */
static void write_code(const struct arena *a, uint64_t page, uint64_t value)
{
	uint32_t *code = (uint32_t *)(uintptr_t)(a->rw.v + page * PAGE_BYTES + ARENA_CODE);

	code[0] = 0x52800000u | (uint32_t)(value & 0xffff) << 5;
	code[1] = 0x72a00000u | (uint32_t)(value >> 16 & 0xffff) << 5;
	code[2] = 0xd65f03c0u;
	for (unsigned i = 0; i < 3; i++) {
		__asm__ volatile("dc cvau, %0" ::"r"(&code[i]) : "memory");
	}
	dsb_ish();
	for (unsigned i = 0; i < 3; i++) {
		__asm__ volatile(
			"ic ivau, %0" ::"r"(a->rx.v + page * PAGE_BYTES + ARENA_CODE + 4 * i)
			: "memory");
	}
	dsb_ish();
	isb();
}

enum kerr arena_make(struct arena *a, uint64_t size)
{
	unsigned order = 0;

	*a = (struct arena){ 0 };
	while ((PAGE_BYTES << order) < size) {
		order++;
	}
	enum kerr e = frame_alloc(order, 0, &a->pa);

	if (e != KERR_OK) {
		return e;
	}
	a->order = order;
	a->size = size;
	if (kmap_reserve(size, size, &a->rw) != KERR_OK ||
	    kmap_reserve(size, size, &a->rx) != KERR_OK ||
	    pmap_map(&kernel_pmap, a->rw, a->pa, size, PMAP_WRITE) != KERR_OK ||
	    pmap_map(&kernel_pmap, a->rx, a->pa, size, PMAP_EXEC) != KERR_OK) {
		return KERR_NO_MEMORY;
	}
	for (uint64_t page = 0; page < size / PAGE_BYTES; page++) {
		uint64_t *words = word(a->rw, page, 0);

		for (unsigned i = 0; i < PAGE_BYTES / sizeof(*words); i++) {
			words[i] = 0;
		}
		words[0] = arena_pattern(a, page);
		write_code(a, page, page);
	}
	return KERR_OK;
}

void arena_drop(struct arena *a)
{
	CHECK(pmap_unmap(&kernel_pmap, a->rw, a->size) == KERR_OK);
	CHECK(pmap_unmap(&kernel_pmap, a->rx, a->size) == KERR_OK);
	kmap_release(a->rw, a->size);
	kmap_release(a->rx, a->size);
	frame_free(a->pa, a->order);
	a->size = 0;
}

bool arena_is_intact(const struct arena *a)
{
	for (uint64_t page = 0; page < a->size / PAGE_BYTES; page++) {
		if (*word(a->rw, page, 0) != arena_pattern(a, page)) {
			return false;
		}
	}
	return true;
}

static uint64_t counters_of(const struct arena *a)
{
	uint64_t sum = 0;

	for (uint64_t page = 0; page < a->size / PAGE_BYTES; page++) {
		sum += load_relaxed(word(a->rw, page, ARENA_COUNTER));
	}
	return sum;
}

static always_inline void add_exclusive(uint64_t *p)
{
	__atomic_fetch_add(p, 1,
			   __ATOMIC_RELAXED); /* LDXR, STXR: the kernel is built for ARMv8.0 */
}

static always_inline void add_lse(uint64_t *p)
{
	__asm__ volatile(".arch_extension lse\n\tstadd %1, %0" : "+Q"(*p) : "r"(UINT64_C(1)));
}

static always_inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One visit to one page. Returns how many values were wrong. */
static access_loop uint64_t visit(const struct arena *a, unsigned what, unsigned cpu, uint64_t page,
				  struct load_cpu *me)
{
	uint64_t wrong = 0;

	if ((what & LOAD_READ) != 0 &&
	    *(volatile uint64_t *)word(a->rw, page, 0) != arena_pattern(a, page)) {
		wrong++;
	}
	if ((what & LOAD_WRITE) != 0) {
		volatile uint64_t *mine = word(a->rw, page, ARENA_SLOTS + 8 * cpu);
		const uint64_t value = me->random;

		*mine = value;
		wrong += *mine != value ? 1 : 0;
	}
	if ((what & LOAD_COUNT) != 0) {
		if (cpu_features.lse && (me->random & 1) != 0) {
			add_lse(word(a->rw, page, ARENA_COUNTER));
		} else {
			add_exclusive(word(a->rw, page, ARENA_COUNTER));
		}
		me->added++;
	}
	if ((what & LOAD_EXEC) != 0) {
		uint32_t (*code)(void) =
			(uint32_t (*)(void))(a->rx.v + page * PAGE_BYTES + ARENA_CODE);

		wrong += code() != page ? 1 : 0;
	}
	if ((what & LOAD_EXTRACT) != 0) {
		pa_t out;
		const bool found = pmap_extract(va(a->rw.v + page * PAGE_BYTES), &out);

		wrong += !found || out.v != a->pa.v + page * PAGE_BYTES ? 1 : 0;
	}
	return wrong;
}

static access_loop void access_arena(const struct arena *a, unsigned what, unsigned cpu,
				     struct load_cpu *me)
{
	const uint64_t pages = a->size / PAGE_BYTES;

	while (load_relaxed(&load_end) == 0) {
		for (unsigned i = 0; i < YIELD_ROUNDS; i++) {
			me->wrong += visit(a, what, cpu, next_random(&me->random) % pages, me);
		}
		__asm__ volatile("yield" ::: "memory");
	}
}

static void load_main(void *arg)
{
	struct pcpu *p = pcpu_this();
	const unsigned cpu = p->base.cpu;

	(void)arg;
	if ((load_what & LOAD_TIMER) != 0) {
		irq_timer_start(arch_counter_hz() / 20000);
	}
	store_release(&p->work_block, load_arena->rw.v);
	access_arena(load_arena, load_what, cpu, &load_cpu[cpu]);
	store_release(&p->work_block, 0);
	if ((load_what & LOAD_TIMER) != 0) {
		irq_timer_stop();
	}
}

uint64_t load_cpus(void)
{
	return loaded;
}

void load_start(const struct arena *a, unsigned what)
{
	if (running && load_arena == a && load_what == what) {
		return;
	}
	load_stop();
	running = true;
	load_arena = a;
	load_what = what;
	counters_before = counters_of(a);
	store_release(&load_end, 0);
	loaded = work_cpus();
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		load_cpu[cpu].random = stress_random() | 1;
		load_cpu[cpu].added = 0;
	}
	work_start(loaded, load_main, nullptr);
	for (uint64_t scan = loaded; scan != 0; scan &= scan - 1) {
		while (load_acquire(&pcpu_of((unsigned)__builtin_ctzll(scan))->work_block) == 0) {
			cpu_wfe(); /* all CPUs take part before the first change */
		}
	}
}

void load_stop(void)
{
	uint64_t added = 0;

	if (!running) {
		return;
	}
	running = false;
	store_release(&load_end, 1);
	work_wait(loaded, 0);
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		stress.corruptions += load_cpu[cpu].wrong;
		load_cpu[cpu].wrong = 0;
		added += load_cpu[cpu].added;
	}
	if (counters_of(load_arena) - counters_before != added) {
		stress.corruptions++; /* an addition was lost, or came twice */
	}
	loaded = 0;
}

bool load_was_busy(const struct arena *a)
{
	const uint64_t gen = park_generation();

	for (uint64_t scan = loaded; scan != 0; scan &= scan - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(scan);
		const struct mailbox *m = mailbox_of(cpu);
		const uint64_t pc = load_relaxed(&m->ack_pc);
		const bool in_loop = pc - (uint64_t)(uintptr_t)access_loop_start <
				     (uint64_t)(access_loop_end - access_loop_start);
		const bool in_block = pc - a->rx.v < a->size;

		if (load_acquire(&m->ack) == gen && (in_loop || in_block) &&
		    load_relaxed(&pcpu_of(cpu)->work_block) == a->rw.v) {
			return true;
		}
	}
	return false;
}

uint64_t stress_leaf(va_t at)
{
	pte_t entry;
	uint64_t bytes;

	return pmap_query(at, &entry, &bytes) ? bytes : 0;
}

void change_block(const struct arena *a, va_t block)
{
	const va_t page = va(block.v + stress_below(BLOCK_BYTES / PAGE_BYTES) * PAGE_BYTES);

	CHECK(pmap_demote(&kernel_pmap, page, PAGE_BYTES, PAGE_BYTES) == KERR_OK);
	CHECK(stress_leaf(page) == PAGE_BYTES);
	CHECK(pmap_promote(&kernel_pmap, page, PAGE_BYTES) == KERR_OK);
	if (load_was_busy(a)) {
		stress.busy++;
	}
}
