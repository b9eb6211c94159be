/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_vm.c - spaces: first touch to superpage, rights by access, revocation,
 * pressure.
 */
#include <compiler.h>
#include <memmap.h>

#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"
#include "vm/reserv.h"

#define AT (16 * RUN32_BYTES)
#define VM_RW (VM_READ | VM_WRITE)

static struct memcharge charge;

static struct space *open_space(void)
{
	struct space *space = nullptr;

	charge = (struct memcharge){ .limit_bytes = GIB };
	if (space_create(&charge, &space) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a space can be made");
		return nullptr;
	}
	user_enter(space);
	return space;
}

/* The CPU still runs it: destroying takes it away from there. */
static void close_space(struct space *space)
{
	EXPECT(space_audit(space));
	space_destroy(space);
	EXPECT_EQ(memcharge_used(&charge), 0);
	EXPECT_EQ(reserv_stats().listed, 0);
}

#define MANY_REGIONS 400u

/* R8: a program chooses how many regions it leaves behind. */
static void the_end_of_many_regions_goes_in_steps(void)
{
	struct space *space = open_space();
	unsigned steps = 1;

	for (unsigned i = 0; space != nullptr && i < MANY_REGIONS; i++) {
		/* with a hole between them: no two become one */
		EXPECT_EQ(user_map_anon(space, AT + 2 * i * PAGE_BYTES, PAGE_BYTES, VM_RW),
			  KERR_OK);
		EXPECT(i % 8 != 0 || user_fill(space, AT + 2 * i * PAGE_BYTES, PAGE_BYTES, i));
	}
	REQUIRE(space != nullptr);
	while (!space_end(space)) {
		steps++;
	}
	EXPECT(steps > 2 * MANY_REGIONS / 16);
	EXPECT_EQ(memcharge_used(&charge), 0);
	EXPECT_EQ(reserv_stats().listed, 0);
}

#define MANY_TABLES 100u
#define TABLES_A_STEP 40u

static bool fill_many_tables(struct space *space)
{
	struct memory_object *object;
	bool ok = object_create(MEM_ANON, PAGE_BYTES, &charge, nullptr, &object) == KERR_OK;

	for (unsigned i = 0; ok && i < MANY_TABLES; i++) {
		const uint64_t at = AT + i * BLOCK_BYTES;

		ok = user_map(space, object, 0, at, PAGE_BYTES, VM_RW) == KERR_OK &&
		     user_fill(space, at, PAGE_BYTES, i);
	}
	if (ok) {
		object_unref(object);
	}
	return ok;
}

/* R8: and over how many tables its pages are spread. */
static void the_end_of_many_tables_goes_in_steps(void)
{
	struct space *space = open_space();
	uint64_t tables;
	uint64_t most = 0;

	REQUIRE(space != nullptr && fill_many_tables(space));
	tables = space->pmap.table_pages;
	EXPECT(tables > MANY_TABLES);
	while (tables != 0 && !space_end(space)) {
		const uint64_t now = space->pmap.table_pages;

		most = tables - now > most ? tables - now : most;
		tables = now;
	}
	EXPECT(most > 1 && most <= TABLES_A_STEP);
	space_destroy(space);
	EXPECT_EQ(memcharge_used(&charge), 0);
}

/* R8: one step takes 16 MiB at most; what is below it has gone, what is above is as it was. */
static void unmapping_goes_in_steps(void)
{
	const uint64_t bytes = 24 * BLOCK_BYTES;
	struct space *space = open_space();
	uint64_t at = AT + PAGE_BYTES;

	REQUIRE(space != nullptr && user_map_anon(space, AT, bytes, VM_RW) == KERR_OK);
	for (uint64_t off = 0; off < bytes; off += BLOCK_BYTES) {
		EXPECT(user_fill(space, AT + off, 2 * PAGE_BYTES, off));
	}
	for (unsigned n = 0; at < AT + bytes && n < 64; n++) {
		const uint64_t from = at;
		struct space_info info;

		EXPECT_EQ(space_unmap_some(space, &at, AT + bytes), KERR_OK);
		EXPECT(at > from && at - from <= 8 * BLOCK_BYTES);
		EXPECT(space_query(space, va(at - PAGE_BYTES), &info) == KERR_ABSENT);
		EXPECT(user_holds(space, AT, PAGE_BYTES, 0));
		for (uint64_t off = align_up(at, BLOCK_BYTES) - AT; off < bytes;
		     off += BLOCK_BYTES) {
			EXPECT(user_holds(space, AT + off, 2 * PAGE_BYTES, off));
		}
		EXPECT(space_audit(space));
	}
	EXPECT_EQ(at, AT + bytes);
	EXPECT_EQ(space->mapped_bytes, PAGE_BYTES);
	close_space(space);
}

