/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_memory.c - frames, the pinned heap, addresses of the kernel map.
 */
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>

#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "test/kernel/ktest.h"
#include "vm/frame.h"
#include "vm/kmap.h"

#define FRAMES_HELD 24

static void frames_are_aligned_and_apart(void)
{
	pa_t held[FRAMES_HELD];

	for (unsigned i = 0; i < FRAMES_HELD; i++) {
		const unsigned order = i % 8;
		const uint64_t bytes = PAGE_BYTES << order;

		REQUIRE(frame_alloc(order, 0, &held[i]) == KERR_OK);
		EXPECT(is_aligned(held[i].v, bytes));
		EXPECT(pin_overlaps_pa(held[i], bytes) == nullptr);
		for (unsigned k = 0; k < i; k++) {
			EXPECT(!ranges_meet(held[i].v, bytes, held[k].v, PAGE_BYTES << k % 8));
		}
	}
	EXPECT(frame_audit());
	for (unsigned i = 0; i < FRAMES_HELD; i++) {
		frame_free(held[i], i % 8);
	}
}

/*
 * Freed one by one, in a scattered order, 512 frames are one block again. The block that was freed
 * last is handed out first, so the very same one comes back; without the join it would be another.
 */
static void frames_join_again(void)
{
	pa_t block;
	pa_t again;

	if (frame_alloc(9, 0, &block) != KERR_OK) {
		ktest_skip("no contiguous memory of that size");
		return;
	}
	frame_split(block, 9, 0);
	EXPECT(frame_audit());
	for (uint64_t i = 0; i < 512; i++) {
		frame_free(pa(block.v + (i * 77 & 511) * PAGE_BYTES), 0);
	}
	EXPECT(frame_audit());
	REQUIRE(frame_alloc(9, 0, &again) == KERR_OK);
	EXPECT_EQ(again.v, block.v);
	frame_free(again, 9);
}

static void frames_fail_when_told_to(void)
{
	pa_t a = pa(0);
	pa_t b = pa(0);

	frame_fail_after(1);
	EXPECT_EQ(frame_alloc(0, 0, &a), KERR_OK);
	EXPECT_EQ(frame_alloc(0, 0, &b), KERR_NO_MEMORY);
	EXPECT_EQ(b.v, 0);
	frame_fail_after(UINT64_MAX);
	frame_free(a, 0);
}

static void frames_from_a_node_that_is_not_there(void)
{
	pa_t a;

	EXPECT_EQ(frame_alloc(0, 7, &a), KERR_OK);
	frame_free(a, 0);
}

static uint64_t *linear(pa_t frame)
{
	return (uint64_t *)(uintptr_t)(LINEAR_BASE + frame.v);
}

/* A frame comes back from the cache of this CPU; zeroing reaches every word, not the next page. */
static void single_frames_are_cached_and_zeroed(void)
{
	const struct frame_stats before = frame_stats();
	const uint32_t node = this_cpu()->node;
	pa_t frame[2];

	REQUIRE(frame_alloc_one(node, &frame[0]) == KERR_OK);
	frame_free_one(frame[0]);
	EXPECT(frame_stats().cached > 0);
	REQUIRE(frame_alloc_one(node, &frame[1]) == KERR_OK);
	EXPECT_EQ(frame[1].v, frame[0].v);
	frame_free_one(frame[1]);
	REQUIRE(frame_alloc(1, node, &frame[0]) == KERR_OK);
	for (unsigned i = 0; i < 2 * PAGE_BYTES / sizeof(uint64_t); i++) {
		linear(frame[0])[i] = i + 1;
	}
	frame_zero(frame[0], PAGE_BYTES);
	uint64_t wrong = 0;

	for (unsigned i = 0; i < PAGE_BYTES / sizeof(uint64_t); i++) {
		wrong += linear(frame[0])[i] != 0 ? 1 : 0;
	}
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(linear(frame[0])[PAGE_BYTES / sizeof(uint64_t)],
		  PAGE_BYTES / sizeof(uint64_t) + 1);
	frame_free(frame[0], 1);
	EXPECT_EQ(frame_stats().free, before.free);
}

static bool is_zero(const void *p, uint64_t bytes)
{
	const uint64_t *word = p;

	for (uint64_t i = 0; i < bytes / sizeof(*word); i++) {
		if (word[i] != 0) {
			return false;
		}
	}
	return true;
}

static void heap_pages_are_zeroed_each_time(void)
{
	const unsigned free = heap_stats().pages_free;

	for (unsigned round = 0; round < 2; round++) {
		uint64_t *page = heap_alloc(1, 1, HEAP_ANY_NODE);

		REQUIRE(page != nullptr);
		EXPECT(is_zero(page, PAGE_BYTES));
		EXPECT(is_zero(heap_tag(page), HEAP_TAG_BYTES));
		EXPECT_EQ(heap_stats().pages_free, free - 1);
		for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++) {
			page[i] = UINT64_MAX;
		}
		*(uint64_t *)heap_tag(page) = UINT64_MAX;
		heap_free(page, 1);
		EXPECT_EQ(heap_stats().pages_free, free);
	}
}

