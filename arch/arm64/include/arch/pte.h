/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/pte.h> - stage-1 descriptors, 4 KiB granule, 48-bit addresses (Arm ARM D8.3).
 *
 * Pure: the host build uses this very file. Levels have Arm's numbers: 0 is the root,
 * 3 holds pages.
 */
#pragma once

#include <types.h>

#define PTE_VALID (UINT64_C(1) << 0)
#define PTE_TABLE (UINT64_C(1) << 1) /* levels 0-2: a table; level 3: must be 1 for a page */
#define PTE_ATTR_SHIFT 2
#define PTE_ATTR_MASK (UINT64_C(7) << PTE_ATTR_SHIFT)
#define PTE_AP_EL0 (UINT64_C(1) << 6) /* AP[1]: EL0 may access */
#define PTE_AP_RO (UINT64_C(1) << 7)  /* AP[2]: read-only */
#define PTE_SH_INNER (UINT64_C(3) << 8)
#define PTE_SH_MASK (UINT64_C(3) << 8)
#define PTE_AF (UINT64_C(1) << 10)
#define PTE_NG (UINT64_C(1) << 11)
#define PTE_CONT (UINT64_C(1) << 52)
#define PTE_PXN (UINT64_C(1) << 53)
#define PTE_UXN (UINT64_C(1) << 54)
#define PTE_SW_MASK (UINT64_C(0xf) << 55) /* bits 58:55, ignored by hardware */
#define PTE_ADDR_MASK UINT64_C(0x0000fffffffff000)

/* MAIR_EL1 indices. */
#define MAIR_NORMAL 0 /* write-back, allocate */
#define MAIR_DEVICE 1 /* nGnRE */
#define MAIR_NOCACHE 2
#define MAIR_VALUE UINT64_C(0x4404ff)

#define PT_ENTRIES 512
#define PT_LEVELS 4
#define CONT_ENTRIES 16 /* 64 KiB at level 3, 32 MiB at level 2 */

/*
 * What may change in a valid entry without break-before-make (Arm ARM D8.16.1): AF, AP, XN and
 * software bits. AF is not among them: we never change it; a CPU may set it, where leaves begin
 * without (user leaves on CPUs with FEAT_HAFDBS).
 */
#define PTE_PROTECT_MASK (PTE_AP_EL0 | PTE_AP_RO | PTE_PXN | PTE_UXN | PTE_SW_MASK)

/* Bytes that one entry of `level` maps: 512 GiB, 1 GiB, 2 MiB, 4 KiB. */
static inline uint64_t level_bytes(unsigned level)
{
	return UINT64_C(1) << (39 - 9 * level);
}

static inline unsigned level_index(va_t va, unsigned level)
{
	return (unsigned)(va.v >> (39 - 9 * level)) & (PT_ENTRIES - 1);
}

static inline bool pte_is_valid(pte_t e)
{
	return (e.v & PTE_VALID) != 0;
}

static inline bool pte_is_table(pte_t e, unsigned level)
{
	return level < 3 && (e.v & (PTE_VALID | PTE_TABLE)) == (PTE_VALID | PTE_TABLE);
}

/* A leaf of level 1 or 2. */
static inline bool pte_is_block(pte_t e)
{
	return (e.v & (PTE_VALID | PTE_TABLE)) == PTE_VALID;
}

/* A block at levels 1 and 2, a page at level 3. */
static inline bool pte_is_leaf(pte_t e, unsigned level)
{
	return pte_is_valid(e) && !pte_is_table(e, level);
}

static inline pa_t pte_pa(pte_t e)
{
	return pa(e.v & PTE_ADDR_MASK);
}

static inline pte_t pte_table(pa_t table)
{
	return (pte_t){ table.v | PTE_VALID | PTE_TABLE };
}

/* A leaf of `level` at `out` with attribute bits `attr` (no type, address or Contiguous bits). */
static inline pte_t pte_leaf(pa_t out, uint64_t attr, unsigned level)
{
	return (pte_t){ out.v | attr | PTE_VALID | (level == 3 ? PTE_TABLE : 0) };
}

/* The block that a uniform table of pages is, by its first one, which is aligned to the block. */
static inline pte_t pte_block_of_pages(pte_t first)
{
	return (pte_t){ (first.v - PTE_TABLE) & ~PTE_CONT };
}

/* Attributes of a leaf: everything but type, output address and Contiguous. */
static inline uint64_t pte_attr(pte_t leaf)
{
	return leaf.v & ~(PTE_ADDR_MASK | PTE_VALID | PTE_TABLE | PTE_CONT);
}

/* Does the right neighbour of a leaf map neighbouring memory alike? AF and Contiguous apart. */
static inline bool pte_leaf_goes_on(pte_t left, pte_t right, unsigned level)
{
	const uint64_t ignore = PTE_AF | PTE_CONT;

	/* The type bits are compared too: if one is a leaf, both are. No address carries. */
	return (((left.v + level_bytes(level)) ^ right.v) & ~ignore) == 0;
}

/* The same for any two neighbours. */
static inline bool pte_follows(pte_t left, pte_t right, unsigned level)
{
	return pte_is_leaf(left, level) && pte_leaf_goes_on(left, right, level);
}

/* May `was` become `now`, both valid, without break-before-make? */
static inline bool pte_is_protect_change(pte_t was, pte_t now)
{
	return pte_is_valid(was) && pte_is_valid(now) && ((was.v ^ now.v) & ~PTE_PROTECT_MASK) == 0;
}
