/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_access.c - what the MMU lets through, and that look-ups agree with it.
 *
 * A table that says "unmapped" proves nothing while a stale translation lets an access through:
 * guards are tried by reading, writing and calling, and look-ups are compared with the MMU's own.
 */
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "kern/run.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/kernel/ktest.h"

#define ORDER_64K 4
#define ORDER_2M 9

#define INSN_MOV_X0(k) (UINT32_C(0xd2800000) | (uint32_t)(k) << 5)
#define INSN_RET UINT32_C(0xd65f03c0)

static bool can_call(va_t at)
{
	uint64_t result;

	return probe_call(at, &result);
}

/* Write `return k;` through a writable alias, and let every CPU fetch it (Arm ARM B2.4.4). */
static void write_function(va_t at, unsigned k)
{
	EXPECT(probe_write(at, (uint64_t)INSN_RET << 32 | INSN_MOV_X0(k)));
	__asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ialluis\n\tdsb ish\n\tisb" ::"r"(at.v)
			 : "memory");
}

static bool calls_to(va_t at, unsigned k)
{
	uint64_t result = 0;

	return probe_call(at, &result) && result == k;
}

static void permissions_hold_at_every_size(void)
{
	static const uint64_t sizes[] = { PAGE_BYTES, RUN64_BYTES, BLOCK_BYTES };
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	for (unsigned i = 0; i < array_len(sizes); i++) {
		const va_t last = va(a.va.v + sizes[i] - PAGE_BYTES);

		EXPECT(map(a.va, a.pa, sizes[i], RW));
		EXPECT_EQ(bytes_at(a.va), sizes[i]);
		write_function(last, 40 + i);
		EXPECT(can_read(last) && can_write(last) && !can_call(last));
		EXPECT(protect(a.va, sizes[i], RO));
		EXPECT(can_read(last) && !can_write(last) && !can_call(last));
		EXPECT(protect(a.va, sizes[i], RX));
		EXPECT(can_read(last) && !can_write(last) && calls_to(last, 40 + i));
		EXPECT(protect(a.va, sizes[i], RW));
		EXPECT(can_write(last) && !can_call(last));
		EXPECT(unmap(a.va, sizes[i]));
		EXPECT(!can_read(last) && !can_write(last) && !can_call(last));
	}
	area_close(&a);
}

/* The guard is cut out of a block that every TLB has just used. */
static void a_guard_in_a_block_guards(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	EXPECT(map(a.va, a.pa, a.size, RW));
	for (uint64_t guard = 0; guard < a.size; guard += 73 * PAGE_BYTES) {
		unsigned open = 0;

		EXPECT(can_write(va(a.va.v + guard)));
		EXPECT(unmap(va(a.va.v + guard), PAGE_BYTES));
		EXPECT(!can_read(va(a.va.v + guard)));
		EXPECT(!can_write(va(a.va.v + guard)));
		EXPECT(!can_call(va(a.va.v + guard)));
		EXPECT(!can_read(va(a.va.v + guard + PAGE_BYTES - 8)));
		for (uint64_t off = 0; off < a.size; off += PAGE_BYTES) {
			open += can_write(va(a.va.v + off)) ? 1 : 0;
		}
		EXPECT_EQ(open, 511);
		EXPECT(map(va(a.va.v + guard), pa(a.pa.v + guard), PAGE_BYTES, RW));
		EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	}
	area_close(&a);
}

