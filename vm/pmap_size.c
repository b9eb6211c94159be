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
#include "vm/pmap_update.h"

/* The word of a level-2 slot for its saved table. */
static uint64_t *saved_of(struct table_notes *notes, const pte_t *slot)
{
	return &notes->saved[slot_index(slot)];
}

void pmap_mark_stale(pte_t *slot)
{
	uint64_t *saved = saved_of(notes_of(table_of(slot)), slot);

	*saved |= *saved != 0 ? SAVED_STALE : 0;
}

/* The group of pages that a demotion for `at` leaves without Contiguous. */
static unsigned loose_group(va_t at)
{
	return level_index(at, 3) / CONT_ENTRIES;
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
	return *saved_of(notes_of(table_of(w->slot)), w->slot) != 0 || reserve_one(r, 3);
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

static void fill_for(const struct walk *w, pte_t *table, unsigned loose)
{
	pmap_fill_table(table, w->entry, w->level + 1, loose);
}

/* A block has a saved table: it is true, or filled again. */
static always_inline pte_t *saved_table(const struct walk *w, uint64_t saved, unsigned loose)
{
	pte_t *table = (pte_t *)(uintptr_t)(saved & ~SAVED_STALE);

	if (unlikely((saved & SAVED_STALE) != 0)) {
		count(CTR_demote_stale);
		fill_for(w, table, loose);
		return table;
	}
	KASSERT(((pte_attr(arch_pte_load(table)) ^ pte_attr(w->entry)) & ~PTE_AF) == 0); /* PM3 */
	if (unlikely((notes_of(table)->contiguous >> loose & 1) != 0)) {
		pmap_loosen_group(table, loose);
	}
	return table;
}

/* A block never was a table: one that was reserved before the first step. */
static pte_t *reserved_table(struct reserve *r, const struct walk *w, unsigned loose)
{
	pte_t *table = reserve_take(r, w->level + 1);

	KASSERT(table != nullptr);
	fill_for(w, table, loose);
	return table;
}

/* *w moves down into the table that has replaced its leaf. */
static always_inline void step_down(struct walk *w, pte_t *table, va_t at)
{
	w->level++;
	w->up = w->slot;
	w->up_entry = pte_table(heap_pa(table));
	w->slot = &table[level_index(at, w->level)];
	w->entry = arch_pte_load(w->slot);
}

/* `table`: prepared. `notes`: of the table that the block is in. */
static always_inline enum kerr demote_2m(struct pmap *pmap, struct table_notes *notes, pte_t *table,
					 const struct walk *w, va_t at)
{
	const struct pmap_change change = {
		.slot = w->slot,
		.va = va(align_down(at.v, BLOCK_BYTES)),
		.level = 2,
		.expected = w->entry,
		.fresh = pte_table(heap_pa(table)),
	};

	*saved_of(notes, w->slot) =
		(uint64_t)(uintptr_t)table; /* to find again if the park fails */
	const enum kerr e = update_entry(pmap, notes, &change);

	if (unlikely(e != KERR_OK)) {
		return e;
	}
	*saved_of(notes, w->slot) = 0;
	count(CTR_demote_2m);
	return KERR_OK;
}

static noinline enum kerr demote_1g(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	const va_t base = va(align_down(at.v, level_bytes(1)));
	pte_t *table = reserved_table(r, w, level_index(at, 2) / CONT_ENTRIES);
	const enum kerr e =
		pmap_update_entry(pmap, w->slot, base, 1, w->entry, pte_table(heap_pa(table)));

	if (e != KERR_OK) {
		r->table[r->count++] = table;
		return e;
	}
	count(CTR_demote_1g);
	step_down(w, table, at);
	return KERR_OK;
}

/* Take the leaf under `at` apart by one step; *w moves down with it. */
static noinline enum kerr demote_leaf(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	KASSERT(pte_is_leaf(w->entry, w->level));
	if (unlikely((w->entry.v & PTE_CONT) != 0)) {
		return demote_run(pmap, w, at);
	}
	KASSERT(w->level == 1 || w->level == 2);
	if (w->level == 1) {
		return demote_1g(pmap, r, w, at);
	}
	struct table_notes *notes = notes_of(table_of(w->slot));
	const uint64_t saved = *saved_of(notes, w->slot);
	pte_t *table = saved != 0 ? saved_table(w, saved, loose_group(at))
				  : reserved_table(r, w, loose_group(at));
	const enum kerr e = demote_2m(pmap, notes, table, w, at);

	if (e == KERR_OK) {
		step_down(w, table, at);
	}
	return e;
}

enum kerr pmap_split(struct pmap *pmap, struct reserve *r, struct walk *w, va_t at)
{
	while (pte_is_leaf(w->entry, w->level) &&
	       !is_aligned(at.v, leaf_span(w->entry, w->level))) {
		const enum kerr e = demote_leaf(pmap, r, w, at);

		if (e != KERR_OK) {
			return e;
		}
	}
	return KERR_OK;
}

/* A full level-3 table becomes a block. PM2 makes the decision two comparisons. */
static always_inline bool promote_table(struct pmap *pmap, const struct walk *w, va_t at,
					struct table_notes *up_notes)
{
	pte_t *table = table_of(w->slot);
	const struct table_notes *notes = notes_of(table);
	const pte_t first = arch_pte_load(table);

	if (notes->valid != PT_ENTRIES || notes->breaks != 0 ||
	    !is_aligned(pte_pa(first).v, BLOCK_BYTES)) {
		return false;
	}
	const struct pmap_change change = {
		.slot = w->up,
		.va = va(align_down(at.v, BLOCK_BYTES)),
		.level = 2,
		.expected = w->up_entry,
		.fresh = pte_leaf(pte_pa(first), pte_attr(first), 2),
	};

	KASSERT(pte_is_table(w->up_entry, 2));
	if (update_entry(pmap, up_notes, &change) != KERR_OK) {
		return false;
	}
	*saved_of(up_notes, w->up) = (uint64_t)(uintptr_t)table;
	count(CTR_promote_2m);
	return true;
}

/* The 16 entries around a slot of level 2 or 3 become a run. `notes`: of their table. */
static always_inline bool promote_run(struct pmap *pmap, pte_t *slot, unsigned level, va_t at,
				      const struct table_notes *notes)
{
	const unsigned group = slot_index(slot) / CONT_ENTRIES;
	const uint64_t span = level_bytes(level) * CONT_ENTRIES;

	if (notes->group_valid[group] != CONT_ENTRIES || notes->group_breaks[group] != 0 ||
	    (notes->contiguous >> group & 1) != 0 ||
	    !is_aligned(pte_pa(arch_pte_load(group_first(slot))).v, span)) {
		return false;
	}
	if (pmap_update_run(pmap, group_first(slot), va(align_down(at.v, span)), level, PTE_CONT,
			    0) != KERR_OK) {
		return false;
	}
	count(level == 3 ? CTR_promote_64k : CTR_promote_32m);
	return true;
}

/* A page: into a block, and that into a run of blocks, or into a run of pages. */
static always_inline uint64_t promote_page(struct pmap *pmap, const struct walk *w, va_t at)
{
	struct table_notes *up_notes = notes_of(table_of(w->up));

	if (promote_table(pmap, w, at, up_notes)) {
		(void)promote_run(pmap, w->up, 2, at, up_notes);
		return BLOCK_BYTES;
	}
	if (!promote_run(pmap, w->slot, 3, at, notes_of(table_of(w->slot)))) {
		count(CTR_promote_declined);
	}
	return PAGE_BYTES * CONT_ENTRIES;
}

/* Promote as far as it goes; returns the bytes of an entry of the level that the leaf is at now. */
static noinline uint64_t promote_at(struct pmap *pmap, va_t at)
{
	const struct walk w = pmap_walk(pmap, at);

	if (likely(w.level == 3 && pte_is_valid(w.entry))) {
		return promote_page(pmap, &w, at);
	}
	if (w.level != 2 || !pte_is_leaf(w.entry, 2) ||
	    !promote_run(pmap, w.slot, 2, at, notes_of(table_of(w.slot)))) {
		count(CTR_promote_declined);
	}
	return w.level == 3 ? PAGE_BYTES * CONT_ENTRIES : level_bytes(w.level);
}

enum kerr pmap_promote_range(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;
	uint64_t at = start.v;

	do {
		const uint64_t step = promote_at(pmap, va(at));

		at = align_down(at, step) + step;
	} while (at < end);
	return KERR_OK;
}

enum kerr pmap_promote(struct pmap *pmap, va_t start, uint64_t size)
{
	enum kerr e = pmap_check_range(pmap, start, size);

	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = pmap_alive(pmap);
	if (likely(e == KERR_OK)) {
		e = pmap_promote_range(pmap, start, size);
	}
	spin_unlock(&pmap->lock);
	return e;
}

/* Until no leaf at `at` is larger; reserved for at once. *span: what lies there then. */
static noinline enum kerr demote_steps(struct pmap *pmap, va_t at, uint64_t bytes, uint64_t *span)
{
	struct walk w = pmap_walk(pmap, at);
	struct reserve r;

	r.pmap = pmap;
	r.count = 0;
	enum kerr e = reserve_for_split(&r, &w, bytes) ? KERR_OK : KERR_NO_MEMORY;

	while (pte_is_leaf(w.entry, w.level) && leaf_span(w.entry, w.level) > bytes &&
	       e == KERR_OK) {
		e = demote_leaf(pmap, &r, &w, at);
	}
	reserve_drop(&r);
	*span = pte_is_leaf(w.entry, w.level) ? leaf_span(w.entry, w.level) : level_bytes(w.level);
	return e;
}

/* One step is enough for a 2 MiB block with a saved table: the page's group is loose then. */
static noinline enum kerr demote_at(struct pmap *pmap, va_t at, uint64_t bytes, uint64_t *span)
{
	const struct walk w = pmap_walk(pmap, at);

	if (unlikely(w.level != 2 || !pte_is_valid(w.entry) || (w.entry.v & PTE_CONT) != 0 ||
		     bytes >= BLOCK_BYTES)) {
		return demote_steps(pmap, at, bytes, span);
	}
	struct table_notes *notes = notes_of(table_of(w.slot));
	const uint64_t saved = *saved_of(notes, w.slot);

	if (unlikely(saved == 0)) {
		return demote_steps(pmap, at, bytes, span);
	}
	*span = PAGE_BYTES;
	return demote_2m(pmap, notes, saved_table(&w, saved, loose_group(at)), &w, at);
}

enum kerr pmap_demote(struct pmap *pmap, va_t start, uint64_t size, uint64_t bytes)
{
	enum kerr e = pmap_check_change(pmap, start, size);

	if (e == KERR_OK && bytes != PAGE_BYTES && bytes != 16 * PAGE_BYTES &&
	    bytes != BLOCK_BYTES && bytes != 16 * BLOCK_BYTES) {
		e = KERR_INVALID;
	}
	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = pmap_alive(pmap);
	for (uint64_t at = start.v; e == KERR_OK && at - start.v < size;) {
		uint64_t span;

		e = demote_at(pmap, va(at), bytes, &span);
		at = align_down(at, span) + span;
	}
	spin_unlock(&pmap->lock);
	return e;
}
