/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_pages.c - pages of an object: populated, unmapped everywhere, discarded, collapsed.
 *
 * THEORY   A visit. An operation that takes mappings away bumps the object's epoch; a region whose
 *          epoch is another was not visited. Regions not visited stand first in the list, a region
 *          that was visited goes to its end, so the visit is over when the first one carries the
 *          epoch. The lock is dropped between two regions: regions may come (they are born
 *          visited) and go, and nobody is visited twice.
 */
#include <arch/cpu.h>
#include <arch/page.h>

#include "vm/frame.h"
#include "vm/object_impl.h"
#include "vm/space_impl.h"

static unsigned pages_at(const struct memory_object *object, uint64_t index)
{
	const uint64_t left = page_of(object->bytes) - index * RESERV_PAGES;

	return (unsigned)(left < RESERV_PAGES ? left : RESERV_PAGES);
}

enum kerr object_reserv(struct memory_object *object, uint64_t page, struct reserv **out)
{
	const uint64_t index = page / RESERV_PAGES;
	struct reserv *rv = object_index_get(object, index);

	KASSERT_HELD(&object->lock);
	if (rv == nullptr) {
		enum kerr e = reserv_create(object, (uint32_t)index, pages_at(object, index),
					    object->charge, &rv);

		if (e != KERR_OK) {
			return e;
		}
		e = object_index_set(object, index, rv);
		if (e != KERR_OK) {
			reserv_destroy(rv, object->charge);
			return e;
		}
	}
	*out = rv;
	return KERR_OK;
}

enum kerr object_populate(struct memory_object *object, uint64_t page, struct reserv **rv)
{
	enum kerr e = KERR_OK;
	pa_t frame;

	if (!memcharge_take(object->charge, PAGE_BYTES)) {
		return KERR_NO_MEMORY;
	}
	if (*rv == nullptr) {
		e = object_reserv(object, page, rv);
	}
	if (e == KERR_OK) {
		e = reserv_take(*rv, page % RESERV_PAGES, object->charge, &frame);
	}
	if (e != KERR_OK) {
		memcharge_give(object->charge, PAGE_BYTES);
		return e;
	}
	arch_frame_zero(frame);
	reserv_set(*rv, page % RESERV_PAGES);
	object->resident++;
	return KERR_OK;
}

/* The part of a region that shows pages [first, end): false: none. */
static bool region_part(const struct region *r, uint64_t first, uint64_t end, va_t *at,
			uint64_t *bytes)
{
	const uint64_t r_first = page_of(r->offset);
	const uint64_t r_end = r_first + page_of(r->size);
	const uint64_t from = first > r_first ? first : r_first;
	const uint64_t to = end < r_end ? end : r_end;

	if (from >= to) {
		return false;
	}
	*at = va(r->base + (from - r_first) * PAGE_BYTES);
	*bytes = (to - from) * PAGE_BYTES;
	return true;
}

/* One region of a visit. *done: all were visited. */
static enum kerr visit_one(struct memory_object *object, uint64_t first, uint64_t end, bool *done)
{
	enum kerr e = KERR_OK;
	uint64_t bytes;
	va_t at;

	spin_lock(&object->lock);
	struct region *r = object->regions;

	*done = r == nullptr || r->epoch == object->epoch;
	if (!*done) {
		if (region_part(r, first, end, &at, &bytes)) {
			e = tables_remove(r->space, at, bytes);
		}
		object_remove_region(object, r);
		r->epoch = object->epoch;
		object_add_region(object, r, nullptr);
	}
	spin_unlock(&object->lock);
	return e;
}

enum kerr object_unmap_pages(struct memory_object *object, uint64_t first, uint64_t end)
{
	enum kerr e = KERR_OK;
	bool done = false;

	spin_lock(&object->lock);
	object->epoch++;
	spin_unlock(&object->lock);
	while (!done) {
		const enum kerr one = visit_one(object, first, end, &done);

		e = e == KERR_OK ? one : e;
	}
	return e;
}

/* The next stretch of [first, end) that may be mapped: what is not populated is not. */
static bool next_stretch(struct memory_object *object, uint64_t *first, uint64_t end, uint64_t *to)
{
	spin_lock(&object->lock);
	const struct reserv *rv = object_index_from(object, *first / RESERV_PAGES);
	const uint64_t from = rv != nullptr ? (uint64_t)rv->index * RESERV_PAGES : end;

	spin_unlock(&object->lock);
	*first = *first > from ? *first : from;
	*to = align_down(*first, RESERV_PAGES) + RESERV_PAGES;
	*to = *to < end ? *to : end;
	return *first < end;
}

