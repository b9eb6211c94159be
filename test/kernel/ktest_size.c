/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_size.c - promotion: when, and when not. Demotion: to what.
 *
 * Contents are checked by access throughout: a size that changes must not change what is read.
 */
#include <compiler.h>
#include <memmap.h>

#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "vm/pmap_audit.h"

#define ORDER_64K 4
#define ORDER_2M 9
#define ORDER_32M 13

/* The i-th of n units to be filled: forward, backward, or scattered (n is a power of two). */
static uint64_t nth(unsigned way, uint64_t i, uint64_t n)
{
	switch (way) {
	case 0:
		return i;
	case 1:
		return n - 1 - i;
	default:
		return (i * 5 + 3) & (n - 1);
	}
}

/* Map unit by unit; only the last may make the whole one leaf. */
static void promotes_at_last(unsigned order, uint64_t unit, enum counter promoted)
{
	struct ktest_area a;

	if (!area_open(&a, order)) {
		return;
	}
	for (unsigned way = 0; way < 3; way++) {
		const uint64_t n = a.size / unit;
		const uint64_t before = counter_sum(promoted);

		for (uint64_t i = 0; i < n; i++) {
			const uint64_t off = nth(way, i, n) * unit;

			EXPECT(counter_sum(promoted) == before);
			EXPECT(i == 0 || bytes_at(va(a.va.v + nth(way, 0, n) * unit)) < a.size);
			EXPECT(map(va(a.va.v + off), pa(a.pa.v + off), unit, RW));
		}
		EXPECT_EQ(counter_sum(promoted), before + 1);
		EXPECT_EQ(bytes_at(a.va), a.size);
		EXPECT(maps_in_order(a.va, a.pa, a.size));
		fill(a.va, a.size, way);
		EXPECT(holds(a.va, a.size, way));
		EXPECT(unmap(a.va, a.size));
	}
	area_close(&a);
}

static void sixteen_pages_promote_at_the_last(void)
{
	promotes_at_last(ORDER_64K, PAGE_BYTES, CTR_promote_64k);
}

static void a_table_promotes_at_the_last_page(void)
{
	promotes_at_last(ORDER_2M, PAGE_BYTES, CTR_promote_2m);
}

static void sixteen_blocks_promote_at_the_last(void)
{
	promotes_at_last(ORDER_32M, BLOCK_BYTES, CTR_promote_32m);
}

/* From the page up: the last page makes 64 KiB, 2 MiB and 32 MiB in one call. */
static void the_last_page_promotes_through_all_sizes(void)
{
	struct ktest_area a;
	const uint64_t hole = 11 * MIB + 7 * PAGE_BYTES;

	if (!area_open(&a, ORDER_32M)) {
		return;
	}
	EXPECT(map(a.va, a.pa, a.size, RW));
	EXPECT(unmap(va(a.va.v + hole), PAGE_BYTES));
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	EXPECT(map(va(a.va.v + hole), pa(a.pa.v + hole), PAGE_BYTES, RW));
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + hole)), RUN32_BYTES);
	area_close(&a);
}

/* One page of 16 differs: it keeps all of them apart, and the decision is counted as declined. */
static void odd_page(struct ktest_area *a, unsigned odd, unsigned odd_flags, uint64_t shift)
{
	const uint64_t promoted = counter_sum(CTR_promote_64k);
	const uint64_t declined = counter_sum(CTR_promote_declined);

	for (unsigned i = 0; i < 16; i++) {
		const uint64_t off = i * PAGE_BYTES;
		const bool is_odd = i == odd;

		EXPECT(map(va(a->va.v + off), pa(a->pa.v + off + (is_odd ? shift : 0)), PAGE_BYTES,
			   is_odd ? odd_flags : RW));
	}
	EXPECT(promote(a->va, RUN64_BYTES));
	EXPECT_EQ(counter_sum(CTR_promote_64k), promoted);
	EXPECT(counter_sum(CTR_promote_declined) > declined);
	EXPECT_EQ(bytes_at(a->va), PAGE_BYTES);
	EXPECT_EQ(bytes_at(va(a->va.v + 15 * PAGE_BYTES)), PAGE_BYTES);
	EXPECT(unmap(a->va, RUN64_BYTES));
}