static void superpages_come_by_themselves(void)
{
	const uint64_t windows = counter_sum(CTR_promote_2m);
	struct space *space = open_space();

	REQUIRE(space != nullptr && user_map_anon(space, AT, 2 * BLOCK_BYTES, VM_RW) == KERR_OK);
	EXPECT_EQ(user_leaf(space, AT), 0);
	EXPECT(user_holds(space, AT, PAGE_BYTES, 0)); /* zeroed */
	EXPECT_EQ(user_leaf(space, AT), PAGE_BYTES);
	EXPECT(user_fill(space, AT, RUN64_BYTES, 7));
	EXPECT_EQ(user_leaf(space, AT), RUN64_BYTES);
	EXPECT(user_fill(space, AT, BLOCK_BYTES, 7));
	EXPECT_EQ(user_leaf(space, AT), BLOCK_BYTES);
	EXPECT_EQ(counter_sum(CTR_promote_2m), windows + 1);
	EXPECT(user_holds(space, AT, BLOCK_BYTES, 7));
	EXPECT_EQ(user_leaf(space, AT + BLOCK_BYTES), 0);
	close_space(space);
}

static void runs_of_32m_come_by_themselves(void)
{
	const uint64_t free = frame_stats().free * PAGE_BYTES;
	struct space *space;

	if (free < 3 * RUN32_BYTES) {
		ktest_skip("too little memory");
		return;
	}
	space = open_space();
	/* Reservations follow each other in memory as long as it is not in pieces. */
	REQUIRE(space != nullptr && user_map_anon(space, AT, 2 * RUN32_BYTES, VM_RW) == KERR_OK);
	EXPECT(user_fill(space, AT, 2 * RUN32_BYTES, 3));
	EXPECT(user_leaf(space, AT) >= BLOCK_BYTES);
	EXPECT(user_holds(space, AT, 2 * RUN32_BYTES, 3));
	close_space(space);
}

static void rights_are_what_the_region_says(void)
{
	struct space *space = open_space();
	uint64_t value;

	REQUIRE(space != nullptr && user_map_anon(space, AT, BLOCK_BYTES, VM_RW) == KERR_OK);
	EXPECT(user_fill(space, AT, BLOCK_BYTES, 1));
	REQUIRE(space_protect(space, va(AT + 5 * PAGE_BYTES), PAGE_BYTES, VM_READ) == KERR_OK);
	EXPECT_EQ(user_write(space, AT + 5 * PAGE_BYTES, 0), FAULT_BAD_ACCESS);
	EXPECT_EQ(user_read(space, AT + 5 * PAGE_BYTES, &value), FAULT_RESOLVED);
	EXPECT_EQ(value, 6);
	EXPECT_EQ(user_write(space, AT + 4 * PAGE_BYTES, 5), FAULT_RESOLVED);
	EXPECT_EQ(user_write(space, AT + 6 * PAGE_BYTES, 7), FAULT_RESOLVED);
	EXPECT(user_leaf(space, AT) < BLOCK_BYTES);
	REQUIRE(space_protect(space, va(AT + 5 * PAGE_BYTES), PAGE_BYTES, VM_RW) == KERR_OK);
	EXPECT_EQ(user_write(space, AT + 5 * PAGE_BYTES, 6), FAULT_RESOLVED);
	EXPECT_EQ(user_leaf(space, AT), BLOCK_BYTES); /* together again */
	REQUIRE(space_unmap(space, va(AT + 9 * PAGE_BYTES), PAGE_BYTES) == KERR_OK);
	EXPECT_EQ(user_read(space, AT + 9 * PAGE_BYTES, &value), FAULT_BAD_ADDRESS);
	EXPECT(user_holds(space, AT, 9 * PAGE_BYTES, 1));
	EXPECT(user_holds(space, AT + 10 * PAGE_BYTES, BLOCK_BYTES - 10 * PAGE_BYTES, 11));
	REQUIRE(space_protect(space, va(AT), PAGE_BYTES, 0) == KERR_OK);
	EXPECT_EQ(user_read(space, AT, &value), FAULT_BAD_ACCESS);
	close_space(space);
}

