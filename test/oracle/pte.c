/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/pte.c - which pairs of descriptors a TLB may hold at the same time.
 *
 * THEORY   A change needs break-before-make when a TLB that holds the old entry and the new one
 *          could act on a mixture of them. That is a property of the two descriptors alone, so
 *          it is decided here, without knowledge of who stored them.
 */
#include "pte.h"

#define LEAF_RIGID (PTE_ATTR | PTE_NS | PTE_SH)

/*
 * A new global entry may meet old ones of any ASID. The other way round the old global entry has
 * the same contents as the new one, which is no conflict, unless it stands for a whole run.
 */
static bool global_clash(uint64_t old, uint64_t new, unsigned level)
{
	return ((old ^ new) & PTE_NG) && ((old & PTE_NG) || pte_cont(old, level));
}

bool pte_compatible(uint64_t old, uint64_t new, unsigned level)
{
	enum pte_kind kind = pte_kind(old, level);

	if (kind != pte_kind(new, level)) {
		return false;
	}
	if (kind == KIND_TABLE) {
		return (old & PTE_OA) == (new &PTE_OA);
	}
	if (kind == KIND_INVALID) {
		return true;
	}
	return pte_oa(old, level) == pte_oa(new, level) && !global_clash(old, new, level) &&
	       !((old ^ new) & (LEAF_RIGID | (level > 0 ? PTE_CONT : 0)));
}

bool pte_bbm_allows(uint64_t a, uint64_t b, unsigned level, unsigned bbm, uint64_t child0)
{
	uint64_t block = pte_kind(a, level) == KIND_LEAF ? a : b;

	if (bbm == 0 || pte_kind(a, level) == KIND_INVALID || pte_kind(b, level) == KIND_INVALID) {
		return false;
	}
	if (pte_kind(a, level) == KIND_LEAF && pte_kind(b, level) == KIND_LEAF) {
		return bbm == 2 && pte_compatible(a & ~PTE_CONT, b & ~PTE_CONT, level);
	}
	if (pte_kind(a, level) == pte_kind(b, level)) {
		return false;
	}
	if (bbm == 1 && !(block & PTE_NT)) {
		return false;
	}
	return pte_kind(child0, level + 1) != KIND_LEAF ||
	       (pte_oa(child0, level + 1) == pte_oa(block, level) &&
		!((child0 ^ block) & (LEAF_RIGID | PTE_NG)));
}

bool pte_run_consistent(uint64_t a, unsigned i, uint64_t b, unsigned j, unsigned level,
			unsigned bbm)
{
	uint64_t delta = ((uint64_t)i - (uint64_t)j) << level_shift(level);

	if (pte_kind(a, level) != KIND_LEAF || pte_oa(a, level) - pte_oa(b, level) != delta) {
		return false;
	}
	return !((a ^ b) & (LEAF_RIGID | PTE_NG | (bbm == 2 ? 0 : PTE_CONT)));
}
