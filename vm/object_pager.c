/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_pager.c - objects that a pager fills. See vm/object.h.
 *
 * THEORY   The pager brings contents, never frames: the kernel takes a frame of its own, charged
 *          to whoever pays for the object, and the contents are copied into it. So a pager that
 *          lies brings wrong contents, which it may; it keeps no way into the memory, cannot bring
 *          a page twice, nor one that does not exist. A pager that is slow keeps those waiting who
 *          touch its object, and nobody else. One that is dead fails them.
 *          A page is asked for once until the answer comes. Writes are noticed by keeping clean
 *          pages read-only; cleaning makes them so again, everywhere, before the pager reads.
 * LOCKING  The object's lock. pager_ops are called under it.
 */
#include <arch/cpu.h>
#include <arch/page.h>

#include "pcpu/slab.h"
#include "vm/frame.h"
#include "vm/object_impl.h"

/* What is known of the pages of a reservation, besides their contents. [l] */
struct pager_pages {
	uint64_t asked[RESERV_PAGES / 64];
	uint64_t failed[RESERV_PAGES / 64];
	uint64_t dirty[RESERV_PAGES / 64];
};

static struct slab_class pages_class = SLAB_CLASS("pagerpages", struct pager_pages);

static bool bit(const uint64_t *bits, unsigned i)
{
	return (bits[i / 64] >> i % 64 & 1) != 0;
}

static void set_bit(uint64_t *bits, unsigned i, bool value)
{
	const uint64_t mask = UINT64_C(1) << i % 64;

	bits[i / 64] = value ? bits[i / 64] | mask : bits[i / 64] & ~mask;
}

enum kerr object_create_pager(uint64_t bytes, const struct pager_ops *ops, void *pager,
			      struct memcharge *charge, struct memory_object **out)
{
	struct memory_object *object;
	const enum kerr e = object_new(MEM_PAGER, bytes, charge, &object);

	if (e != KERR_OK) {
		return e;
	}
	object->ops = ops;
	object->pager = pager;
	*out = object;
	return KERR_OK;
}

bool object_is_dirty(const struct reserv *rv, unsigned page)
{
	return rv->pager != nullptr && bit(rv->pager->dirty, page);
}

void object_set_dirty(struct reserv *rv, unsigned page)
{
	KASSERT(rv->pager != nullptr);
	set_bit(rv->pager->dirty, page, true);
}

void object_pager_forget(struct memory_object *object, struct reserv *rv)
{
	if (rv->pager != nullptr) {
		slab_free(&pages_class, rv->pager, object->charge);
		rv->pager = nullptr;
	}
}

/* The reservation of a page, with the pager's notes. */
static enum kerr notes(struct memory_object *object, uint64_t page, struct reserv **rv)
{
	const enum kerr e = object_reserv(object, page, rv);

	if (e != KERR_OK) {
		return e;
	}
	if ((*rv)->pager == nullptr) {
		(*rv)->pager = slab_alloc(&pages_class, object->charge);
	}
	return (*rv)->pager != nullptr ? KERR_OK : KERR_NO_MEMORY;
}

enum pager_state object_ask(struct memory_object *object, uint64_t page, unsigned access)
{
	const unsigned i = (unsigned)(page % RESERV_PAGES);
	struct reserv *rv;

	KASSERT_HELD(&object->lock);
	if (object->gone) {
		return PAGER_FAILED;
	}
	if (notes(object, page, &rv) != KERR_OK) {
		return PAGER_NO_MEMORY;
	}
	if (bit(rv->pager->failed, i)) {
		return PAGER_FAILED;
	}
	if (!bit(rv->pager->asked, i)) {
		if (object->ops->request(object->pager, page * PAGE_BYTES, access) != KERR_OK) {
			return PAGER_FAILED;
		}
		set_bit(rv->pager->asked, i, true);
	}
	return PAGER_ASKED;
}

