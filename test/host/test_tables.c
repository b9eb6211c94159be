/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_tables.c - what the simulation never meets: each finding of the tables' audit, by
 * a damage of its own, the flags of a mapping, big blocks taken apart without memory; and what
 * reports read: the recorder's names, what was changed lately, who did not answer a park.
 */

#include <memmap.h>
#include <string.h>

#include "ipi/inval.h"
#include "ipi/park.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "pcpu/recorder.h"
#include "test/host/sim_impl.h"
#include "test/host/unit.h"
#include "vm/asid.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_impl.h"
#include "vm/pmap_user.h"

#define AT (KMAP_BASE + 40 * GIB)
#define MEMORY (8 * GIB)
#define MAPPED (64 * PAGE_BYTES) /* not enough for a block */

static struct pmap *const p = &kernel_pmap;

static pte_t *slot_at(uint64_t at)
{
	return pmap_walk(p, va(at)).slot;
}

static void map_pages(unsigned flags)
{
	assert_int_equal(
		pmap_map(p, va(AT), pa(MEMORY), MAPPED, flags | PMAP_PAGES | PMAP_NO_PROMOTE),
		KERR_OK);
}

static void unmap(void)
{
	assert_int_equal(pmap_unmap(p, va(AT), MAPPED), KERR_OK);
}

static struct pmap_audit audit(bool good)
{
	struct pmap_audit a;

	assert_int_equal(pmap_audit(p, &a), good);
	return a;
}

/* Damage one entry behind the kernel's back; the audit must say so and where; then mend it. */
static void damage(uint64_t at, pte_t with, unsigned wx, unsigned notes, unsigned runs)
{
	pte_t *slot = slot_at(at);
	const pte_t was = *slot;

	*slot = with;
	const struct pmap_audit a = audit(false);

	assert_int_equal(a.wx, wx);
	assert_int_equal(a.bad_notes, notes);
	assert_int_equal(a.bad_runs, runs);
	assert_in_range(a.bad.v, align_down(at, BLOCK_BYTES), at);
	*slot = was;
	(void)audit(true);
}

static void damage_one(pte_t *slot, uint64_t bits)
{
	slot->v ^= bits;
	(void)audit(false);
	slot->v ^= bits;
	(void)audit(true);
}

static void the_audit_finds_each_damage(void **state)
{
	const uint64_t run = AT + 16 * PAGE_BYTES;

	(void)state;
	map_pages(PMAP_WRITE);
	const pte_t e = *slot_at(AT);

	damage(AT, (pte_t){ 0 }, 0, 1, 0);
	damage(AT + 5 * PAGE_BYTES, (pte_t){ e.v + 77 * PAGE_BYTES }, 0, 1, 0);
	assert_int_equal(pmap_promote(p, va(run), 16 * PAGE_BYTES), KERR_OK);
	const pte_t first = *slot_at(run);

	assert_true((first.v & PTE_CONT) != 0);
	damage(run + PAGE_BYTES, (pte_t){ (first.v & ~PTE_CONT) + PAGE_BYTES }, 0, 0, 1);
	damage(run + 15 * PAGE_BYTES, (pte_t){ first.v + 14 * PAGE_BYTES }, 0, 1, 1);
	unmap();
}

/* All 16 entries of a run agree, and their memory is not aligned as a run's must be. */
static void the_audit_finds_a_run_that_is_not_aligned(void **state)
{
	(void)state;
	assert_int_equal(pmap_map(p, va(AT), pa(MEMORY + PAGE_BYTES), 16 * PAGE_BYTES, PMAP_WRITE),
			 KERR_OK);
	pte_t *slot = slot_at(AT);

	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		slot[i].v |= PTE_CONT;
	}
	assert_int_equal(audit(false).bad_runs, 1);
	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		slot[i].v &= ~PTE_CONT;
	}
	(void)audit(true);
	unmap();
}

