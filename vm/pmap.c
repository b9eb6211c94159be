/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap.c - map, unmap, protect: ranges on top of the single steps. See vm/pmap.h.
 */
#include <arch/barrier.h>

#include "ipi/inval.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "vm/pmap_impl.h"

static enum kerr check_range(const struct pmap *pmap, va_t at, uint64_t size)
{
	if (size == 0 || !is_aligned(at.v | size, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	/* The half that the map is for, without wrapping. */
	const uint64_t base = pmap->user ? USER_BASE : LINEAR_BASE;
	const uint64_t end = pmap->user ? USER_END : UINT64_MAX;

	return at.v >= base && at.v < end && size <= end - at.v ? KERR_OK : KERR_RANGE;
}

/* R1: a pinned mapping never changes, not even its permissions. */
static enum kerr check_not_pinned(va_t at, uint64_t size)
{
	if (pin_never_at(at, size) || pin_overlaps_va(at, size) == nullptr) {
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

/* What every change of something mapped begins with. */
static enum kerr check_change(const struct pmap *pmap, va_t at, uint64_t size, unsigned flags)
{
	enum kerr e = check_range(pmap, at, size);

	if (e == KERR_OK) {
		e = check_flags(pmap, flags);
	}
	return e == KERR_OK ? check_not_pinned(at, size) : e;
}

/* What a change under the lock begins with. */
static enum kerr is_alive(const struct pmap *pmap)
{
	return pmap_is_retired(pmap) ? KERR_DEAD : KERR_OK;
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

/* Is nothing mapped in the range? */
static bool is_empty(struct pmap *pmap, va_t start, uint64_t size)
{
	uint64_t at = start.v;

	while (at - start.v < size) {
		const struct walk w = pmap_walk(pmap, va(at));

		if (pte_is_valid(w.entry)) {
			return false;
		}
		at = align_down(at, level_bytes(w.level)) + level_bytes(w.level);
	}
	return true;
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

/* Take out every leaf of a range that was split at its ends, then invalidate. */
static void remove_leaves(struct pmap *pmap, va_t start, uint64_t size)
{
	uint64_t at = start.v;
	uint64_t stride = BLOCK_BYTES;

	while (at - start.v < size) {
		const struct walk w = pmap_walk(pmap, va(at));

		if (pte_is_leaf(w.entry, w.level)) {
			KASSERT(is_aligned(at, level_bytes(w.level)));
			if (w.level == 2) {
				pmap_mark_stale(w.slot);
			}
			if (w.level == 3) {
				stride = PAGE_BYTES;
			}
			pmap_write_entry(w.slot, (pte_t){ 0 });
		}
		at = align_down(at, level_bytes(w.level)) + level_bytes(w.level);
	}
	inval_range_now(space_of(pmap), start, size, size >= stride ? stride : PAGE_BYTES);
}

enum kerr pmap_map(struct pmap *pmap, va_t start, pa_t out, uint64_t size, unsigned flags)
{
	enum kerr e = check_range(pmap, start, size);
	uint64_t done = 0;

	if (e == KERR_OK) {
		e = check_flags(pmap, flags);
	}
	if (e != KERR_OK || !is_aligned(out.v, PAGE_BYTES)) {
		return e != KERR_OK ? e : KERR_INVALID;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = is_alive(pmap);
	if (e != KERR_OK || !is_empty(pmap, start, size)) {
		spin_unlock(&pmap->lock);
		return e != KERR_OK ? e : KERR_EXISTS;
	}
	while (done < size) {
		const uint64_t bytes =
			enter(pmap, va(start.v + done), pa(out.v + done), size - done, flags);

		if (bytes == 0) {
			e = KERR_NO_MEMORY;
			break;
		}
		done += bytes;
	}
	if (e != KERR_OK && done > 0) {
		remove_leaves(pmap, start, done);
	}
	dsb_ishst(); /* pairs with the walks of every CPU that learns of the address later */
	isb();
	if (e == KERR_OK && (flags & PMAP_NO_PROMOTE) == 0) {
		e = pmap_promote_range(pmap, start, size);
	}
	spin_unlock(&pmap->lock);
	return e;
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

	if ((!is_aligned(start.v, leaf_span(first.entry, first.level)) &&
	     !reserve_for_split(r, &first, PAGE_BYTES)) ||
	    (!is_aligned(end.v, leaf_span(last.entry, last.level)) &&
	     !reserve_for_split(r, &last, PAGE_BYTES))) {
		return KERR_NO_MEMORY;
	}
	enum kerr e = pmap_split(pmap, r, &first, start);

	if (e != KERR_OK) {
		return e;
	}
	/* The first split may have taken the last's leaf, or its run, apart. */
	last = pmap_walk(pmap, end);
	return pmap_split(pmap, r, &last, end);
}

enum kerr pmap_unmap(struct pmap *pmap, va_t start, uint64_t size)
{
	struct reserve r;
	enum kerr e = check_change(pmap, start, size, PMAP_READ);

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
			remove_leaves(pmap, start, size);
		}
		reserve_drop(&r);
	}
	spin_unlock(&pmap->lock);
	return e;
}

/* Is every page of the range mapped? */
static bool is_full(struct pmap *pmap, va_t start, uint64_t size)
{
	uint64_t at = start.v;

	while (at - start.v < size) {
		const struct walk w = pmap_walk(pmap, va(at));

		if (!pte_is_leaf(w.entry, w.level)) {
			return false;
		}
		at = align_down(at, level_bytes(w.level)) + level_bytes(w.level);
	}
	return true;
}

/* Change one leaf, or the run it belongs to. Returns the bytes behind it in *bytes. */
static enum kerr protect_leaf(struct pmap *pmap, va_t at, unsigned flags, uint64_t *bytes)
{
	const struct walk w = pmap_walk(pmap, at);
	const uint64_t attr = pmap_attr(pmap, flags) & PTE_PROTECT_MASK;
	const uint64_t span = leaf_span(w.entry, w.level);

	*bytes = span - at.v % span;
	if (!pte_is_valid(w.entry) || (w.entry.v & PTE_PROTECT_MASK) == attr) {
		return KERR_OK;
	}
	if (w.level == 2) {
		if ((w.entry.v & PTE_CONT) != 0) {
			for (unsigned i = 0; i < CONT_ENTRIES; i++) {
				pmap_mark_stale(group_first(w.slot) + i);
			}
		} else {
			pmap_mark_stale(w.slot);
		}
	}
	if ((w.entry.v & PTE_CONT) != 0) {
		return pmap_change_run(pmap, w, at, attr, PTE_PROTECT_MASK);
	}
	pmap_protect_entry(w.slot, (pte_t){ (w.entry.v & ~PTE_PROTECT_MASK) | attr });
	return KERR_OK;
}

enum kerr pmap_protect(struct pmap *pmap, va_t start, uint64_t size, unsigned flags)
{
	struct reserve r;
	enum kerr e = check_change(pmap, start, size, flags);
	uint64_t stride = BLOCK_BYTES;

	if (e != KERR_OK) {
		return e;
	}
	r.pmap = pmap;
	r.count = 0;
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = is_alive(pmap);
	if (e == KERR_OK) {
		e = (flags & PMAP_SPARSE) != 0 || is_full(pmap, start, size)
			    ? split_ends(pmap, &r, start, size)
			    : KERR_ABSENT;
	}
	if (e == KERR_OK) {
		uint64_t bytes = 0;

		for (uint64_t off = 0; off < size && e == KERR_OK; off += bytes) {
			e = protect_leaf(pmap, va(start.v + off), flags, &bytes);
			stride = bytes < BLOCK_BYTES ? PAGE_BYTES : stride;
		}
		inval_range_now(space_of(pmap), start, size, stride);
		if (e == KERR_OK && (flags & PMAP_NO_PROMOTE) == 0) {
			e = pmap_promote_range(pmap, start, size);
		}
	}
	reserve_drop(&r);
	spin_unlock(&pmap->lock);
	return e;
}

static enum kerr demote_to(struct pmap *pmap, struct reserve *r, va_t at, uint64_t bytes,
			   uint64_t *span)
{
	struct walk w = pmap_walk(pmap, at);
	enum kerr e = reserve_for_split(r, &w, bytes) ? KERR_OK : KERR_NO_MEMORY;

	while (pte_is_leaf(w.entry, w.level) && leaf_span(w.entry, w.level) > bytes &&
	       e == KERR_OK) {
		e = pmap_demote_leaf(pmap, r, &w, at);
	}
	reserve_drop(r);
	*span = pte_is_leaf(w.entry, w.level) ? leaf_span(w.entry, w.level) : level_bytes(w.level);
	return e;
}

enum kerr pmap_demote(struct pmap *pmap, va_t start, uint64_t size, uint64_t bytes)
{
	struct reserve r;
	enum kerr e = check_change(pmap, start, size, PMAP_READ);

	if (e == KERR_OK && bytes != PAGE_BYTES && bytes != 16 * PAGE_BYTES &&
	    bytes != BLOCK_BYTES && bytes != 16 * BLOCK_BYTES) {
		e = KERR_INVALID;
	}
	if (e != KERR_OK) {
		return e;
	}
	r.pmap = pmap;
	r.count = 0;
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = is_alive(pmap);
	for (uint64_t at = start.v; e == KERR_OK && at - start.v < size;) {
		uint64_t span = 0;

		e = demote_to(pmap, &r, va(at), bytes, &span);
		at = align_down(at, span) + span;
	}
	spin_unlock(&pmap->lock);
	return e;
}

enum kerr pmap_promote(struct pmap *pmap, va_t start, uint64_t size)
{
	enum kerr e = check_range(pmap, start, size);

	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&pmap->lock);
	pmap->caller = caller_pc();
	e = is_alive(pmap);
	if (e == KERR_OK) {
		e = pmap_promote_range(pmap, start, size);
	}
	spin_unlock(&pmap->lock);
	return e;
}