static enum kerr check_page(const struct memory_object *object, uint64_t offset)
{
	if (object->kind != MEM_PAGER) {
		return KERR_UNSUPPORTED;
	}
	if (!is_aligned(offset, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	return offset < object->bytes ? KERR_OK : KERR_RANGE;
}

enum kerr object_supply_frame(struct memory_object *object, uint64_t offset, pa_t *frame)
{
	enum kerr e = check_page(object, offset);
	pa_t one;

	if (e != KERR_OK) {
		return e;
	}
	if (!memcharge_take(object->charge, PAGE_BYTES)) {
		return KERR_NO_MEMORY;
	}
	e = frame_alloc_one(this_cpu()->node, &one);
	if (e != KERR_OK) {
		memcharge_give(object->charge, PAGE_BYTES);
		return e;
	}
	*frame = one;
	return KERR_OK;
}

void object_supply_drop(struct memory_object *object, pa_t frame)
{
	frame_free_one(frame);
	memcharge_give(object->charge, PAGE_BYTES);
}

/* The contents move into the page's place in the reservation, so that superpages can come. */
static enum kerr fill(struct memory_object *object, uint64_t page, pa_t from)
{
	const unsigned i = (unsigned)(page % RESERV_PAGES);
	struct reserv *rv;
	pa_t frame;
	enum kerr e = notes(object, page, &rv);

	if (e != KERR_OK) {
		return e;
	}
	if (reserv_has(rv, i)) {
		return KERR_EXISTS;
	}
	e = reserv_take(rv, i, object->charge, &frame);
	if (e != KERR_OK) {
		return e;
	}
	arch_frame_copy(frame, from);
	reserv_set(rv, i);
	object->resident++;
	set_bit(rv->pager->asked, i, false);
	set_bit(rv->pager->failed, i, false);
	set_bit(rv->pager->dirty, i, false);
	return KERR_OK;
}

enum kerr object_supply(struct memory_object *object, uint64_t offset, pa_t frame)
{
	const uint64_t page = page_of(offset);
	enum kerr e = check_page(object, offset);

	if (e == KERR_OK) {
		spin_lock(&object->lock);
		const bool busy = page >= object->busy_first && page < object->busy_end;

		e = object->gone ? KERR_DEAD : busy ? KERR_BUSY : fill(object, page, frame);
		if (e == KERR_OK) {
			object->ops->ready(object->pager, offset);
		}
		spin_unlock(&object->lock);
	}
	frame_free_one(frame);
	if (e != KERR_OK) {
		memcharge_give(object->charge, PAGE_BYTES);
	}
	return e;
}

enum kerr object_supply_fail(struct memory_object *object, uint64_t offset)
{
	const unsigned i = (unsigned)(page_of(offset) % RESERV_PAGES);
	enum kerr e = check_page(object, offset);
	struct reserv *rv;

	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&object->lock);
	e = notes(object, page_of(offset), &rv);
	if (e == KERR_OK && reserv_has(rv, i)) {
		e = KERR_EXISTS;
	}
	if (e == KERR_OK) {
		set_bit(rv->pager->asked, i, false);
		set_bit(rv->pager->failed, i, true);
		object->ops->ready(object->pager, offset);
	}
	spin_unlock(&object->lock);
	return e;
}

void object_pager_gone(struct memory_object *object)
{
	spin_lock(&object->lock);
	object->gone = true;
	spin_unlock(&object->lock);
	/* One reservation a step: whoever waits for a page of it tries again, and fails. */
	for (uint64_t index = 0;; index++) {
		spin_lock(&object->lock);
		struct reserv *rv = object_index_from(object, index);

		for (unsigned i = 0; rv != nullptr && rv->pager != nullptr && i < rv->pages; i++) {
			if (bit(rv->pager->asked, i)) {
				set_bit(rv->pager->asked, i, false);
				object->ops->ready(object->pager,
						   ((uint64_t)rv->index * RESERV_PAGES + i) *
							   PAGE_BYTES);
			}
		}
		index = rv != nullptr ? rv->index : index;
		spin_unlock(&object->lock);
		if (rv == nullptr) {
			return;
		}
	}
}

/* The first dirty page of a reservation from `i` on; RESERV_PAGES: none. */
static unsigned next_dirty(const struct reserv *rv, unsigned i)
{
	while (i < RESERV_PAGES && !object_is_dirty(rv, i)) {
		i++;
	}
	return i;
}

/* The first dirty page at or after *page, claimed. One reservation a step. */
static enum kerr claim_dirty(struct memory_object *object, uint64_t *page)
{
	for (;;) {
		enum kerr e = KERR_ABSENT;

		spin_lock(&object->lock);
		const struct reserv *rv = object_index_from(object, *page / RESERV_PAGES);

		if (rv != nullptr) {
			const uint64_t first = (uint64_t)rv->index * RESERV_PAGES;
			const unsigned i =
				next_dirty(rv, *page > first ? (unsigned)(*page - first) : 0);

			*page = first + i;
			e = i == RESERV_PAGES                        ? KERR_CHANGED
			    : object_claim(object, *page, *page + 1) ? KERR_OK
								     : KERR_BUSY;
		}
		spin_unlock(&object->lock);
		if (e != KERR_CHANGED) {
			return e;
		}
	}
}

enum kerr object_clean(struct memory_object *object, uint64_t *offset, pa_t *frame)
{
	enum kerr e = check_page(object, *offset);
	uint64_t page = page_of(*offset);

	if (e == KERR_OK) {
		e = claim_dirty(object, &page);
	}
	if (e != KERR_OK) {
		return e;
	}
	e = object_unmap_pages(object, page, page + 1);
	spin_lock(&object->lock);
	if (e == KERR_OK) {
		struct reserv *rv = object_index_get(object, page / RESERV_PAGES);

		set_bit(rv->pager->dirty, (unsigned)(page % RESERV_PAGES), false);
		*frame = reserv_frame(rv, (unsigned)(page % RESERV_PAGES));
		*offset = page * PAGE_BYTES;
	}
	object_release(object);
	spin_unlock(&object->lock);
	return e;
}
