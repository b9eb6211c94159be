/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space_advise.c - advice on a range. See vm/space.h.
 *
 * THEORY   One piece at a time: look the region up, take a reference to its object, and do the
 *          piece without the space's lock. A range that changes meanwhile gets advice for what it
 *          was.
 */
#include "vm/fault.h"
#include "vm/space_impl.h"

/* A piece of the range, inside one region and one 2 MiB of its object. */
struct piece {
	struct space *space;
	struct memory_object *object; /* with a reference */
	uint64_t at;
	uint64_t end;
	uint64_t offset;
	unsigned prot;
	unsigned prot_max;
};

static enum kerr next_piece(struct space *space, uint64_t at, uint64_t end, struct piece *p)
{
	enum kerr e = KERR_ABSENT;

	spin_lock(&space->lock);
	const struct region *r = region_find(&space->tree, at);

	if (r != nullptr && !r->dying && r->object != nullptr) {
		const uint64_t offset = r->offset + (at - r->base);
		const uint64_t block = BLOCK_BYTES - offset % BLOCK_BYTES;
		uint64_t to = region_end(r) < end ? region_end(r) : end;

		to = to - at < block ? to : at + block;
		object_ref(r->object);
		*p = (struct piece){ space, r->object, at, to, offset, r->prot, r->prot_max };
		e = KERR_OK;
	}
	spin_unlock(&space->lock);
	return e;
}

static enum kerr touch(const struct piece *p, uint64_t at)
{
	const unsigned access = (p->prot & VM_WRITE) != 0 && p->object->kind != MEM_PAGER ? VM_WRITE
											  : VM_READ;

	switch (fault_touch(p->space, va(at), access)) {
	case FAULT_NO_MEMORY:
		return KERR_NO_MEMORY;
	default:
		return KERR_OK; /* asked for, or gone meanwhile: advice is no promise */
	}
}

static enum kerr will_need(const struct piece *p)
{
	enum kerr e = KERR_OK;

	for (uint64_t at = p->at; at < p->end && e == KERR_OK; at += PAGE_BYTES) {
		e = touch(p, at);
	}
	return e;
}

/* Contents go for everybody who shows the object: who may not write it may not do that. */
static enum kerr dont_need(const struct piece *p)
{
	if ((p->prot_max & VM_WRITE) == 0) {
		return KERR_DENIED;
	}
	enum kerr e = tables_split(p->space, p->at);

	if (e == KERR_OK) {
		e = tables_split(p->space, p->end);
	}
	return e == KERR_OK ? object_discard(p->object, p->offset, p->end - p->at) : e;
}

static enum kerr collapse(const struct piece *p)
{
	const uint64_t block = align_down(p->offset, BLOCK_BYTES);
	enum kerr e = budget_take(&p->space->budget, 1);

	if (e == KERR_OK) {
		e = object_collapse(p->object, block);
	}
	if (e == KERR_ABSENT) {
		return KERR_OK; /* nothing is there, or it is too short for a superpage */
	}
	return e == KERR_OK ? touch(p, p->at) : e;
}

static enum kerr split(const struct piece *p)
{
	const enum kerr e = budget_take(&p->space->budget, 2);

	return e == KERR_OK ? pmap_demote(&p->space->pmap, va(p->at), p->end - p->at, PAGE_BYTES)
			    : e;
}

static enum kerr advise_piece(const struct piece *p, enum memory_advice advice)
{
	switch (advice) {
	case VM_COLLAPSE:
		return collapse(p);
	case VM_SPLIT:
		return split(p);
	case VM_WILLNEED:
		return will_need(p);
	default:
		return dont_need(p);
	}
}

enum kerr space_advise(struct space *space, va_t at, uint64_t bytes, enum memory_advice advice)
{
	const uint64_t end = at.v + bytes;
	enum kerr e = space_check_range(at, bytes);
	uint64_t from = at.v;

	if (advice < VM_COLLAPSE || advice > VM_DONTNEED) {
		return KERR_INVALID;
	}
	while (e == KERR_OK && from < end) {
		struct piece p;

		e = next_piece(space, from, end, &p);
		if (e == KERR_OK) {
			e = advise_piece(&p, advice);
			object_unref(p.object);
			from = p.end;
		}
	}
	return e;
}