static void the_audit_finds_writable_code(void **state)
{
	(void)state;
	map_pages(PMAP_EXEC);
	pte_t *slot = slot_at(AT + PAGE_BYTES);
	const pte_t was = *slot;

	slot->v &= ~PTE_AP_RO;
	assert_int_equal(audit(false).wx, 1);
	*slot = was;
	slot->v &= ~(PTE_AP_RO | PTE_UXN);
	slot->v |= PTE_PXN;
	assert_int_equal(audit(false).wx, 1); /* code for EL0 is code */
	*slot = was;
	(void)audit(true);
	unmap();
}

static void flags_become_attributes(void **state)
{
	static const struct {
		unsigned flags;
		uint64_t set;
		uint64_t clear;
	} all[] = {
		{ PMAP_READ, PTE_AP_RO | PTE_PXN | PTE_UXN, 0 },
		{ PMAP_WRITE, PTE_PXN | PTE_UXN, PTE_AP_RO },
		{ PMAP_EXEC, PTE_AP_RO | PTE_UXN, PTE_PXN },
		{ PMAP_WRITE | PMAP_DEVICE, (uint64_t)MAIR_DEVICE << PTE_ATTR_SHIFT, PTE_AP_RO },
		{ PMAP_WRITE | PMAP_NOCACHE, (uint64_t)MAIR_NOCACHE << PTE_ATTR_SHIFT, PTE_AP_RO },
		{ PMAP_WRITE | PMAP_SW1, UINT64_C(1) << 55, PTE_AP_RO },
	};

	(void)state;
	for (unsigned i = 0; i < array_len(all); i++) {
		map_pages(all[i].flags);
		const pte_t e = *slot_at(AT);

		assert_int_equal(e.v & all[i].set, all[i].set);
		assert_int_equal(e.v & all[i].clear, 0);
		unmap();
	}
}

/* 1 GiB, for each number of tables that can be had: all of the demotion, or none. */
static void a_gigabyte_comes_apart_or_stays(void **state)
{
	static const uint64_t sizes[] = { 16 * BLOCK_BYTES, BLOCK_BYTES, 16 * PAGE_BYTES,
					  PAGE_BYTES };

	(void)state;
	for (unsigned i = 0; i < array_len(sizes); i++) {
		/* Tables stay where they were made: each size has a gigabyte of its own. */
		const uint64_t base = AT + (i + 1) * GIB;
		const uint64_t at = base + 77 * BLOCK_BYTES;
		bool done = false;

		assert_int_equal(
			pmap_map(p, va(base), pa(MEMORY), GIB, PMAP_WRITE | PMAP_NO_PROMOTE),
			KERR_OK);
		for (unsigned tables = 0; !done; tables++) {
			const unsigned before = heap_stats().pages_free;

			(void)heap_fail_after(tables);
			const enum kerr e = pmap_demote(p, va(at), PAGE_BYTES, sizes[i]);

			(void)heap_fail_after(UINT64_MAX);
			done = e == KERR_OK;
			assert_true(done || e == KERR_NO_MEMORY);
			assert_int_equal(pmap_walk(p, va(base)).level, done ? 2 : 1);
			assert_true(done || heap_stats().pages_free == before);
			(void)audit(true);
		}
		assert_true(leaf_span(pmap_walk(p, va(at)).entry, pmap_walk(p, va(at)).level) <=
			    sizes[i]);
		assert_int_equal(pmap_unmap(p, va(base), GIB), KERR_OK);
	}
}

/* A change that expects another entry than there is changes nothing. */
static void an_entry_that_changed_is_left_alone(void **state)
{
	const uint64_t toggle = (uint64_t)MAIR_NOCACHE << PTE_ATTR_SHIFT;

	(void)state;
	map_pages(PMAP_WRITE);
	const struct walk w = pmap_walk(p, va(AT));
	const struct walk second = pmap_walk(p, va(AT + PAGE_BYTES));
	const struct pmap_change change[2] = {
		{ w.slot, va(AT), w.level, w.entry, { w.entry.v ^ toggle } },
		{ second.slot,
		  va(AT + PAGE_BYTES),
		  second.level,
		  { second.entry.v ^ PTE_AP_RO },
		  { second.entry.v ^ toggle } },
	};

	spin_lock(&p->lock);
	assert_int_equal(pmap_update_batch(p, change, 2), KERR_CHANGED);
	assert_int_equal(pmap_update_entry(p, second.slot, va(AT + PAGE_BYTES), 3,
					   change[1].expected, change[1].fresh),
			 KERR_CHANGED);
	spin_unlock(&p->lock);
	assert_int_equal(w.slot->v, w.entry.v);
	assert_int_equal(second.slot->v, second.entry.v);
	assert_int_equal(park_window(), 0);
	unmap();
}

