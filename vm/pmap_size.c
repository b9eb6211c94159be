/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_size.c - promotion and demotion: what may change size, and in which steps.
 *
 * THEORY   Each step changes one level: run of 16, or table and block. A step that takes a block
 *          apart prepares the table first, unreachable, so that the window stores one entry. The
 *          group of 16 that the caller wants to change is left without Contiguous, so that it can
 *          be
 *          changed page by page after one window. New tables carry Contiguous on all other groups.
 * LOCKING  pmap->lock.
 * FAILURE  A demotion needs no memory when the table was saved; for other blocks the caller
 *          reserved before the first step. KERR_BUSY or KERR_PINNED: what was mapped is mapped.
 */
#include "pcpu/pcpu.h"
#include "vm/pmap_impl.h"

#define ALL_GROUPS UINT32_MAX

static uint64_t saved_of(pte_t *slot)
{
	return notes_of(table_of(slot))->saved[slot_index(slot)];
}

static void set_saved(pte_t *slot, uint64_t saved)
{
	notes_of(table_of(slot))->saved[slot_index(slot)] = saved;
}

void pmap_mark_stale(pte_t *slot)
{
	const uint64_t saved = saved_of(slot);

	if (saved != 0) {
		set_saved(slot, saved | SAVED_STALE);
	}
}

static bool reserve_one(struct reserve *r, unsigned level)
{
	pte_t *table = table_alloc(r->pmap, level);

	if (table == nullptr) {
		return false;
	}
	r->table[r->count++] = table;
	return true;
}

bool reserve_for_split(struct reserve *r, const struct walk *w, uint64_t bytes)
{
	if (!pte_is_leaf(w->entry, w->level) || w->level == 3 || level_bytes(w->level) <= bytes) {
		return true;
	}
	if (w->level == 1) {
		return reserve_one(r, 2) && (bytes >= BLOCK_BYTES || reserve_one(r, 3));
	}
	return saved_of(w->slot) != 0 || reserve_one(r, 3);
}

void reserve_drop(struct reserve *r)
{
	while (r->count > 0) {
		table_free(r->pmap, r->table[--r->count]);
	}
}

static pte_t *reserve_take(struct reserve *r, unsigned level)
{
	for (unsigned i = 0; i < r->count; i++) {
		pte_t *table = r->table[i];

		if (notes_of(table)->level == level) {
			r->table[i] = r->table[--r->count];
			return table;
		}
	}
	return nullptr;
}

enum kerr pmap_change_run(struct pmap *pmap, struct walk w, va_t at, uint64_t set, uint64_t clear)
{
	const uint64_t span = level_bytes(w.level) * CONT_ENTRIES;

	return pmap_update_run(pmap, group_first(w.slot), va(align_down(at.v, span)), w.level, set,
			       clear);
}

static enum kerr demote_run(struct pmap *pmap, struct walk *w, va_t at)
{
	const enum kerr e = pmap_change_run(pmap, *w, at, 0, PTE_CONT);

	if (e == KERR_OK) {
		w->entry.v &= ~PTE_CONT;
		count(w->level == 3 ? CTR_demote_64k : CTR_demote_32m);
	}
	return e;
}

/* The table that shall replace a block: saved and true, saved and refilled, or reserved. */
static pte_t *prepare_table(struct reserve *r, struct walk w, unsigned loose_group)
{
	const uint32_t contiguous = ALL_GROUPS & ~(UINT32_C(1) << loose_group);
	const uint64_t saved = w.level == 2 ? saved_of(w.slot) : 0;
	pte_t *table = (pte_t *)(uintptr_t)(saved & ~SAVED_STALE);

	if (table != nullptr && (saved & SAVED_STALE) == 0) {
		KASSERT(pte_attr(arch_pte_load(table)) == pte_attr(w.entry)); /* PM3 */
		if ((notes_of(table)->contiguous >> loose_group & 1) != 0) {
			pmap_loosen_group(table, loose_group);
		}
		return table;
	}
	if (table == nullptr) {
		table = reserve_take(r, w.level + 1);
		KASSERT(table != nullptr); /* reserved before the first step */
	} else {
		count(CTR_demote_stale);
	}
	pmap_fill_table(table, w.entry, w.level + 1, contiguous);
	return table;
}