/* Every page was used as a page, then as a part of the block: no use of it is left behind. */
static void nothing_stays_reachable_when_a_block_goes(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	for (unsigned round = 0; round < 2; round++) {
		unsigned reachable = 0;

		EXPECT(map(a.va, a.pa, a.size, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
		fill(a.va, a.size, round);
		EXPECT(promote(a.va, PAGE_BYTES));
		EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
		EXPECT(round == 0 || holds(a.va, a.size, round));
		EXPECT(unmap(a.va, a.size));
		for (uint64_t off = 0; off < a.size; off += PAGE_BYTES) {
			reachable += can_read(va(a.va.v + off)) ? 1 : 0;
		}
		EXPECT_EQ(reachable, 0);
	}
	area_close(&a);
}

/* Code and its writable alias change size by turns, under each other. */
static void code_runs_from_a_block_that_changes(void)
{
	struct ktest_area a;
	struct ktest_area code;

	REQUIRE(area_open(&a, ORDER_2M));
	if (!area_open(&code, ORDER_2M)) {
		area_close(&a);
		return;
	}
	const uint64_t place = 300 * PAGE_BYTES;

	EXPECT(map(a.va, a.pa, a.size, RW));
	EXPECT(map(code.va, a.pa, a.size, RX));
	for (unsigned k = 1; k <= 20; k++) {
		write_function(va(a.va.v + place), k);
		EXPECT(calls_to(va(code.va.v + place), k));
		EXPECT(demote(code.va, code.size, PAGE_BYTES));
		EXPECT(calls_to(va(code.va.v + place), k));
		EXPECT(demote(a.va, a.size, RUN64_BYTES));
		EXPECT(promote(code.va, code.size));
		EXPECT_EQ(bytes_at(va(code.va.v + place)), BLOCK_BYTES);
		EXPECT(calls_to(va(code.va.v + place), k));
		EXPECT(!can_write(va(code.va.v + place)));
		EXPECT(promote(a.va, a.size));
	}
	area_close(&code);
	area_close(&a);
}

/* The linear map gives up a page and gets it back: what secret memory will need. */
static void the_linear_map_gives_a_page_and_takes_it_back(void)
{
	struct ktest_area a;

	REQUIRE(area_open(&a, ORDER_2M));
	const va_t linear = va(LINEAR_BASE + a.pa.v);
	const va_t page = va(linear.v + 200 * PAGE_BYTES);
	const uint64_t was = bytes_at(linear);

	EXPECT(was >= BLOCK_BYTES);
	fill(linear, a.size, 4);
	EXPECT(unmap(page, PAGE_BYTES));
	EXPECT(!can_read(page));
	EXPECT(can_write(va(page.v - PAGE_BYTES)) && can_write(va(page.v + PAGE_BYTES)));
	EXPECT(map(page, pa(a.pa.v + 200 * PAGE_BYTES), PAGE_BYTES, RW));
	EXPECT_EQ(bytes_at(linear), was);
	EXPECT(holds(linear, a.size, 4));
	area_close(&a);
}

static bool agrees_with_mmu(va_t at)
{
	pa_t walked = pa(1);
	pa_t translated = pa(2);
	const bool mapped = pmap_extract(at, &walked);

	return arch_translate_read(at, &translated) == mapped &&
	       (!mapped || walked.v == translated.v);
}

static void look_ups_agree_with_the_mmu_in_every_region(void)
{
	const uint64_t places[] = {
		(uint64_t)(uintptr_t)&look_ups_agree_with_the_mmu_in_every_region, /* text */
		(uint64_t)(uintptr_t)&ktest_access,                                /* rodata */
		(uint64_t)(uintptr_t)&bootinfo,                                    /* data */
		(uint64_t)(uintptr_t)&places,                                      /* stack */
		(uint64_t)(uintptr_t)pcpu_this(),
		LINEAR_BASE,
		LINEAR_BASE + LINEAR_BYTES - PAGE_BYTES,
		PINNED_BASE,
		KMAP_BASE + KMAP_BYTES - PAGE_BYTES,
		LIFEBOAT_BASE,
		BOOTWIN_BASE,
		IMAGE_BASE - PAGE_BYTES,
		UINT64_MAX - PAGE_BYTES + 1,
	};

	for (unsigned i = 0; i < array_len(places); i++) {
		EXPECT(agrees_with_mmu(va(places[i])));
	}
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		const struct pin *p = pin_at(i);
		pa_t out;

		EXPECT(pmap_extract(p->va, &out) && out.v == p->pa.v);
		EXPECT(agrees_with_mmu(p->va));
		EXPECT(agrees_with_mmu(va(p->va.v + p->size - PAGE_BYTES)));
		EXPECT(agrees_with_mmu(va(p->va.v + p->size)));
	}
	for (uint32_t m = 0; m < bootinfo.memory_count; m++) {
		const struct mem_range *range = &bootinfo.memory[m];

		for (uint64_t i = 0; i < 64; i++) {
			const uint64_t off = align_down(range->size / 64 * i, 8);

			EXPECT(agrees_with_mmu(va(LINEAR_BASE + range->base + off)));
			EXPECT(agrees_with_mmu(va(PINNED_BASE + range->base + off)));
		}
	}
}

static void nothing_is_mapped_in_the_reserved_regions(void)
{
	pa_t out;

	EXPECT(!pmap_extract(va(LIFEBOAT_BASE), &out));
	EXPECT(!pmap_extract(va(BOOTWIN_BASE), &out));
	EXPECT(!can_read(va(LIFEBOAT_BASE)));
	EXPECT(!can_read(va(BOOTWIN_BASE)));
}

static void the_kernel_cannot_write_its_text(void)
{
	const va_t text = va((uint64_t)(uintptr_t)&the_kernel_cannot_write_its_text & ~UINT64_C(7));
	const va_t constants = va((uint64_t)(uintptr_t)&ktest_access);

	EXPECT(can_read(text) && !can_write(text));
	EXPECT(can_read(constants) && !can_write(constants) && !can_call(constants));
}

const struct ktest ktest_access[] = {
	{ "permissions_hold_at_every_size", permissions_hold_at_every_size, 1 },
	{ "a_guard_in_a_block_guards", a_guard_in_a_block_guards, 1 },
	{ "nothing_stays_reachable_when_a_block_goes", nothing_stays_reachable_when_a_block_goes,
	  1 },
	{ "code_runs_from_a_block_that_changes", code_runs_from_a_block_that_changes, 1 },
	{ "the_linear_map_gives_a_page_and_takes_it_back",
	  the_linear_map_gives_a_page_and_takes_it_back, 1 },
	{ "look_ups_agree_with_the_mmu_in_every_region",
	  look_ups_agree_with_the_mmu_in_every_region, 1 },
	{ "nothing_is_mapped_in_the_reserved_regions", nothing_is_mapped_in_the_reserved_regions,
	  1 },
	{ "the_kernel_cannot_write_its_text", the_kernel_cannot_write_its_text, 1 },
	{ nullptr, nullptr, 0 },
};
