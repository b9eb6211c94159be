/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_secret.c - memory that the kernel itself cannot read by mistake.
 *
 * THEORY   While a secret object exists its frames are not in the linear map: a kernel that is led
 *          to read a wrong address does not find them. So the linear map, in blocks of 1 GiB to
 *          2 MiB, is taken apart under running CPUs, and put together again afterwards: the windows
 *          that this takes are the task's (budget). All frames are there from the beginning.
 *          They return zeroed, and are zeroed *before* they return, through a mapping of a few
 *          pages that only this CPU uses: kernel code on SP0 is not preempted by other kernel
 *          code, so one such place per CPU needs no lock. The tables under these places are made
 *          with the first secret, so that giving one back needs no memory.
 * FAILURE  Creation leaves whole reservations to the object's end. Giving back cannot fail, but
 *          that a CPU may not park; a frame that could not be put back is lost to the linear map's
 *          promotion, nothing else.
 */
#include <arch/atomic.h>
#include <arch/cpu.h>
#include <arch/page.h>

#include "pcpu/pcpu.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/object_impl.h"
#include "vm/pmap.h"

#define PLACE_BYTES (RESERV_RUN * PAGE_BYTES)
#define PARK_TRIES 8

/* [c] once set; a CPU's place is 2 MiB from the next one's, for tables of their own */
static va_t places;
static uint64_t places_state; /* [a] 0: none, 1: being made, 2: ready */

static va_t place_of(unsigned cpu)
{
	return va(places.v + (uint64_t)cpu * BLOCK_BYTES);
}

/* Map and unmap something at each place: the tables stay. */
static enum kerr make_tables(unsigned cpus)
{
	pa_t frame;
	enum kerr e = frame_alloc(0, this_cpu()->node, &frame);

	if (e != KERR_OK) {
		return e;
	}
	for (unsigned cpu = 0; cpu < cpus && e == KERR_OK; cpu++) {
		e = pmap_map(&kernel_pmap, place_of(cpu), frame, PAGE_BYTES,
			     PMAP_WRITE | PMAP_NO_PROMOTE);
		if (e == KERR_OK) {
			e = pmap_unmap(&kernel_pmap, place_of(cpu), PAGE_BYTES);
		}
	}
	frame_free(frame, 0);
	return e;
}

static enum kerr make_places(void)
{
	const unsigned cpus = pcpu_count();
	enum kerr e = KERR_OK;

	if (load_acquire(&places_state) == 2) {
		return KERR_OK;
	}
	if (!cas_acquire(&places_state, 0, 1)) {
		return KERR_BUSY; /* another CPU is at it */
	}
	if (places.v == 0) {
		e = kmap_reserve((uint64_t)cpus * BLOCK_BYTES, BLOCK_BYTES, &places);
	}
	if (e == KERR_OK) {
		e = make_tables(cpus);
	}
	store_release(&places_state, e == KERR_OK ? 2 : 0);
	return e;
}

/* Out of the linear map: demotes it under everybody's feet. */
static enum kerr carve(pa_t base, uint64_t bytes)
{
	return pmap_unmap(&kernel_pmap, va(LINEAR_BASE + base.v), bytes);
}

/* Zero up to 64 KiB through this CPU's place. */
static void scrub(pa_t base, uint64_t bytes)
{
	const va_t at = place_of(cpu_number());
	enum kerr e = pmap_map(&kernel_pmap, at, base, bytes, PMAP_WRITE | PMAP_NO_PROMOTE);

	KASSERT(e == KERR_OK); /* its tables are there */
	for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
		arch_page_zero(va(at.v + off));
	}
	e = pmap_unmap(&kernel_pmap, at, bytes);
	KASSERT(e == KERR_OK); /* small entries: no window */
}

/* Frames from *page on to `end`, in stretches that lie together, each given to fn. */
static enum kerr each_stretch(const struct reserv *rv, unsigned *page, unsigned end,
			      enum kerr (*fn)(pa_t base, uint64_t bytes))
{
	enum kerr e = KERR_OK;

	while (*page < end && e == KERR_OK) {
		const pa_t base = reserv_frame(rv, *page);
		unsigned count = 1;

		while (*page + count < end &&
		       reserv_frame(rv, *page + count).v == base.v + count * PAGE_BYTES) {
			count++;
		}
		e = fn(base, count * PAGE_BYTES);
		*page += e == KERR_OK ? count : 0;
	}
	return e;
}