static enum kerr demote_block(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	const unsigned index = level_index(at, w->level + 1);
	const va_t base = va(align_down(at.v, level_bytes(w->level)));
	pte_t *table = prepare_table(r, *w, index / CONT_ENTRIES);

	if (w->level == 2) {
		/* Ours to find again if the park fails. */
		set_saved(w->slot, (uint64_t)(uintptr_t)table);
	}
	const enum kerr e = pmap_update_entry(pmap, w->slot, base, w->level, w->entry,
					      pte_table(heap_pa(table)));

	if (e != KERR_OK) {
		if (w->level == 1) {
			r->table[r->count++] = table;
		}
		return e;
	}
	if (w->level == 2) {
		set_saved(w->slot, 0);
	}
	count(w->level == 2 ? CTR_demote_2m : CTR_demote_1g);
	*w = (struct walk){ .level = w->level + 1, .slot = &table[index], .up = w->slot };
	w->entry = arch_pte_load(w->slot);
	return KERR_OK;
}

enum kerr pmap_demote_leaf(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	KASSERT(pte_is_leaf(w->entry, w->level));
	if ((w->entry.v & PTE_CONT) != 0) {
		return demote_run(pmap, w, at);
	}
	KASSERT(w->level < 3);
	return demote_block(pmap, r, w, at);
}

enum kerr pmap_split(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	while (pte_is_leaf(w->entry, w->level) &&
	       !is_aligned(at.v, leaf_span(w->entry, w->level))) {
		const enum kerr e = pmap_demote_leaf(pmap, r, w, at);

		if (e != KERR_OK) {
			return e;
		}
	}
	return KERR_OK;
}

/*
 * A full level-3 table becomes a block: *w moves up to it. PM2 makes the decision two comparisons.
 */
static bool promote_table(struct pmap *pmap, struct walk *w, va_t at)
{
	pte_t *table = table_of(w->slot);
	const struct table_notes *notes = notes_of(table);
	const pte_t first = arch_pte_load(table);

	if (notes->valid != PT_ENTRIES || notes->breaks != 0 ||
	    !is_aligned(pte_pa(first).v, BLOCK_BYTES)) {
		return false;
	}
	const va_t base = va(align_down(at.v, BLOCK_BYTES));
	const pte_t fresh = pte_leaf(pte_pa(first), pte_attr(first), 2);

	if (pmap_update_entry(pmap, w->up, base, 2, arch_pte_load(w->up), fresh) != KERR_OK) {
		return false;
	}
	*w = (struct walk){ .level = 2, .slot = w->up, .entry = fresh };
	set_saved(w->slot, (uint64_t)(uintptr_t)table);
	count(CTR_promote_2m);
	return true;
}

static bool promote_run(struct pmap *pmap, struct walk *w, va_t at)
{
	const unsigned group = slot_index(w->slot) / CONT_ENTRIES;
	const struct table_notes *notes = notes_of(table_of(w->slot));

	if ((notes->contiguous >> group & 1) != 0 || notes->group_valid[group] != CONT_ENTRIES ||
	    notes->group_breaks[group] != 0 ||
	    !is_aligned(pte_pa(arch_pte_load(group_first(w->slot))).v,
			level_bytes(w->level) * CONT_ENTRIES)) {
		return false;
	}
	if (pmap_change_run(pmap, *w, at, PTE_CONT, 0) != KERR_OK) {
		return false;
	}
	count(w->level == 3 ? CTR_promote_64k : CTR_promote_32m);
	return true;
}

/* Promote as far as it goes; returns the bytes of an entry of the level that the leaf is at now. */
static uint64_t promote_at(struct pmap *pmap, va_t at)
{
	struct walk w = pmap_walk(pmap, at);
	bool promoted = false;

	if (pte_is_leaf(w.entry, w.level) && w.level >= 2) {
		promoted = w.level == 3 && promote_table(pmap, &w, at);
		promoted = promote_run(pmap, &w, at) || promoted;
	}
	if (!promoted) {
		count(CTR_promote_declined);
	}
	return w.level == 3 ? PAGE_BYTES * CONT_ENTRIES : level_bytes(w.level);
}

enum kerr pmap_promote_range(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;
	uint64_t at = start.v;

	while (at < end) {
		const uint64_t step = promote_at(pmap, va(at));

		at = align_down(at, step) + step;
	}
	return KERR_OK;
}
