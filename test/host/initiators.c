/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/initiators.c - what the CPUs that change mappings do.
 */
#include <memmap.h>

#include "kern/assert.h"
#include "pcpu/heap.h"
#include "test/host/scenario.h"
#include "vm/memory.h"
#include "vm/pmap_impl.h"
#include "vm/pmap_user.h"

bool scene_done(enum kerr e, const char *what)
{
	if (e == KERR_OK) {
		return true;
	}
	if (e == KERR_BUSY && scene.plan.may_be_busy) {
		scene.busy++;
		return false;
	}
	if (e == KERR_NO_MEMORY && scene.plan.fail_memory) {
		scene.refused_memory++;
		return false;
	}
	sim_fail("%s: %s", what, kerr_name(e));
}

/* Blocks to runs to pages and back: what the mapping means never changes, so all may touch it. */
void initiate_sizes(unsigned cpu)
{
	static const uint64_t sizes[] = { PAGE_BYTES, 16 * PAGE_BYTES };
	struct region *r = region_of(cpu);
	const uint64_t span = r->step * r->count;

	for (unsigned round = 0; round < scene.plan.rounds; round++) {
		const uint64_t off = align_down(sim_random(span), PAGE_BYTES);

		(void)scene_done(
			pmap_demote(r->pmap, va(r->base.v + off), PAGE_BYTES, sizes[sim_random(2)]),
			"demote");
		region_touch(r);
		(void)scene_done(pmap_promote(r->pmap,
					      va(r->base.v + align_down(off, 16 * PAGE_BYTES)),
					      16 * PAGE_BYTES),
				 "promote");
		region_touch(r);
	}
}

/* As little as there can be: one block apart, and whole again. */
void initiate_small_block(unsigned cpu)
{
	struct region *r = region_of(cpu);

	(void)scene_done(pmap_demote(r->pmap, r->base, PAGE_BYTES, 16 * PAGE_BYTES), "demote");
	region_touch(r);
}

/* A run of 16 pages in a table that stays: 16 breaks and 16 makes. */
void initiate_small_run(unsigned cpu)
{
	struct region *r = region_of(cpu);

	(void)scene_done(pmap_promote(r->pmap, r->base, PAGE_BYTES * 16), "promote");
	region_touch(r);
}

/* [first, first + count) of the region changes what it means. */
static void set_flux(struct region *r, unsigned first, unsigned count, bool flux)
{
	r->fluxes += flux ? 1 : 0;
	for (unsigned i = first; i < first + count; i++) {
		r->in_flux[i] = flux;
	}
}

static bool all_mapped(const struct region *r, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		if (!r->mapped[i]) {
			return false;
		}
	}
	return true;
}

static bool none_mapped(const struct region *r, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		if (r->mapped[i]) {
			return false;
		}
	}
	return true;
}

static void do_unmap(struct region *r, unsigned first, unsigned count)
{
	const va_t at = va(r->base.v + first * r->step);

	set_flux(r, first, count, true);
	if (scene_done(pmap_unmap(r->pmap, at, count * r->step), "unmap")) {
		sim_must_be_unmapped(r->pmap, at, count * r->step, r->step);
		for (unsigned i = first; i < first + count; i++) {
			r->mapped[i] = false;
		}
	}
	set_flux(r, first, count, false);
}

static void do_map(struct region *r, unsigned first, unsigned count)
{
	const bool writable = sim_random(2) == 0;
	const unsigned options[] = { 0, PMAP_PAGES, PMAP_NO_PROMOTE, PMAP_PAGES | PMAP_NO_PROMOTE };
	const unsigned flags = (writable ? PMAP_WRITE : PMAP_READ) | options[sim_random(4)];
	const uint64_t off = first * r->step;

	if (!none_mapped(r, first, count)) {
		if (pmap_map(r->pmap, va(r->base.v + off), pa(r->pa.v + off), count * r->step,
			     flags) != KERR_EXISTS) {
			sim_fail("map over something that is mapped: not refused");
		}
		return;
	}
	set_flux(r, first, count, true);
	if (scene_done(pmap_map(r->pmap, va(r->base.v + off), pa(r->pa.v + off), count * r->step,
				flags),
		       "map")) {
		for (unsigned i = first; i < first + count; i++) {
			r->mapped[i] = true;
			r->writable[i] = writable;
		}
		scene.mapped_epoch++;
	} else {
		sim_must_be_unmapped(r->pmap, va(r->base.v + off), count * r->step, r->step);
	}
	set_flux(r, first, count, false);
}

