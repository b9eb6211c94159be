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
#include "kern/lock_open.h"
#include "pcpu/pcpu.h"
#include "vm/pmap_update.h"

/* The word of a level-2 slot for its saved table. */
static uint64_t *saved_of(struct table_notes *notes, const pte_t *slot)
{
	return &notes->saved[slot_index(slot)];
}

static pte_t *saved_table(uint64_t saved)
{
	return (pte_t *)(uintptr_t)(saved & ~SAVED_STALE);
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
	return *saved_of(walk_notes(w), w->slot) != 0 || reserve_one(r, 3);
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

/* Is a saved table true, with the group loose? */
static always_inline bool saved_is_ready(uint64_t saved, const struct table_notes *notes,
					 unsigned loose)
{
	static_assert(SAVED_STALE == 1, "both are bit 0 here");
	return ((notes->contiguous >> loose | saved) & SAVED_STALE) == 0;
}

/* Make it so. `notes`: the table's. */
static always_inline void saved_make_ready(pte_t block, uint64_t saved, struct table_notes *notes,
					   unsigned loose)
{
	pte_t *table = saved_table(saved);

	if ((saved & SAVED_STALE) != 0) {
		count(CTR_demote_stale);
		pmap_fill_table(table, block, 3, loose);
	} else {
		pmap_loosen_group(table, notes, loose);
	}
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
	w->up_notes = w->notes;
	w->notes = notes_of(table);
	w->slot = &table[level_index(at, w->level)];
	w->entry = arch_pte_load(w->slot);
}

/* `table`: prepared; `fresh`: the entry for it. */
static always_inline enum kerr demote_2m(struct pmap *pmap, const struct walk *w, pte_t *table,
					 pte_t fresh, va_t at)
{
	const struct pmap_change change = {
		.slot = w->slot,
		.va = va(align_down(at.v, BLOCK_BYTES)),
		.level = 2,
		.expected = w->entry,
		.fresh = fresh,
	};

	KASSERT(((pte_attr(arch_pte_load(table)) ^ pte_attr(w->entry)) & ~PTE_AF) == 0); /* PM3 */
	const enum kerr e = update_block(pmap, &change, BLOCK_TO_TABLE);

	if (unlikely(e != KERR_OK)) {
		return e;
	}
	account_block(walk_notes(w), change.slot, change.expected, -1);
	*saved_of(walk_notes(w), w->slot) = 0;
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
	const uint64_t saved = *saved_of(walk_notes(w), w->slot);
	const unsigned loose = loose_group(at);
	pte_t *table = saved != 0 ? saved_table(saved) : reserved_table(r, w, loose);

	if (saved != 0 && !saved_is_ready(saved, notes_of(table), loose)) {
		saved_make_ready(w->entry, saved, notes_of(table), loose);
	}

	*saved_of(walk_notes(w), w->slot) = (uint64_t)(uintptr_t)table; /* if the park fails */
	const enum kerr e = demote_2m(pmap, w, table, pte_table(heap_pa(table)), at);

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

/* A full, uniform level-3 table, at a walk's end: PM2 makes the decision two comparisons. */
static always_inline bool is_block(const struct walk *w, pte_t first)
{
	return walk_notes(w)->valid == PT_ENTRIES && walk_notes(w)->breaks == 0 &&
	       is_aligned(pte_pa(first).v, BLOCK_BYTES);
}

/* It becomes a block. `first`: its first entry. */
static always_inline bool promote_table(struct pmap *pmap, const struct walk *w, pte_t first,
					va_t at)
{
	const struct pmap_change change = {
		.slot = w->up,
		.va = va(align_down(at.v, BLOCK_BYTES)),
		.level = 2,
		.expected = w->up_entry,
		.fresh = pte_block_of_pages(first),
	};

	if (unlikely(update_block(pmap, &change, TABLE_TO_BLOCK) != KERR_OK)) {
		return false;
	}
	account_block(walk_up_notes(w), change.slot, change.fresh, 1);
	*saved_of(walk_up_notes(w), w->up) = (uint64_t)(uintptr_t)table_of(w->slot);
	count(CTR_promote_2m);
	return true;
}

static always_inline bool group_is_full(const struct table_notes *notes, const pte_t *slot)
{
	return notes->group_valid[slot_index(slot) / CONT_ENTRIES] == CONT_ENTRIES;
}

/* The 16 entries around a slot of level 2 or 3 become a run. `notes`: of their table. */
static noinline bool promote_run(struct pmap *pmap, pte_t *slot, unsigned level, va_t at,
				 const struct table_notes *notes)
{
	const unsigned group = slot_index(slot) / CONT_ENTRIES;
	const uint64_t span = level_bytes(level) * CONT_ENTRIES;

	if (!group_is_full(notes, slot) || notes->group_breaks[group] != 0 ||
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

/* A table into a block, and that into a run of blocks. */
static always_inline void promote_full(struct pmap *pmap, const struct walk *w, pte_t first,
				       va_t at)
{
	if (unlikely(!promote_table(pmap, w, first, at))) {
		count(CTR_promote_declined); /* who did not park for this parks for no run */
		return;
	}
	if (group_is_full(walk_up_notes(w), w->up)) {
		(void)promote_run(pmap, w->up, 2, at, walk_up_notes(w));
	}
}

uint64_t pmap_promote_page(struct pmap *pmap, const struct walk *w, va_t at)
{
	const pte_t first = arch_pte_load(table_of(w->slot));

	if (is_block(w, first)) {
		promote_full(pmap, w, first, at);
		return BLOCK_BYTES;
	}
	if (!promote_run(pmap, w->slot, 3, at, walk_notes(w))) {
		count(CTR_promote_declined);
	}
	return PAGE_BYTES * CONT_ENTRIES;
}

/* Promote what lies at `at` as far as it goes; returns where to go on. */
static always_inline uint64_t promote_at(struct pmap *pmap, uint64_t at)
{
	const struct walk w = pmap_walk(pmap, va(at));
	uint64_t step;

	if (likely(w.level == 3 && pte_is_valid(w.entry))) {
		step = pmap_promote_page(pmap, &w, va(at));
	} else {
		if (w.level != 2 || !pte_is_leaf(w.entry, 2) ||
		    !promote_run(pmap, w.slot, 2, va(at), walk_notes(&w))) {
			count(CTR_promote_declined);
		}
		step = w.level == 3 ? PAGE_BYTES * CONT_ENTRIES : level_bytes(w.level);
	}
	return align_down(at, step) + step;
}

/*
 * The same for a page of a table that is a block, if all the tables above it lie in the main block
 * of the heap: then nothing has to be called but the flush. False: nothing was done.
 */
static always_inline bool promote_near(struct pmap *pmap, va_t page)
{
	const struct heap_main near = heap_main;
	const va_t at = va(align_down(page.v, BLOCK_BYTES)); /* the table's first entry tells */
	struct walk w = walk_root(pmap, at);

	if (unlikely(!walk_down_near(&w, &near, at) || !walk_down_near(&w, &near, at) ||
		     !walk_down_near(&w, &near, at))) {
		return false;
	}
	if (unlikely(!is_block(&w, w.entry))) {
		return false;
	}
	promote_full(pmap, &w, w.entry, at);
	return true;
}

enum kerr pmap_promote_range(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;
	uint64_t at = start.v;

	do {
		at = promote_at(pmap, at);
	} while (at < end);
	return KERR_OK;
}

enum kerr pmap_promote(struct pmap *pmap, va_t start, uint64_t size)
{
	enum kerr e = pmap_check_range(pmap, start, size);

	if (e != KERR_OK) {
		return e;
	}
	spin_lock_open(&pmap->lock);
	pmap->caller = caller_pc_framed();
	e = pmap_alive(pmap);
	if (likely(e == KERR_OK)) {
		if (unlikely(size != PAGE_BYTES || !promote_near(pmap, start))) {
			e = pmap_promote_range(pmap, start, size);
		}
	}
	spin_unlock_open(&pmap->lock);
	return e;
}

/* Is it a block, in no run, with a saved table? */
static always_inline bool has_saved_table(const struct walk *w)
{
	return w->level == 2 && pte_is_block(w->entry) && (w->entry.v & PTE_CONT) == 0 &&
	       *saved_of(walk_notes(w), w->slot) != 0;
}

noinline enum kerr pmap_reduce_leaf(struct pmap *pmap, struct walk *w, va_t at, uint64_t bytes)
{
	struct reserve r;

	r.pmap = pmap;
	r.count = 0;
	if (likely(bytes < BLOCK_BYTES && has_saved_table(w))) {
		return demote_leaf(pmap, &r, w, at); /* one step, and nothing to reserve */
	}
	enum kerr e = reserve_for_split(&r, w, bytes) ? KERR_OK : KERR_NO_MEMORY;

	while (pte_is_leaf(w->entry, w->level) && leaf_span(w->entry, w->level) > bytes &&
	       e == KERR_OK) {
		e = demote_leaf(pmap, &r, w, at);
	}
	reserve_drop(&r);
	return e;
}

/* Until no leaf at `at` is larger. *span: what lies there then. */
static enum kerr demote_at(struct pmap *pmap, va_t at, uint64_t bytes, uint64_t *span)
{
	struct walk w = pmap_walk(pmap, at);
	const enum kerr e = pmap_reduce_leaf(pmap, &w, at, bytes);

	*span = pte_is_leaf(w.entry, w.level) ? leaf_span(w.entry, w.level) : level_bytes(w.level);
	return e;
}

static bool is_leaf_size(uint64_t bytes)
{
	return bytes == PAGE_BYTES || bytes == CONT_ENTRIES * PAGE_BYTES || bytes == BLOCK_BYTES ||
	       bytes == CONT_ENTRIES * BLOCK_BYTES;
}

static noinline enum kerr demote_range(struct pmap *pmap, va_t start, uint64_t size, uint64_t bytes)
{
	enum kerr e = is_leaf_size(bytes) ? KERR_OK : KERR_INVALID;

	for (uint64_t at = start.v; e == KERR_OK && at - start.v < size;) {
		uint64_t span;

		e = demote_at(pmap, va(at), bytes, &span);
		at = align_down(at, span) + span;
	}
	return e;
}

/*
 * One page out of a 2 MiB block that has a saved table: one step. If these tables lie in the main
 * block of the heap, hardly anything has to be called but the flush. False: it is not so, and
 * nothing was done.
 */
static always_inline bool demote_near(struct pmap *pmap, va_t at, enum kerr *e)
{
	const struct heap_main near = heap_main;
	struct walk w = walk_root(pmap, at);

	if (unlikely(!walk_down_near(&w, &near, at) || !walk_down_near(&w, &near, at) ||
		     !pte_is_block(w.entry) || (w.entry.v & PTE_CONT) != 0)) {
		return false;
	}
	const uint64_t saved = *saved_of(walk_notes(&w), w.slot);
	pte_t *table = saved_table(saved);
	const uint64_t off = (uint64_t)((const char *)table - near.base); /* of nullptr: far */

	if (unlikely(off >= near.bytes)) {
		return false;
	}
	struct table_notes *notes = heap_tag_near(&near, off);

	if (unlikely(!saved_is_ready(saved, notes, loose_group(at)))) {
		saved_make_ready(w.entry, saved, notes, loose_group(at));
	}
	*e = demote_2m(pmap, &w, table, pte_table(pa(near.pa.v + off)), at);
	return true;
}

enum kerr pmap_demote(struct pmap *pmap, va_t start, uint64_t size, uint64_t bytes)
{
	enum kerr e = pmap_check_change(pmap, start, size);

	if (e != KERR_OK) {
		return e;
	}
	spin_lock_open(&pmap->lock);
	pmap->caller = caller_pc_framed();
	e = pmap_alive(pmap);
	if (likely(e == KERR_OK)) {
		if (unlikely(bytes != PAGE_BYTES || size != PAGE_BYTES ||
			     !demote_near(pmap, start, &e))) {
			e = demote_range(pmap, start, size, bytes);
		}
	}
	spin_unlock_open(&pmap->lock);
	return e;
}
