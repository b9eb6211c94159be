/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_alloc.c - frames, the pinned heap, kernel address ranges and the register of pins,
 * each by random operations beside a flat array of who owns what.
 */

#include <memmap.h>
#include <stdlib.h>
#include <string.h>

#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "test/host/unit.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap.h"

#define FRAMES 5000
#define FIRST_FRAME 0x40003 /* not aligned to anything */
#define HELD 200

struct held {
	uint64_t at;
	unsigned order;
	bool used;
};

static uint8_t owned[FRAMES];

static void own(uint64_t first, uint64_t count, bool take)
{
	for (uint64_t i = first; i < first + count; i++) {
		assert_int_equal(owned[i], take ? 0 : 1); /* one owner */
		owned[i] = take ? 1 : 0;
	}
}

static void step_frames(struct held *h)
{
	pa_t out;

	if (h->used) {
		frame_free(pa(h->at), h->order);
		own(h->at / PAGE_BYTES - FIRST_FRAME, UINT64_C(1) << h->order, false);
		h->used = false;
		return;
	}
	h->order = (unsigned)any(8);
	if (frame_alloc(h->order, 0, &out) == KERR_OK) {
		assert_true(is_aligned(out.v, PAGE_BYTES << h->order));
		h->at = out.v;
		h->used = true;
		own(out.v / PAGE_BYTES - FIRST_FRAME, UINT64_C(1) << h->order, true);
	}
}

static void every_frame_has_one_owner(void **state)
{
	static struct held held[HELD];
	static uint64_t words[FRAMES];
	uint64_t mine = 0;

	(void)state;
	frame_add_range(pa(FIRST_FRAME * PAGE_BYTES), FRAMES * PAGE_BYTES, 0, words);
	for (unsigned n = 0; n < 20000; n++) {
		step_frames(&held[any(HELD)]);
		if (n % 1000 == 0) {
			assert_true(frame_audit());
		}
	}
	for (unsigned i = 0; i < FRAMES; i++) {
		mine += owned[i];
	}
	assert_int_equal(frame_stats().total, FRAMES);
	assert_int_equal(frame_stats().free, FRAMES - mine);
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i].used) {
			step_frames(&held[i]);
		}
	}
	assert_int_equal(frame_stats().free, FRAMES);
	assert_true(frame_audit());
}

static void frames_can_be_split_and_freed_one_by_one(void **state)
{
	pa_t out;

	(void)state;
	assert_int_equal(frame_alloc(5, 0, &out), KERR_OK);
	frame_split(out, 5, 0);
	for (unsigned i = 0; i < 32; i++) {
		frame_free(pa(out.v + (i * 7 % 32) * PAGE_BYTES), 0);
	}
	assert_int_equal(frame_stats().free, FRAMES);
	assert_true(frame_audit());
}

static void frames_end_and_fail_on_demand(void **state)
{
	pa_t out = pa(77);

	(void)state;
	assert_int_equal(frame_alloc(FRAME_ORDER_MAX, 0, &out), KERR_NO_MEMORY);
	assert_int_equal(out.v, 77); /* written on success only */
	frame_fail_after(1);
	assert_int_equal(frame_alloc(0, 0, &out), KERR_OK);
	pa_t second;

	assert_int_equal(frame_alloc(0, 0, &second), KERR_NO_MEMORY);
	frame_fail_after(UINT64_MAX);
	frame_free(out, 0);
	assert_int_equal(frame_stats().free, FRAMES);
}

static void heap_pages_are_zero_aligned_and_tagged(void **state)
{
	const unsigned before = heap_stats().pages_free;
	uint8_t *held[40] = { 0 };
	unsigned pages[40];

	(void)state;
	for (unsigned n = 0; n < 4000; n++) {
		const unsigned i = (unsigned)any(40);

		if (held[i] != nullptr) {
			heap_free(held[i], pages[i]);
			held[i] = nullptr;
			continue;
		}
		const unsigned align = 1u << any(4);

		pages[i] = 1 + (unsigned)any(6);
		held[i] = heap_alloc(pages[i], align, 0);
		if (held[i] == nullptr) {
			continue;
		}
		assert_true(is_aligned((uint64_t)(uintptr_t)held[i], align * PAGE_BYTES));
		assert_true(heap_has_tag(held[i]));
		assert_ptr_equal(heap_ptr(heap_pa(held[i])), held[i]);
		uint8_t *tag = heap_tag(held[i]);

		for (unsigned b = 0; b < HEAP_TAG_BYTES; b++) {
			assert_int_equal(tag[b], 0);
		}
		for (unsigned b = 0; b < pages[i] * PAGE_BYTES; b += 97) {
			assert_int_equal(held[i][b], 0);
			held[i][b] = 0xa5;
		}
		tag[any(HEAP_TAG_BYTES)] = 1;
	}
	for (unsigned i = 0; i < 40; i++) {
		if (held[i] != nullptr) {
			heap_free(held[i], pages[i]);
		}
	}
	assert_int_equal(heap_stats().pages_free, before);
}

