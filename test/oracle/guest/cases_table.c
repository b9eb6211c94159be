/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/cases_table.c - tables come, go and change size; contiguous runs.
 */
#include "guest.h"

INLINE void flush_pages(uint64_t va, unsigned count)
{
	DSB(ishst);
	for (unsigned i = 0; i < count; i++) {
		TLBI(vaae1is, operand(va + i * PAGE_BYTES));
	}
	DSB(ish);
	isb();
}

INLINE void fill_pages(uint64_t *l3, uint64_t pa)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		*(volatile uint64_t *)&l3[i] = PAGE(pa + i * PAGE_BYTES);
	}
}

CASE(demote_right, "ok", NEEDS_NOTHING)
{
	fill_pages(a->spare, DATA_PA);
	put(&a->l2[1], 0);
	flush(a->va + BLOCK_BYTES + 5 * PAGE_BYTES); /* any address of the block */
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
	finish();
}

CASE(demote_no_break_wrong, "no-break", NEEDS_NOTHING)
{
	fill_pages(a->spare, OTHER_PA);
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
	flush(a->va + BLOCK_BYTES);
}

CASE(demote_late_tlbi_wrong, "no-tlbi", RIGHT_AT_BBM2)
{
	fill_pages(a->spare, DATA_PA);
	put(&a->l2[1], 0);
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
	flush(a->va + BLOCK_BYTES);
}

CASE(demote_bbm2, "no-break", RIGHT_AT_BBM2)
{
	fill_pages(a->spare, DATA_PA);
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
	flush(a->va + BLOCK_BYTES);
}

CASE(demote_nt_bbm1, "no-break", RIGHT_AT_BBM1)
{
	fill_pages(a->spare, DATA_PA);
	put(&a->l2[1], a->l2[1] | NT);
	flush(a->va + BLOCK_BYTES);
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
	flush(a->va + BLOCK_BYTES);
}

CASE(promote_nt_bbm1, "no-break", RIGHT_AT_BBM1)
{
	put(&a->l2[0], BLOCK(DATA_PA) | NT);
	flush_pages(a->va, ENTRIES);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(demote_elsewhere_wrong, "no-break", NEEDS_NOTHING)
{
	fill_pages(a->spare, OTHER_PA); /* not a mere change of size, whatever the level */
	put(&a->l2[1], a->l2[1] | NT);
	put(&a->l2[1], (uint64_t)a->spare | TABLE);
}

CASE(fold_bbm2, "no-break", RIGHT_AT_BBM2)
{
	put(&a->l2[16], BLOCK(DATA_PA));
	put(&a->l2[16], BLOCK(DATA_PA) | CONT);
	flush(a->va + 16 * BLOCK_BYTES);
}

CASE(promote_by_pages_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[0], 0);
	flush_pages(a->va, ENTRIES);
	put(&a->l2[0], BLOCK(DATA_PA));
	finish();
}

CASE(promote_by_all_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	TLBI_ALL(vmalle1is);
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_by_range_right, "ok", NEEDS_RANGE)
{
	put(&a->l2[0], 0);
	DSB(ishst); /* SCALE 1, NUM 7: 8 * 64 pages */
	TLBI_RANGE(2, 3, (a->va >> 12 & ((1ull << 37) - 1)) | 1ull << 46 | 1ull << 44 | 7ull << 39);
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_one_tlbi_wrong, "stale-child", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	flush(a->va);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_one_page_short_wrong, "stale-child", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	flush_pages(a->va, ENTRIES - 1);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_last_level_wrong, "last-level-only", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	for (unsigned i = 0; i < ENTRIES; i++) {
		TLBI(vaale1is, operand(a->va + i * PAGE_BYTES));
	}
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_no_break_wrong, "no-break", RIGHT_AT_BBM2)
{
	put(&a->l2[0], BLOCK(DATA_PA));
	flush_pages(a->va, ENTRIES);
}