/* Code is written, then made executable: the first fetch enters it, never writable. */
static void code_is_entered_by_its_fetch(void)
{
	struct space *space = open_space();
	uint64_t bytes;
	uint64_t value;
	pte_t leaf;

	REQUIRE(space != nullptr && user_map_anon(space, AT, BLOCK_BYTES, VM_RW) == KERR_OK);
	EXPECT(user_fill(space, AT, BLOCK_BYTES, 9));
	EXPECT_EQ(space_protect(space, va(AT), BLOCK_BYTES, VM_RW | VM_EXEC), KERR_INVALID);
	REQUIRE(space_protect(space, va(AT), BLOCK_BYTES, VM_READ | VM_EXEC) == KERR_OK);
	EXPECT_EQ(user_leaf(space, AT), 0);
	EXPECT_EQ(fault_touch(space, va(AT), VM_EXEC), FAULT_RESOLVED);
	REQUIRE(pmap_user_query(&space->pmap, va(AT), &leaf, &bytes));
	EXPECT_EQ(leaf.v & PTE_UXN, 0);
	EXPECT(leaf.v & PTE_PXN && leaf.v & PTE_AP_RO);
	EXPECT_EQ(bytes, RUN64_BYTES);
	EXPECT_EQ(user_read(space, AT, &value), FAULT_RESOLVED);
	EXPECT_EQ(value, 9);
	EXPECT_EQ(user_write(space, AT, 1), FAULT_BAD_ACCESS);
	close_space(space);
}

static void sharers_see_one_memory_until_it_is_revoked(void)
{
	struct space *first = open_space();
	struct memcharge other_charge = { .limit_bytes = GIB };
	struct memory_object *object;
	struct space *second;
	uint64_t value;

	REQUIRE(first != nullptr && space_create(&other_charge, &second) == KERR_OK);
	REQUIRE(object_create(MEM_ANON, 2 * BLOCK_BYTES, &charge, nullptr, &object) == KERR_OK);
	EXPECT_EQ(user_map(first, object, 0, AT, 2 * BLOCK_BYTES, VM_RW), KERR_OK);
	EXPECT_EQ(user_map(second, object, 0, AT + GIB, 2 * BLOCK_BYTES, VM_READ), KERR_OK);
	EXPECT(user_fill(first, AT, 2 * BLOCK_BYTES, 100));
	user_enter(second);
	EXPECT(user_holds(second, AT + GIB, 2 * BLOCK_BYTES, 100));
	EXPECT_EQ(user_leaf(second, AT + GIB), BLOCK_BYTES);
	EXPECT_EQ(user_write(second, AT + GIB, 1), FAULT_BAD_ACCESS);
	EXPECT_EQ(object_unmap_all(object), KERR_OK);
	for (uint64_t off = 0; off < 2 * BLOCK_BYTES; off += PAGE_BYTES) {
		EXPECT_EQ(user_leaf(first, AT + off), 0);
		EXPECT_EQ(user_leaf(second, AT + GIB + off), 0);
	}
	EXPECT_EQ(user_read(second, AT + GIB, &value), FAULT_BAD_ACCESS);
	user_enter(first);
	EXPECT_EQ(user_read(first, AT, &value), FAULT_BAD_ACCESS);
	space_destroy(second);
	EXPECT_EQ(memcharge_used(&other_charge), 0);
	object_unref(object);
	close_space(first);
}