/* What the tables say now: after a change that stopped half-way, page by page. */
static void read_back(struct region *r, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++) {
		pte_t e;
		uint64_t bytes;

		const va_t at = va(r->base.v + i * r->step);

		if (r->pmap->user ? pmap_user_query(r->pmap, at, &e, &bytes)
				  : pmap_query(at, &e, &bytes)) {
			r->writable[i] = (e.v & PTE_AP_RO) == 0;
		}
	}
}

static void do_protect(struct region *r, unsigned first, unsigned count)
{
	const bool writable = sim_random(2) == 0;
	const va_t at = va(r->base.v + first * r->step);
	const unsigned flags = writable ? PMAP_WRITE : PMAP_READ;

	if (!all_mapped(r, first, count)) {
		if (pmap_protect(r->pmap, at, count * r->step, flags) != KERR_ABSENT) {
			sim_fail("protect of something that is not mapped: not refused");
		}
		return;
	}
	r->narrowings++;
	for (unsigned i = first; i < first + count; i++) {
		r->writable[i] = r->writable[i] && writable; /* what is allowed before and after */
	}
	if (scene_done(pmap_protect(r->pmap, at, count * r->step, flags), "protect")) {
		for (unsigned i = first; i < first + count; i++) {
			r->writable[i] = writable;
		}
	} else {
		read_back(r, first, count);
	}
	sim_must_be_clean(r->pmap, at, count * r->step);
}

static void do_sizes(struct region *r, unsigned first, unsigned count)
{
	static const uint64_t sizes[] = { PAGE_BYTES, 16 * PAGE_BYTES, BLOCK_BYTES,
					  16 * BLOCK_BYTES };
	const va_t at = va(r->base.v + first * r->step);

	if (sim_random(2) == 0) {
		(void)scene_done(pmap_demote(r->pmap, at, count * r->step, sizes[sim_random(4)]),
				 "demote");
	} else {
		(void)scene_done(pmap_promote(r->pmap, at, count * r->step), "promote");
	}
}

/*
 * A whole block is taken out. Pages come back, so that its saved table is emptied and used
 * again; or
 * the block does, perhaps with other permissions, so that its saved table is not true any more.
 */
static void do_refill(struct region *r)
{
	const unsigned first = (unsigned)sim_random(8) * 64;

	do_unmap(r, 0, 512);
	if (!none_mapped(r, 0, 512)) {
		return;
	}
	if (sim_random(2) == 0) {
		do_map(r, first, 1 + (unsigned)sim_random(64));
	} else {
		do_map(r, 0, 512);
		do_sizes(r, first, 1);
	}
}

/* Where nothing was ever mapped every table is new, and the second may be refused. */
static void do_fresh(unsigned cpu)
{
	const va_t at = va(KMAP_BASE + (8 + cpu) * GIB + scene.fresh++ * 4 * BLOCK_BYTES);
	const uint64_t size = 3 * BLOCK_BYTES;
	const enum kerr e = pmap_map(&kernel_pmap, at, pa(2 * GIB + PAGE_BYTES), size, PMAP_WRITE);

	if (e == KERR_OK) {
		(void)heap_fail_after(UINT64_MAX);
		(void)scene_done(pmap_unmap(&kernel_pmap, at, size), "unmap");
	} else {
		(void)scene_done(e, "map");
	}
	sim_must_be_unmapped(&kernel_pmap, at, size, PAGE_BYTES);
}

