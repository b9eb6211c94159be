/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object.c - memory objects: their life, and the regions that show them. See vm/object.h.
 */
#include "vm/object.h"

#include <arch/atomic.h>
#include <arch/barrier.h>

#include "pcpu/pin.h"
#include "pcpu/slab.h"
#include "vm/frame.h"
#include "vm/object_impl.h"

/* Pages of a device that the kernel keeps mapped and shares; never more than one. */
static struct {
	uint64_t base, bytes; /* [a] bytes is stored last */
} shared_device;

static struct slab_class object_class = SLAB_CLASS("memobj", struct memory_object);

enum kerr object_new(enum memory_kind kind, uint64_t bytes, struct memcharge *charge,
		     struct memory_object **out)
{
	if (bytes == 0 || bytes > OBJECT_BYTES_MAX) {
		return KERR_RANGE;
	}
	if (!is_aligned(bytes, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	struct memory_object *object = slab_alloc(&object_class, charge);

	if (object == nullptr) {
		return KERR_NO_MEMORY;
	}
	object->lock = (struct spinlock)SPINLOCK("memobj", LOCK_MEMOBJ);
	object->refs = 1;
	object->bytes = bytes;
	object->charge = charge;
	object->kind = kind;
	object->index_height = object_index_height(bytes);
	*out = object;
	return KERR_OK;
}

void object_free(struct memory_object *object)
{
	KASSERT(object->regions == nullptr); /* OB1: each holds a reference */
	KASSERT(object->index == nullptr && object->resident == 0);
	slab_free(&object_class, object, object->charge);
}

enum kerr object_create(enum memory_kind kind, uint64_t bytes, struct memcharge *charge,
			struct window_budget *budget, struct memory_object **out)
{
	struct memory_object *object;

	if (kind != MEM_ANON && kind != MEM_SECRET && kind != MEM_DMA) {
		return KERR_INVALID;
	}
	enum kerr e = object_new(kind, bytes, charge, &object);

	if (e != KERR_OK) {
		return e;
	}
	if (kind == MEM_SECRET) {
		e = object_secret_fill(object, budget);
	} else if (kind == MEM_DMA) {
		e = object_dma_take(object);
	}
	if (e != KERR_OK && kind == MEM_SECRET) {
		object_unref(object); /* a part of it may be there */
		return e;
	}
	if (e != KERR_OK) {
		object_free(object);
		return e;
	}
	*out = object;
	return KERR_OK;
}

void object_share_device(pa_t base, uint64_t bytes)
{
	shared_device.base = base.v;
	store_release(&shared_device.bytes, bytes);
}

static bool is_shared(pa_t base, uint64_t bytes)
{
	const uint64_t shared_bytes = load_acquire(&shared_device.bytes);

	return base.v >= shared_device.base && bytes <= shared_bytes &&
	       base.v - shared_device.base <= shared_bytes - bytes;
}

enum kerr object_create_phys(pa_t base, uint64_t bytes, bool cached, struct memcharge *charge,
			     struct memory_object **out)
{
	struct memory_object *object;

	if (!is_aligned(base.v, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	if (base.v >= LINEAR_BYTES || bytes > LINEAR_BYTES - base.v) {
		return KERR_RANGE;
	}
	/* Memory that the kernel gives out, or that it stands on, is not for sale. */
	if (frame_manages(base, bytes) ||
	    (pin_overlaps_pa(base, bytes) != nullptr && !is_shared(base, bytes))) {
		return KERR_RANGE;
	}
	const enum kerr e = object_new(MEM_PHYS, bytes, charge, &object);

	if (e != KERR_OK) {
		return e;
	}
	object->base = base;
	object->cached = cached;
	*out = object;
	return KERR_OK;
}

void object_ref(struct memory_object *object)
{
	const uint64_t was = fetch_add_relaxed(&object->refs, 1);

	KASSERT(was > 0);
}

bool object_ref_try(struct memory_object *object)
{
	uint64_t was;

	do {
		was = load_relaxed(&object->refs);
		if (was == 0) {
			return false;
		}
	} while (!cas_acquire(&object->refs, was, was + 1));
	return true;
}

/* What a step of an end may do: a block given back, or 16 frames that lie apart, count one. */
#define UNITS_A_STEP 8
#define SECRET_UNITS 4 /* 16 pages zeroed */

/*
 * A part of a reservation that nobody else takes out: all, if that is short, or some groups of 16.
 * *last: nothing is left of it but what is held whole. Object's lock. Returns how many pages.
 */
static unsigned end_part(struct memory_object *object, struct reserv *rv, unsigned *units,
			 bool *last)
{
	unsigned pages = 0;
	unsigned first = 0;

	*last = reserv_is_block(rv);
	while (!*last && *units < UNITS_A_STEP) {
		first = reserv_first(rv);
		*last = first == RESERV_PAGES;
		pages += *last ? 0 : reserv_end_group(rv, first);
		*units += *last ? 0 : 1;
	}
	if (*last) {
		pages += rv->count;
		object_index_clear(object, rv->index);
		*units += 1;
	}
	object->resident -= pages;
	return pages;
}

/* Adds what it counts to *units. False: there is nothing left. */
static bool end_some(struct memory_object *object, unsigned *units)
{
	unsigned pages = 0;
	bool last = false;

	spin_lock(&object->lock); /* reserv_reclaim() may look at the same one */
	struct reserv *rv = object_index_from(object, 0);
	const bool back = rv == nullptr || object->kind != MEM_SECRET ||
			  object_secret_is_back(object, rv);

	if (rv != nullptr && back) {
		pages = end_part(object, rv, units, &last);
	}
	spin_unlock(&object->lock);
	if (!back) {
		object_secret_back(object, rv);
		*units += SECRET_UNITS;
	}
	if (last) {
		object_pager_forget(object, rv);
		reserv_destroy(rv, object->charge);
	}
	memcharge_give(object->charge, pages * PAGE_BYTES);
	return rv != nullptr;
}

bool object_end(struct memory_object *object)
{
	unsigned units = 0;

	while (units < UNITS_A_STEP && end_some(object, &units)) {
	}
	if (units >= UNITS_A_STEP || (object->kind == MEM_DMA && !object_dma_zero(object)) ||
	    !cas_acquire(&object->refs, 1, 0)) { /* somebody looks for spares */
		return false;
	}
	if (object->kind == MEM_DMA) {
		object_dma_give(object);
	}
	object_free(object);
	return true;
}

/* Nobody names the object any more, and no region shows it. */
static void begin_end(struct memory_object *object)
{
	store_release(&object->refs, 1); /* the end's own: its spares are found as any other's */
	if (object->ends != nullptr) {
		object->ends(object->ends_arg);
		return;
	}
	while (!object_end(object)) {
	}
}

void object_on_end(struct memory_object *object, void (*fn)(void *arg), void *arg)
{
	object->ends = fn;
	object->ends_arg = arg;
}

void object_unref(struct memory_object *object)
{
	dmb_ish(); /* what was done with it is done before it is gone; pairs with the one below */
	const uint64_t was = fetch_add_relaxed(&object->refs, UINT64_MAX);

	KASSERT(was > 0);
	if (was == 1) {
		dmb_ish();
		begin_end(object);
	}
}

enum memory_kind object_kind(const struct memory_object *object)
{
	return object->kind;
}

uint64_t object_bytes(const struct memory_object *object)
{
	return object->bytes;
}

uint64_t object_resident(struct memory_object *object)
{
	spin_lock(&object->lock);
	const uint64_t pages = object->resident;

	spin_unlock(&object->lock);
	return pages * PAGE_BYTES;
}

/* ---- the regions that show it ---- */

static void unlink_region(struct memory_object *object, struct region *r)
{
	if (r->object_prev != nullptr) {
		r->object_prev->object_next = r->object_next;
	} else {
		object->visited = 0; /* of another first one nothing was */
		object->regions = r->object_next;
	}
	if (r->object_next != nullptr) {
		r->object_next->object_prev = r->object_prev;
	} else {
		object->last = r->object_prev;
	}
}

static void append_region(struct memory_object *object, struct region *r)
{
	r->object_prev = object->last;
	r->object_next = nullptr;
	if (object->last != nullptr) {
		object->last->object_next = r;
	} else {
		object->regions = r;
	}
	object->last = r;
}

static void prepend_region(struct memory_object *object, struct region *r)
{
	object->visited = 0;
	r->object_prev = nullptr;
	r->object_next = object->regions;
	if (object->regions != nullptr) {
		object->regions->object_prev = r;
	} else {
		object->last = r;
	}
	object->regions = r;
}

/*
 * A new region needs no visit: it maps nothing yet, and what is busy it cannot map. One that was
 * split from another needs it as that one does.
 */
void object_add_region(struct memory_object *object, struct region *r, const struct region *like)
{
	KASSERT_HELD(&object->lock);
	r->epoch = like != nullptr ? like->epoch : object->epoch;
	if (r->epoch == object->epoch) {
		append_region(object, r);
	} else {
		prepend_region(object, r);
	}
}

void object_remove_region(struct memory_object *object, struct region *r)
{
	KASSERT_HELD(&object->lock);
	unlink_region(object, r);
}

bool object_claim(struct memory_object *object, uint64_t first, uint64_t end)
{
	KASSERT_HELD(&object->lock);
	if (object->busy_end != 0) {
		return false;
	}
	object->busy_first = first;
	object->busy_end = end;
	return true;
}

void object_release(struct memory_object *object)
{
	KASSERT_HELD(&object->lock);
	object->busy_first = 0;
	object->busy_end = 0;
}