static enum kerr scrub_stretch(pa_t base, uint64_t bytes)
{
	for (uint64_t off = 0; off < bytes; off += PLACE_BYTES) {
		const uint64_t left = bytes - off;

		scrub(pa(base.v + off), left < PLACE_BYTES ? left : PLACE_BYTES);
	}
	return KERR_OK;
}

static void scrub_pages(const struct reserv *rv, unsigned first, unsigned end)
{
	const enum kerr e = each_stretch(rv, &first, end, scrub_stretch);

	KASSERT(e == KERR_OK);
}

/* Into the linear map, and promoted. What lies together goes at once: its tables are there. */
static enum kerr put_back_stretch(pa_t base, uint64_t bytes)
{
	return pmap_map(&kernel_pmap, va(LINEAR_BASE + base.v), base, bytes, PMAP_WRITE);
}

static void put_back(const struct reserv *rv, unsigned end)
{
	unsigned page = 0;
	const enum kerr e = each_stretch(rv, &page, end, put_back_stretch);

	KASSERT(e == KERR_OK); /* its tables stayed when it was carved out */
}

static uint64_t end_of(const struct reserv *rv)
{
	return (uint64_t)rv->index * BLOCK_BYTES + rv->pages * PAGE_BYTES;
}

bool object_secret_is_back(const struct memory_object *object, const struct reserv *rv)
{
	return object->zeroed >= end_of(rv);
}

void object_secret_back(struct memory_object *object, const struct reserv *rv)
{
	const uint64_t base = (uint64_t)rv->index * BLOCK_BYTES;
	const uint64_t end = end_of(rv);
	const uint64_t from = object->zeroed > base ? object->zeroed : base;
	const uint64_t to = end - from < PLACE_BYTES ? end : from + PLACE_BYTES;

	scrub_pages(rv, (unsigned)page_of(from - base), (unsigned)page_of(to - base));
	if (to == end) {
		put_back(rv, rv->pages);
	}
	object->zeroed = to;
}

static enum kerr carve_stretch(pa_t base, uint64_t bytes)
{
	enum kerr e = KERR_BUSY;

	for (unsigned tries = 0; e == KERR_BUSY && tries < PARK_TRIES; tries++) {
		e = carve(base, bytes);
	}
	return e;
}

/* Populate one reservation whole, and carve it out. */
static enum kerr fill_one(struct memory_object *object, uint64_t index)
{
	struct reserv *rv = nullptr;
	enum kerr e = KERR_OK;
	unsigned done = 0;
	unsigned page = 0;

	do {
		spin_lock(&object->lock);
		e = object_populate(object, index * RESERV_PAGES + page, &rv);
		spin_unlock(&object->lock);
	} while (e == KERR_OK && ++page < rv->pages);
	if (e == KERR_OK) {
		e = each_stretch(rv, &done, rv->pages, carve_stretch);
	}
	rv = object_index_get(object, index);
	if (e == KERR_OK || rv == nullptr) {
		return e;
	}
	/* Undo: what was carved goes back; what is only populated is freed like any other page. */
	scrub_pages(rv, 0, done);
	put_back(rv, done);
	spin_lock(&object->lock);
	object_index_clear(object, index);
	object->resident -= rv->count;
	spin_unlock(&object->lock);
	memcharge_give(object->charge, rv->count * PAGE_BYTES);
	reserv_destroy(rv, object->charge);
	return e;
}

enum kerr object_secret_fill(struct memory_object *object, struct window_budget *budget)
{
	const uint64_t end = (object->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	enum kerr e = make_places();

	/* Seen before windows are spent on it: who is refused may ask again and again. */
	if (e == KERR_OK && !memcharge_take(object->charge, object->bytes)) {
		e = KERR_NO_MEMORY;
	} else if (e == KERR_OK) {
		memcharge_give(object->charge, object->bytes);
	}
	for (uint64_t index = 0; index < end && e == KERR_OK; index++) {
		/* Out and back, two windows each as a rule. */
		e = budget_take(budget, 4);
		if (e == KERR_OK) {
			e = fill_one(object, index);
		}
	}
	return e;
}
