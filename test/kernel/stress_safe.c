/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_safe.c - workloads of what must be refused, or must fail without a trace.
 */
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/kernel/stress.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap_impl.h"

#define NOMEM_MOST 12

/*
 * Every allocation of a demotion fails in turn: what was mapped is mapped, as it was, and the
 * reserve is given back. The block is mapped as a block, so it has no saved table.
 */
static void nomem_demote(void)
{
	const unsigned free_before = heap_stats().pages_free;
	static bool first = true;
	unsigned refused = 0;
	pa_t frames;
	va_t at;

	if (frame_alloc(9, 0, &frames) != KERR_OK || kmap_reserve(GIB, GIB, &at) != KERR_OK) {
		stress_fail(__FILE__, __LINE__, "memory for a block");
		return;
	}
	CHECK(pmap_map(&kernel_pmap, at, frames, BLOCK_BYTES, PMAP_WRITE) == KERR_OK);
	const unsigned mapped_free = heap_stats().pages_free;

	for (unsigned nth = 0; nth < NOMEM_MOST; nth++) {
		heap_fail_after(nth);
		const enum kerr e = pmap_protect(&kernel_pmap, at, PAGE_BYTES, PMAP_READ);

		refused += heap_fail_after(UINT64_MAX) != 0 ? 1 : 0;
		if (e == KERR_OK) {
			break;
		}
		CHECK(e == KERR_NO_MEMORY);
		CHECK(stress_leaf(at) == BLOCK_BYTES);
		CHECK(probe_write(at, 1));
		CHECK(heap_stats().pages_free == mapped_free);
	}
	/* The first time the range has no table saved from an earlier life. */
	CHECK(refused > 0 || !first);
	first = false;
	CHECK(stress_leaf(at) == PAGE_BYTES && !probe_write(at, 1));
	CHECK(pmap_unmap(&kernel_pmap, at, BLOCK_BYTES) == KERR_OK);
	kmap_release(at, GIB);
	frame_free(frames, 9);
	/* Tables of the kernel's map stay tables (PM4): at most the ones this range needed. */
	CHECK(free_before - heap_stats().pages_free <= 4);
}

/* The same for mapping: on failure nothing is left mapped. */
static void nomem_map(void)
{
	pa_t frames;
	va_t at;

	if (frame_alloc(9, 0, &frames) != KERR_OK || kmap_reserve(GIB, GIB, &at) != KERR_OK) {
		stress_fail(__FILE__, __LINE__, "memory for a block");
		return;
	}
	for (unsigned nth = 0; nth < NOMEM_MOST; nth++) {
		heap_fail_after(nth);
		const enum kerr e =
			pmap_map(&kernel_pmap, at, frames, BLOCK_BYTES, PMAP_WRITE | PMAP_PAGES);

		heap_fail_after(UINT64_MAX);
		if (e == KERR_OK) {
			break;
		}
		CHECK(e == KERR_NO_MEMORY);
		CHECK(stress_leaf(at) == 0 && !probe_write(at, 1));
		CHECK(stress_leaf(va(at.v + BLOCK_BYTES - PAGE_BYTES)) == 0);
	}
	CHECK(stress_leaf(at) == BLOCK_BYTES);
	CHECK(pmap_unmap(&kernel_pmap, at, BLOCK_BYTES) == KERR_OK);
	kmap_release(at, GIB);
	frame_free(frames, 9);
	pa_t none;

	frame_fail_after(0);
	CHECK(frame_alloc(0, 0, &none) == KERR_NO_MEMORY);
	frame_fail_after(UINT64_MAX);
}

void work_nomem(void)
{
	load_start(&stress.main, LOAD_ALL);
	nomem_demote();
	nomem_map();
}

/*
 * Memory behind `page` is pinned: a change of its leaf's size is refused, counted, and changes
 * nothing.
 */
static void refused_by_alias(va_t page)
{
	const uint64_t before = counter_sum(CTR_refused);
	const uint64_t leaf = stress_leaf(page);

	if (leaf == PAGE_BYTES) {
		CHECK(pmap_promote(&kernel_pmap, page, PAGE_BYTES) == KERR_OK);
	} else {
		CHECK(pmap_demote(&kernel_pmap, page, PAGE_BYTES, PAGE_BYTES) == KERR_PINNED);
	}
	CHECK(stress_leaf(page) == leaf);
	CHECK(counter_sum(CTR_refused) > before);
}

