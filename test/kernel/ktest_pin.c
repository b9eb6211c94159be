/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_pin.c - pinned memory: refused by every door, by address and by alias (R3).
 *
 * These hold in every build: a refusal is an answer, not an assertion.
 */
#include <memmap.h>

#include "ipi/inval.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/kernel/ktest.h"
#include "vm/lifeboat.h"
#include "vm/memory.h"

/* The 2 MiB block that holds this CPU's slice; with pcpu=scattered, the one that should. */
static pa_t pinned_block(void)
{
	const void *slice = (const void *)(uintptr_t)memory_lifeboat_slice(cpu_number());

	return pa(align_down(heap_pa(slice).v, BLOCK_BYTES));
}

static void pinned_addresses_are_refused(void)
{
	unsigned pins = 0;

	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);
		const uint64_t refused = counter_sum(CTR_refused);
		const uint64_t bytes = bytes_at(p->va);
		const va_t last = va(p->va.v + p->size - PAGE_BYTES);

		EXPECT_EQ(pmap_unmap(&kernel_pmap, p->va, PAGE_BYTES), KERR_PINNED);
		EXPECT_EQ(pmap_unmap(&kernel_pmap, last, PAGE_BYTES), KERR_PINNED);
		EXPECT_EQ(pmap_protect(&kernel_pmap, p->va, PAGE_BYTES, RO), KERR_PINNED);
		EXPECT_EQ(pmap_demote(&kernel_pmap, p->va, PAGE_BYTES, PAGE_BYTES), KERR_PINNED);
		EXPECT_EQ(counter_sum(CTR_refused), refused + 4);
		EXPECT_EQ(bytes_at(p->va), bytes);
		pins++;
	}
	EXPECT(pins >= 2); /* the image and a block, at least */
}

/* A range that only touches a pin at its far end is refused before its near end changes. */
static void a_range_that_ends_in_a_pin_is_refused_whole(void)
{
	const struct pin *p = pin_at(0);

	REQUIRE(p != nullptr);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, va(p->va.v - PAGE_BYTES), 2 * PAGE_BYTES), KERR_PINNED);
	EXPECT(bytes_at(p->va) != 0);
}

/* What an alias of pinned memory answers when its size shall change, with one leaf of `bytes`. */
static void alias_is_refused(uint64_t bytes, uint64_t to)
{
	struct ktest_area a;
	const pa_t out = pa(align_down(pinned_block().v, bytes));

	REQUIRE(area_open_fake(&a, GIB));
	EXPECT(map(a.va, out, bytes, RO));
	EXPECT_EQ(bytes_at(a.va), bytes);
	const uint64_t refused = counter_sum(CTR_refused);
	const uint64_t windows = counter_sum(CTR_windows);
	const va_t page = va(a.va.v + 5 * PAGE_BYTES);

	EXPECT_EQ(pmap_demote(&kernel_pmap, page, PAGE_BYTES, to), KERR_PINNED);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, page, PAGE_BYTES), KERR_PINNED);
	EXPECT_EQ(pmap_protect(&kernel_pmap, page, PAGE_BYTES, RW), KERR_PINNED);
	EXPECT_EQ(counter_sum(CTR_refused), refused + 3);
	EXPECT_EQ(counter_sum(CTR_windows), windows);
	EXPECT_EQ(bytes_at(a.va), bytes);
	EXPECT(maps_in_order(a.va, out, bytes < RUN32_BYTES ? bytes : RUN32_BYTES));
	area_close(&a);
}

static void an_alias_of_a_pinned_run_is_refused(void)
{
	alias_is_refused(RUN64_BYTES, PAGE_BYTES);
}

static void an_alias_of_a_pinned_block_is_refused(void)
{
	alias_is_refused(BLOCK_BYTES, RUN64_BYTES);
}

static void a_run_of_blocks_around_a_pin_is_refused(void)
{
	alias_is_refused(RUN32_BYTES, BLOCK_BYTES);
}

static void a_gigabyte_around_a_pin_is_refused(void)
{
	alias_is_refused(GIB, RUN32_BYTES);
}

/* Promotion: refused quietly, as a promotion that is not possible; the smaller leaves stay. */
static void promotion_over_a_pin(uint64_t bytes, uint64_t unit)
{
	struct ktest_area a;
	const pa_t out = pa(align_down(pinned_block().v, bytes));
	const unsigned flags = PMAP_NO_PROMOTE | (unit == PAGE_BYTES ? PMAP_PAGES : 0);

	REQUIRE(area_open_fake(&a, GIB));
	EXPECT(map(a.va, out, bytes, RO | flags));
	EXPECT_EQ(bytes_at(a.va), unit);
	const uint64_t refused = counter_sum(CTR_refused);

	EXPECT(promote(a.va, PAGE_BYTES));
	EXPECT(counter_sum(CTR_refused) > refused);
	EXPECT_EQ(bytes_at(a.va), unit);
	EXPECT_EQ(bytes_at(va(a.va.v + bytes - PAGE_BYTES)), unit);
	area_close(&a);
}

static void an_alias_of_pinned_pages_is_not_promoted(void)
{
	promotion_over_a_pin(RUN64_BYTES, PAGE_BYTES);
}

static void an_alias_of_a_pinned_table_is_not_promoted(void)
{
	promotion_over_a_pin(BLOCK_BYTES, PAGE_BYTES);
}

static void an_alias_of_pinned_blocks_is_not_promoted(void)
{
	promotion_over_a_pin(RUN32_BYTES, BLOCK_BYTES);
}

