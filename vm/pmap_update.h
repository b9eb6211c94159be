/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_update.h - the way of one entry to the window, inlined where it begins.
 *
 * THEORY   Promotion and demotion of a block change one entry, whose level, and what it is and
 *          becomes, they know. Inlined there, the choice of the invalidation and of the window, the
 *          checks of the planner and the notes are a few instructions each. The batch lies on the
 *          caller's stack, which is pinned; of it only what one entry needs is written.
 * LOCKING  pmap->lock.
 * NOT HERE The window, and every store: vm/pmap_entry.c. R3, R4 and the park: ipi/inval.c.
 */
#pragma once

#include "ipi/inval.h"
#include "pcpu/recorder.h"
#include "vm/pmap_notes.h"

/* By mode, and for the kernel's map and user maps. vm/pmap_entry.c */
extern const struct inval_windows pmap_windows[][2];

/* Count and report why a change did not happen; returns e. */
enum kerr pmap_note_failure(enum kerr e, uint64_t culprits);

/* pmap_update_entry(), see vm/pmap.h (R2). `notes`: of the table that the slot is in. */
static always_inline enum kerr update_entry(struct pmap *pmap, struct table_notes *notes,
					    const struct pmap_change *c)
{
	struct inval_batch b;
	const bool was_table = pte_is_table(c->expected, c->level);
	const uint64_t size = level_bytes(c->level);

	KASSERT_HELD(&pmap->lock);
	KASSERT(pte_is_valid(c->expected) && pte_is_valid(c->fresh));
	KASSERT(!was_table || !pte_is_table(c->fresh, c->level)); /* one is the memory itself */
	b.park.space = space_of(pmap);
	b.kind = inval_choose_kind(was_table, pmap->user);
	b.window = pmap_windows[inval_mode()][pmap->user].window[b.kind][INVAL_ONE];
	b.caller = pmap->caller;
	b.entry[0] = (struct inval_entry){
		.slot = c->slot,
		.fresh = c->fresh,
		.expected = c->expected,
		.tlbi = inval_operand(b.kind, c->va, size, was_table),
	};
	b.span[0].va = c->va;
	b.span[0].pa = pte_pa(was_table ? c->fresh : c->expected);
	b.span[0].size = size;
	b.span[0].tag = rec_span(c->va.v, size, b.kind);
	b.span[0].operands = was_table ? PT_ENTRIES : 1;
	const enum kerr e = inval_flush_one(&b);

	if (unlikely(e != KERR_OK)) {
		return pmap_note_failure(e, b.park.culprits);
	}
	account_change(notes, c, neighbours_of(c->slot));
	return KERR_OK;
}
