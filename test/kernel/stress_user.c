/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_user.c - workloads on user spaces, driven from the kernel.
 *
 * THEORY   Two spaces map different memory at the same address. The other CPUs switch between them
 *          all the time, read and write by LDTR and STTR, and check what they find, while one CPU
 *          (or several) changes the size and the permissions of the mappings. The memory under
 *          load is mapped throughout: a translation fault there is a transient fault and counts
 *          as one, which mode park must not have and mode retry shows.
 * NOT HERE EL0 threads: what they would do is done by accesses that are judged as theirs.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <compiler.h>

#include "arch/arm64/sysreg.h"
#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/usercopy.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/stress.h"
#include "vm/asid.h"
#include "vm/frame.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_user.h"

#define AT (2 * GIB)            /* under load, always mapped */
#define OTHER (AT + 64 * MIB)   /* mapped and unmapped by the workloads */
#define ORDER_2M 9
#define PAGES (BLOCK_BYTES / PAGE_BYTES)
#define SPACES 2
#define CROWD 24 /* spaces of one page */
#define VISITS 16 /* between two switches of space */

struct user_arena {
	struct pmap pmap;
	pa_t pa; /* 2 MiB under load, and 2 MiB for the workloads */
	pa_t other;
};

/* Pinned. */
static struct user_arena arena[SPACES];
static struct pmap crowd[CROWD];
static uint64_t load_end;
static uint64_t loaded;  /* CPUs that have begun */
static uint64_t wrong;   /* values that were not what they must be */
static uint64_t changed; /* facts that did not hold on other CPUs */

static uint64_t pattern(const struct user_arena *a, uint64_t page)
{
	return (a->pa.v + page) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static uint64_t *linear(pa_t at, uint64_t offset)
{
	return (uint64_t *)(uintptr_t)(LINEAR_BASE + at.v + offset);
}

static void run_space(struct pmap *pmap)
{
	irq_mask();
	pmap_activate(pmap);
	irq_unmask();
}

static void add(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* ---- the load ---- */

/*
 * Again until it works. A permission fault is the workload's doing; the page is mapped throughout,
 * so a translation fault is transient: mode retry makes them, and waits for the window to close.
 */
static bool access(const struct pmap *pmap, uint64_t at, uint64_t *word, bool write)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		const enum kerr e = write ? copy_to_user(va(at), word, sizeof(*word))
					  : copy_from_user(word, va(at), sizeof(*word));

		if (e == KERR_OK) {
			return true;
		}
		if (ESR_DFSC_IS_TRANSLATION(ESR_DFSC(pcpu_this()->user_fault.esr))) {
			count(CTR_transient_faults);
			while (load_acquire(&pmap->space.window) != 0) {
				cpu_wfe(); /* pairs with the SEV of its close */
			}
		} else if (write) {
			return false;
		}
	}
	return false;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void visit(const struct user_arena *a, uint64_t *random, unsigned cpu)
{
	const uint64_t page = next_random(random) % PAGES;
	const uint64_t mine = AT + page * PAGE_BYTES + ARENA_SLOTS + 8 * cpu;
	uint64_t word = 0;

	if (!access(&a->pmap, AT + page * PAGE_BYTES, &word, false) || word != pattern(a, page)) {
		add(&wrong);
	}
	word = *random;
	if (access(&a->pmap, mine, &word, true) &&
	    (!access(&a->pmap, mine, &word, false) || word != *random)) {
		add(&wrong);
	}
}

static void user_load(void *arg)
{
	const unsigned cpu = cpu_number();
	uint64_t random = cpu * UINT64_C(0x2545f4914f6cdd1d) + 1;

	(void)arg;
	add(&loaded);
	while (load_relaxed(&load_end) == 0) {
		const struct user_arena *a = &arena[next_random(&random) % SPACES];

		run_space((struct pmap *)&a->pmap);
		for (unsigned i = 0; i < VISITS; i++) {
			visit(a, &random, cpu);
		}
		__asm__ volatile("yield" ::: "memory");
	}
	run_space(nullptr);
}

static void others_start(work_fn *fn, void *arg)
{
	const uint64_t cpus = (uint64_t)__builtin_popcountll(work_cpus());

	load_stop(); /* the kernel's */
	load_end = loaded = wrong = changed = 0;
	work_start(work_cpus(), fn, arg);
	while (load_acquire(&loaded) != cpus) {
		cpu_wfe();
	}
}

static void others_stop(void)
{
	store_release(&load_end, 1);
	dsb_ishst();
	cpu_sev();
	work_wait(work_cpus(), 0);
	stress.corruptions += wrong;
	CHECK(changed == 0);
}

/* ---- the spaces ---- */
static void make_arena(struct user_arena *a)
{
	CHECK(frame_alloc(ORDER_2M, 0, &a->pa) == KERR_OK);
	CHECK(frame_alloc(ORDER_2M, 0, &a->other) == KERR_OK);
	for (uint64_t page = 0; page < PAGES; page++) {
		*linear(a->pa, page * PAGE_BYTES) = pattern(a, page);
		*linear(a->other, page * PAGE_BYTES) = ~pattern(a, page);
	}
	CHECK(pmap_user_init(&a->pmap, nullptr) == KERR_OK);
	CHECK(pmap_map(&a->pmap, va(AT), a->pa, BLOCK_BYTES, PMAP_WRITE) == KERR_OK);
}

static void drop_arena(struct user_arena *a)
{
	struct pmap_audit audit;

	CHECK(pmap_audit(&a->pmap, &audit));
	for (uint64_t page = 0; page < PAGES; page++) {
		stress.corruptions += *linear(a->pa, page * PAGE_BYTES) != pattern(a, page) ? 1 : 0;
	}
	pmap_user_destroy(&a->pmap);
	frame_free(a->pa, ORDER_2M);
	frame_free(a->other, ORDER_2M);
}

/* Let `change` work on the spaces while the others use them. */
static void under_load(void (*change)(struct user_arena *a))
{
	const unsigned pages_free = heap_stats().pages_free;

	for (unsigned i = 0; i < SPACES; i++) {
		make_arena(&arena[i]);
	}
	others_start(user_load, nullptr);
	for (unsigned i = 0; i < SPACES; i++) {
		change(&arena[i]);
	}
	others_stop();
	for (unsigned i = 0; i < SPACES; i++) {
		drop_arena(&arena[i]);
	}
	CHECK(heap_stats().pages_free == pages_free);
}

static uint64_t leaf(struct user_arena *a, uint64_t at)
{
	pte_t e;
	uint64_t bytes;

	return pmap_user_query(&a->pmap, va(at), &e, &bytes) ? bytes : 0;
}

static bool holds_other(const struct user_arena *a)
{
	uint64_t word = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		if (copy_from_user(&word, va(OTHER + page * PAGE_BYTES), sizeof(word)) != KERR_OK ||
		    word != ~pattern(a, page)) {
			return false;
		}
	}
	return true;
}

