/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_notes.h - how the notes on a table follow its entries (PM2).
 *
 * THEORY   A leaf contributes to its table's notes: itself, and the pairs that it makes with its
 *          neighbours and that are no breaks. A change takes what the old leaf contributed off, and
 *          adds what the new one does; what is no leaf contributes nothing. Inlined, because most
 *          changes know which of the two is a leaf.
 * LOCKING  pmap->lock.
 */
#pragma once

#include "vm/pmap_impl.h"

/* The pair (right - 1, right) is no break any more (-1), or is one again (1). */
static always_inline void count_pair(struct table_notes *notes, unsigned right, int breaks)
{
	notes->breaks = (uint16_t)(notes->breaks + breaks);
	if (right % CONT_ENTRIES != 0) {
		uint8_t *group = &notes->group_breaks[right / CONT_ENTRIES];

		*group = (uint8_t)(*group + breaks);
	}
}

static always_inline void count_leaf(struct table_notes *notes, unsigned i, pte_t leaf, int sign)
{
	const unsigned group = i / CONT_ENTRIES;

	notes->valid = (uint16_t)(notes->valid + sign);
	notes->group_valid[group] = (uint8_t)(notes->group_valid[group] + sign);
	if (unlikely((leaf.v & PTE_CONT) != 0)) {
		const uint32_t bit = UINT32_C(1) << group;

		notes->contiguous = sign > 0 ? notes->contiguous | bit : notes->contiguous & ~bit;
	}
}

/* What an entry lies between; invalid beyond the table. */
struct neighbours {
	pte_t left;
	pte_t right;
};

static always_inline struct neighbours neighbours_of(const pte_t *slot)
{
	const unsigned i = slot_index(slot);

	return (struct neighbours){
		.left = i > 0 ? arch_pte_load(slot - 1) : (pte_t){ 0 },
		.right = i + 1 < PT_ENTRIES ? arch_pte_load(slot + 1) : (pte_t){ 0 },
	};
}

/* Add what a leaf at i of a table of `level` contributes (sign 1), or take it off (-1). */
static always_inline void account_leaf(struct table_notes *notes, unsigned level, unsigned i,
				       pte_t leaf, struct neighbours by, int sign)
{
	count_leaf(notes, i, leaf, sign);
	if (pte_follows(by.left, leaf, level)) {
		count_pair(notes, i, -sign);
	}
	if (pte_leaf_goes_on(leaf, by.right, level)) {
		count_pair(notes, i + 1, -sign);
	}
}

/* The same for any entry: what is no leaf contributes nothing. */
static always_inline void account_entry(struct table_notes *notes, unsigned level, unsigned i,
					pte_t e, struct neighbours by, int sign)
{
	if (pte_is_leaf(e, level)) {
		account_leaf(notes, level, i, e, by, sign);
	}
}

/* A block has come to a slot of level 2, in place of a table (1), or has gone (-1). */
static always_inline void account_block(struct table_notes *notes, const pte_t *slot, pte_t block,
					int sign)
{
	account_leaf(notes, 2, slot_index(slot), block, neighbours_of(slot), sign);
}

/* An entry changed, between these neighbours. `notes`: of its table. */
static always_inline void account_change(struct table_notes *notes, const struct pmap_change *c,
					 struct neighbours by)
{
	const unsigned i = slot_index(c->slot);

	account_entry(notes, c->level, i, c->expected, by, -1);
	account_entry(notes, c->level, i, c->fresh, by, 1);
}

/* A leaf stays one at its address: only its pairs can change. */
static always_inline void account_protect(struct table_notes *notes, unsigned level,
					  const pte_t *slot, pte_t was, pte_t now)
{
	const struct neighbours by = neighbours_of(slot);
	const unsigned i = slot_index(slot);

	count_pair(notes, i, pte_follows(by.left, was, level) - pte_follows(by.left, now, level));
	count_pair(notes, i + 1,
		   pte_follows(was, by.right, level) - pte_follows(now, by.right, level));
}
