/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_map.c - map, unmap, protect: sizes, edges, refusals.
 */
#include <compiler.h>
#include <memmap.h>

#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"

#define ORDER_64K 4
#define ORDER_2M 9
#define ORDER_32M 13

static void map_enters_the_largest_leaf(void)
{
	static const uint64_t sizes[] = { PAGE_BYTES, RUN64_BYTES, BLOCK_BYTES, RUN32_BYTES, GIB };
	struct ktest_area a;

	REQUIRE(area_open_fake(&a, 2 * GIB));
	for (unsigned i = 0; i < array_len(sizes); i++) {
		const va_t at = va(a.va.v + (sizes[i] < GIB ? i * 4 * RUN32_BYTES : GIB));

		EXPECT(map(at, a.pa, sizes[i], RW | PMAP_DEVICE));
		EXPECT_EQ(bytes_at(at), sizes[i]);
		EXPECT_EQ(bytes_at(va(at.v + sizes[i] - PAGE_BYTES)), sizes[i]);
		EXPECT_EQ(bytes_at(va(at.v + sizes[i])), 0);
		EXPECT(maps_in_order(at, a.pa, sizes[i] < RUN32_BYTES ? sizes[i] : RUN32_BYTES));
		EXPECT(unmap(at, sizes[i]));
		EXPECT_EQ(bytes_at(at), 0);
	}
	area_close(&a);
}

static void map_fills_a_ragged_range(void)
{
	struct ktest_area a;

	REQUIRE(area_open_fake(&a, GIB));
	const va_t start = va(a.va.v + PAGE_BYTES);
	const uint64_t size = 36 * MIB + 3 * PAGE_BYTES;

	EXPECT(map(start, pa(a.pa.v + PAGE_BYTES), size, RW | PMAP_DEVICE));
	EXPECT(maps_in_order(start, pa(a.pa.v + PAGE_BYTES), size));
	EXPECT_EQ(bytes_at(a.va), 0);
	EXPECT_EQ(bytes_at(start), PAGE_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + RUN64_BYTES)), RUN64_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + BLOCK_BYTES)), BLOCK_BYTES);
	EXPECT_EQ(bytes_at(va(start.v + size - 1)), PAGE_BYTES);
	EXPECT_EQ(bytes_at(va(start.v + size)), 0);
	area_close(&a);
}

/* Virtual and physical addresses that differ in their low bits cannot be promoted. */
static void map_of_a_shifted_range_stays_pages(void)
{
	struct ktest_area a;

	REQUIRE(area_open_fake(&a, GIB));
	EXPECT(map(a.va, pa(a.pa.v + PAGE_BYTES), BLOCK_BYTES, RW | PMAP_DEVICE));
	for (uint64_t off = 0; off < BLOCK_BYTES; off += RUN64_BYTES) {
		EXPECT_EQ(bytes_at(va(a.va.v + off)), PAGE_BYTES);
	}
	area_close(&a);
}

static void map_over_a_mapping_is_refused_whole(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_64K));
	const va_t third = va(a.va.v + 3 * PAGE_BYTES);

	EXPECT(map(third, pa(a.pa.v + 3 * PAGE_BYTES), PAGE_BYTES, RW));
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, a.pa, RUN64_BYTES, RW), KERR_EXISTS);
	EXPECT_EQ(bytes_at(a.va), 0);
	EXPECT_EQ(bytes_at(va(third.v + PAGE_BYTES)), 0);
	EXPECT_EQ(bytes_at(third), PAGE_BYTES);
	area_close(&a);
}

static void arguments_that_are_malformed_are_refused(void)
{
	struct ktest_area a;
	const uint64_t last = UINT64_MAX - PAGE_BYTES + 1;

	REQUIRE(area_open(&a, ORDER_64K));
	EXPECT_EQ(pmap_map(&kernel_pmap, va(a.va.v + 8), a.pa, PAGE_BYTES, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, pa(a.pa.v + 8), PAGE_BYTES, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, a.pa, PAGE_BYTES + 8, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, a.pa, 0, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(&kernel_pmap, va(0x400000), a.pa, PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, a.pa, last, RW), KERR_RANGE);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, va(a.va.v + 1), PAGE_BYTES), KERR_INVALID);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, a.va, 0), KERR_INVALID);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, va(0), PAGE_BYTES), KERR_RANGE);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, a.va, last), KERR_RANGE);
	EXPECT_EQ(pmap_protect(&kernel_pmap, va(a.va.v + 1), PAGE_BYTES, RO), KERR_INVALID);
	EXPECT_EQ(pmap_protect(&kernel_pmap, va(PAGE_BYTES), PAGE_BYTES, RO), KERR_RANGE);
	EXPECT_EQ(pmap_demote(&kernel_pmap, a.va, PAGE_BYTES, 2 * PAGE_BYTES), KERR_INVALID);
	EXPECT_EQ(pmap_demote(&kernel_pmap, a.va, PAGE_BYTES, 0), KERR_INVALID);
	EXPECT_EQ(pmap_promote(&kernel_pmap, a.va, 1), KERR_INVALID);
	EXPECT_EQ(bytes_at(a.va), 0);
	area_close(&a);
}

