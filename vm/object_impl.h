/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_impl.h - what the files of objects, spaces and faults share.
 */
#pragma once

#include <memmap.h>

#include "kern/assert.h"
#include "kern/lock.h"
#include "vm/object.h"
#include "vm/region.h"
#include "vm/reserv.h"

/* [c] const  [a] atomic  [l] lock */
struct memory_object {
	struct spinlock lock; /* LOCK_MEMOBJ */
	uint64_t refs;        /* [a] regions and whoever names it */
	uint64_t bytes;       /* [c] */
	uint64_t resident;    /* [l] pages that have contents */
	struct memcharge *charge; /* [c] nullptr: the kernel */
	enum memory_kind kind;    /* [c] */
	bool cached;              /* [c] MEM_PHYS: normal memory */
	bool revoked;             /* [l] no page is mapped any more */
	bool revoking;            /* [l] the visit that unmaps everything is under way */
	bool gone;                /* [l] MEM_PAGER: nobody answers */
	uint8_t index_height;     /* [c] levels of nodes; 0: `index` is the only reservation */
	uint32_t epoch;           /* [l] of the visit to the regions that is under way */
	void *index;              /* [l] object_index.c */
	struct region *regions;   /* [l] OB1; not yet visited first */
	struct region *last;      /* [l] */
	uint64_t busy_first;      /* [l] OB3: pages */
	uint64_t busy_end;        /* [l] */
	pa_t base;                /* [c] MEM_PHYS, MEM_DMA */
	const struct pager_ops *ops; /* [c] MEM_PAGER */
	void *pager;                 /* [c] */
	void (*ends)(void *arg);     /* [c] or nullptr */
	void *ends_arg;              /* [c] */
	uint64_t visited; /* [l] revoking: pages below it are done, in the first region */
	uint64_t zeroed; /* MEM_DMA, MEM_SECRET, at their end: up to here it is zero again */
};

static inline uint64_t page_of(uint64_t offset)
{
	return offset / PAGE_BYTES;
}

/* Does it have frames of its own, in reservations? */
static inline bool object_is_paged(const struct memory_object *object)
{
	return object->kind == MEM_ANON || object->kind == MEM_PAGER || object->kind == MEM_SECRET;
}

/* object.c */
enum kerr object_new(enum memory_kind kind, uint64_t bytes, struct memcharge *charge,
		     struct memory_object **out);
/* Free an object that holds nothing. */
void object_free(struct memory_object *object);
bool object_ref_try(struct memory_object *object);
/* OB1. Pre: the object's lock. `like`: the region it was split from, or nullptr. */
void object_add_region(struct memory_object *object, struct region *r, const struct region *like);
void object_remove_region(struct memory_object *object, struct region *r);

/* object_index.c: the reservations of an object, by number. Object's lock. */
struct reserv *object_index_get(const struct memory_object *object, uint64_t index);
enum kerr object_index_set(struct memory_object *object, uint64_t index, struct reserv *rv);
void object_index_clear(struct memory_object *object, uint64_t index);
/* The first reservation at or after an index; nullptr. */
struct reserv *object_index_from(const struct memory_object *object, uint64_t index);
uint8_t object_index_height(uint64_t bytes);

/* object_pages.c */
/* The reservation behind a page, made if need be. */
enum kerr object_reserv(struct memory_object *object, uint64_t page, struct reserv **out);
/*
 * A zeroed frame for a page that has none: populated. *rv: its reservation, or nullptr: it is
 * looked up, or made.
 */
enum kerr object_populate(struct memory_object *object, uint64_t page, struct reserv **rv);
/* Claim [first, end) pages for an operation that takes mappings away; false: one is under way. */
bool object_claim(struct memory_object *object, uint64_t first, uint64_t end);
void object_release(struct memory_object *object);
/*
 * Unmap pages [first, end), which are busy and of one reservation, wherever they are mapped. In
 * steps; no lock held.
 */
enum kerr object_unmap_pages(struct memory_object *object, uint64_t first, uint64_t end);

/* Does the object need to know about writes, so that clean pages are read-only? */
static inline bool object_tracks_dirty(const struct memory_object *object)
{
	return object->kind == MEM_PAGER;
}

/* object_pager.c */
bool object_is_dirty(const struct reserv *rv, unsigned page);
void object_set_dirty(struct reserv *rv, unsigned page);
/* What a fault on a page that is not there means. Object's lock. */
enum pager_state { PAGER_ASKED, PAGER_FAILED, PAGER_NO_MEMORY };
enum pager_state object_ask(struct memory_object *object, uint64_t page, unsigned access);
void object_pager_forget(struct memory_object *object, struct reserv *rv);

/* object_secret.c */
enum kerr object_secret_fill(struct memory_object *object, struct window_budget *budget);
/*
 * One step of its end, reservations in their order: 64 KiB zeroed, after the last of them all of it
 * back in the linear map. Pre: is not so already; then it can be freed.
 */
void object_secret_back(struct memory_object *object, const struct reserv *rv);
bool object_secret_is_back(const struct memory_object *object, const struct reserv *rv);

/* object_dma.c */
enum kerr object_dma_take(struct memory_object *object);
/* One step of its end: a part is zeroed. True: all of it is. */
bool object_dma_zero(struct memory_object *object);
void object_dma_give(struct memory_object *object);
