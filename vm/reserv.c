/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/reserv.c - see vm/reserv.h.
 */
#include "vm/reserv.h"

#include <arch/atomic.h>
#include <arch/cpu.h>
#include <arch/page.h>
#include <compiler.h>

#include "kern/assert.h"
#include "pcpu/slab.h"
#include "vm/frame.h"
#include "vm/object_impl.h"

#define GROUPS (RESERV_PAGES / RESERV_RUN)
#define ALL_GROUPS UINT32_MAX
#define FULL_GROUP 0xffffu

static struct slab_class reserv_class = SLAB_CLASS("reserv", struct reserv);

/* Tables of separate frames, by the pages that the object has there. */
static struct slab_class frame_class[] = {
	{ .lock = SPINLOCK("frames16", LOCK_SLAB), .name = "frames16", .bytes = 16 * 4 },
	{ .lock = SPINLOCK("frames128", LOCK_SLAB), .name = "frames128", .bytes = 128 * 4 },
	{ .lock = SPINLOCK("frames512", LOCK_SLAB), .name = "frames512", .bytes = 512 * 4 },
};

static struct spinlock reserv_lock = SPINLOCK("reserv", LOCK_RESERV);
static struct reserv *oldest; /* [r] */
static struct reserv *newest; /* [r] */
static uint64_t newest_hint;  /* [a] the same, to compare with without the lock */
static struct reserv_stats stats;

static struct slab_class *class_for(unsigned pages)
{
	unsigned i = 0;

	while (frame_class[i].bytes / sizeof(uint32_t) < pages) {
		i++;
	}
	return &frame_class[i];
}

/* ---- the list of those with spares (RV2) ---- */

static void list_append(struct reserv *rv)
{
	KASSERT_HELD(&reserv_lock);
	rv->prev = newest;
	rv->next = nullptr;
	if (newest != nullptr) {
		newest->next = rv;
	} else {
		oldest = rv;
	}
	newest = rv;
	store_relaxed(&newest_hint, (uint64_t)(uintptr_t)rv);
}

static void list_remove(struct reserv *rv)
{
	KASSERT_HELD(&reserv_lock);
	if (rv->prev != nullptr) {
		rv->prev->next = rv->next;
	} else {
		oldest = rv->next;
	}
	if (rv->next != nullptr) {
		rv->next->prev = rv->prev;
	} else {
		newest = rv->prev;
		store_relaxed(&newest_hint, (uint64_t)(uintptr_t)newest);
	}
}

/* The number of spares changed from `before`; `touch`: it is the newest now. */
static void list_update(struct reserv *rv, unsigned before, bool touch)
{
	const bool was = before > 0;
	const bool is = rv->spare > 0;

	/* A program that fills its memory touches one reservation again and again: no lock. */
	if (was == is && (!is || !touch || load_relaxed(&newest_hint) == (uint64_t)(uintptr_t)rv)) {
		return;
	}
	spin_lock(&reserv_lock);
	if (was) {
		list_remove(rv);
	}
	if (is) {
		list_append(rv);
	}
	stats.listed = stats.listed + (is ? 1 : 0) - (was ? 1 : 0);
	spin_unlock(&reserv_lock);
}

/* ---- frames ---- */

static uint64_t group_bit(unsigned page)
{
	return UINT64_C(1) << page / RESERV_RUN;
}

/* Is the page's frame held as a part of a block or a run? */
static bool is_in_run(const struct reserv *rv, unsigned page)
{
	return (rv->has_block && !rv->broken) || (rv->runs & group_bit(page)) != 0;
}

static bool has_separate(const struct reserv *rv, unsigned page)
{
	return rv->frame != nullptr && rv->frame[page] != 0;
}

pa_t reserv_frame(const struct reserv *rv, unsigned page)
{
	if (has_separate(rv, page)) {
		return pa((uint64_t)(rv->frame[page] - 1) * PAGE_BYTES);
	}
	KASSERT(rv->has_block);
	return pa(rv->block.v + page * PAGE_BYTES);
}

static void set_separate(struct reserv *rv, unsigned page, pa_t frame)
{
	KASSERT(frame.v / PAGE_BYTES < UINT32_MAX);
	rv->frame[page] = (uint32_t)(frame.v / PAGE_BYTES + 1);
}

enum kerr reserv_create(struct memory_object *object, uint32_t index, unsigned pages,
			struct memcharge *charge, struct reserv **out)
{
	struct reserv *rv = slab_alloc(&reserv_class, charge);

	KASSERT(pages > 0 && pages <= RESERV_PAGES);
	if (rv == nullptr) {
		return KERR_NO_MEMORY;
	}
	rv->object = object;
	rv->index = index;
	rv->pages = (uint16_t)pages;
	if (pages == RESERV_PAGES &&
	    frame_alloc(RESERV_ORDER, this_cpu()->node, &rv->block) == KERR_OK) {
		rv->has_block = true;
		rv->spare = RESERV_PAGES;
		list_update(rv, 0, true);
	}
	*out = rv;
	return KERR_OK;
}