CASE(promote_no_tlbi_wrong, "no-tlbi", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(promote_no_dsb_after_wrong, "no-dsb-after-tlbi", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	for (unsigned i = 0; i < ENTRIES; i++) {
		TLBI(vaae1is, operand(a->va + i * PAGE_BYTES));
	}
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(table_swap_wrong, "no-break", NEEDS_NOTHING)
{
	fill_pages(a->spare, DATA_PA);
	put(&a->l2[0], (uint64_t)a->spare | TABLE);
}

CASE(table_swap_empty_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[2], (uint64_t)a->spare | TABLE); /* an empty table */
	DSB(ishst);
	put(&a->l2[2], 0);
	flush(a->va + 2 * BLOCK_BYTES); /* one TLBI removes the walk entry */
	put(&a->l2[2], (uint64_t)page_take() | TABLE);
}

CASE(table_swap_empty_last_level_wrong, "last-level-only", NEEDS_NOTHING)
{
	put(&a->l2[2], (uint64_t)a->spare | TABLE);
	DSB(ishst);
	put(&a->l2[2], 0);
	DSB(ishst);
	TLBI(vaale1is, operand(a->va + 2 * BLOCK_BYTES));
	DSB(ish);
	put(&a->l2[2], (uint64_t)page_take() | TABLE);
}

CASE(table_unlinked_edit_right, "ok", NEEDS_NOTHING)
{
	fill_pages(a->spare, DATA_PA);
	fill_pages(a->spare, OTHER_PA); /* nothing can walk it yet */
	put(&a->l2[2], (uint64_t)a->spare | TABLE);
}

CASE(table_freed_then_reused_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[0], 0);
	flush_pages(a->va, ENTRIES);
	fill_pages(a->l3, OTHER_PA); /* plain memory by now */
	put(&a->l2[2], (uint64_t)a->l3 | TABLE);
}

CASE(table_freed_too_early_wrong, "frozen-child", NEEDS_NOTHING)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	a->l3[7] = 0xfeef; /* its new owner writes, while stale walks still read it */
	flush_pages(a->va, ENTRIES);
}

CASE(table_cleared_after_unlink_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[0], 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		*(volatile uint64_t *)&a->l3[i] = 0; /* losing entries is harmless */
	}
	flush_pages(a->va, ENTRIES);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(table_cleared_hides_pages_wrong, "stale-child", RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	for (unsigned i = 0; i < ENTRIES; i++) {
		*(volatile uint64_t *)&a->l3[i] = 0;
	}
	flush(a->va);
	put(&a->l2[0], BLOCK(DATA_PA));
}

CASE(table_relinked_right, "ok", NEEDS_NOTHING)
{
	uint64_t table = a->l2[0];

	put(&a->l2[0], 0);
	put(&a->l2[0], table);
}

CASE(table_with_two_addresses_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[2], (uint64_t)a->l3 | TABLE);
	finish();
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	TLBI(vaae1is, operand(a->va + 2 * BLOCK_BYTES));
	DSB(ish);
	put(&a->l3[0], PAGE(OTHER_PA));
}

CASE(table_with_two_addresses_wrong, "wrong-va", NEEDS_NOTHING)
{
	put(&a->l2[2], (uint64_t)a->l3 | TABLE);
	finish();
	put(&a->l3[0], 0);
	flush(a->va);
	put(&a->l3[0], PAGE(OTHER_PA));
}

CASE(level1_subtree_right, "ok", NEEDS_NOTHING)
{
	put(a->l1_slot, 0);
	DSB(ishst);
	TLBI_ALL(vmalle1is);
	DSB(ish);
	put(a->l1_slot, BLOCK(1ull << 30));
}

CASE(level1_subtree_wrong, "stale-child", NEEDS_NOTHING)
{
	put(a->l1_slot, 0);
	flush_pages(a->va, ENTRIES); /* forgets the block at l2[1] */
	put(a->l1_slot, BLOCK(1ull << 30));
}

INLINE void run_make(struct arena *a, uint64_t pa, uint64_t bits)
{
	for (unsigned i = 16; i < 32; i++) {
		put(&a->l2[i], BLOCK(pa + (i - 16) * BLOCK_BYTES) | bits);
	}
	finish();
}

INLINE void run_flush(struct arena *a)
{
	DSB(ishst);
	for (unsigned i = 16; i < 32; i++) {
		TLBI(vaae1is, operand(a->va + i * BLOCK_BYTES));
	}
	DSB(ish);
	isb();
}

CASE(run_fold_right, "ok", NEEDS_NOTHING)
{
	run_make(a, DATA_PA, 0);
	for (unsigned i = 16; i < 32; i++) {
		put(&a->l2[i], 0);
	}
	run_flush(a);
	run_make(a, DATA_PA, CONT);
}

CASE(run_one_entry_wrong, "contiguous", NEEDS_NOTHING)
{
	run_make(a, DATA_PA, CONT);
	put(&a->l2[20], 0);
	flush(a->va + 20 * BLOCK_BYTES); /* the other fifteen can bring it back */
	put(&a->l2[20], BLOCK(OTHER_PA));
}

CASE(run_flushed_in_part_wrong, "contiguous", RIGHT_AT_BBM2)
{
	run_make(a, DATA_PA, CONT);
	for (unsigned i = 16; i < 32; i++) {
		put(&a->l2[i], 0);
	}
	flush(a->va + 16 * BLOCK_BYTES);
	put(&a->l2[16], BLOCK(DATA_PA));
}