/* ---- user maps ---- */
#define USER_AT (64 * GIB)

static struct memcharge charge = { .limit_bytes = 64 * PAGE_BYTES };
static struct pmap user;

static void a_user_map_stays_in_its_half(void **state)
{
	(void)state;
	assert_int_equal(pmap_user_init(&user, &charge), KERR_OK);
	assert_int_equal(pmap_map(&user, va(0), pa(MEMORY), PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_map(&user, va(USER_BASE - PAGE_BYTES), pa(MEMORY), PAGE_BYTES, 0),
			 KERR_RANGE);
	assert_int_equal(pmap_map(&user, va(USER_END - PAGE_BYTES), pa(MEMORY), 2 * PAGE_BYTES, 0),
			 KERR_RANGE);
	assert_int_equal(pmap_map(&user, va(USER_END), pa(MEMORY), PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_map(&user, va(AT), pa(MEMORY), PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_unmap(&user, va(AT), PAGE_BYTES), KERR_RANGE);
	assert_int_equal(pmap_map(p, va(USER_AT), pa(MEMORY), PAGE_BYTES, 0), KERR_RANGE);
	assert_int_equal(pmap_map(p, va(AT), pa(MEMORY), PAGE_BYTES, PMAP_USER), KERR_INVALID);
	assert_int_equal(
		pmap_map(&user, va(USER_AT), pa(MEMORY), PAGE_BYTES, PMAP_WRITE | PMAP_EXEC),
		KERR_INVALID);
	assert_int_equal(user.table_pages, 1);
}

static void a_user_map_is_open_to_el0_only(void **state)
{
	static const unsigned flags[] = { PMAP_READ, PMAP_WRITE, PMAP_EXEC };
	struct pmap_audit a;
	uint64_t bytes;
	pte_t e;

	(void)state;
	assert_false(pmap_user_query(&user, va(USER_AT), &e, &bytes));
	for (unsigned i = 0; i < array_len(flags); i++) {
		assert_int_equal(pmap_map(&user, va(USER_AT), pa(MEMORY), BLOCK_BYTES, flags[i]),
				 KERR_OK);
		assert_true(pmap_user_query(&user, va(USER_AT + PAGE_BYTES), &e, &bytes));
		assert_int_equal(bytes, BLOCK_BYTES);
		assert_true((e.v & PTE_NG) != 0 && (e.v & PTE_AP_EL0) != 0 && (e.v & PTE_PXN) != 0);
		assert_int_equal((e.v & PTE_UXN) == 0, flags[i] == PMAP_EXEC);
		assert_int_equal((e.v & PTE_AP_RO) == 0, flags[i] == PMAP_WRITE);
		assert_true(pmap_audit(&user, &a));
		assert_int_equal(pmap_unmap(&user, va(USER_AT), BLOCK_BYTES), KERR_OK);
	}
}

/* In a user map a leaf not tagged, not open to EL0, or code for EL1; in ours one that is open. */
static void the_audit_finds_leaves_in_the_wrong_half(void **state)
{
	static const uint64_t wrong[] = { PTE_NG, PTE_AP_EL0, PTE_PXN };
	struct pmap_audit a;

	(void)state;
	assert_int_equal(pmap_map(&user, va(USER_AT), pa(MEMORY), MAPPED, PMAP_READ), KERR_OK);
	pte_t *slot = pmap_walk(&user, va(USER_AT)).slot;

	for (unsigned i = 0; i < array_len(wrong); i++) {
		const pte_t was = *slot;

		slot->v ^= wrong[i];
		assert_false(pmap_audit(&user, &a));
		*slot = was;
	}
	assert_true(pmap_audit(&user, &a));
	map_pages(PMAP_READ);
	damage_one(slot_at(AT + PAGE_BYTES), PTE_AP_EL0);
	damage_one(slot_at(AT + PAGE_BYTES), PTE_UXN);
	unmap();
}

/* Without memory, and past what was charged for: nothing is left of the attempt. */
static void tables_are_charged_and_given_back(void **state)
{
	const uint64_t before = charge.used_bytes;
	uint64_t at = USER_AT + GIB;
	enum kerr e;

	(void)state;
	(void)heap_fail_after(0);
	assert_int_equal(pmap_map(&user, va(at), pa(MEMORY), PAGE_BYTES, 0), KERR_NO_MEMORY);
	(void)heap_fail_after(UINT64_MAX);
	assert_int_equal(charge.used_bytes, before);
	do {
		e = pmap_map(&user, va(at), pa(MEMORY), PAGE_BYTES, 0);
		at += GIB;
	} while (e == KERR_OK);
	assert_int_equal(e, KERR_NO_MEMORY);
	assert_in_range(charge.used_bytes, charge.limit_bytes - 3 * PAGE_BYTES, charge.limit_bytes);
	assert_int_equal(charge.used_bytes, user.table_pages * PAGE_BYTES);
}

static void a_retired_map_ends(void **state)
{
	const unsigned before = heap_stats().pages_free;
	const uint64_t pages = user.table_pages;

	(void)state;
	pmap_user_retire(&user);
	pmap_user_retire(&user);
	assert_int_equal(pmap_map(&user, va(USER_AT), pa(MEMORY), PAGE_BYTES, 0), KERR_DEAD);
	assert_int_equal(pmap_protect(&user, va(USER_AT), PAGE_BYTES, 0), KERR_DEAD);
	assert_int_equal(pmap_demote(&user, va(USER_AT), PAGE_BYTES, PAGE_BYTES), KERR_DEAD);
	assert_int_equal(pmap_promote(&user, va(USER_AT), PAGE_BYTES), KERR_DEAD);
	assert_int_equal(pmap_unmap(&user, va(USER_AT), PAGE_BYTES), KERR_OK);
	pmap_user_destroy(&user);
	assert_int_equal(heap_stats().pages_free, before + pages);
	assert_int_equal(charge.used_bytes, 0);
	(void)heap_fail_after(0);
	assert_int_equal(pmap_user_init(&user, &charge), KERR_NO_MEMORY);
	(void)heap_fail_after(UINT64_MAX);
}

/* A range instruction names 8 GiB at most: more goes with everything, or with the whole ASID. */
static void a_range_past_the_operands_goes_whole(void **state)
{
	const bool had = cpu_features.tlb_range;
	const uint64_t all = counter_sum(CTR_tlbi_all);
	const uint64_t whole = counter_sum(CTR_tlbi_asid);
	const struct park_space space = { .asid = (UINT64_C(1) << ASID_NUMBER_BITS) | 1 };

	(void)state;
	cpu_features.tlb_range = true;
	inval_range_now(nullptr, va(KMAP_BASE), 16 * GIB, BLOCK_BYTES);
	inval_range_now(&space, va(USER_BASE), 16 * GIB, BLOCK_BYTES);
	cpu_features.tlb_range = had;
	assert_int_equal(counter_sum(CTR_tlbi_all), all + 1);
	assert_int_equal(counter_sum(CTR_tlbi_asid), whole + 1);
}

static void kinds_of_records_have_names_and_meanings(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < REC_KIND_COUNT; kind++) {
		assert_string_not_equal(rec_kind_name(kind), "?");
		assert_non_null(strchr("xpdmvel", rec_kind_b(kind)));
	}
	assert_true(rec_kind_lasts(REC_CHANGE));
	assert_false(rec_kind_lasts(REC_MARK));
	assert_string_equal(rec_kind_name(REC_KIND_COUNT), "?");
	assert_int_equal(rec_kind_b(REC_KIND_COUNT), 'x');
	assert_false(rec_kind_lasts(REC_KIND_COUNT));
}

/* By the newest records of each CPU: its changes, and nothing else that it wrote down. */
static void what_was_changed_lately_is_known(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * INVAL_LATELY; i++) {
		rec(REC_CHANGE, rec_span(AT + i * BLOCK_BYTES, BLOCK_BYTES, INVAL_VA), 0);
	}
	for (unsigned i = 0; i < 2 * INVAL_LATELY; i++) {
		const uint64_t at = AT + i * BLOCK_BYTES;

		assert_int_equal(inval_changed_lately(va(at)), i >= INVAL_LATELY);
		assert_int_equal(inval_changed_lately(va(at + BLOCK_BYTES - 1)), i >= INVAL_LATELY);
	}
	assert_false(inval_changed_lately(va(AT + 2 * INVAL_LATELY * BLOCK_BYTES)));
	rec(REC_MARK, rec_span(AT, BLOCK_BYTES, INVAL_VA), 0);
	assert_false(inval_changed_lately(va(AT)));
}

/* The line of a culprit: with the lock that it waits for, and with none. */
static void culprits_are_named(void **state)
{
	(void)state;
	pcpu_of(1)->base.lock_wanted = &p->lock;
	pcpu_of(1)->recorder_next = 0;
	park_report_culprits(1u << 1);
	assert_non_null(strstr(sim_last_line(), "culprit=cpu1 door=off"));
	assert_non_null(strstr(sim_last_line(), "lock=pmap"));
	assert_non_null(strstr(sim_last_line(), "last=nothing"));
	pcpu_of(1)->base.lock_wanted = nullptr;
	park_report_culprits(1u << 1);
	assert_non_null(strstr(sim_last_line(), "lock=none"));
}

static void the_image_is_memory_of_the_heap(void **state)
{
	static char image[2 * PAGE_BYTES];

	(void)state;
	heap_set_image(image, pa(0xa0000000), sizeof(image));
	assert_int_equal(heap_pa(image + 77).v, 0xa0000000 + 77);
	assert_ptr_equal(heap_ptr(pa(0xa0000000 + 99)), image + 99);
}

static void a_stack_that_was_overrun_is_seen(void **state)
{
	uint64_t *foot = (uint64_t *)(uintptr_t)(pcpu_of(0)->base.slice + SLICE_SP0);
	const uint64_t was = *foot;

	(void)state;
	assert_true(pcpu_stacks_intact(pcpu_of(0)));
	*foot = 0;
	assert_false(pcpu_stacks_intact(pcpu_of(0)));
	*foot = was;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_audit_finds_each_damage),
		cmocka_unit_test(the_audit_finds_a_run_that_is_not_aligned),
		cmocka_unit_test(the_audit_finds_writable_code),
		cmocka_unit_test(flags_become_attributes),
		cmocka_unit_test(a_gigabyte_comes_apart_or_stays),
		cmocka_unit_test(an_entry_that_changed_is_left_alone),
		cmocka_unit_test(a_user_map_stays_in_its_half),
		cmocka_unit_test(a_user_map_is_open_to_el0_only),
		cmocka_unit_test(the_audit_finds_leaves_in_the_wrong_half),
		cmocka_unit_test(tables_are_charged_and_given_back),
		cmocka_unit_test(a_retired_map_ends),
		cmocka_unit_test(a_range_past_the_operands_goes_whole),
		cmocka_unit_test(kinds_of_records_have_names_and_meanings),
		cmocka_unit_test(what_was_changed_lately_is_known),
		cmocka_unit_test(culprits_are_named),
		cmocka_unit_test(the_image_is_memory_of_the_heap),
		cmocka_unit_test(a_stack_that_was_overrun_is_seen),
	};

	return cmocka_run_group_tests(tests, unit_boot, nullptr);
}
