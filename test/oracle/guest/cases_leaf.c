/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/cases_leaf.c - one page or block changes: what needs a break, and barriers.
 */
#include "guest.h"

#define NEW PAGE(OTHER_PA)

CASE(leaf_remap_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	flush(a->va);
	put(&a->l3[0], NEW);
	finish();
}

CASE(leaf_remap_dsb_sy_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(sy);
	TLBI(vaae1is, operand(a->va));
	DSB(sy);
	put(&a->l3[0], NEW);
}

CASE(leaf_remap_all_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI_ALL(vmalle1is);
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_remap_last_level_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[3], 0);
	DSB(ishst);
	TLBI(vaale1is, operand(a->va + 3 * PAGE_BYTES));
	DSB(ish);
	put(&a->l3[3], NEW);
}

CASE(leaf_remap_global_by_any_asid_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vale1is, operand_asid(a->va, 77)); /* a global entry matches every ASID */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_remap_repeated_tlbi_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_remap_range_right, "ok", NEEDS_RANGE)
{
	put(&a->l3[0], 0);
	put(&a->l3[1], 0);
	DSB(ishst); /* TG 4 KiB, NUM 0, SCALE 0: two pages */
	TLBI_RANGE(2, 3, (a->va >> 12 & ((1ull << 37) - 1)) | 1ull << 46);
	DSB(ish);
	put(&a->l3[0], NEW);
	put(&a->l3[1], NEW);
}

CASE(leaf_remap_range_short_wrong, "wrong-va", NEEDS_RANGE)
{
	put(&a->l3[2], 0);
	DSB(ishst);
	TLBI_RANGE(2, 3, (a->va >> 12 & ((1ull << 37) - 1)) | 1ull << 46);
	DSB(ish);
	put(&a->l3[2], NEW);
}

CASE(leaf_remap_range_granule_wrong, "wrong-level-hint", NEEDS_RANGE)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI_RANGE(2, 3, (a->va >> 12 & ((1ull << 37) - 1)) | 3ull << 46);
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_level_hint_right, "ok", NEEDS_RANGE)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va) | 7ull << 44); /* 4 KiB, level 3 */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_level_hint_wrong, "wrong-level-hint", NEEDS_RANGE)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va) | 6ull << 44); /* 4 KiB, level 2 */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_unmasked_operand_wrong, "wrong-level-hint", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, a->va >> 12); /* a kernel address: bits 47:44 read as a hint for 64 KiB */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_no_break_wrong, "no-break", NEEDS_NOTHING)
{
	put(&a->l3[0], NEW);
	flush(a->va);
}

CASE(leaf_no_tlbi_wrong, "no-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_tlbi_first_wrong, "no-tlbi", NEEDS_NOTHING)
{
	flush(a->va);
	put(&a->l3[0], 0);
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_no_dsb_before_wrong, "no-dsb-before-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_dsb_of_loads_before_wrong, "no-dsb-before-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishld);
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_narrow_dsb_before_wrong, "no-dsb-before-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(nshst);
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_dmb_before_wrong, "no-dsb-before-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	__asm__ volatile("dmb ish" ::: "memory");
	TLBI(vaae1is, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_no_dsb_after_wrong, "no-dsb-after-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	put(&a->l3[0], NEW);
}

CASE(leaf_dsb_of_stores_after_wrong, "weak-dsb-after-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	DSB(ishst);
	put(&a->l3[0], NEW);
}

CASE(leaf_narrow_dsb_after_wrong, "weak-dsb-after-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	DSB(nsh);
	put(&a->l3[0], NEW);
}

CASE(leaf_neighbour_wrong, "wrong-va", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	flush(a->va + PAGE_BYTES);
	put(&a->l3[0], NEW);
}

CASE(leaf_operand_shift_wrong, "wrong-va", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1is, operand(a->va) >> 4); /* as if pages were 64 KiB */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_asid_for_global_wrong, "wrong-asid", NEEDS_NOTHING)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(aside1is, 1ull << 48); /* leaves global entries alone */
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(leaf_permissions_right, "ok", NEEDS_NOTHING)
{
	put(&a->l3[0], a->l3[0] | READ_ONLY);
	flush(a->va);
	put(&a->l3[0], a->l3[0] & ~XN);
	put(&a->l3[0], a->l3[0] | SOFTWARE);
}

CASE(leaf_same_again_right, "ok", NEEDS_NOTHING)
{
	uint64_t old = a->l3[0];

	put(&a->l3[0], 0);
	put(&a->l3[0], old | READ_ONLY); /* what may be cached does not clash with it */
}

CASE(leaf_first_mapping_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(OTHER_PA));
	finish();
}

CASE(leaf_memory_type_wrong, "no-break", NEEDS_NOTHING)
{
	put(&a->l3[0], a->l3[0] & ~ATTR_NORMAL);
}

CASE(leaf_shareability_wrong, "no-break", NEEDS_NOTHING)
{
	put(&a->l3[0], a->l3[0] & ~SH_INNER);
}

CASE(leaf_not_global_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[1], a->l2[1] | NG);
}

CASE(leaf_not_global_flush_by_asid_wrong, "wrong-asid", NEEDS_NOTHING)
{
	put(&a->l2[1], a->l2[1] | NG); /* the global one is still cached */
	DSB(ishst);
	TLBI(aside1is, 1ull << 48);
	DSB(ish);
	put(&a->l2[1], 0);
	DSB(ishst);
	TLBI(aside1is, 1ull << 48);
	DSB(ish);
	put(&a->l2[1], BLOCK(OTHER_PA) | NG);
}

CASE(leaf_global_wrong, "no-break", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(DATA_PA) | NG);
	put(&a->l2[2], BLOCK(DATA_PA));
}

CASE(leaf_access_flag_clear_right, "ok", NEEDS_NO_LSE)
{
	*(volatile uint64_t *)&a->l2[2] = BLOCK(DATA_PA) & ~AF; /* counted neither as a make */
	count_makes++;
	put(&a->l2[2], BLOCK(OTHER_PA)); /* nor as a change of a live one */
}

CASE(leaf_access_flag_lost_wrong, "no-tlbi", NEEDS_NOTHING)
{
	put(&a->l3[0], a->l3[0] & ~AF); /* allowed, but the old entry stays cached */
	put(&a->l3[0], NEW);
}

static void hardware_af(bool on)
{
	uint64_t tcr;

	__asm__ volatile("mrs %0, tcr_el1" : "=r"(tcr));
	tcr = on ? tcr | 1ull << 39 : tcr & ~(1ull << 39);
	__asm__ volatile("msr tcr_el1, %0\n\tisb" ::"r"(tcr) : "memory");
}

CASE(leaf_hardware_access_flag_wrong, "no-break", NEEDS_HAFDBS)
{
	hardware_af(true); /* now the CPU may set AF by itself, and cache the entry */
	put(&a->l2[2], BLOCK(DATA_PA) & ~AF);
	put(&a->l2[2], BLOCK(OTHER_PA));
	hardware_af(false);
}
