/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space_change.c - unmap and protect: regions split, changed, merged. See vm/space.h.
 *
 * THEORY   Reserve, then commit. A range is cut out at its two ends first: the nodes of the new
 *          regions are allocated, the leaves that cross an end are split. That can fail, and has
 *          changed nothing that can be seen. What follows cannot.
 */
#include "pcpu/slab.h"
#include "vm/space_impl.h"

/* What one step of an unmapping takes (R8): regions that are small, or of a large one so much. */
#define ROUND_REGIONS 16u
#define FRONT_BYTES (8 * BLOCK_BYTES)
#define FRONT_STRETCHES 8u

/* The region that an address cuts in two; nullptr: it is a border, or nothing is there. */
static struct region *crossing(const struct space *space, uint64_t at)
{
	struct region *r = region_find(&space->tree, at);

	return r != nullptr && r->base < at && !r->dying ? r : nullptr;
}

/* The part from `at` on becomes a region of its own: `right`. */
static void split_region(struct space *space, struct region *r, uint64_t at, struct region *right)
{
	const uint64_t end = region_end(r);

	*right = *r;
	right->base = at;
	right->size = end - at;
	right->offset = r->offset + (at - r->base);
	if (r->object != nullptr) {
		/* Both halves appear to a visit at once, or neither (OB1). */
		spin_lock(&r->object->lock);
		object_ref(r->object);
		region_resize(&space->tree, r, r->base, at - r->base);
		region_insert(&space->tree, right);
		object_add_region(r->object, right, r);
		spin_unlock(&r->object->lock);
		return;
	}
	region_resize(&space->tree, r, r->base, at - r->base);
	region_insert(&space->tree, right);
}

/* Make both ends of a range borders of regions and of leaves. Space's lock. */
static enum kerr cut_out(struct space *space, uint64_t at, uint64_t end)
{
	const uint64_t border[2] = { at, end };
	struct region *node[2] = { nullptr, nullptr };
	enum kerr e = KERR_OK;

	for (unsigned i = 0; i < 2 && e == KERR_OK; i++) {
		const struct region *r = crossing(space, border[i]);

		if (r != nullptr) {
			node[i] = region_alloc(space->charge);
			e = node[i] == nullptr ? KERR_NO_MEMORY : KERR_OK;
		}
		/* Also between two regions: memory that lies together may share a leaf. */
		if (e == KERR_OK) {
			e = tables_split(space, border[i]);
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		struct region *r = crossing(space, border[i]);

		if (node[i] == nullptr) {
			continue;
		}
		if (e == KERR_OK) {
			split_region(space, r, border[i], node[i]);
		} else {
			region_free(node[i], space->charge);
		}
	}
	return e;
}

/* Does `right` continue `left`, as far as the space knows? */
static bool continues(const struct region *left, const struct region *right)
{
	return region_end(left) == right->base && left->object == right->object &&
	       left->prot == right->prot && left->prot_max == right->prot_max && !left->dying &&
	       !right->dying &&
	       (left->object == nullptr || left->offset + left->size == right->offset);
}

/* Join them, unless only one was visited. The object's lock, if they have one. */
static bool join_locked(struct space *space, struct region *left, struct region *right)
{
	if (left->object != nullptr && left->epoch != right->epoch) {
		return false;
	}
	region_remove(&space->tree, right);
	region_resize(&space->tree, left, left->base, left->size + right->size);
	if (right->object != nullptr) {
		object_remove_region(right->object, right);
	}
	return true;
}

static bool join(struct space *space, struct region *left, struct region *right)
{
	struct memory_object *object = right->object;
	bool joined;

	if (!continues(left, right)) {
		return false;
	}
	if (object == nullptr) {
		joined = join_locked(space, left, right);
	} else {
		spin_lock(&object->lock);
		joined = join_locked(space, left, right);
		spin_unlock(&object->lock);
	}
	if (joined) {
		if (object != nullptr) {
			object_unref(object); /* not the last: `left` has one */
		}
		region_free(right, space->charge);
	}
	return joined;
}

void space_merge(struct space *space, uint64_t at, uint64_t end)
{
	struct region *r = region_from(&space->tree, at);
	struct region *before = r != nullptr ? region_prev(r) : nullptr;

	r = before != nullptr ? before : r;
	while (r != nullptr && r->base < end) {
		struct region *next = region_next(r);

		if (next == nullptr || next->base > end) {
			return;
		}
		if (!join(space, r, next)) {
			r = next;
		}
	}
}

/*
 * Regions of the range that are not dying yet: they are now. Up to the first large one: *large.
 * Returns how many. Space's lock.
 */
static unsigned take_round(struct space *space, uint64_t at, uint64_t end,
			   struct region *round[ROUND_REGIONS], struct region **large)
{
	uint64_t bytes = 0;
	unsigned count = 0;