/* The frames of a group, whatever they are held as. */
static void release_group(struct reserv *rv, unsigned first)
{
	if (is_in_run(rv, first)) {
		frame_free(reserv_frame(rv, first), RESERV_RUN_ORDER);
		rv->runs &= (uint32_t)~group_bit(first);
		return;
	}
	if (reserv_group(rv, first) == 0) {
		return; /* as a rule: its end came in steps, group by group */
	}
	for (unsigned page = first; page < first + RESERV_RUN && page < rv->pages; page++) {
		if (reserv_has(rv, page)) {
			frame_free_one(reserv_frame(rv, page));
		}
	}
}

unsigned reserv_end_group(struct reserv *rv, unsigned page)
{
	const unsigned first = page & ~(RESERV_RUN - 1);
	const unsigned count = (unsigned)__builtin_popcount(reserv_group(rv, first));
	const unsigned spare = rv->spare;

	KASSERT(!rv->has_block || rv->broken);
	if (is_in_run(rv, first)) {
		rv->spare = (uint16_t)(spare - (RESERV_RUN - count));
	}
	release_group(rv, first);
	rv->bits[first / 64] &= ~(UINT64_C(0xffff) << first % 64);
	rv->count = (uint16_t)(rv->count - count);
	list_update(rv, spare, false);
	return count;
}

static void release_frames(struct reserv *rv)
{
	if (rv->has_block && !rv->broken) {
		frame_free(rv->block, RESERV_ORDER);
		return;
	}
	for (unsigned first = 0; first < rv->pages; first += RESERV_RUN) {
		release_group(rv, first);
	}
}

static void release_table(struct reserv *rv, struct memcharge *charge)
{
	if (rv->frame != nullptr) {
		slab_free(class_for(rv->pages), rv->frame, charge);
		rv->frame = nullptr;
	}
}

void reserv_destroy(struct reserv *rv, struct memcharge *charge)
{
	const unsigned spare = rv->spare;

	rv->spare = 0;
	list_update(rv, spare, false);
	release_frames(rv);
	release_table(rv, charge);
	slab_free(&reserv_class, rv, charge);
}

/* Is there nothing, populated or spare, in the group, and does the object have all of it? */
static bool group_is_empty(const struct reserv *rv, unsigned first)
{
	return first + RESERV_RUN <= rv->pages && reserv_group(rv, first) == 0 &&
	       !is_in_run(rv, first);
}

/* A run for a whole group. */
static bool take_run(struct reserv *rv, unsigned first)
{
	pa_t run;

	if (!group_is_empty(rv, first) ||
	    frame_alloc(RESERV_RUN_ORDER, this_cpu()->node, &run) != KERR_OK) {
		return false;
	}
	for (unsigned i = 0; i < RESERV_RUN; i++) {
		set_separate(rv, first + i, pa(run.v + i * PAGE_BYTES));
	}
	rv->runs |= (uint32_t)group_bit(first);
	rv->spare = (uint16_t)(rv->spare + RESERV_RUN);
	return true;
}

enum kerr reserv_take(struct reserv *rv, unsigned page, struct memcharge *charge, pa_t *out)
{
	KASSERT(page < rv->pages && !reserv_has(rv, page));
	if (!is_in_run(rv, page)) {
		const unsigned spare = rv->spare;

		if (rv->frame == nullptr) {
			rv->frame = slab_alloc(class_for(rv->pages), charge);
		}
		if (rv->frame == nullptr) {
			return KERR_NO_MEMORY;
		}
		if (!take_run(rv, page & ~(RESERV_RUN - 1))) {
			pa_t one;

			if (frame_alloc_one(this_cpu()->node, &one) != KERR_OK) {
				return KERR_NO_MEMORY;
			}
			set_separate(rv, page, one);
		}
		list_update(rv, spare, true);
	}
	*out = reserv_frame(rv, page);
	return KERR_OK;
}

void reserv_set(struct reserv *rv, unsigned page)
{
	const unsigned spare = rv->spare;

	KASSERT(!reserv_has(rv, page));
	rv->bits[page / 64] |= UINT64_C(1) << page % 64;
	rv->count++;
	if (is_in_run(rv, page)) {
		rv->spare--;
		list_update(rv, spare, true);
	}
}

/* A frame held alone goes back. */
static void free_single(struct reserv *rv, unsigned page)
{
	frame_free_one(reserv_frame(rv, page));
	if (has_separate(rv, page)) {
		rv->frame[page] = 0;
	}
}

void reserv_drop(struct reserv *rv, unsigned page)
{
	KASSERT(!reserv_has(rv, page));
	if (!is_in_run(rv, page)) {
		free_single(rv, page);
	}
}

void reserv_clear(struct reserv *rv, unsigned page)
{
	const unsigned spare = rv->spare;

	KASSERT(reserv_has(rv, page));
	rv->bits[page / 64] &= ~(UINT64_C(1) << page % 64);
	rv->count--;
	if (is_in_run(rv, page)) {
		rv->spare++;
		list_update(rv, spare, false);
	} else {
		free_single(rv, page);
	}
}