/* ---- revocation ---- */

/* What a step of it looks at: pieces of regions, of 8 MiB at most, or one leaf. */
#define PIECES_A_STEP 8
#define PIECE_BYTES (4 * BLOCK_BYTES)

/* The visit that takes everything goes on from step to step. False: another one is under way. */
static bool begin_revocation(struct memory_object *object)
{
	object->revoked = true; /* OB2: from here on nothing is mapped anew */
	if (object->revoking) {
		return true;
	}
	/* Two visits would undo each other's marks. */
	if (!object_claim(object, 0, page_of(object->bytes))) {
		return false;
	}
	object->revoking = true;
	object->epoch++;
	object->visited = 0;
	return true;
}

/*
 * The next piece of the first region, which is visited when there is none. A leaf that crosses the
 * border of the piece goes whole, so that none has to be taken apart, which could take a table:
 * what else it maps is faulted in again, or is next.
 */
static enum kerr visit_piece(struct memory_object *object, struct region *r)
{
	const uint64_t first = page_of(r->offset);
	const uint64_t end = region_end(r);
	const uint64_t done = object->visited > first ? object->visited - first : 0;
	uint64_t at = r->base + done * PAGE_BYTES;
	uint64_t to;

	if (!tables_next_locked(r, &at, end, &to)) {
		object_remove_region(object, r);
		r->epoch = object->epoch;
		object_add_region(object, r, nullptr);
		return KERR_OK;
	}
	to = to - at > PIECE_BYTES ? align_down(at + PIECE_BYTES, BLOCK_BYTES) : to;
	const uint64_t from = tables_border_before(r->space, at);

	to = tables_border(r->space, to);
	const enum kerr e = tables_remove(r->space, va(from), to - from);

	if (e == KERR_OK) {
		object->visited = first + page_of(to - r->base);
	}
	return e;
}

enum kerr object_unmap_some(struct memory_object *object, bool *done)
{
	enum kerr e = KERR_OK;

	*done = false;
	for (unsigned n = 0; n < PIECES_A_STEP && e == KERR_OK && !*done; n++) {
		spin_lock(&object->lock);
		if (!begin_revocation(object)) {
			e = KERR_BUSY;
		} else if (object->regions != nullptr && object->regions->epoch != object->epoch) {
			e = visit_piece(object, object->regions);
		} else {
			object_release(object);
			object->revoking = false;
			*done = true;
		}
		spin_unlock(&object->lock);
	}
	return e;
}

enum kerr object_unmap_all(struct memory_object *object)
{
	enum kerr e = KERR_OK;
	bool done = false;

	while (e == KERR_OK && !done) {
		e = object_unmap_some(object, &done);
	}
	return e;
}

/* Forget up to 16 pages from `page` on, all of one reservation. Object's lock. */
static void forget_group(struct memory_object *object, uint64_t page, uint64_t end)
{
	struct reserv *rv = object_index_get(object, page / RESERV_PAGES);

	for (; rv != nullptr && page < end; page++) {
		if (reserv_has(rv, page % RESERV_PAGES)) {
			reserv_clear(rv, page % RESERV_PAGES);
			object->resident--;
			memcharge_give(object->charge, PAGE_BYTES);
		}
	}
	if (rv != nullptr && rv->count == 0) {
		object_index_clear(object, rv->index);
		object_pager_forget(object, rv);
		reserv_destroy(rv, object->charge);
	}
}

/* What object_discard() may throw away: pager's pages only when they are clean. */
static bool may_discard(const struct memory_object *object, uint64_t first, uint64_t end)
{
	for (uint64_t page = first; object->kind == MEM_PAGER && page < end; page++) {
		const struct reserv *rv = object_index_get(object, page / RESERV_PAGES);

		if (rv == nullptr) {
			page |= RESERV_PAGES - 1;
		} else if (object_is_dirty(rv, page % RESERV_PAGES)) {
			return false;
		}
	}
	return true;
}

static enum kerr discard_stretch(struct memory_object *object, uint64_t first, uint64_t end)
{
	spin_lock(&object->lock);
	const bool mine = object_claim(object, first, end);

	spin_unlock(&object->lock);
	if (!mine) {
		return KERR_BUSY;
	}
	enum kerr e = object_unmap_pages(object, first, end);