/* An alias of pinned memory at each size that a leaf can have. */
static void alias_at_each_size(pa_t pinned, unsigned type)
{
	static const struct {
		uint64_t bytes;
		unsigned flags;
	} kinds[] = {
		{ BLOCK_BYTES, PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE }, /* would be promoted */
		{ BLOCK_BYTES, PMAP_WRITE | PMAP_NO_PROMOTE }, /* would be demoted */
		{ 16 * PAGE_BYTES, PMAP_WRITE }, /* a contiguous run */
	};

	for (unsigned k = 0; k < array_len(kinds); k++) {
		const pa_t base = pa(align_down(pinned.v, kinds[k].bytes));
		va_t at;

		if (kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, &at) != KERR_OK) {
			stress_fail(__FILE__, __LINE__, "addresses");
			return;
		}
		CHECK(pmap_map(&kernel_pmap, at, base, kinds[k].bytes, kinds[k].flags | type) ==
		      KERR_OK);
		refused_by_alias(va(at.v + pinned.v - base.v));
		CHECK(pmap_unmap(&kernel_pmap, at, kinds[k].bytes) == KERR_OK);
		kmap_release(at, BLOCK_BYTES);
	}
}

/* A table that maps its own page: the entry's table lies in the range that would be broken. */
void work_table_inside(void)
{
	va_t at;

	load_start(&stress.main, LOAD_ALL);
	if (kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, &at) != KERR_OK) {
		stress_fail(__FILE__, __LINE__, "addresses");
		return;
	}
	spin_lock(&kernel_pmap.lock);
	const pte_t *slot = table_reach(&kernel_pmap, at, 3);
	const pa_t table = slot != nullptr ? heap_pa(table_of(slot)) : pa(0);

	spin_unlock(&kernel_pmap.lock);
	CHECK(slot != nullptr);
	CHECK(pmap_map(&kernel_pmap, at, pa(align_down(table.v, BLOCK_BYTES)), BLOCK_BYTES,
		       PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE) == KERR_OK);
	refused_by_alias(va(at.v + table.v % BLOCK_BYTES));
	CHECK(pmap_unmap(&kernel_pmap, at, BLOCK_BYTES) == KERR_OK);
	kmap_release(at, BLOCK_BYTES);
}

/*
 * The entry that maps a pinned range, at every level from the leaf up: refused by virtual address.
 */
static void refused_at_each_level(const struct pin *pin)
{
	spin_lock(&kernel_pmap.lock);
	for (unsigned level = 1; level <= 3; level++) {
		const va_t base = va(align_down(pin->va.v, level_bytes(level)));
		pte_t other = pte_leaf(pa(0), pmap_attr(&kernel_pmap, PMAP_READ), level);
		pte_t *slot = &other; /* never reached: refused before any look */

		CHECK(pmap_update_entry(&kernel_pmap, slot, base, level, other,
					pte_leaf(pa(level_bytes(level)),
						 pmap_attr(&kernel_pmap, PMAP_READ), level)) ==
		      KERR_PINNED);
	}
	spin_unlock(&kernel_pmap.lock);
}

void work_pinned(void)
{
	load_start(&stress.main, LOAD_ALL);
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *pin = pin_at(i);

		CHECK(pmap_protect(&kernel_pmap, pin->va, PAGE_BYTES, PMAP_READ) == KERR_PINNED);
		CHECK(pmap_unmap(&kernel_pmap, pin->va, PAGE_BYTES) == KERR_PINNED);
		CHECK(pmap_demote(&kernel_pmap, pin->va, PAGE_BYTES, PAGE_BYTES) == KERR_PINNED);
		refused_at_each_level(pin);
		/* An alias of a device has a device's memory type. */
		alias_at_each_size(pin->pa, pin->va.v - DEVICE_BASE < GIB ? PMAP_DEVICE : 0);
	}
	/* The linear entry of 1 GiB around pinned RAM: refused by physical address. */
	const struct pin *image = pin_overlaps_va(va(IMAGE_BASE), PAGE_BYTES);
	const va_t linear = va(LINEAR_BASE + align_down(image->pa.v, GIB));
	const pte_t block =
		pte_leaf(pa(linear.v - LINEAR_BASE), pmap_attr(&kernel_pmap, PMAP_WRITE), 1);
	pte_t slot = block;

	spin_lock(&kernel_pmap.lock);
	CHECK(pmap_update_entry(&kernel_pmap, &slot, linear, 1, block, pte_table(pa(0))) ==
	      KERR_PINNED);
	spin_unlock(&kernel_pmap.lock);
}