/* All memory but about `leave` frames, in blocks of 2 MiB. */
struct hoard {
	pa_t block[512];
	unsigned count;
};

static void hoard_memory(struct hoard *h, uint64_t leave)
{
	h->count = 0;
	while (frame_stats().free > leave + 512 && h->count < array_len(h->block) &&
	       frame_alloc(9, 0, &h->block[h->count]) == KERR_OK) {
		h->count++;
	}
}

static void release_memory(struct hoard *h)
{
	while (h->count > 0) {
		frame_free(h->block[--h->count], 9);
	}
}

/* Memory is short: whatever reservations kept is used, to the last frame, and nothing is lost. */
static void under_pressure_reservations_are_broken(void)
{
	static struct hoard hoard;
	const uint64_t broken = reserv_stats().broken;
	struct space *space = open_space();
	uint64_t page = 0;

	REQUIRE(space != nullptr && user_map_anon(space, AT, 4 * RUN32_BYTES, VM_RW) == KERR_OK);
	hoard_memory(&hoard, 4096);
	if (frame_stats().free > 8192) {
		release_memory(&hoard);
		ktest_skip("too much memory to use all of it");
		space_destroy(space);
		return;
	}
	/* Every block that is left is set aside, for a page each. */
	for (uint64_t off = 0; off < 4 * RUN32_BYTES; off += BLOCK_BYTES) {
		if (user_write(space, AT + off, off / PAGE_BYTES) != FAULT_RESOLVED) {
			break;
		}
	}
	while (user_write(space, AT + page * PAGE_BYTES, page) == FAULT_RESOLVED) {
		page++;
	}
	EXPECT(page > 1000);
	EXPECT(reserv_stats().broken > broken);
	EXPECT_EQ(reserv_stats().listed, 0);
	EXPECT_EQ(frame_stats().free, 0);
	EXPECT(user_holds(space, AT, page * PAGE_BYTES, 0));
	release_memory(&hoard);
	close_space(space);
}

static void spaces_without_memory_are_refused(void)
{
	struct memcharge small = { .limit_bytes = 3 * PAGE_BYTES };
	struct space *space;

	heap_fail_after(0);
	EXPECT(space_create(nullptr, &space) == KERR_NO_MEMORY);
	(void)heap_fail_after(UINT64_MAX);
	REQUIRE(space_create(&small, &space) == KERR_OK);
	user_enter(space);
	/* A root, and no room for three more tables. */
	EXPECT_EQ(user_map_anon(space, AT, BLOCK_BYTES, VM_RW), KERR_OK);
	EXPECT_EQ(user_write(space, AT, 1), FAULT_NO_MEMORY);
	EXPECT(memcharge_used(&small) <= small.limit_bytes);
	space_destroy(space);
	EXPECT_EQ(memcharge_used(&small), 0);
}

const struct ktest ktest_vm[] = {
	{ "the_end_of_many_regions_goes_in_steps", the_end_of_many_regions_goes_in_steps, 1 },
	{ "the_end_of_many_tables_goes_in_steps", the_end_of_many_tables_goes_in_steps, 1 },
	{ "unmapping_goes_in_steps", unmapping_goes_in_steps, 1 },
	{ "superpages_come_by_themselves", superpages_come_by_themselves, 1 },
	{ "runs_of_32m_come_by_themselves", runs_of_32m_come_by_themselves, 1 },
	{ "rights_are_what_the_region_says", rights_are_what_the_region_says, 1 },
	{ "code_is_entered_by_its_fetch", code_is_entered_by_its_fetch, 1 },
	{ "sharers_see_one_memory_until_it_is_revoked", sharers_see_one_memory_until_it_is_revoked,
	  1 },
	{ "under_pressure_reservations_are_broken", under_pressure_reservations_are_broken, 1 },
	{ "spaces_without_memory_are_refused", spaces_without_memory_are_refused, 1 },
	{ nullptr, nullptr, 0 },
};