/* Any operation on any part, aligned and not; the flat array says what must come of it. */
void initiate_operations(unsigned cpu)
{
	struct region *r = region_of(cpu);

	for (unsigned round = 0; round < scene.plan.rounds; round++) {
		const unsigned unit = (unsigned)1 << (sim_random(3) * 4); /* 1, 16, 256 elements */
		const unsigned first = (unsigned)align_down(sim_random(r->count), unit);
		unsigned count = unit * (1 + (unsigned)sim_random(3));

		count = count > r->count - first ? r->count - first : count;
		if (scene.plan.fail_memory) {
			(void)heap_fail_after(sim_random(4));
		}
		if (scene.plan.fail_memory && round == 0) {
			do_fresh(cpu);
		}
		switch (sim_random(5)) {
		case 0:
			do_unmap(r, first, count);
			break;
		case 4:
			do_refill(r);
			break;
		case 1:
			do_map(r, first, count);
			break;
		case 2:
			do_protect(r, first, count);
			break;
		default:
			do_sizes(r, first, count);
			break;
		}
		region_check(r);
	}
	(void)heap_fail_after(UINT64_MAX);
}

/*
 * 32 MiB runs and 1 GiB blocks of the linear map: a secret of one block or of a whole run is carved
 * out, perhaps after one of its blocks was taken apart, and given back.
 */
void initiate_big(unsigned cpu)
{
	struct region *r = region_of(cpu);

	for (unsigned round = 0; round < scene.plan.rounds; round++) {
		const unsigned count = sim_random(2) == 0 ? 1 : 16;
		const unsigned first = (unsigned)align_down(sim_random(r->count), count);
		const va_t at = va(r->base.v + first * r->step);
		const pa_t out = pa(r->pa.v + first * r->step);

		if (sim_random(2) == 0) {
			const uint64_t off = sim_random(count) * r->step;

			(void)scene_done(
				pmap_demote(&kernel_pmap, va(at.v + off), PAGE_BYTES, PAGE_BYTES),
				"demote");
		}
		set_flux(r, first, count, true);
		if (scene_done(pmap_unmap(&kernel_pmap, at, count * r->step), "carve out")) {
			sim_must_be_unmapped(&kernel_pmap, at, count * r->step, r->step);
			for (unsigned n = 0; n < 8; n++) {
				region_touch(r);
			}
			if (!scene_done(
				    pmap_map(&kernel_pmap, at, out, count * r->step, PMAP_WRITE),
				    "give back")) {
				sim_fail("what was carved out cannot be given back");
			}
			scene.mapped_epoch++;
		}
		set_flux(r, first, count, false);
		region_touch(r);
		region_check(r);
	}
}

/*
 * Up to 16 separate pages change their memory type, all in one window; the type is what may not
 * change without a break, and no access minds it. Without a break (bbml2) it is a software bit.
 * Neighbours in either order of address are among them.
 */
void initiate_batch(unsigned cpu)
{
	const uint64_t toggle = scene.plan.mode == BBM_BBML2
					? UINT64_C(1) << 55
					: (uint64_t)MAIR_NOCACHE << PTE_ATTR_SHIFT;
	struct region *r = region_of(cpu);

	for (unsigned round = 0; round < scene.plan.rounds; round++) {
		struct pmap_change change[INVAL_MAX];
		const unsigned count = 1 + (unsigned)sim_random(INVAL_MAX);
		const unsigned first = (unsigned)sim_random(r->count);
		const unsigned strides[] = { 29, 1, r->count - 1 };
		const unsigned stride = strides[sim_random(3)];

		spin_lock(&r->pmap->lock);
		for (unsigned i = 0; i < count; i++) {
			const va_t at = va(r->base.v + (first + i * stride) % r->count * r->step);
			const struct walk w = pmap_walk(r->pmap, at);

			change[i] = (struct pmap_change){
				w.slot, at, w.level, w.entry, { w.entry.v ^ toggle }
			};
		}
		const enum kerr e = pmap_update_batch(r->pmap, change, count);

		spin_unlock(&r->pmap->lock);
		(void)scene_done(e, "batch");
		region_touch(r);
		region_check(r);
	}
}