static void the_heap_fails_on_demand_and_counts_it(void **state)
{
	(void)state;
	(void)heap_fail_after(1);
	void *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	assert_non_null(page);
	assert_null(heap_alloc(1, 1, HEAP_ANY_NODE));
	assert_null(heap_alloc(1, 1, HEAP_ANY_NODE));
	assert_int_equal(heap_fail_after(UINT64_MAX), 2);
	heap_free(page, 1);
}

/* Of a full heap every second page comes back: free pages enough, and no two of them together. */
static void a_heap_in_pieces_has_pages_but_no_run(void **state)
{
	static char *page[4 * 512];
	const unsigned before = heap_stats().pages_free;
	unsigned count = 0;

	(void)state;
	heap_let_grow(true); /* to the last one */
	while (count < 4 * 512 && (page[count] = heap_alloc(1, 1, HEAP_ANY_NODE)) != nullptr) {
		count++;
	}
	heap_let_grow(false);
	assert_int_equal(count, before);
	assert_true(heap_is_low());
	for (unsigned i = 0; i < count; i += 2) {
		heap_free(page[i], 1);
	}
	assert_false(heap_is_low());
	assert_null(heap_alloc(2, 1, HEAP_ANY_NODE));
	char *again = heap_alloc(1, 1, HEAP_ANY_NODE);

	assert_non_null(again);
	heap_free(again, 1);
	for (unsigned i = 1; i < count; i += 2) {
		heap_free(page[i], 1);
	}
	assert_int_equal(heap_stats().pages_free, before);
}

/* Who lets the heap grow finds pages where others are refused, and those are told so, once. */
static void the_last_pages_are_for_growth(void **state)
{
	static void *held[4 * 512];
	void *last[HEAP_GROWTH_PAGES];
	const struct heap_stats before = heap_stats();
	unsigned count = 0;

	(void)state;
	(void)heap_refused_at();
	while ((held[count] = heap_alloc(1, 1, HEAP_ANY_NODE)) != nullptr) {
		count++;
	}
	assert_int_equal(heap_refused_at(), before.blocks);
	assert_int_equal(heap_refused_at(), 0);
	heap_let_grow(true);
	for (unsigned i = 0; i < HEAP_GROWTH_PAGES; i++) {
		last[i] = heap_alloc(1, 1, HEAP_ANY_NODE);
		assert_non_null(last[i]);
	}
	assert_null(heap_alloc(1, 1, HEAP_ANY_NODE));
	heap_let_grow(false);
	for (unsigned i = 0; i < HEAP_GROWTH_PAGES; i++) {
		heap_free(last[i], 1);
	}
	assert_null(heap_alloc(1, 1, HEAP_ANY_NODE));
	while (count > 0) {
		heap_free(held[--count], 1);
	}
	(void)heap_refused_at();
	(void)heap_fail_after(0);
	assert_null(heap_alloc(1, 1, HEAP_ANY_NODE));
	(void)heap_fail_after(UINT64_MAX);
	assert_int_equal(heap_refused_at(), 0); /* a test's refusal is none that growth mends */
	assert_int_equal(heap_stats().pages_free, before.pages_free);
}

static void kmap_ranges_do_not_meet(void **state)
{
	static struct held held[64];

	(void)state;
	for (unsigned n = 0; n < 3000; n++) {
		struct held *h = &held[any(64)];
		va_t at;

		if (h->used) {
			kmap_release(va(h->at), BLOCK_BYTES << h->order);
			h->used = false;
			continue;
		}
		h->order = (unsigned)any(5);
		assert_int_equal(
			kmap_reserve(BLOCK_BYTES << h->order, BLOCK_BYTES << h->order, &at),
			KERR_OK);
		assert_true(is_aligned(at.v - KMAP_BASE, BLOCK_BYTES << h->order));
		for (unsigned i = 0; i < 64; i++) {
			assert_false(held[i].used &&
				     ranges_meet(at.v, BLOCK_BYTES << h->order, held[i].at,
						 BLOCK_BYTES << held[i].order));
		}
		h->at = at.v;
		h->used = true;
	}
}

