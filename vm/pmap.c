/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap.c - map, unmap, protect: ranges on top of the single steps. See vm/pmap.h.
 */
#include <arch/barrier.h>

#include "ipi/inval.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "vm/pmap_impl.h"

enum kerr pmap_check_pinned(va_t at, uint64_t size)
{
	if (pin_overlaps_va(at, size) == nullptr) {
		return KERR_OK;
	}
	count(CTR_refused);
	return KERR_PINNED;
}

static enum kerr check_flags(const struct pmap *pmap, unsigned flags)
{
	const bool both = (flags & PMAP_WRITE) != 0 && (flags & PMAP_EXEC) != 0;

	return both || ((flags & PMAP_USER) != 0 && !pmap->user) ? KERR_INVALID : KERR_OK;
}

/*
 * The leaf that maps the most of [at, at + size) -> out: its level, and whether a run of 16 fits.
 */
static unsigned choose_level(va_t at, pa_t out, uint64_t size, unsigned flags, bool *run)
{
	unsigned level = 3;

	*run = false;
	if ((flags & PMAP_PAGES) != 0) {
		return level;
	}
	for (unsigned l = 1; l <= 3; l++) {
		if (is_aligned(at.v | out.v, level_bytes(l)) && size >= level_bytes(l)) {
			level = l;
			break;
		}
	}
	const uint64_t span = level_bytes(level) * CONT_ENTRIES;

	*run = level >= 2 && (flags & PMAP_NO_PROMOTE) == 0 && is_aligned(at.v | out.v, span) &&
	       size >= span;
	return level;
}

/* A run is entered whole or not at all: a table may hang in one of its slots. */
static bool run_is_empty(const pte_t *first)
{
	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		if (pte_is_valid(arch_pte_load(first + i))) {
			return false;
		}
	}
	return true;
}

/* Enter one leaf, or the 16 of a run. Returns the bytes mapped, 0 without memory. */
static uint64_t enter(struct pmap *pmap, va_t at, pa_t out, uint64_t size, unsigned flags)
{
	bool run;
	unsigned level = choose_level(at, out, size, flags, &run);
	pte_t *slot = table_reach(pmap, at, level);

	/* An empty table may hang where a block would fit; pages go into it, and promote. */
	while (slot != nullptr && pte_is_valid(arch_pte_load(slot))) {
		level++;
		run = run && level == 3;
		slot = table_reach(pmap, at, level);
	}
	if (slot == nullptr) {
		return 0;
	}
	run = run && run_is_empty(slot);
	const unsigned count = run ? CONT_ENTRIES : 1;
	const uint64_t attr = pmap_attr(pmap, flags);

	for (unsigned i = 0; i < count; i++) {
		pte_t e = pte_leaf(pa(out.v + i * level_bytes(level)), attr, level);

		e.v |= run ? PTE_CONT : 0;
		pmap_write_entry(slot + i, e);
	}
	return count * level_bytes(level);
}

/* One page, as a fault enters it: the walk, or what makes its tables, finds out what is there. */
static enum kerr enter_page(struct pmap *pmap, va_t at, pa_t out, unsigned flags)
{
	const struct walk w = pmap_walk(pmap, at);
	pte_t *slot = likely(w.level == 3) ? w.slot : table_reach(pmap, at, 3);

	if (unlikely(slot == nullptr)) {
		return pmap_range_is_empty(pmap, at, PAGE_BYTES) ? KERR_NO_MEMORY : KERR_EXISTS;
	}
	if (pte_is_valid(arch_pte_load(slot))) {
		return KERR_EXISTS;
	}
	pmap_write_entry(slot, pte_leaf(out, pmap_attr(pmap, flags), 3));
	return KERR_OK;
}

/* All of the range, or nothing. */
static enum kerr enter_range(struct pmap *pmap, va_t start, pa_t out, uint64_t size, unsigned flags)
{
	uint64_t done = 0;

	if (!pmap_range_is_empty(pmap, start, size)) {
		return KERR_EXISTS;
	}
	while (done < size) {
		const uint64_t bytes =
			enter(pmap, va(start.v + done), pa(out.v + done), size - done, flags);

		if (bytes == 0) {
			if (done > 0) {
				pmap_remove_leaves(pmap, start, done);
			}
			return KERR_NO_MEMORY;
		}
		done += bytes;
	}
	return KERR_OK;
}

enum kerr pmap_map(struct pmap *pmap, va_t start, pa_t out, uint64_t size, unsigned flags)
{
	enum kerr e = pmap_check_range(pmap, start, size);