enum kerr reserv_move_begin(struct reserv *rv, pa_t block, struct memcharge *charge)
{
	KASSERT(rv->pages == RESERV_PAGES && rv->spare == 0);
	if (rv->frame == nullptr) {
		rv->frame = slab_alloc(class_for(rv->pages), charge);
		if (rv->frame == nullptr) {
			return KERR_NO_MEMORY;
		}
	}
	for (unsigned page = 0; page < RESERV_PAGES; page++) {
		if (reserv_has(rv, page)) {
			set_separate(rv, page, reserv_frame(rv, page));
		}
	}
	rv->has_block = true;
	rv->broken = true; /* until the end: its frames are nobody's spares */
	rv->block = block;
	return KERR_OK;
}

void reserv_move_page(struct reserv *rv, unsigned page)
{
	const pa_t from = reserv_frame(rv, page);
	const unsigned first = page & ~(RESERV_RUN - 1);

	KASSERT(reserv_has(rv, page) && has_separate(rv, page));
	if ((rv->runs & group_bit(page)) != 0) {
		frame_split(reserv_frame(rv, first), RESERV_RUN_ORDER, 0);
		rv->runs &= (uint32_t)~group_bit(page);
	}
	arch_frame_copy(pa(rv->block.v + page * PAGE_BYTES), from);
	rv->frame[page] = 0;
	frame_free_one(from);
}

void reserv_move_end(struct reserv *rv, struct memcharge *charge)
{
	release_table(rv, charge);
	rv->broken = false;
	rv->spare = (uint16_t)(RESERV_PAGES - rv->count);
	list_update(rv, 0, true);
}

/* The spares of a run that has some. */
static void shrink_run(struct reserv *rv, unsigned first)
{
	const unsigned group = reserv_group(rv, first);
	const pa_t run = reserv_frame(rv, first);

	rv->runs &= (uint32_t)~group_bit(first);
	if (group == 0) {
		frame_free(run, RESERV_RUN_ORDER);
	} else {
		frame_split(run, RESERV_RUN_ORDER, 0);
	}
	for (unsigned i = 0; i < RESERV_RUN; i++) {
		if ((group >> i & 1) != 0) {
			continue;
		}
		if (group != 0) {
			frame_free_one(pa(run.v + i * PAGE_BYTES));
		}
		if (has_separate(rv, first + i)) {
			rv->frame[first + i] = 0;
		}
		rv->spare--;
		fetch_add_relaxed(&stats.broken, 1);
	}
}

bool reserv_shrink(struct reserv *rv)
{
	const unsigned spare = rv->spare;

	if (rv->has_block && !rv->broken && spare > 0) {
		frame_split(rv->block, RESERV_ORDER, RESERV_RUN_ORDER);
		rv->broken = true;
		rv->runs = ALL_GROUPS;
	}
	for (unsigned first = 0; first < RESERV_PAGES; first += RESERV_RUN) {
		if ((rv->runs & group_bit(first)) != 0 && reserv_group(rv, first) != FULL_GROUP) {
			shrink_run(rv, first);
			list_update(rv, spare, false);
			return rv->spare > 0;
		}
	}
	return false;
}

/* The oldest whose object still lives, with a reference to it. */
static struct memory_object *find_victim(uint32_t *index)
{
	struct memory_object *object = nullptr;

	spin_lock(&reserv_lock);
	for (const struct reserv *rv = oldest; rv != nullptr && object == nullptr; rv = rv->next) {
		if (object_ref_try(rv->object)) {
			object = rv->object;
			*index = rv->index;
		}
	}
	spin_unlock(&reserv_lock);
	return object;
}

bool reserv_reclaim(void)
{
	const uint64_t before = load_relaxed(&stats.broken);
	uint32_t index;
	struct memory_object *object = find_victim(&index);
	bool more = true;

	if (object == nullptr) {
		return false;
	}
	while (more) {
		spin_lock(&object->lock);
		/* By number: what it was may be gone, since nothing was locked. */
		struct reserv *rv = object_index_get(object, index);

		more = rv != nullptr && reserv_shrink(rv);
		spin_unlock(&object->lock);
	}
	object_unref(object);
	return load_relaxed(&stats.broken) != before;
}

struct reserv_stats reserv_stats(void)
{
	return stats;
}

bool reserv_audit(const struct reserv *rv)
{
	unsigned count = 0;
	unsigned spare = 0;

	for (unsigned page = 0; page < rv->pages; page++) {
		const bool has = reserv_has(rv, page);

		count += has ? 1 : 0;
		spare += !has && is_in_run(rv, page) ? 1 : 0;
		if (!has && !is_in_run(rv, page) && has_separate(rv, page)) {
			return false; /* held for nobody */
		}
		if (has && !has_separate(rv, page) && !rv->has_block) {
			return false;
		}
	}
	return count == rv->count && spare == rv->spare;
}
