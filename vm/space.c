/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space.c - address spaces: their life, mapping, looking. See vm/space.h.
 */
#include "vm/space.h"

#include "pcpu/slab.h"
#include "vm/space_impl.h"

#define REGIONS_A_STEP 16 /* of an end */

static struct slab_class space_class = SLAB_CLASS("space", struct space);
static struct slab_class region_class = SLAB_CLASS("region", struct region);

struct region *region_alloc(struct memcharge *charge)
{
	return slab_alloc(&region_class, charge);
}

void region_free(struct region *r, struct memcharge *charge)
{
	slab_free(&region_class, r, charge);
}

enum kerr space_create(struct memcharge *charge, struct space **out)
{
	struct space *space = slab_alloc(&space_class, charge);

	if (space == nullptr) {
		return KERR_NO_MEMORY;
	}
	space->lock = (struct spinlock)SPINLOCK("space", LOCK_SPACE);
	space->charge = charge;
	region_tree_init(&space->tree, USER_BASE, USER_END);
	const enum kerr e = pmap_user_init(&space->pmap, charge);

	if (e != KERR_OK) {
		slab_free(&space_class, space, charge);
		return e;
	}
	*out = space;
	return KERR_OK;
}

/* Take one region out of the tree and off its object's list. nullptr: there is none. */
static struct region *detach_any(struct space *space)
{
	spin_lock(&space->lock);
	struct region *r = region_of(space->tree.by_address.root);

	if (r != nullptr) {
		region_remove(&space->tree, r);
		if (r->object != nullptr) {
			spin_lock(&r->object->lock);
			object_remove_region(r->object, r);
			spin_unlock(&r->object->lock);
		}
	}
	spin_unlock(&space->lock);
	return r;
}

/* Some regions off the tree and off their objects. False: none is left. */
static bool detach_some(struct space *space)
{
	for (unsigned n = 0; n < REGIONS_A_STEP; n++) {
		struct region *r = detach_any(space);

		if (r == nullptr) {
			return false;
		}
		r->object_next = space->gone; /* it is on no object's list */
		space->gone = r;
	}
	return true;
}

/* Some of those that were detached, and their part in what they showed. False: none is left. */
static bool free_some(struct space *space)
{
	for (unsigned n = 0; n < REGIONS_A_STEP && space->gone != nullptr; n++) {
		struct region *r = space->gone;

		space->gone = r->object_next;
		if (r->object != nullptr) {
			object_unref(r->object);
		}
		region_free(r, space->charge);
	}
	return space->gone != nullptr;
}

bool space_end(struct space *space)
{
	if (space->detached) {
		const bool more = free_some(space);

		if (!more) {
			slab_free(&space_class, space, space->charge);
		}
		return !more;
	}
	/* From here on no CPU translates by these tables, and frames may go. */
	pmap_user_retire(&space->pmap);
	if (!detach_some(space)) {
		/* Now nobody finds the tables through an object either. */
		space->detached = pmap_user_end(&space->pmap);
	}
	return false;
}

void space_destroy(struct space *space)
{
	while (!space_end(space)) {
	}
}