static void a_page_that_differs_keeps_all_apart(void)
{
	static const unsigned odd_flags[] = { RO, RX, RW | PMAP_SW1, RW | PMAP_NOCACHE,
					      RW | PMAP_DEVICE };
	static const unsigned places[] = { 0, 1, 8, 15 };
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	for (unsigned f = 0; f < array_len(odd_flags); f++) {
		for (unsigned p = 0; p < array_len(places); p++) {
			odd_page(&a, places[p], odd_flags[f], 0);
		}
	}
	area_close(&a);
}

static void a_page_off_by_one_keeps_all_apart(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	odd_page(&a, 0, RW, PAGE_BYTES);
	odd_page(&a, 9, RW, PAGE_BYTES);
	odd_page(&a, 15, RW, PAGE_BYTES);
	area_close(&a);
}

/* Each of the 512 positions of one hole: never a block, never a run around the hole. */
static void a_hole_keeps_a_table(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	EXPECT(map(a.va, a.pa, a.size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	for (uint64_t hole = 0; hole < a.size; hole += 37 * PAGE_BYTES) {
		EXPECT(unmap(va(a.va.v + hole), PAGE_BYTES));
		EXPECT(promote(a.va, a.size));
		EXPECT_EQ(bytes_at(va(a.va.v + hole)), 0);
		EXPECT(bytes_at(va(a.va.v + (hole ^ PAGE_BYTES))) == PAGE_BYTES);
		EXPECT(bytes_at(va(a.va.v + (hole ^ MIB))) == RUN64_BYTES);
		EXPECT(map(va(a.va.v + hole), pa(a.pa.v + hole), PAGE_BYTES, RW));
		EXPECT_EQ(bytes_at(va(a.va.v + hole)), BLOCK_BYTES);
		EXPECT(demote(a.va, a.size, PAGE_BYTES));
	}
	area_close(&a);
}

/* Down one size at a time, then up again; each size everywhere, the contents never different. */
static void demotes_and_promotes_through_all_sizes(void)
{
	static const uint64_t down[] = { BLOCK_BYTES, RUN64_BYTES, PAGE_BYTES };
	struct ktest_area a;

	if (!area_open(&a, ORDER_32M)) {
		return;
	}
	EXPECT(map(a.va, a.pa, a.size, RW));
	fill(a.va, a.size, 1);
	for (unsigned i = 0; i < array_len(down); i++) {
		EXPECT(demote(a.va, a.size, down[i]));
		for (uint64_t off = 0; off < a.size; off += RUN64_BYTES) {
			EXPECT(bytes_at(va(a.va.v + off)) <= down[i]);
		}
		EXPECT(maps_in_order(a.va, a.pa, a.size));
		EXPECT(holds(a.va, a.size, 1));
	}
	EXPECT(promote(a.va, a.size));
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	EXPECT(holds(a.va, a.size, 1));
	area_close(&a);
}

/* Only the block that is meant loses its size. */
static void demotion_of_a_page_leaves_the_other_blocks(void)
{
	struct ktest_area a;
	const uint64_t page = 5 * BLOCK_BYTES + 100 * PAGE_BYTES;

	if (!area_open(&a, ORDER_32M)) {
		return;
	}
	EXPECT(map(a.va, a.pa, a.size, RW));
	EXPECT(demote(va(a.va.v + page), PAGE_BYTES, PAGE_BYTES));
	for (unsigned b = 0; b < 16; b++) {
		const uint64_t bytes = bytes_at(va(a.va.v + b * BLOCK_BYTES));

		EXPECT(b == 5 ? bytes < BLOCK_BYTES : bytes == BLOCK_BYTES);
	}
	EXPECT_EQ(bytes_at(va(a.va.v + page)), PAGE_BYTES);
	EXPECT(promote(va(a.va.v + page), PAGE_BYTES));
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	area_close(&a);
}

/* One GiB, of memory that nobody has: looked at by walks only. */
static void a_gigabyte_block_demotes(void)
{
	struct ktest_area a;
	const uint64_t page = 700 * MIB + 33 * PAGE_BYTES;

	REQUIRE(area_open_fake(&a, GIB));
	EXPECT(map(a.va, a.pa, GIB, RW | PMAP_DEVICE));
	EXPECT_EQ(bytes_at(a.va), GIB);
	const uint64_t demoted = counter_sum(CTR_demote_1g);

	EXPECT(demote(va(a.va.v + page), PAGE_BYTES, PAGE_BYTES));
	EXPECT_EQ(counter_sum(CTR_demote_1g), demoted + 1);
	EXPECT_EQ(bytes_at(va(a.va.v + page)), PAGE_BYTES);
	EXPECT_EQ(bytes_at(a.va), RUN32_BYTES);
	EXPECT_EQ(bytes_at(va(a.va.v + GIB - PAGE_BYTES)), RUN32_BYTES);
	for (uint64_t off = 0; off < GIB; off += BLOCK_BYTES / 2) {
		pa_t out;

		EXPECT(pmap_extract(va(a.va.v + off), &out) && out.v == a.pa.v + off);
	}
	EXPECT(maps_in_order(va(a.va.v + 690 * MIB), pa(a.pa.v + 690 * MIB), 20 * MIB));
	area_close(&a);
}

/* PM2 at every moment: the counts that decide are what a scan finds, whatever was done before. */
static void counts_equal_a_scan_throughout(void)
{
	struct pmap_audit audit;
	struct ktest_area a;
	uint64_t dice = 12345;

	REQUIRE(area_open(&a, ORDER_2M));
	for (unsigned round = 0; round < 400; round++) {
		dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
		const uint64_t page = (dice >> 33) % 512;
		const uint64_t count = 1 + (dice >> 50) % (512 - page);
		const va_t at = va(a.va.v + page * PAGE_BYTES);

		switch (dice >> 45 & 3) {
		case 0:
			EXPECT(unmap(at, count * PAGE_BYTES));
			break;
		case 1:
			if (bytes_at(at) != 0) {
				EXPECT(protect(at, PAGE_BYTES, (dice >> 47 & 1) != 0 ? RW : RO));
			}
			break;
		default:
			EXPECT(unmap(at, count * PAGE_BYTES));
			EXPECT(map(at, pa(a.pa.v + page * PAGE_BYTES), count * PAGE_BYTES, RW));
			break;
		}
		REQUIRE(pmap_audit(&kernel_pmap, &audit));
	}
	area_close(&a);
}

const struct ktest ktest_size[] = {
	{ "sixteen_pages_promote_at_the_last", sixteen_pages_promote_at_the_last, 1 },
	{ "a_table_promotes_at_the_last_page", a_table_promotes_at_the_last_page, 1 },
	{ "sixteen_blocks_promote_at_the_last", sixteen_blocks_promote_at_the_last, 1 },
	{ "the_last_page_promotes_through_all_sizes", the_last_page_promotes_through_all_sizes, 1 },
	{ "a_page_that_differs_keeps_all_apart", a_page_that_differs_keeps_all_apart, 1 },
	{ "a_page_off_by_one_keeps_all_apart", a_page_off_by_one_keeps_all_apart, 1 },
	{ "a_hole_keeps_a_table", a_hole_keeps_a_table, 1 },
	{ "demotes_and_promotes_through_all_sizes", demotes_and_promotes_through_all_sizes, 1 },
	{ "demotion_of_a_page_leaves_the_other_blocks", demotion_of_a_page_leaves_the_other_blocks,
	  1 },
	{ "a_gigabyte_block_demotes", a_gigabyte_block_demotes, 1 },
	{ "counts_equal_a_scan_throughout", counts_equal_a_scan_throughout, 1 },
	{ nullptr, nullptr, 0 },
};