static void kmap_refuses_what_it_cannot_give(void **state)
{
	va_t at = va(5);

	(void)state;
	assert_int_equal(kmap_reserve(0, BLOCK_BYTES, &at), KERR_INVALID);
	assert_int_equal(kmap_reserve(BLOCK_BYTES + PAGE_BYTES, BLOCK_BYTES, &at), KERR_INVALID);
	assert_int_equal(kmap_reserve(BLOCK_BYTES, 0, &at), KERR_INVALID);
	assert_int_equal(kmap_reserve(2 * KMAP_BYTES, BLOCK_BYTES, &at), KERR_INVALID);
	assert_int_equal(kmap_reserve(KMAP_BYTES, BLOCK_BYTES, &at), KERR_NO_MEMORY);
	assert_int_equal(at.v, 5);
}

/* Every start and size around the one pin that the machine has. */
static void a_pin_is_met_by_either_address_and_by_nothing_else(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		const uint64_t off = any(4 * BLOCK_BYTES);
		const uint64_t size = 1 + any(n % 2 == 0 ? 64 : 3 * BLOCK_BYTES);
		const bool meets = off < 3 * BLOCK_BYTES && off + size > 2 * BLOCK_BYTES;
		const uint64_t from = SIM_POOL_BASE - 2 * BLOCK_BYTES + off;

		assert_int_equal(pin_overlaps_va(va(PINNED_BASE + from), size) != nullptr, meets);
		assert_int_equal(pin_overlaps_pa(pa(from), size) != nullptr, meets);
	}
}

/* A second block, of another node: asked for first, and the last resort of the others. */
static void blocks_of_the_heap_are_chosen_by_node(void **state)
{
	const uint64_t base = 0x90000000;
	char *block = aligned_alloc(PAGE_BYTES, 64 * PAGE_BYTES);
	static void *held[2000];
	static char image[2 * PAGE_BYTES];
	unsigned count = 0;

	(void)state;
	heap_add_block(block, pa(base), 64, 1);
	heap_set_image(image, pa(0xa0000000), sizeof(image));
	assert_ptr_equal(heap_ptr(pa(0xa0000000 + 77)), image + 77);
	const unsigned before = heap_stats().pages_free;

	while (count < 2000 && (held[count] = heap_alloc(1, 1, 1)) != nullptr) {
		const bool local = (uint64_t)((char *)held[count] - block) < 64 * PAGE_BYTES;

		assert_int_equal(local, count < 62); /* 2 of the 64 hold the tags */
		assert_ptr_equal(heap_ptr(heap_pa(held[count])), held[count]);
		assert_true(heap_has_tag(held[count]));
		count++;
	}
	assert_int_equal(count, before - HEAP_GROWTH_PAGES);
	assert_int_equal(heap_stats().pages_free, HEAP_GROWTH_PAGES);
	assert_false(heap_has_tag(image));
	while (count > 0) {
		heap_free(held[--count], 1);
	}
	assert_int_equal(heap_stats().pages_free, before);
}

/* Pins in any order until the register is full; then every query against a scan. */
static void grown_pins_are_found_and_nothing_else_is(void **state)
{
	uint64_t from[PIN_MAX] = { SIM_POOL_BASE };
	unsigned count = 1;

	(void)state;
	for (;; count++) {
		const uint64_t at = 16 * GIB + (count * 37 % 101) * 4 * BLOCK_BYTES;

		if (!pin_grow(va(PINNED_BASE + at), pa(at), BLOCK_BYTES, "grown")) {
			break;
		}
		from[count] = at;
	}
	assert_int_equal(count, PIN_MAX);
	for (unsigned n = 0; n < 20000; n++) {
		const uint64_t at =
			(n % 8 == 0 ? SIM_POOL_BASE : 16 * GIB) + any(420 * BLOCK_BYTES);
		const uint64_t size = 1 + any(n % 2 == 0 ? 64 : 6 * BLOCK_BYTES);
		bool meets = false;

		for (unsigned i = 0; i < count; i++) {
			meets = meets || ranges_meet(at, size, from[i], BLOCK_BYTES);
		}
		assert_int_equal(pin_overlaps_va(va(PINNED_BASE + at), size) != nullptr, meets);
		assert_int_equal(pin_overlaps_pa(pa(at), size) != nullptr, meets);
	}
}