/* R3: whatever meets pinned memory, by virtual or by physical address, is refused. */
void initiate_refused(unsigned cpu)
{
	const va_t pinned = va(PINNED_BASE + SIM_POOL_BASE);
	const va_t alias = va(KMAP_BASE + 16 * GIB);
	struct region *r = region_of(cpu);

	sim_quiet(true);
	if (pmap_map(&kernel_pmap, alias, pa(SIM_POOL_BASE), BLOCK_BYTES,
		     PMAP_WRITE | PMAP_NO_PROMOTE) != KERR_OK) {
		sim_fail("the alias cannot be mapped");
	}
	sim_quiet(false);
	for (unsigned round = 0; round < scene.plan.rounds; round++) {
		if (pmap_demote(&kernel_pmap, pinned, PAGE_BYTES, PAGE_BYTES) != KERR_PINNED) {
			sim_fail("R3: a demotion of pinned memory is not refused");
		}
		if (pmap_demote(&kernel_pmap, alias, PAGE_BYTES, PAGE_BYTES) != KERR_PINNED) {
			sim_fail("R3: a demotion of an alias of pinned memory is not refused");
		}
		if (pmap_unmap(&kernel_pmap, va(alias.v + PAGE_BYTES), PAGE_BYTES) != KERR_PINNED) {
			sim_fail("R3: unmapping a part of an alias is not refused");
		}
		region_touch(r);
	}
}

/* What becomes pinned, under an address that changes size: R3 refuses it from then on. */
static void change_alias(struct region *r)
{
	enum kerr e = pmap_demote(r->pmap, r->base, PAGE_BYTES, PAGE_BYTES);

	e = e == KERR_OK ? pmap_promote(r->pmap, r->base, BLOCK_BYTES) : e;
	if (e != KERR_PINNED) {
		(void)scene_done(e, "alias");
	}
	region_touch(r);
}

static bool grow_heap(struct region *r)
{
	const unsigned before = heap_stats().pages_free;

	set_flux(r, 0, 1, true);
	const bool grown = scene_done(memory_grow_pinned(), "growth");

	if (grown) {
		sim_must_be_unmapped(&kernel_pmap, r->base, BLOCK_BYTES, BLOCK_BYTES);
		r->mapped[0] = false;
	}
	set_flux(r, 0, 1, false);
	if (grown && heap_stats().pages_free <= before) {
		sim_fail("the heap has grown by nothing");
	}
	return grown;
}

/* The new block holds tables, and is as pinned as the first. */
static void use_growth(struct region *r)
{
	const va_t alias = va(KMAP_BASE + 20 * GIB);
	void *page = heap_alloc(1, 1, 0);

	if (heap_pa(page).v < SIM_GROWTH_BASE || heap_ptr(heap_pa(page)) != page) {
		sim_fail("the heap does not use what it grew by");
	}
	heap_free(page, 1);
	(void)scene_done(
		pmap_demote(r->pmap, va(r->base.v + 3 * BLOCK_BYTES), PAGE_BYTES, PAGE_BYTES),
		"demote");
	region_touch(r);
	if (pmap_map(&kernel_pmap, alias, pa(SIM_GROWTH_BASE), BLOCK_BYTES,
		     PMAP_WRITE | PMAP_NO_PROMOTE) != KERR_OK ||
	    pmap_demote(&kernel_pmap, alias, PAGE_BYTES, PAGE_BYTES) != KERR_PINNED) {
		sim_fail("R3: a demotion of what the heap grew by is not refused");
	}
	if (memory_grow_pinned() != KERR_NO_MEMORY) {
		sim_fail("the heap grows by memory that there is not");
	}
}

/* The first grows the heap by a block of the linear map; others change an alias of that block. */
void initiate_growth(unsigned cpu)
{
	struct region *r = region_of(cpu);
	bool grown = false;

	for (unsigned round = 0; round < scene.plan.rounds && !grown; round++) {
		if (cpu != 0) {
			change_alias(r);
			continue;
		}
		if (scene.plan.fail_memory) {
			(void)heap_fail_after(sim_random(4));
		}
		grown = grow_heap(r);
		region_touch(r);
	}
	(void)heap_fail_after(UINT64_MAX);
	if (grown) {
		use_growth(r);
	} else if (cpu == 0 && scene.busy + scene.refused_memory == 0) {
		sim_fail("the heap does not grow");
	}
}