static void heap_runs_are_aligned(void)
{
	const unsigned free = heap_stats().pages_free;

	for (unsigned pages = 1; pages <= 16; pages *= 2) {
		char *run = heap_alloc(pages, pages, HEAP_ANY_NODE);

		REQUIRE(run != nullptr);
		EXPECT(is_aligned((uint64_t)(uintptr_t)run, pages * PAGE_BYTES));
		EXPECT(is_zero(run, pages * PAGE_BYTES));
		EXPECT_EQ(heap_stats().pages_free, free - pages);
		heap_free(run, pages);
	}
	EXPECT_EQ(heap_stats().pages_free, free);
}

static void heap_addresses_translate_both_ways(void)
{
	char *page = heap_alloc(1, 1, HEAP_ANY_NODE);
	pa_t out;

	REQUIRE(page != nullptr);
	const pa_t at = heap_pa(page);

	EXPECT(heap_ptr(at) == page);
	EXPECT(heap_ptr(pa(at.v + 8)) == page + 8);
	EXPECT(pmap_extract(va((uint64_t)(uintptr_t)page), &out) && out.v == at.v);
	EXPECT(heap_has_tag(page));
	EXPECT(pin_overlaps_pa(at, PAGE_BYTES) != nullptr); /* R1 */
	heap_free(page, 1);
}

static void heap_fails_when_told_to(void)
{
	heap_fail_after(0);
	EXPECT(heap_alloc(1, 1, HEAP_ANY_NODE) == nullptr);
	EXPECT(heap_alloc(4, 4, HEAP_ANY_NODE) == nullptr);
	EXPECT_EQ(heap_fail_after(UINT64_MAX), 2);
	void *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	REQUIRE(page != nullptr);
	heap_free(page, 1);
}

static void kmap_ranges_are_aligned_and_apart(void)
{
	static const uint64_t sizes[] = { BLOCK_BYTES, 3 * BLOCK_BYTES, RUN32_BYTES, GIB };
	va_t at[4];

	for (unsigned i = 0; i < array_len(sizes); i++) {
		const uint64_t align = i == 1 ? BLOCK_BYTES : sizes[i];

		REQUIRE(kmap_reserve(sizes[i], align, &at[i]) == KERR_OK);
		EXPECT(is_aligned(at[i].v, align));
		EXPECT(at[i].v >= KMAP_BASE && at[i].v + sizes[i] <= KMAP_BASE + KMAP_BYTES);
		for (unsigned k = 0; k < i; k++) {
			EXPECT(!ranges_meet(at[i].v, sizes[i], at[k].v, sizes[k]));
		}
	}
	for (unsigned i = 0; i < array_len(sizes); i++) {
		kmap_release(at[i], sizes[i]);
	}
}

static void kmap_refuses_what_it_cannot_give(void)
{
	va_t at = va(1);

	EXPECT_EQ(kmap_reserve(0, BLOCK_BYTES, &at), KERR_INVALID);
	EXPECT_EQ(kmap_reserve(PAGE_BYTES, BLOCK_BYTES, &at), KERR_INVALID);
	EXPECT_EQ(kmap_reserve(BLOCK_BYTES, PAGE_BYTES, &at), KERR_INVALID);
	EXPECT_EQ(kmap_reserve(BLOCK_BYTES, 0, &at), KERR_INVALID);
	EXPECT_EQ(kmap_reserve(KMAP_BYTES + BLOCK_BYTES, BLOCK_BYTES, &at), KERR_INVALID);
	EXPECT_EQ(kmap_reserve(KMAP_BYTES, BLOCK_BYTES, &at), KERR_NO_MEMORY); /* tests hold some */
	EXPECT_EQ(at.v, 1);
}

const struct ktest ktest_memory[] = {
	{ "frames_are_aligned_and_apart", frames_are_aligned_and_apart, 1 },
	{ "frames_join_again", frames_join_again, 1 },
	{ "frames_fail_when_told_to", frames_fail_when_told_to, 1 },
	{ "frames_from_a_node_that_is_not_there", frames_from_a_node_that_is_not_there, 1 },
	{ "single_frames_are_cached_and_zeroed", single_frames_are_cached_and_zeroed, 1 },
	{ "heap_pages_are_zeroed_each_time", heap_pages_are_zeroed_each_time, 1 },
	{ "heap_runs_are_aligned", heap_runs_are_aligned, 1 },
	{ "heap_addresses_translate_both_ways", heap_addresses_translate_both_ways, 1 },
	{ "heap_fails_when_told_to", heap_fails_when_told_to, 1 },
	{ "kmap_ranges_are_aligned_and_apart", kmap_ranges_are_aligned_and_apart, 1 },
	{ "kmap_refuses_what_it_cannot_give", kmap_refuses_what_it_cannot_give, 1 },
	{ nullptr, nullptr, 0 },
};
