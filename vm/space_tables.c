/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space_tables.c - the tables of a space: split, removed, brought in line. See vm/space_impl.h.
 *
 * THEORY   A step is what one entry maps, a whole table of pages, or 64 pages of one: the pmap
 *          takes a table as a whole in two instructions a page, and a part of it in some forty. So
 *          each step holds the tables' lock for a bounded number of instructions, whatever the
 *          range is (R8).
 * LOCKING  The tables' lock inside each step.
 */
#include "vm/space_impl.h"

/* Part of a table of pages that one step handles (R8). */
#define STEP_BYTES (64 * PAGE_BYTES)
/* A CPU that does not park in so many whole attempts never will. */
#define PARK_TRIES 8

unsigned tables_flags(const struct memory_object *object, unsigned prot)
{
	unsigned flags = PMAP_USER | PMAP_READ;

	/* A clean page of a pager stays read-only until a write is seen. */
	if ((prot & VM_WRITE) != 0 && !object_tracks_dirty(object)) {
		flags |= PMAP_WRITE;
	}
	if ((prot & VM_EXEC) != 0) {
		flags |= PMAP_EXEC;
	}
	if (object->kind == MEM_PHYS && !object->cached) {
		flags |= PMAP_DEVICE;
	} else if (object->kind == MEM_DMA) {
		flags |= PMAP_NOCACHE;
	}
	return flags;
}

bool tables_next_locked(const struct region *r, uint64_t *at, uint64_t end, uint64_t *to)
{
	*to = end;
	if (*at >= end || !object_is_paged(r->object)) {
		return *at < end;
	}
	KASSERT_HELD(&r->object->lock);
	const uint64_t page = page_of(r->offset + (*at - r->base));
	const struct reserv *rv = object_index_from(r->object, page / RESERV_PAGES);

	if (rv == nullptr) {
		return false;
	}
	const uint64_t first = (uint64_t)rv->index * RESERV_PAGES;
	const uint64_t last = *at + (first + RESERV_PAGES - page) * PAGE_BYTES;

	*at += first > page ? (first - page) * PAGE_BYTES : 0;
	*to = last < end ? last : end;
	return *at < end;
}

bool tables_next(const struct region *r, uint64_t *at, uint64_t end, uint64_t *to)
{
	spin_lock(&r->object->lock);
	const bool found = tables_next_locked(r, at, end, to);

	spin_unlock(&r->object->lock);
	return found;
}

uint64_t tables_border_before(struct space *space, uint64_t at)
{
	uint64_t span;
	pte_t leaf;

	return pmap_user_query(&space->pmap, va(at), &leaf, &span) ? align_down(at, span) : at;
}

uint64_t tables_border(struct space *space, uint64_t at)
{
	uint64_t span;
	pte_t leaf;

	return pmap_user_query(&space->pmap, va(at), &leaf, &span) && !is_aligned(at, span)
		       ? align_down(at, span) + span
		       : at;
}

enum kerr tables_split(struct space *space, uint64_t at)
{
	uint64_t span;
	pte_t leaf;

	if (!pmap_user_query(&space->pmap, va(at), &leaf, &span) || is_aligned(at, span)) {
		return KERR_OK;
	}
	const enum kerr e = budget_take(&space->budget, 1);

	return e == KERR_OK ? pmap_demote(&space->pmap, va(at), PAGE_BYTES, PAGE_BYTES) : e;
}

/* Where a step that begins at `at` ends. */
static uint64_t step_end(struct space *space, uint64_t at, uint64_t end)
{
	const bool table = is_aligned(at, BLOCK_BYTES) && end - at >= BLOCK_BYTES;
	uint64_t step = table ? BLOCK_BYTES : STEP_BYTES;
	uint64_t span;
	pte_t leaf;

	if (pmap_user_query(&space->pmap, va(at), &leaf, &span) && span > step) {
		step = span;
	}
	const uint64_t to = align_down(at, step) + step;

	return to < end ? to : end;
}

enum kerr tables_remove(struct space *space, va_t at, uint64_t bytes)
{
	const uint64_t end = at.v + bytes;
	unsigned tries = 0;

	for (uint64_t from = at.v; from < end;) {
		const uint64_t to = step_end(space, from, end);
		const enum kerr e = pmap_unmap(&space->pmap, va(from), to - from);

		if (e == KERR_BUSY && ++tries < PARK_TRIES) {
			continue;
		}
		if (e != KERR_OK) {
			return e;
		}
		tries = 0;
		from = to;
	}
	return KERR_OK;
}

/* One step in line with the region it lies in; *at moves on. Space's lock. */
static enum kerr sync_step(struct space *space, const struct region *r, uint64_t *at, uint64_t end)
{
	const uint64_t limit = region_end(r) < end ? region_end(r) : end;
	enum kerr e = KERR_OK;

	uint64_t to;

	*at = *at > r->base ? *at : r->base;
	if (r->dying || r->object == nullptr || !tables_next(r, at, limit, &to)) {
		*at = limit;
		return KERR_OK;
	}
	to = step_end(space, *at, to);
	/* What becomes executable is entered by the fault that fetches it, which syncs caches. */
	if (r->prot == 0 || (r->prot & VM_EXEC) != 0) {
		e = tables_remove(space, va(*at), to - *at);
	} else {
		e = pmap_protect(&space->pmap, va(*at), to - *at,
				 tables_flags(r->object, r->prot) | PMAP_SPARSE | PMAP_NO_PROMOTE);
	}
	*at = to;
	return e;
}

/*
 * Promote what became uniform in the next 2 MiB of a region, from `at` on, that have anything.
 * Returns how far it came.
 */
static uint64_t promote_step(struct space *space, const struct region *r, uint64_t at, uint64_t end)
{
	const uint64_t limit = region_end(r) < end ? region_end(r) : end;
	uint64_t to;

	at = at > r->base ? at : r->base;
	if (r->dying || r->object == nullptr || r->prot == 0 || !tables_next(r, &at, limit, &to)) {
		return limit;
	}
	const uint64_t block = align_down(at, BLOCK_BYTES) + BLOCK_BYTES;

	to = to < block ? to : block;
	/* Declined or refused: pages remain, which map the same. */
	(void)pmap_promote(&space->pmap, va(at), to - at);
	return to;
}

static void promote_range(struct space *space, uint64_t at, uint64_t end)
{
	while (at < end && budget_is_calm(&space->budget)) {
		spin_lock(&space->lock);
		const struct region *r = region_from(&space->tree, at);

		at = r == nullptr || r->base >= end ? end : promote_step(space, r, at, end);
		spin_unlock(&space->lock);
	}
}

enum kerr tables_sync(struct space *space, uint64_t at, uint64_t end)
{
	const uint64_t start = at;
	unsigned tries = 0;

	while (at < end) {
		uint64_t next = at;

		spin_lock(&space->lock);
		const struct region *r = region_from(&space->tree, at);
		enum kerr e = KERR_OK;

		if (r == nullptr || r->base >= end) {
			next = end;
		} else {
			e = sync_step(space, r, &next, end);
		}
		spin_unlock(&space->lock);
		if (e == KERR_BUSY && ++tries < PARK_TRIES) {
			continue;
		}
		if (e != KERR_OK) {
			return e;
		}
		tries = 0;
		at = next;
	}
	promote_range(space, start, end);
	return KERR_OK;
}