enum kerr space_check_range(va_t at, uint64_t bytes)
{
	if (!is_aligned(at.v | bytes, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	if (bytes == 0 || at.v < USER_BASE || at.v >= USER_END || bytes > USER_END - at.v) {
		return KERR_RANGE;
	}
	return KERR_OK;
}

static enum kerr check_request(const struct space_request *q)
{
	const bool guard = (q->prot & VM_GUARD) != 0;
	const unsigned prot = q->prot & VM_PROT_MASK;

	if ((q->prot & ~VM_MAP_MASK) != 0 || guard != (q->object == nullptr) ||
	    (prot & (VM_WRITE | VM_EXEC)) == (VM_WRITE | VM_EXEC) || /* SP2 */
	    !is_aligned(q->offset | q->at | q->bytes, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	if (q->bytes == 0 || q->bytes > USER_END - USER_BASE) {
		return KERR_RANGE;
	}
	if (!guard && (q->offset >= q->object->bytes || q->bytes > q->object->bytes - q->offset)) {
		return KERR_RANGE;
	}
	if (q->at != 0 || (q->prot & VM_FIXED) != 0) {
		const enum kerr e = space_check_range(va(q->at), q->bytes);

		if (e != KERR_OK) {
			return e;
		}
	}
	return (prot & ~q->prot_max) != 0 ? KERR_DENIED : KERR_OK;
}

/* Is [at, at + bytes) free of regions? */
static bool is_free(const struct space *space, uint64_t at, uint64_t bytes)
{
	const struct region *r = region_from(&space->tree, at);

	return r == nullptr || r->base >= at + bytes;
}

/* Where memory and addresses should agree modulo, so that its superpages fit. */
static uint64_t alignment(const struct space_request *q)
{
	if (q->bytes >= BLOCK_BYTES) {
		return BLOCK_BYTES;
	}
	return q->bytes >= RESERV_RUN * PAGE_BYTES ? RESERV_RUN * PAGE_BYTES : PAGE_BYTES;
}

static enum kerr choose_place(const struct space *space, const struct space_request *q,
			      uint64_t *base)
{
	const bool fixed = (q->prot & VM_FIXED) != 0;

	if (q->at != 0 && is_free(space, q->at, q->bytes)) {
		*base = q->at;
		return KERR_OK;
	}
	if (fixed) {
		return KERR_EXISTS;
	}
	const uint64_t align = alignment(q);
	/* Reservations follow offsets; physical memory follows its own addresses. */
	const uint64_t skew = q->object != nullptr ? q->object->base.v + q->offset : 0;

	return region_place(&space->tree, q->bytes, align, skew & (align - 1), base)
		       ? KERR_OK
		       : KERR_NO_MEMORY;
}

/* Into the tree, and onto the object's list. Space's lock. */
static enum kerr attach(struct space *space, const struct space_request *q, struct region *r)
{
	enum kerr e = space->tree.count < SPACE_REGIONS_MAX ? KERR_OK : KERR_NO_MEMORY;

	if (e == KERR_OK) {
		e = choose_place(space, q, &r->base);
	}
	if (e == KERR_OK && r->object != nullptr) {
		spin_lock(&r->object->lock);
		if (r->object->revoked) {
			e = KERR_DEAD;
		} else {
			object_add_region(r->object, r, nullptr);
		}
		spin_unlock(&r->object->lock);
	}
	if (e == KERR_OK) {
		region_insert(&space->tree, r);
		space->mapped_bytes += r->object != nullptr ? r->size : 0;
	}
	return e;
}

enum kerr space_map(struct space *space, const struct space_request *request, va_t *out)
{
	enum kerr e = check_request(request);

	if (e != KERR_OK) {
		return e;
	}
	struct region *r = region_alloc(space->charge);

	if (r == nullptr) {
		return KERR_NO_MEMORY;
	}
	r->size = request->bytes;
	r->offset = request->offset;
	r->object = request->object;
	r->space = space;
	r->prot = (uint16_t)(request->prot & VM_PROT_MASK);
	r->prot_max = (uint16_t)(request->prot_max & VM_PROT_MASK);
	if (r->object != nullptr) {
		object_ref(r->object);
	}
	spin_lock(&space->lock);
	e = attach(space, request, r);
	const uint64_t base = r->base;

	if (e == KERR_OK) {
		space_merge(space, base, base + r->size);
	}
	spin_unlock(&space->lock);
	if (e != KERR_OK) {
		if (r->object != nullptr) {
			object_unref(r->object);
		}
		region_free(r, space->charge);
		return e;
	}
	*out = va(base);
	return KERR_OK;
}

enum kerr space_query(struct space *space, va_t at, struct space_info *out)
{
	const uint64_t page = align_down(at.v, PAGE_BYTES);
	enum kerr e = space_check_range(va(page), PAGE_BYTES);
	pte_t leaf;

	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&space->lock);
	const struct region *r = region_find(&space->tree, page);

	if (r == nullptr || r->dying) {
		e = KERR_ABSENT;
	} else {
		*out = (struct space_info){ .base = r->base,
					    .bytes = r->size,
					    .offset = r->offset + (at.v - r->base),
					    .prot = r->object != nullptr ? r->prot : VM_GUARD };
		if (!pmap_user_query(&space->pmap, va(page), &leaf, &out->leaf_bytes)) {
			out->leaf_bytes = 0;
		}
		if (r->object != nullptr &&
		    (r->object->kind == MEM_PHYS || r->object->kind == MEM_DMA)) {
			out->physical = pa(r->object->base.v + out->offset);
		}
	}
	spin_unlock(&space->lock);
	return e;
}

/* SP1 for one page. Space's lock. */
static bool page_is_true(struct space *space, const struct region *r, uint64_t at)
{
	uint64_t span;
	pte_t leaf;

	if (!pmap_user_query(&space->pmap, va(at), &leaf, &span)) {
		return true;
	}
	if (r->object == nullptr || r->prot == 0) {
		return false;
	}
	const bool writable = (leaf.v & PTE_AP_RO) == 0;
	const bool executable = (leaf.v & PTE_UXN) == 0;

	return (leaf.v & PTE_AP_EL0) != 0 && (leaf.v & PTE_PXN) != 0 &&
	       (!writable || (r->prot & VM_WRITE) != 0) &&
	       (!executable || (r->prot & VM_EXEC) != 0) && !(writable && executable);
}

bool space_audit(struct space *space)
{
	bool ok = true;

	spin_lock(&space->lock);
	ok = region_audit(&space->tree);
	for (const struct region *r = region_from(&space->tree, 0); r != nullptr;
	     r = region_next(r)) {
		for (uint64_t at = r->base; at < region_end(r); at += PAGE_BYTES) {
			ok = ok && page_is_true(space, r, at);
		}
	}
	spin_unlock(&space->lock);
	return ok;
}