/* ---- fill: page by page, as faults would; it becomes a block by itself ---- */
static void fill(struct user_arena *a)
{
	for (uint64_t off = 0; off < BLOCK_BYTES; off += PAGE_BYTES) {
		CHECK(pmap_map(&a->pmap, va(OTHER + off), pa(a->other.v + off), PAGE_BYTES,
			       PMAP_WRITE) == KERR_OK);
		CHECK(leaf(a, OTHER) == (off + PAGE_BYTES == BLOCK_BYTES       ? BLOCK_BYTES
					 : off + PAGE_BYTES >= 16 * PAGE_BYTES ? 16 * PAGE_BYTES
									       : PAGE_BYTES));
	}
	run_space(&a->pmap);
	CHECK(holds_other(a));
	CHECK(pmap_unmap(&a->pmap, va(OTHER), BLOCK_BYTES) == KERR_OK);
	CHECK(!holds_other(a));
	run_space(nullptr);
}

void work_user_fill(void)
{
	under_load(fill);
}

/* ---- mismatch: one page differs, in memory or in permission, and nothing is promoted ---- */
static void mismatch(struct user_arena *a)
{
	const uint64_t odd = stress_below(PAGES) * PAGE_BYTES;

	CHECK(pmap_map(&a->pmap, va(OTHER), a->other, BLOCK_BYTES,
		       PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE) == KERR_OK);
	CHECK(pmap_protect(&a->pmap, va(OTHER + odd), PAGE_BYTES, PMAP_READ) == KERR_OK);
	CHECK(pmap_promote(&a->pmap, va(OTHER), BLOCK_BYTES) == KERR_OK);
	CHECK(leaf(a, OTHER) < BLOCK_BYTES && leaf(a, OTHER + odd) == PAGE_BYTES);
	CHECK(pmap_protect(&a->pmap, va(OTHER + odd), PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	CHECK(leaf(a, OTHER) == BLOCK_BYTES);
	CHECK(pmap_unmap(&a->pmap, va(OTHER), BLOCK_BYTES) == KERR_OK);
}

void work_user_mismatch(void)
{
	under_load(mismatch);
}

/* ---- protect: one page of a block is restricted and restored, under use ---- */
static void protect(struct user_arena *a)
{
	for (unsigned i = 0; i < 40; i++) {
		const va_t page = va(AT + stress_below(PAGES) * PAGE_BYTES);

		CHECK(pmap_protect(&a->pmap, page, PAGE_BYTES, PMAP_READ) == KERR_OK);
		CHECK(leaf(a, page.v) == PAGE_BYTES);
		CHECK(pmap_protect(&a->pmap, page, PAGE_BYTES, PMAP_WRITE) == KERR_OK);
		CHECK(leaf(a, page.v) == BLOCK_BYTES);
	}
}

void work_user_protect(void)
{
	under_load(protect);
}

/* ---- storm: promotion and demotion, as fast as they go ---- */
static bool change_size(struct user_arena *a, uint64_t random)
{
	const va_t page = va(AT + random % PAGES * PAGE_BYTES);

	return pmap_demote(&a->pmap, page, PAGE_BYTES, PAGE_BYTES) == KERR_OK &&
	       pmap_promote(&a->pmap, page, PAGE_BYTES) == KERR_OK;
}

static void storm(struct user_arena *a)
{
	const uint64_t parks = counter_sum(CTR_parks);

	for (unsigned i = 0; i < 100; i++) {
		CHECK(change_size(a, stress_random()));
	}
	/* Each CPU that was parked for these windows was using the space. */
	stress.busy += counter_sum(CTR_parks) > parks ? 1 : 0;
}

void work_user_storm(void)
{
	under_load(storm);
}

/* ---- duel: every CPU changes a space, and uses it, while all others do ---- */
static void user_duel(void *arg)
{
	uint64_t random = cpu_number() * UINT64_C(0x9e3779b97f4a7c15) + 1;

	(void)arg;
	add(&loaded);
	for (unsigned i = 0; i < 40; i++) {
		struct user_arena *a = &arena[next_random(&random) % SPACES];

		run_space(&a->pmap);
		if (!change_size(a, random >> 8)) {
			add(&changed);
		}
		visit(a, &random, cpu_number());
	}
	run_space(nullptr);
}

void work_user_duel(void)
{
	for (unsigned i = 0; i < SPACES; i++) {
		make_arena(&arena[i]);
	}
	others_start(user_duel, nullptr);
	user_duel(nullptr);
	others_stop();
	for (unsigned i = 0; i < SPACES; i++) {
		drop_arena(&arena[i]);
	}
}

/* ---- asid, share: many spaces, few numbers, one memory ---- */
static void in_crowd(void *arg)
{
	uint64_t random = cpu_number() * UINT64_C(0x9e3779b97f4a7c15) + 1;
	uint64_t word;

	(void)arg;
	add(&loaded);
	for (unsigned i = 0; i < 400; i++) {
		const uint64_t n = next_random(&random) % CROWD;

		run_space(&crowd[n]);
		/* A page of its own, then the one that all share. */
		if (!access(&crowd[n], AT, &word, false) || word != pattern(&arena[0], n) ||
		    !access(&crowd[n], AT + PAGE_BYTES, &word, false) ||
		    word != pattern(&arena[0], CROWD)) {
			add(&wrong);
		}
	}
	run_space(nullptr);
}

static void make_crowd(void)
{
	for (unsigned n = 0; n < CROWD; n++) {
		CHECK(pmap_user_init(&crowd[n], nullptr) == KERR_OK);
		CHECK(pmap_map(&crowd[n], va(AT), pa(arena[0].pa.v + n * PAGE_BYTES), PAGE_BYTES,
			       PMAP_WRITE) == KERR_OK);
		CHECK(pmap_map(&crowd[n], va(AT + PAGE_BYTES),
			       pa(arena[0].pa.v + CROWD * PAGE_BYTES), PAGE_BYTES,
			       PMAP_WRITE) == KERR_OK);
	}
}

static unsigned narrowest(void)
{
	unsigned bits = 3;

	while ((1u << bits) <= pcpu_count() + 2) {
		bits++;
	}
	return bits;
}

/* Rollover after rollover while every CPU switches; then the shared page is revoked everywhere. */
void work_user_asid(void)
{
	const uint64_t generations = asid_generations();
	uint64_t word;

	make_arena(&arena[0]);
	make_crowd();
	asid_set_bits(narrowest());
	others_start(in_crowd, nullptr);
	in_crowd(nullptr);
	others_stop();
	asid_set_bits(cpu_features.asid_bits);
	/* Where there are numbers for all spaces (from 14 CPUs on) each may keep its own. */
	CHECK(CROWD < 1u << narrowest() || asid_generations() > generations + 10);
	for (unsigned n = 0; n < CROWD; n++) {
		run_space(&crowd[n]);
		CHECK(access(&crowd[n], AT + PAGE_BYTES, &word, false));
		CHECK(pmap_unmap(&crowd[n], va(AT + PAGE_BYTES), PAGE_BYTES) == KERR_OK);
		CHECK(copy_from_user(&word, va(AT + PAGE_BYTES), sizeof(word)) == KERR_FAULT);
		CHECK(access(&crowd[n], AT, &word, false));
	}
	for (unsigned n = 0; n < CROWD; n++) {
		pmap_user_destroy(&crowd[n]);
	}
	drop_arena(&arena[0]);
}

/* ---- spaces: made, filled, run by somebody, destroyed; nothing is left ---- */
void work_user_spaces(void)
{
	const unsigned pages_free = heap_stats().pages_free;
	struct pmap *p = &crowd[0];

	make_arena(&arena[0]);
	make_arena(&arena[1]);
	others_start(user_load, nullptr);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t word = 0;

		CHECK(pmap_user_init(p, nullptr) == KERR_OK);
		CHECK(pmap_map(p, va(AT), arena[i % 2].pa, BLOCK_BYTES,
			       PMAP_READ | (i % 3 == 0 ? PMAP_PAGES : 0)) == KERR_OK);
		run_space(p);
		CHECK(access(p, AT, &word, false) && word == pattern(&arena[i % 2], 0));
		pmap_user_destroy(p);
	}
	others_stop();
	drop_arena(&arena[0]);
	drop_arena(&arena[1]);
	CHECK(heap_stats().pages_free == pages_free);
}