/* No pinned frame is in the linear map, and the neighbours of pinned blocks may change. */
static void pinned_memory_is_not_in_the_linear_map(void)
{
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);

		for (uint64_t off = 0; off < p->size; off += PAGE_BYTES) {
			pa_t out;

			if (pmap_extract(va(LINEAR_BASE + p->pa.v + off), &out)) {
				ktest_fail(__FILE__, __LINE__, p->what);
				return;
			}
		}
	}
}

static void overlap_is_exact_at_both_ends(void)
{
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);

		EXPECT(pin_overlaps_va(p->va, 1) == p);
		EXPECT(pin_overlaps_va(va(p->va.v + p->size - 1), 1) == p);
		EXPECT(pin_overlaps_va(va(p->va.v - 1), 1) != p);
		EXPECT(pin_overlaps_va(va(p->va.v + p->size), PAGE_BYTES) != p);
		EXPECT(pin_overlaps_pa(p->pa, 1) != nullptr);
		EXPECT(pin_overlaps_pa(pa(p->pa.v + p->size - 1), 1) != nullptr);
		EXPECT(pin_overlaps_pa(pa(p->pa.v - PAGE_BYTES), PAGE_BYTES) != p);
		EXPECT(pin_overlaps_pa(pa(p->pa.v + p->size), PAGE_BYTES) != p);
	}
}

/* R1: what a CPU needs between an exception and its release. */
static void every_slice_and_table_is_pinned(void)
{
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const va_t slice = va(memory_lifeboat_slice(cpu));

		EXPECT(pin_overlaps_va(slice, SLICE_BYTES) != nullptr);
		EXPECT_EQ(bytes_at(slice), BLOCK_BYTES);
	}
	EXPECT(pin_overlaps_va(va((uint64_t)(uintptr_t)kernel_pmap.root), PAGE_BYTES) != nullptr);
	EXPECT(pin_overlaps_va(va((uint64_t)(uintptr_t)&kernel_pmap), sizeof(kernel_pmap)) !=
	       nullptr);
}

static unsigned list_pins(va_t *at)
{
	unsigned n = 0;

	for (; pin_at(n) != nullptr; n++) {
		at[n] = pin_at(n)->va;
	}
	return n;
}

/* The register keeps its own order: the pin that is at none of the addresses. */
static const struct pin *pin_beside(const va_t *at, unsigned count)
{
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		unsigned k = 0;

		while (k < count && at[k].v != pin_at(i)->va.v) {
			k++;
		}
		if (k == count) {
			return pin_at(i);
		}
	}
	return nullptr;
}

/*
 * The pinned heap takes a block out of the linear map: no alias is left, and it is refused at
 * once.
 */
static void the_pinned_heap_grows_by_a_block(void)
{
	const unsigned pages = heap_stats().pages;
	va_t before[PIN_MAX];
	const unsigned pins = list_pins(before);
	pa_t out;

	if (memory_grow_pinned() != KERR_OK) {
		ktest_skip("no free block");
		return;
	}
	const struct pin *p = pin_beside(before, pins);

	REQUIRE(p != nullptr);
	EXPECT_EQ(p->size, BLOCK_BYTES);
	EXPECT_EQ(p->va.v, PINNED_BASE + p->pa.v);
	EXPECT_EQ(bytes_at(p->va), BLOCK_BYTES);
	EXPECT(can_write(va(p->va.v + BLOCK_BYTES - PAGE_BYTES)));
	EXPECT(lifeboat_compare(&(struct lifeboat_difference){ 0 }));
	EXPECT(!can_read(va(LINEAR_BASE + p->pa.v)));
	EXPECT(!can_read(va(LINEAR_BASE + p->pa.v + BLOCK_BYTES - PAGE_BYTES)));
	EXPECT(!pmap_extract(va(LINEAR_BASE + p->pa.v + BLOCK_BYTES / 2), &out));
	EXPECT(heap_stats().pages > pages);
	EXPECT_EQ(pmap_unmap(&kernel_pmap, p->va, PAGE_BYTES), KERR_PINNED);
}

const struct ktest ktest_pin[] = {
	{ "pinned_addresses_are_refused", pinned_addresses_are_refused, 1 },
	{ "a_range_that_ends_in_a_pin_is_refused_whole",
	  a_range_that_ends_in_a_pin_is_refused_whole, 1 },
	{ "an_alias_of_a_pinned_run_is_refused", an_alias_of_a_pinned_run_is_refused, 1 },
	{ "an_alias_of_a_pinned_block_is_refused", an_alias_of_a_pinned_block_is_refused, 1 },
	{ "a_run_of_blocks_around_a_pin_is_refused", a_run_of_blocks_around_a_pin_is_refused, 1 },
	{ "a_gigabyte_around_a_pin_is_refused", a_gigabyte_around_a_pin_is_refused, 1 },
	{ "an_alias_of_pinned_pages_is_not_promoted", an_alias_of_pinned_pages_is_not_promoted, 1 },
	{ "an_alias_of_a_pinned_table_is_not_promoted", an_alias_of_a_pinned_table_is_not_promoted,
	  1 },
	{ "an_alias_of_pinned_blocks_is_not_promoted", an_alias_of_pinned_blocks_is_not_promoted,
	  1 },
	{ "pinned_memory_is_not_in_the_linear_map", pinned_memory_is_not_in_the_linear_map, 1 },
	{ "overlap_is_exact_at_both_ends", overlap_is_exact_at_both_ends, 1 },
	{ "every_slice_and_table_is_pinned", every_slice_and_table_is_pinned, 1 },
	{ "the_pinned_heap_grows_by_a_block", the_pinned_heap_grows_by_a_block, 1 },
	{ nullptr, nullptr, 0 },
};