static void writable_and_executable_is_refused(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_64K));
	EXPECT_EQ(pmap_map(&kernel_pmap, a.va, a.pa, PAGE_BYTES, RW | RX), KERR_INVALID);
	EXPECT_EQ(bytes_at(a.va), 0);
	EXPECT(map(a.va, a.pa, PAGE_BYTES, RX));
	EXPECT_EQ(pmap_protect(&kernel_pmap, a.va, PAGE_BYTES, RW | RX), KERR_INVALID);
	EXPECT(!can_write(a.va));
	area_close(&a);
}

static void unmap_passes_over_holes(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_64K));
	EXPECT(unmap(a.va, RUN64_BYTES));
	EXPECT(map(va(a.va.v + 5 * PAGE_BYTES), a.pa, PAGE_BYTES, RW));
	EXPECT(unmap(a.va, RUN64_BYTES));
	EXPECT_EQ(bytes_at(va(a.va.v + 5 * PAGE_BYTES)), 0);
	area_close(&a);
}

static void protect_over_a_hole_changes_nothing(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_64K));
	EXPECT(map(a.va, a.pa, 4 * PAGE_BYTES, RW));
	EXPECT_EQ(pmap_protect(&kernel_pmap, a.va, 5 * PAGE_BYTES, RO), KERR_ABSENT);
	EXPECT(can_write(a.va));
	EXPECT(can_write(va(a.va.v + 3 * PAGE_BYTES)));
	area_close(&a);
}

/* For each size: take a page out at the front, in the middle, at the back; the rest stays. */
static void take_out(struct ktest_area *a, uint64_t off)
{
	const va_t hole = va(a->va.v + off);

	EXPECT(map(a->va, a->pa, a->size, RW));
	EXPECT_EQ(bytes_at(a->va), a->size);
	fill(a->va, a->size, off);
	EXPECT(unmap(hole, PAGE_BYTES));
	EXPECT(!can_read(hole));
	EXPECT(off == 0 || holds(a->va, off, off));
	for (uint64_t rest = off + PAGE_BYTES; rest < a->size; rest += PAGE_BYTES) {
		EXPECT(can_write(va(a->va.v + rest)));
	}
	EXPECT(map(hole, pa(a->pa.v + off), PAGE_BYTES, RW));
	EXPECT(holds(a->va, a->size, off));
	EXPECT_EQ(bytes_at(a->va), a->size);
	EXPECT(unmap(a->va, a->size));
}

static void unmap_takes_out_exactly_one_page(void)
{
	static const unsigned orders[] = { ORDER_64K, ORDER_2M, ORDER_32M };

	for (unsigned i = 0; i < 3; i++) {
		struct ktest_area a;

		if (!area_open(&a, orders[i])) {
			return;
		}
		take_out(&a, 0);
		take_out(&a, align_down(a.size / 2, PAGE_BYTES) + PAGE_BYTES);
		take_out(&a, a.size - PAGE_BYTES);
		area_close(&a);
	}
}

static void map_without_memory_leaves_nothing(void)
{
	struct ktest_area a;

	REQUIRE(area_open_fake(&a, 4 * GIB));
	/* Wanted: a table of level 2 with its page of saved tables, then one of level 3. */
	for (uint64_t budget = 0; budget < 3; budget++) {
		const va_t at = va(a.va.v + budget * GIB + PAGE_BYTES);

		heap_fail_after(budget);
		EXPECT_EQ(pmap_map(&kernel_pmap, at, a.pa, 3 * PAGE_BYTES, RW | PMAP_DEVICE),
			  KERR_NO_MEMORY);
		EXPECT_EQ(heap_fail_after(UINT64_MAX), 1);
		EXPECT_EQ(bytes_at(at), 0);
		EXPECT(map(at, a.pa, 3 * PAGE_BYTES, RW | PMAP_DEVICE));
		EXPECT(maps_in_order(at, a.pa, 3 * PAGE_BYTES));
	}
	area_close(&a);
}

const struct ktest ktest_map[] = {
	{ "map_enters_the_largest_leaf", map_enters_the_largest_leaf, 1 },
	{ "map_fills_a_ragged_range", map_fills_a_ragged_range, 1 },
	{ "map_of_a_shifted_range_stays_pages", map_of_a_shifted_range_stays_pages, 1 },
	{ "map_over_a_mapping_is_refused_whole", map_over_a_mapping_is_refused_whole, 1 },
	{ "map_without_memory_leaves_nothing", map_without_memory_leaves_nothing, 1 },
	{ "arguments_that_are_malformed_are_refused", arguments_that_are_malformed_are_refused, 1 },
	{ "writable_and_executable_is_refused", writable_and_executable_is_refused, 1 },
	{ "unmap_passes_over_holes", unmap_passes_over_holes, 1 },
	{ "unmap_takes_out_exactly_one_page", unmap_takes_out_exactly_one_page, 1 },
	{ "protect_over_a_hole_changes_nothing", protect_over_a_hole_changes_nothing, 1 },
	{ nullptr, nullptr, 0 },
};
