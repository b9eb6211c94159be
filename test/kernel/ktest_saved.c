/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_saved.c - the table behind a block (PM3), memory that is short, whole runs.
 */
#include <compiler.h>
#include <memmap.h>

#include "ipi/inval.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "vm/pmap_impl.h"

#define ORDER_64K 4
#define ORDER_2M 9
#define ORDER_32M 13

/* A block that was promoted from pages, so that a table is saved behind it. */
static bool promoted_block(struct ktest_area *a)
{
	if (!area_open(a, ORDER_2M)) {
		return false;
	}
	EXPECT(map(a->va, a->pa, a->size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	EXPECT(promote(a->va, a->size));
	EXPECT_EQ(bytes_at(a->va), BLOCK_BYTES);
	return true;
}

static void demotion_takes_the_saved_table(void)
{
	struct ktest_area a;

	if (!promoted_block(&a)) {
		return;
	}
	const unsigned free = heap_stats().pages_free;
	const uint64_t stale = counter_sum(CTR_demote_stale);

	fill(a.va, a.size, 2);
	heap_fail_after(0);
	EXPECT(demote(a.va, a.size, PAGE_BYTES));
	EXPECT_EQ(heap_fail_after(UINT64_MAX), 0);
	EXPECT_EQ(heap_stats().pages_free, free);
	EXPECT_EQ(counter_sum(CTR_demote_stale), stale);
	EXPECT(maps_in_order(a.va, a.pa, a.size));
	EXPECT(holds(a.va, a.size, 2));
	area_close(&a);
}

/* Everything but one page is read-only, by access to each of them. */
static void expect_one_writable(va_t at, uint64_t size, uint64_t writable)
{
	unsigned wrong = 0;

	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		const va_t page = va(at.v + off);

		wrong += can_read(page) && can_write(page) == (off == writable) ? 0 : 1;
	}
	EXPECT_EQ(wrong, 0);
}

static void a_stale_table_is_refilled(void)
{
	struct ktest_area a;
	const uint64_t page = 77 * PAGE_BYTES;

	if (!promoted_block(&a)) {
		return;
	}
	const uint64_t stale = counter_sum(CTR_demote_stale);

	EXPECT(protect(a.va, a.size, RO));
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	EXPECT(protect(va(a.va.v + page), PAGE_BYTES, RW));
	EXPECT_EQ(counter_sum(CTR_demote_stale), stale + 1);
	EXPECT(maps_in_order(a.va, a.pa, a.size));
	expect_one_writable(a.va, a.size, page);
	EXPECT(protect(va(a.va.v + page), PAGE_BYTES, RO));
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	area_close(&a);
}

static void tables_behind_a_run_go_stale_too(void)
{
	struct ktest_area a;
	const uint64_t page = 9 * BLOCK_BYTES + 511 * PAGE_BYTES;

	if (!area_open(&a, ORDER_32M)) {
		return;
	}
	EXPECT(map(a.va, a.pa, a.size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	EXPECT(promote(a.va, a.size));
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	EXPECT(protect(a.va, a.size, RO));
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	EXPECT(protect(va(a.va.v + page), PAGE_BYTES, RW));
	expect_one_writable(a.va, a.size, page);
	area_close(&a);
}

/* The block goes, another comes to its place: the saved table maps memory of the first. */
static void a_table_saved_for_other_memory_is_not_used(void)
{
	struct ktest_area a;
	struct ktest_area b;

	if (!promoted_block(&a)) {
		return;
	}
	if (!area_open(&b, ORDER_2M)) {
		area_close(&a);
		return;
	}
	EXPECT(unmap(a.va, a.size));
	EXPECT(map(a.va, b.pa, a.size, RW));
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	EXPECT(demote(a.va, PAGE_BYTES, PAGE_BYTES));
	EXPECT(maps_in_order(a.va, b.pa, a.size));
	EXPECT(unmap(a.va, a.size));
	area_close(&b);
	area_close(&a);
}

/* No saved table, no memory: refused, and nothing is different. */
static void demotion_without_memory_changes_nothing(void)
{
	struct ktest_area a;

	REQUIRE(area_open_fake(&a, 2 * GIB));
	const va_t block = va(a.va.v + GIB);

	EXPECT(map(a.va, a.pa, GIB, RW | PMAP_DEVICE));
	EXPECT(map(block, a.pa, BLOCK_BYTES, RW | PMAP_DEVICE));
	EXPECT_EQ(bytes_at(block), BLOCK_BYTES);
	const unsigned free = heap_stats().pages_free;

	/* 1 GiB wants a table of level 2, its page of saved tables, and a table of level 3. */
	for (uint64_t budget = 0; budget < 3; budget++) {
		heap_fail_after(budget);
		EXPECT_EQ(pmap_protect(&kernel_pmap, va(a.va.v + 5 * PAGE_BYTES), PAGE_BYTES,
				       RO | PMAP_DEVICE),
			  KERR_NO_MEMORY);
		EXPECT(heap_fail_after(UINT64_MAX) > 0);
		EXPECT_EQ(bytes_at(a.va), GIB);
		EXPECT_EQ(heap_stats().pages_free, free);
	}
	heap_fail_after(0);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, block, PAGE_BYTES), KERR_NO_MEMORY);
	EXPECT_EQ(pmap_demote(&kernel_pmap, block, PAGE_BYTES, RUN64_BYTES), KERR_NO_MEMORY);
	EXPECT(heap_fail_after(UINT64_MAX) > 0);
	EXPECT_EQ(bytes_at(block), BLOCK_BYTES);
	EXPECT(unmap(va(block.v + PAGE_BYTES), PAGE_BYTES));
	EXPECT_EQ(bytes_at(va(block.v + PAGE_BYTES)), 0);
	area_close(&a);
}

/* A run is one change: 16 breaks in one window, and it is a run afterwards. */
static void run_changes_in_one_window(unsigned order)
{
	struct ktest_area a;

	if (!area_open(&a, order)) {
		return;
	}
	EXPECT(map(a.va, a.pa, a.size, RW));
	EXPECT_EQ(bytes_at(a.va), a.size);
	const uint64_t windows = counter_sum(CTR_windows);
	const uint64_t makes = counter_sum(CTR_makes);

	EXPECT(protect(a.va, a.size, RO));
	EXPECT_EQ(counter_sum(CTR_windows), windows + 1);
	EXPECT_EQ(counter_sum(CTR_makes), makes + CONT_ENTRIES);
	EXPECT_EQ(bytes_at(a.va), a.size);
	EXPECT(!can_write(a.va));
	EXPECT(!can_write(va(a.va.v + a.size - PAGE_BYTES)));
	area_close(&a);
}

static void a_run_of_pages_changes_in_one_window(void)
{
	run_changes_in_one_window(ORDER_64K);
}

static void a_run_of_blocks_changes_in_one_window(void)
{
	run_changes_in_one_window(ORDER_32M);
}

/* A part of a run: the whole of it loses Contiguous, its neighbours keep it. */
static void a_run_that_changes_in_part_is_one_no_more(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	EXPECT(map(a.va, a.pa, 3 * RUN64_BYTES, RW));
	EXPECT(protect(va(a.va.v + RUN64_BYTES + 3 * PAGE_BYTES), 2 * PAGE_BYTES, RO));
	EXPECT_EQ(bytes_at(a.va), RUN64_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + RUN64_BYTES)), PAGE_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + RUN64_BYTES + 15 * PAGE_BYTES)), PAGE_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + 2 * RUN64_BYTES)), RUN64_BYTES);
	for (unsigned i = 0; i < 48; i++) {
		EXPECT_EQ(can_write(va(a.va.v + i * PAGE_BYTES)), i != 19 && i != 20);
	}
	area_close(&a);
}