/* Whatever is malformed is refused before anything changes. */
static void malformed_ranges_are_refused(void **state)
{
	const va_t at = va(KMAP_BASE);
	struct pmap *p = &kernel_pmap;

	(void)state;
	assert_int_equal(pmap_map(p, at, pa(0), 0, 0), KERR_INVALID);
	assert_int_equal(pmap_map(p, va(at.v + 8), pa(0), PAGE_BYTES, 0), KERR_INVALID);
	assert_int_equal(pmap_map(p, at, pa(8), PAGE_BYTES, 0), KERR_INVALID);
	assert_int_equal(pmap_map(p, at, pa(0), PAGE_BYTES, PMAP_WRITE | PMAP_EXEC), KERR_INVALID);
	assert_int_equal(pmap_map(p, va(0), pa(0), PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_map(p, va(-PAGE_BYTES), pa(0), 2 * PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_unmap(p, at, 5), KERR_INVALID);
	assert_int_equal(pmap_protect(p, at, 5, 0), KERR_INVALID);
	assert_int_equal(pmap_protect(p, at, PAGE_BYTES, PMAP_WRITE | PMAP_EXEC), KERR_INVALID);
	assert_int_equal(pmap_protect(p, at, PAGE_BYTES, 0), KERR_ABSENT);
	assert_int_equal(pmap_demote(p, at, PAGE_BYTES, 3 * PAGE_BYTES), KERR_INVALID);
	assert_int_equal(pmap_demote(p, at, 5, PAGE_BYTES), KERR_INVALID);
	assert_int_equal(pmap_promote(p, at, 5), KERR_INVALID);
	assert_int_equal(pmap_unmap(p, at, PAGE_BYTES), KERR_OK); /* passes over */
}

static void the_image_is_found_beside_the_blocks(void **state)
{
	static _Alignas(PAGE_BYTES) char image[2 * PAGE_BYTES];
	const pa_t at = pa(64 * GIB);
	void *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	(void)state;
	heap_set_image(image, at, sizeof(image));
	assert_int_equal(heap_pa(image + PAGE_BYTES).v, at.v + PAGE_BYTES);
	assert_ptr_equal(heap_ptr(pa(at.v + 1)), image + 1);
	assert_false(heap_has_tag(image));
	assert_true(heap_has_tag(page));
	assert_ptr_equal(heap_ptr(heap_pa(page)), page);
	heap_free(page, 1);
}

/* From the node that is asked for while it has memory, then from any other. */
static void memory_of_ones_own_node_comes_first(void **state)
{
	const pa_t at = pa(65 * GIB);
	char *block = aligned_alloc(PAGE_BYTES, 4 * PAGE_BYTES);

	(void)state;
	heap_add_block(block, at, 4, 1);
	for (unsigned i = 0; i < 3; i++) {
		char *page = heap_alloc(1, 1, 1);

		assert_int_equal(heap_pa(page).v, at.v + (i + 1) * PAGE_BYTES);
		assert_ptr_equal(heap_ptr(heap_pa(page)), page);
		memset(heap_tag(page), 1, HEAP_TAG_BYTES);
	}
	char *page = heap_alloc(1, 1, 1);

	assert_true(heap_pa(page).v < at.v);
	heap_free(page, 1);
	for (unsigned i = 1; i < 4; i++) {
		heap_free(block + i * PAGE_BYTES, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_has_one_owner),
		cmocka_unit_test(frames_can_be_split_and_freed_one_by_one),
		cmocka_unit_test(frames_end_and_fail_on_demand),
		cmocka_unit_test(heap_pages_are_zero_aligned_and_tagged),
		cmocka_unit_test(the_heap_fails_on_demand_and_counts_it),
		cmocka_unit_test(a_heap_in_pieces_has_pages_but_no_run),
		cmocka_unit_test(the_last_pages_are_for_growth),
		cmocka_unit_test(kmap_ranges_do_not_meet),
		cmocka_unit_test(kmap_refuses_what_it_cannot_give),
		cmocka_unit_test(a_pin_is_met_by_either_address_and_by_nothing_else),
		cmocka_unit_test(grown_pins_are_found_and_nothing_else_is),
		cmocka_unit_test(blocks_of_the_heap_are_chosen_by_node),
		cmocka_unit_test(malformed_ranges_are_refused),
		cmocka_unit_test(the_image_is_found_beside_the_blocks),
		cmocka_unit_test(memory_of_ones_own_node_comes_first),
	};

	return cmocka_run_group_tests(tests, unit_boot, nullptr);
}
