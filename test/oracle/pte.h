/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/pte.h - what a stage 1 descriptor of the 4 KiB granule means, as pure functions.
 *
 * Levels are Arm's: 0 is the root of a 48-bit space, 3 holds pages. The field positions come
 * from Arm ARM (DDI 0487) D8.3, "Translation table descriptor formats".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PTE_VALID (1ull << 0)
#define PTE_TYPE (1ull << 1) /* table above level 3, page at level 3 */
#define PTE_ATTR (7ull << 2)
#define PTE_NS (1ull << 5)
#define PTE_SH (3ull << 8)
#define PTE_AF (1ull << 10)
#define PTE_NG (1ull << 11)
#define PTE_NT (1ull << 16) /* blocks only, FEAT_BBM level 1 */
#define PTE_CONT (1ull << 52)
#define PTE_OA 0x0000fffffffff000ull

#define RUN_ENTRIES 16u /* entries of one contiguous run, at any level of this granule */

enum pte_kind { KIND_INVALID, KIND_TABLE, KIND_LEAF };

static inline unsigned level_shift(unsigned level)
{
	return 12 + 9 * (3 - level);
}

static inline uint64_t level_size(unsigned level)
{
	return 1ull << level_shift(level);
}

static inline enum pte_kind pte_kind(uint64_t pte, unsigned level)
{
	if (!(pte & PTE_VALID)) {
		return KIND_INVALID;
	}
	if (level == 3) {
		return pte & PTE_TYPE ? KIND_LEAF : KIND_INVALID; /* 0b01 is reserved: faults */
	}
	if (pte & PTE_TYPE) {
		return KIND_TABLE;
	}
	return level == 0 ? KIND_INVALID : KIND_LEAF; /* no 512 GiB blocks without FEAT_LPA2 */
}

/* The output address proper: a block's low address bits are other fields (nT) or RES0. */
static inline uint64_t pte_oa(uint64_t pte, unsigned level)
{
	return pte & PTE_OA & ~(level_size(level) - 1);
}

/*
 * May a TLB hold this descriptor? An entry whose access flag is clear is never cached, unless
 * hardware may set the flag itself while nobody looks (TCR_EL1.HA). Tables have no such flag.
 */
static inline bool pte_cacheable(uint64_t pte, unsigned level, bool hardware_af)
{
	enum pte_kind kind = pte_kind(pte, level);

	return kind == KIND_TABLE || (kind == KIND_LEAF && (hardware_af || (pte & PTE_AF)));
}

static inline bool pte_cont(uint64_t pte, unsigned level)
{
	return level > 0 && pte_kind(pte, level) == KIND_LEAF && (pte & PTE_CONT);
}

/*
 * May a TLB hold old and new at once without harm, so that no break is needed between them
 * (Arm ARM D8.16.1)? Permissions, AF, DBM and software bits may differ; address, size, memory
 * type, shareability and Contiguous may not, and a global entry may not follow one that was not.
 */
bool pte_compatible(uint64_t old, uint64_t new, unsigned level);

/*
 * Do a and b differ in block size only, so that FEAT_BBM of `bbm` lets one replace the other
 * directly (D8.16.2)? Level 2: any size change. Level 1: one where the larger has nT set.
 * `child0` is the first descriptor of the table when one of them is a table, 0 if unknown.
 */
bool pte_bbm_allows(uint64_t a, uint64_t b, unsigned level, unsigned bbm, uint64_t child0);

/* Do entry i and entry j of one run agree, so that one TLB entry may stand for both? */
bool pte_run_consistent(uint64_t a, unsigned i, uint64_t b, unsigned j, unsigned level,
			unsigned bbm);