/* 16 entries that are no neighbours: one window for all of them. */
static void changes_of_sixteen(const struct ktest_area *a, struct pmap_change *change)
{
	for (unsigned i = 0; i < INVAL_MAX; i++) {
		const va_t page = va(a->va.v + (31 * i + 1) * PAGE_BYTES);
		const struct walk w = pmap_walk(&kernel_pmap, page);

		change[i] = (struct pmap_change){
			w.slot, page, w.level, w.entry, { w.entry.v ^ (PTE_SW_MASK & -PTE_SW_MASK) }
		};
	}
}

static enum kerr update_batch(const struct pmap_change *change)
{
	spin_lock(&kernel_pmap.lock);
	const enum kerr e = pmap_update_batch(&kernel_pmap, change, INVAL_MAX);

	spin_unlock(&kernel_pmap.lock);
	return e;
}

static void a_batch_changes_all_or_nothing(void)
{
	struct pmap_change change[INVAL_MAX];
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	EXPECT(map(a.va, a.pa, a.size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	fill(a.va, a.size, 5);
	changes_of_sixteen(&a, change);
	change[15].expected.v ^= PTE_AP_RO;
	const uint64_t windows = counter_sum(CTR_windows);

	EXPECT_EQ(update_batch(change), KERR_CHANGED);
	EXPECT_EQ(counter_sum(CTR_windows), windows);
	for (unsigned i = 0; i < INVAL_MAX; i++) {
		EXPECT(pmap_walk(&kernel_pmap, change[i].va).entry.v != change[i].fresh.v);
	}
	change[15].expected.v ^= PTE_AP_RO;
	EXPECT_EQ(update_batch(change), KERR_OK);
	EXPECT_EQ(counter_sum(CTR_windows), windows + 1);
	for (unsigned i = 0; i < INVAL_MAX; i++) {
		EXPECT_EQ(pmap_walk(&kernel_pmap, change[i].va).entry.v, change[i].fresh.v);
	}
	EXPECT(holds(a.va, a.size, 5));
	EXPECT(maps_in_order(a.va, a.pa, a.size));
	area_close(&a);
}

static void forced_invalidations(enum inval_kind kind, enum counter counted, uint64_t each)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	EXPECT(map(a.va, a.pa, a.size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	fill(a.va, a.size, 3);
	const uint64_t before = counter_sum(counted);

	inval_set_kind(kind);
	EXPECT(promote(a.va, PAGE_BYTES));
	inval_set_kind(INVAL_AUTO);
	EXPECT_EQ(counter_sum(counted), before + each);
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	EXPECT(holds(a.va, a.size, 3));
	area_close(&a);
}

static void promotion_by_each_kind_of_invalidation(void)
{
	forced_invalidations(INVAL_VA, CTR_tlbi_va, PT_ENTRIES);
	forced_invalidations(INVAL_ALL, CTR_tlbi_all, 1);
}

const struct ktest ktest_saved[] = {
	{ "demotion_takes_the_saved_table", demotion_takes_the_saved_table, 1 },
	{ "a_stale_table_is_refilled", a_stale_table_is_refilled, 1 },
	{ "tables_behind_a_run_go_stale_too", tables_behind_a_run_go_stale_too, 1 },
	{ "a_table_saved_for_other_memory_is_not_used", a_table_saved_for_other_memory_is_not_used,
	  1 },
	{ "demotion_without_memory_changes_nothing", demotion_without_memory_changes_nothing, 1 },
	{ "a_run_of_pages_changes_in_one_window", a_run_of_pages_changes_in_one_window, 1 },
	{ "a_run_of_blocks_changes_in_one_window", a_run_of_blocks_changes_in_one_window, 1 },
	{ "a_run_that_changes_in_part_is_one_no_more", a_run_that_changes_in_part_is_one_no_more,
	  1 },
	{ "a_batch_changes_all_or_nothing", a_batch_changes_all_or_nothing, 1 },
	{ "promotion_by_each_kind_of_invalidation", promotion_by_each_kind_of_invalidation, 1 },
	{ nullptr, nullptr, 0 },
};