	if (e == KERR_OK) {
		e = check_flags(pmap, flags);
	}
	if (e != KERR_OK || !is_aligned(out.v, PAGE_BYTES)) {
		return e != KERR_OK ? e : KERR_INVALID;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = pmap_alive(pmap);
	if (e == KERR_OK) {
		e = size == PAGE_BYTES ? enter_page(pmap, start, out, flags)
				       : enter_range(pmap, start, out, size, flags);
	}
	dsb_ishst(); /* pairs with the walks of every CPU that learns of the address later */
	isb();
	if (e == KERR_OK && (flags & PMAP_NO_PROMOTE) == 0) {
		e = pmap_promote_range(pmap, start, size);
	}
	spin_unlock(&pmap->lock);
	return e;
}

/* Does a leaf reach over an address that shall be a boundary? */
static bool straddles(const struct walk *w, va_t at)
{
	return pte_is_leaf(w->entry, w->level) && !is_aligned(at.v, leaf_span(w->entry, w->level));
}

/*
 * Reserve for both ends, then split there. Two ends in one leaf need the tables of one: the
 * second is reserved for what the first leaves.
 */
static enum kerr split_ends(struct pmap *pmap, struct reserve *r, va_t start, uint64_t size)
{
	const va_t end = va(start.v + size);
	struct walk first = pmap_walk(pmap, start);
	struct walk last = pmap_walk(pmap, end);
	const bool at_start = straddles(&first, start);

	if ((at_start && !reserve_for_split(r, &first, PAGE_BYTES)) ||
	    (straddles(&last, end) && !reserve_for_split(r, &last, PAGE_BYTES))) {
		return KERR_NO_MEMORY;
	}
	if (at_start) {
		const enum kerr e = pmap_split(pmap, r, &first, start);

		if (e != KERR_OK) {
			return e;
		}
		/* It may have taken the last's leaf, or its run, apart. */
		last = pmap_walk(pmap, end);
	}
	return straddles(&last, end) ? pmap_split(pmap, r, &last, end) : KERR_OK;
}

enum kerr pmap_unmap(struct pmap *pmap, va_t start, uint64_t size)
{
	struct reserve r;
	enum kerr e = pmap_check_change(pmap, start, size);

	if (e != KERR_OK) {
		return e;
	}
	r.pmap = pmap;
	r.count = 0;
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	if (!pmap_is_retired(pmap)) { /* else nothing of it is used, nor will be */
		e = split_ends(pmap, &r, start, size);
		if (e == KERR_OK) {
			pmap_remove_leaves(pmap, start, size);
		}
		reserve_drop(&r);
	}
	spin_unlock(&pmap->lock);
	return e;
}

/*
 * One page, as most changes are: its walk is all that there is to look at, and once it is a leaf of
 * its own both its ends are boundaries.
 */
static enum kerr protect_page(struct pmap *pmap, va_t at, unsigned flags)
{
	struct walk w = pmap_walk(pmap, at);
	enum kerr e = KERR_OK;

	if (unlikely(!pte_is_leaf(w.entry, w.level))) {
		return (flags & PMAP_SPARSE) != 0 ? KERR_OK : KERR_ABSENT;
	}
	if (leaf_span(w.entry, w.level) > PAGE_BYTES) {
		e = pmap_reduce_leaf(pmap, &w, at, PAGE_BYTES);
	}
	if (unlikely(e != KERR_OK)) {
		return e;
	}
	const pte_t now = { (w.entry.v & ~PTE_PROTECT_MASK) |
			    (pmap_attr(pmap, flags) & PTE_PROTECT_MASK) };

	if (likely(now.v != w.entry.v)) {
		pmap_protect_entry(&w, now);
		inval_range_now(space_of(pmap), at, PAGE_BYTES, PAGE_BYTES);
	}
	if ((flags & PMAP_NO_PROMOTE) == 0) {
		(void)pmap_promote_page(pmap, &w, at);
	}
	return KERR_OK;
}

static enum kerr protect_range(struct pmap *pmap, va_t start, uint64_t size, unsigned flags)
{
	struct reserve r;

	if ((flags & PMAP_SPARSE) == 0 && !pmap_range_is_full(pmap, start, size)) {
		return KERR_ABSENT;
	}
	r.pmap = pmap;
	r.count = 0;
	enum kerr e = split_ends(pmap, &r, start, size);

	reserve_drop(&r);
	if (e == KERR_OK) {
		e = pmap_protect_leaves(pmap, start, size,
					pmap_attr(pmap, flags) & PTE_PROTECT_MASK);
	}
	if (e == KERR_OK && (flags & PMAP_NO_PROMOTE) == 0) {
		e = pmap_promote_range(pmap, start, size);
	}
	return e;
}

enum kerr pmap_protect(struct pmap *pmap, va_t start, uint64_t size, unsigned flags)
{
	enum kerr e = check_flags(pmap, flags);

	if (e == KERR_OK) {
		e = pmap_check_change(pmap, start, size);
	}
	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = pmap_alive(pmap);
	if (likely(e == KERR_OK)) {
		e = size == PAGE_BYTES ? protect_page(pmap, start, flags)
				       : protect_range(pmap, start, size, flags);
	}
	spin_unlock(&pmap->lock);
	return e;
}
