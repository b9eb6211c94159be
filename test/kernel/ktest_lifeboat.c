/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_lifeboat.c - the lifeboat's tables, and memory by its physical address.
 */
#include <arch/table.h>
#include <memmap.h>

#include "kern/physread.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "test/kernel/ktest.h"
#include "vm/frame.h"
#include "vm/lifeboat.h"
#include "vm/memory.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_impl.h"

static void every_pin_is_leaf_identical(void)
{
	struct lifeboat_difference d;

	EXPECT(lifeboat_compare(&d));
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const va_t last = va(pin_at(i)->va.v + pin_at(i)->size - PAGE_BYTES);
		const struct walk live = pmap_walk(&kernel_pmap, last);
		const struct walk boat = pmap_walk(&lifeboat_pmap, last);

		EXPECT_EQ(boat.level, live.level);
		EXPECT_EQ(boat.entry.v, live.entry.v);
		EXPECT(boat.slot != live.slot);
	}
}

/* Do two tables of one level point to the same table? */
static bool shares_a_table(const pte_t *left, const pte_t *right, unsigned level)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (pte_is_table(left[i], level) && pte_is_table(right[i], level) &&
		    pte_pa(left[i]).v == pte_pa(right[i]).v) {
			return true;
		}
	}
	return false;
}

static void no_table_is_in_both_roots(void)
{
	EXPECT(!shares_a_table(kernel_pmap.root, lifeboat_pmap.root, 0));
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const va_t at = pin_at(i)->va;
		const pte_t *live = kernel_pmap.root;
		const pte_t *boat = lifeboat_pmap.root;

		for (unsigned level = 0; level < 3; level++) {
			const unsigned n = level_index(at, level);

			if (!pte_is_table(live[n], level)) {
				break;
			}
			live = table_under(live[n]);
			boat = table_under(boat[n]);
			EXPECT(live != boat);
			EXPECT(!shares_a_table(live, boat, level + 1));
		}
	}
}

static void the_lifeboat_passes_the_audit(void)
{
	struct pmap_audit a;

	EXPECT(pmap_audit(&lifeboat_pmap, &a));
	EXPECT(lifeboat_stats().table_bytes >= a.tables * PAGE_BYTES);
	EXPECT(lifeboat_stats().ram_bytes >= frame_stats().total * PAGE_BYTES);
}

/* What the live map says and what is in RAM are the same thing, read two ways. */
static void memory_reads_alike_by_physical_address(void)
{
	struct ktest_area area;
	uint64_t words[8] = { 0 };
	uint64_t one = 0;

	if (!area_open(&area, 0)) {
		return;
	}
	REQUIRE(map(area.va, area.pa, area.size, RW));
	uint64_t *there = (uint64_t *)(uintptr_t)area.va.v;

	for (unsigned i = 0; i < 8; i++) {
		there[i] = 0x1111 * (i + 1);
	}
	if (!phys_read(area.pa, words, sizeof(words))) {
		area_close(&area);
		ktest_skip("pcpu=scattered: the stack is not pinned");
		return;
	}
	EXPECT_EQ(words[0], 0x1111);
	EXPECT_EQ(words[7], 0x8888);
	EXPECT(phys_read_word(pa(area.pa.v + 16), &one));
	EXPECT_EQ(one, 0x3333);
	EXPECT(!phys_read_word(pa(area.pa.v + 4), &one));
	EXPECT(phys_read(pa(area.pa.v + 3), words, 3)); /* any alignment, by bytes */
	EXPECT(!lifeboat_is_on());
	/* The root is read as the hardware reads it. */
	EXPECT(phys_read_word(heap_pa(&kernel_pmap.root[256]), &one));
	EXPECT_EQ(one, kernel_pmap.root[256].v);
	EXPECT(!can_read(va(LIFEBOAT_BASE + area.pa.v))); /* live tables leave it empty */
	area_close(&area);
}

static void what_is_not_ram_is_refused(void)
{
	uint64_t word = 1;
	unsigned devices = 0;

	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);

		if (p->va.v >= DEVICE_BASE && p->va.v < LIFEBOAT_BASE) {
			EXPECT(!phys_read_word(p->pa, &word));
			devices++;
		}
	}
	EXPECT(devices > 0);
	EXPECT(!phys_read_word(pa(UINT64_C(0xc000000000)), &word));
	EXPECT(!phys_read_word(pa(UINT64_C(1) << 50), &word));
	EXPECT(!phys_read(pa(UINT64_MAX - 4), &word, 8));
	EXPECT(!phys_read(pa(0), &word, 0));
	EXPECT_EQ(word, 1);
}

/* What is in no map but its owner's, as a secret is. */
static void a_frame_outside_the_linear_map_is_refused(void)
{
	pa_t base;
	uint64_t word = 1;

	REQUIRE(frame_alloc(9, 0, &base) == KERR_OK);
	const va_t linear = va(LINEAR_BASE + base.v);
	const pa_t middle = pa(base.v + BLOCK_BYTES / 2);

	REQUIRE(unmap(va(linear.v + BLOCK_BYTES / 2), PAGE_BYTES));
	EXPECT(!phys_read_word(middle, &word));
	EXPECT(!phys_read(pa(middle.v - 4), &word, 8)); /* not even a part */
	EXPECT_EQ(word, 1);
	REQUIRE(map(va(linear.v + BLOCK_BYTES / 2), middle, PAGE_BYTES, RW));
	if (!phys_read_word(middle, &word)) {
		ktest_skip("pcpu=scattered: the stack is not pinned");
	}
	REQUIRE(promote(linear, BLOCK_BYTES));
	frame_free(base, 9);
}

const struct ktest ktest_lifeboat[] = {
	{ "every_pin_is_leaf_identical", every_pin_is_leaf_identical, 1 },
	{ "no_table_is_in_both_roots", no_table_is_in_both_roots, 1 },
	{ "the_lifeboat_passes_the_audit", the_lifeboat_passes_the_audit, 1 },
	{ "memory_reads_alike_by_physical_address", memory_reads_alike_by_physical_address, 1 },
	{ "what_is_not_ram_is_refused", what_is_not_ram_is_refused, 1 },
	{ "a_frame_outside_the_linear_map_is_refused", a_frame_outside_the_linear_map_is_refused,
	  1 },
	{ nullptr, nullptr, 0 },
};