	*large = nullptr;
	for (struct region *r = region_from(&space->tree, at);
	     r != nullptr && r->base < end && count < ROUND_REGIONS; r = region_next(r)) {
		if (r->dying) {
			continue;
		}
		bytes += r->object != nullptr ? r->size : 0;
		if (bytes > FRONT_BYTES) {
			*large = r;
			break;
		}
		r->dying = true; /* SP3 */
		round[count++] = r;
	}
	return count;
}

/*
 * A large region loses its front: the leaves, and with them the addresses, so that no fault sees
 * one without the other, nor does a visit. Its last page stays for another step. Space's lock.
 */
static void take_front(struct space *space, struct region *r)
{
	const uint64_t last = region_end(r) - PAGE_BYTES;
	uint64_t at = r->base;
	uint64_t to;

	spin_lock(&r->object->lock);
	for (unsigned n = 0; n < FRONT_STRETCHES && at < r->base + FRONT_BYTES; n++) {
		if (!tables_next_locked(r, &at, last, &to)) {
			at = last;
			break;
		}
		to = to - at > FRONT_BYTES ? align_down(at + FRONT_BYTES, BLOCK_BYTES) : to;
		to = tables_border(space, to);
		const enum kerr e = tables_remove(space, va(at), to - at);

		KASSERT(e == KERR_OK); /* no leaf crosses its ends; a CPU that never parks */
		at = to;
	}
	at = at < last ? at : last;
	space->mapped_bytes -= at - r->base;
	r->offset += at - r->base;
	region_resize(&space->tree, r, at, region_end(r) - at);
	spin_unlock(&r->object->lock);
}

/* A dying region: its leaves, then its place in the tree and in the object's list. No lock held. */
static void dismantle(struct space *space, struct region *r)
{
	struct memory_object *object = r->object;
	uint64_t at = r->base;
	uint64_t to;

	while (object != nullptr && tables_next(r, &at, region_end(r), &to)) {
		const enum kerr e = tables_remove(space, va(at), to - at);

		KASSERT(e == KERR_OK); /* its ends are borders of leaves; a CPU that never parks */
		at = to;
	}
	spin_lock(&space->lock);
	region_remove(&space->tree, r);
	if (object != nullptr) {
		space->mapped_bytes -= r->size;
		spin_lock(&object->lock);
		object_remove_region(object, r);
		spin_unlock(&object->lock);
	}
	spin_unlock(&space->lock);
	if (object != nullptr) {
		object_unref(object);
	}
	region_free(r, space->charge);
}

enum kerr space_unmap_some(struct space *space, uint64_t *at, uint64_t end)
{
	struct region *round[ROUND_REGIONS];
	struct region *large = nullptr;
	unsigned count = 0;

	spin_lock(&space->lock);
	const enum kerr e = cut_out(space, *at, end);

	if (e == KERR_OK) {
		count = take_round(space, *at, end, round, &large);
	}
	const struct region *const last = count > 0 ? round[count - 1] : nullptr;
	uint64_t to = count == ROUND_REGIONS ? region_end(last) : end;

	if (large != nullptr && count == 0) {
		take_front(space, large);
	}
	to = large != nullptr ? large->base : to;
	spin_unlock(&space->lock);
	for (unsigned i = 0; i < count; i++) {
		dismantle(space, round[i]);
	}
	*at = e == KERR_OK ? to : *at;
	return e;
}

enum kerr space_unmap(struct space *space, va_t at, uint64_t bytes)
{
	const uint64_t end = at.v + bytes;
	enum kerr e = space_check_range(at, bytes);

	for (uint64_t from = at.v; e == KERR_OK && from < end;) {
		e = space_unmap_some(space, &from, end);
	}
	return e;
}

bool space_is_covered(const struct space *space, uint64_t at, uint64_t end)
{
	const struct region *r = region_find(&space->tree, at);

	while (r != nullptr && !r->dying && r->object != nullptr && region_end(r) < end) {
		const struct region *next = region_next(r);

		r = next != nullptr && next->base == region_end(r) ? next : nullptr;
	}
	return r != nullptr && !r->dying && r->object != nullptr;
}

/* May all regions of the range become `prot`? *same: they are so already. */
static enum kerr check_protect(const struct space *space, uint64_t at, uint64_t end, unsigned prot,
			       bool *same)
{
	unsigned count = 0;

	*same = true;
	for (const struct region *r = region_find(&space->tree, at);; r = region_next(r)) {
		if (r == nullptr || r->dying || r->object == nullptr || r->base > at) {
			return KERR_ABSENT;
		}
		if ((prot & ~(unsigned)r->prot_max) != 0) {
			return KERR_DENIED;
		}
		if (++count > SPACE_CALL_REGIONS) {
			return KERR_INVALID;
		}
		*same = *same && r->prot == prot;
		at = region_end(r);
		if (at >= end) {
			return KERR_OK;
		}
	}
}

static void set_prot(struct space *space, uint64_t at, uint64_t end, unsigned prot)
{
	for (struct region *r = region_find(&space->tree, at); r != nullptr && r->base < end;
	     r = region_next(r)) {
		r->prot = (uint16_t)prot;
	}
}

enum kerr space_protect(struct space *space, va_t at, uint64_t bytes, unsigned prot)
{
	const uint64_t end = at.v + bytes;
	enum kerr e = space_check_range(at, bytes);
	bool same = true;

	if ((prot & ~VM_PROT_MASK) != 0 ||
	    (prot & (VM_WRITE | VM_EXEC)) == (VM_WRITE | VM_EXEC)) { /* SP2 */
		return KERR_INVALID;
	}
	if (e != KERR_OK) {
		return e;
	}
	spin_lock(&space->lock);
	e = check_protect(space, at.v, end, prot, &same);
	if (e == KERR_OK && !same) {
		e = cut_out(space, at.v, end);
	}
	if (e == KERR_OK && !same) {
		set_prot(space, at.v, end, prot);
	}
	spin_unlock(&space->lock);
	if (e != KERR_OK || same) {
		return e;
	}
	e = tables_sync(space, at.v, end);
	spin_lock(&space->lock);
	space_merge(space, at.v, end);
	spin_unlock(&space->lock);
	return e;
}
