/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_update.h - the way of one entry to the window, inlined where it begins.
 *
 * THEORY   Promotion and demotion of a block change one entry of level 2, and know what it is and
 *          becomes. Inlined there, the choice of the invalidation and of the window, the
 *          checks of the planner and the notes are a few instructions each. The batch lies on the
 *          caller's stack, which is pinned; of it only what one entry needs is written.
 * LOCKING  pmap->lock.
 * NOT HERE The window, and every store: vm/pmap_entry.c. R3, R4 and the park: ipi/inval.c.
 */
#pragma once

#include "ipi/inval.h"
#include "pcpu/recorder.h"
#include "vm/pmap_notes.h"

/* By mode, and for whose maps. vm/pmap_entry.c */
enum half { KERNEL_HALF, USER_HALF };
extern const struct inval_windows pmap_windows[][2];

/* Any entry, in any mode; its table's notes are the caller's. */
enum kerr pmap_flush_one(struct pmap *pmap, struct pmap_change c);

/* Count and report why a change did not happen. `e`: not KERR_OK. */
void pmap_note_failure(enum kerr e, uint64_t culprits);

/* What becomes of an entry of level 2. */
enum resize { TABLE_TO_BLOCK, BLOCK_TO_TABLE };

/* What one TLBI of a kind counts as. */
static always_inline enum counter counter_of(const struct pmap *pmap, enum inval_kind kind)
{
	if (kind == INVAL_ALL) {
		return space_of(pmap) != nullptr ? CTR_tlbi_asid : CTR_tlbi_all;
	}
	return kind == INVAL_RANGE ? CTR_tlbi_range : CTR_tlbi_va;
}

/*
 * What of a plan depends on the kind, which is known when it is compiled. Returns what the TLBI
 * will count as.
 */
static always_inline enum counter plan_kind(struct inval_batch *b, const struct pmap *pmap,
					    enum inval_kind kind, va_t at)
{
	b->block.tag = rec_span(at.v, BLOCK_BYTES, kind);
	b->window = pmap->windows->window[kind][INVAL_ONE];
	b->entry[0].tlbi = inval_operand(kind, at, BLOCK_BYTES, kind == INVAL_RANGE);
	return counter_of(pmap, kind);
}

/*
 * pmap_update_entry(), see vm/pmap.h (R2), for an entry of level 2. The notes on its table are the
 * caller's. On the stack, which is pinned, lies no more of the batch than one block needs.
 */
static always_inline enum kerr update_block(struct pmap *pmap, const struct pmap_change *c,
					    enum resize resize)
{
	const bool promote = resize == TABLE_TO_BLOCK;
	const pte_t block = promote ? c->fresh : c->expected;

	if (unlikely(inval_tuning.unusual != 0)) {
		return pmap_flush_one(pmap, *c);
	}
	KASSERT_HELD(&pmap->lock);
	KASSERT(pte_is_block(block));
	KASSERT(pte_is_table(promote ? c->expected : c->fresh, 2));
	struct inval_batch b;
	enum counter tlbi;

	switch (inval_usual_kind(promote)) {
	case INVAL_VA:
		tlbi = plan_kind(&b, pmap, INVAL_VA, c->va);
		break;
	case INVAL_RANGE:
		tlbi = plan_kind(&b, pmap, INVAL_RANGE, c->va);
		break;
	default:
		tlbi = plan_kind(&b, pmap, INVAL_ALL, c->va);
	}
	b.park.space = space_of(pmap);
	b.caller = pmap->caller;
	b.block.pa = pte_pa(block);
	b.entry[0].slot = c->slot;
	b.entry[0].fresh = c->fresh;
	b.entry[0].expected = c->expected;
	const enum kerr e = inval_flush_block(&b);

	if (unlikely(e != KERR_OK)) {
		pmap_note_failure(e, b.park.culprits);
		return e;
	}
	count(tlbi);
	return KERR_OK;
}