	for (uint64_t page = first; e == KERR_OK && page < end; page += RESERV_RUN) {
		const uint64_t to = page + RESERV_RUN < end ? page + RESERV_RUN : end;

		spin_lock(&object->lock);
		if (may_discard(object, page, to)) {
			forget_group(object, page, to);
		} else {
			e = KERR_BUSY;
		}
		spin_unlock(&object->lock);
	}
	spin_lock(&object->lock);
	object_release(object);
	spin_unlock(&object->lock);
	return e;
}

static enum kerr check_part(const struct memory_object *object, uint64_t offset, uint64_t bytes)
{
	if (!is_aligned(offset | bytes, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	return offset > object->bytes || bytes > object->bytes - offset ? KERR_RANGE : KERR_OK;
}

enum kerr object_discard(struct memory_object *object, uint64_t offset, uint64_t bytes)
{
	enum kerr e = check_part(object, offset, bytes);
	uint64_t first = page_of(offset);
	const uint64_t end = first + page_of(bytes);
	uint64_t to;

	if (e == KERR_OK && object->kind != MEM_ANON && object->kind != MEM_PAGER) {
		e = KERR_UNSUPPORTED;
	}
	while (e == KERR_OK && next_stretch(object, &first, end, &to)) {
		e = discard_stretch(object, first, to);
		first = to;
	}
	return e;
}

/* Nobody maps the pages, and the claim keeps it so. One page a step. */
static void move_pages(struct memory_object *object, struct reserv *rv)
{
	for (unsigned page = 0; page < RESERV_PAGES; page++) {
		spin_lock(&object->lock);
		if (reserv_has(rv, page)) {
			reserv_move_page(rv, page);
		}
		spin_unlock(&object->lock);
	}
	spin_lock(&object->lock);
	reserv_move_end(rv, object->charge);
	spin_unlock(&object->lock);
}

/* Spares go first, so that what is left to move is what is populated. */
static enum kerr begin_move(struct memory_object *object, struct reserv *rv, pa_t block)
{
	bool more = true;

	while (more) {
		spin_lock(&object->lock);
		more = reserv_shrink(rv);
		spin_unlock(&object->lock);
	}
	spin_lock(&object->lock);
	const enum kerr e = reserv_move_begin(rv, block, object->charge);

	spin_unlock(&object->lock);
	return e;
}

/* A reservation that wants collapsing, claimed; *rv: nullptr if it lies well already. */
static enum kerr claim_for_collapse(struct memory_object *object, uint64_t first,
				    struct reserv **rv)
{
	enum kerr e = KERR_OK;

	spin_lock(&object->lock);
	*rv = object_index_get(object, first / RESERV_PAGES);
	if (*rv == nullptr || (*rv)->count == 0 || (*rv)->pages != RESERV_PAGES) {
		e = KERR_ABSENT;
	} else if (reserv_is_block(*rv)) {
		*rv = nullptr;
	} else if (!object_claim(object, first, first + RESERV_PAGES)) {
		e = KERR_BUSY;
	}
	spin_unlock(&object->lock);
	return e;
}

static enum kerr collapse_claimed(struct memory_object *object, uint64_t first, struct reserv *rv)
{
	pa_t block;
	enum kerr e = frame_alloc(RESERV_ORDER, this_cpu()->node, &block);

	if (e != KERR_OK) {
		return e;
	}
	e = object_unmap_pages(object, first, first + RESERV_PAGES);
	if (e == KERR_OK) {
		e = begin_move(object, rv, block);
	}
	if (e != KERR_OK) {
		frame_free(block, RESERV_ORDER);
		return e;
	}
	move_pages(object, rv);
	return KERR_OK;
}

enum kerr object_collapse(struct memory_object *object, uint64_t offset)
{
	const uint64_t first = page_of(offset);
	struct reserv *rv;

	if (object->kind != MEM_ANON && object->kind != MEM_PAGER) {
		return KERR_UNSUPPORTED;
	}
	if (!is_aligned(offset, BLOCK_BYTES) || offset >= object->bytes) {
		return KERR_RANGE;
	}
	enum kerr e = claim_for_collapse(object, first, &rv);

	if (e == KERR_OK && rv != nullptr) {
		e = collapse_claimed(object, first, rv);
		spin_lock(&object->lock);
		object_release(object);
		spin_unlock(&object->lock);
	}
	return e;
}
