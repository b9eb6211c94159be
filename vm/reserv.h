/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/reserv.h - the frames behind 2 MiB of a memory object.
 *
 * THEORY   The first touch of an aligned 2 MiB stretch sets aside an aligned block of 512 frames;
 *          each page that is touched then takes its own place in it. When the last one is there
 *          the memory already lies as a superpage wants it: promotion is in place and copies
 *          nothing. Without a block the same is tried for 16 pages (a *run*), then for one. What is
 *          set aside but not touched is *spare*. When memory runs short spares are given back, the
 *          reservation that was touched least recently first; populated pages stay where they are,
 *          mapped or not, so nothing is copied and no table changes.
 *          A page's frame is its place in the block, unless the table of separate frames says
 *          otherwise; that table exists only if there are any.
 * INVARIANTS
 *   RV1  A page is populated (its bit is set) exactly if it has contents; count = bits set.
 *   RV2  spare = frames held for pages that are not populated; listed exactly if spare > 0.
 *   RV3  A frame held is owned as part of one block (2^9), one run (2^4) or alone (2^0), and is
 *        given back so.                                              (reserv_audit)
 * LOCKING  The object's lock. The list of those with spares: LOCK_RESERV inside.
 * FAILURE  KERR_NO_MEMORY; nothing changed.
 */
#pragma once

#include <kerr.h>
#include <memmap.h>
#include <types.h>

#include "kern/lock.h"
#include "pcpu/memcharge.h"

#define RESERV_PAGES 512u
#define RESERV_RUN 16u /* 64 KiB */
#define RESERV_ORDER 9
#define RESERV_RUN_ORDER 4

struct memory_object;
struct pager_pages;

/* [l] the object's lock  [r] reserv_lock */
struct reserv {
	struct memory_object *object; /* [c] */
	uint32_t index;               /* [c] offset in the object / 2 MiB */
	uint16_t pages;               /* [c] that the object has here: 1 to 512 */
	uint16_t count;               /* [l] RV1 */
	uint16_t spare;               /* [l] RV2 */
	bool has_block; /* [l] `block` is the place of pages without a separate frame */
	bool broken; /* [l] the block was split: spares are gone or in runs */
	uint32_t runs; /* [l] groups of 16 whose frames are one run, if not a block's */
	pa_t block; /* [l] */
	uint32_t *frame; /* [l] separate frames: number + 1, 0: none */
	uint64_t bits[RESERV_PAGES / 64]; /* [l] RV1 */
	struct pager_pages *pager; /* [l] object_pager.c's */
	struct reserv *next; /* [r] touched later */
	struct reserv *prev; /* [r] */
};

/* An empty reservation of `pages` pages, with a block if there is one; the charge pays for it. */
enum kerr reserv_create(struct memory_object *object, uint32_t index, unsigned pages,
			struct memcharge *charge, struct reserv **out);
/*
 * One step of its end: the frames of the group of 16 around a page, unless it is a whole block.
 * Returns how many of them were populated. Pre: nobody maps a page of it, nor takes one.
 */
unsigned reserv_end_group(struct reserv *rv, unsigned page);
/* Give everything back. Pre: nobody maps a page of it. */
void reserv_destroy(struct reserv *rv, struct memcharge *charge);

static inline bool reserv_has(const struct reserv *rv, unsigned page)
{
	return (rv->bits[page / 64] >> page % 64 & 1) != 0;
}

/* The first page that is populated; RESERV_PAGES: none. */
static inline unsigned reserv_first(const struct reserv *rv)
{
	unsigned word = 0;

	while (word < RESERV_PAGES / 64 && rv->bits[word] == 0) {
		word++;
	}
	return word == RESERV_PAGES / 64 ? RESERV_PAGES
					 : word * 64 + (unsigned)__builtin_ctzll(rv->bits[word]);
}

/* A block that is still whole: full, it can be mapped at once. */
static inline bool reserv_is_block(const struct reserv *rv)
{
	return rv->has_block && !rv->broken && rv->frame == nullptr;
}

/* Bits of the 16 pages around a page. */
static inline unsigned reserv_group(const struct reserv *rv, unsigned page)
{
	return (unsigned)(rv->bits[page / 64] >> (page % 64 & ~(RESERV_RUN - 1))) & 0xffff;
}

/* The frame of a populated page. */
pa_t reserv_frame(const struct reserv *rv, unsigned page);

/*
 * A frame for a page that is not populated; contents: anything. The page is populated by
 * reserv_set() once the caller has filled the frame, or the frame is dropped again.
 */
enum kerr reserv_take(struct reserv *rv, unsigned page, struct memcharge *charge, pa_t *out);
void reserv_set(struct reserv *rv, unsigned page);
void reserv_drop(struct reserv *rv, unsigned page);

/* The page has no contents any more. Pre: populated; nobody maps it. */
void reserv_clear(struct reserv *rv, unsigned page);

/*
 * All pages move to a new block, one a step: begin, each populated page, end. Between the steps
 * every page is where reserv_frame() says. Pre: pages == 512, nobody maps any; begin: no spares,
 * `block` an owned block of 2^9 frames. Only begin can fail; the block is then still the caller's.
 */
enum kerr reserv_move_begin(struct reserv *rv, pa_t block, struct memcharge *charge);
void reserv_move_page(struct reserv *rv, unsigned page);
void reserv_move_end(struct reserv *rv, struct memcharge *charge);

/*
 * One step of giving spares back: those of one group of 16. False: there are none. Bounded (R8).
 */
bool reserv_shrink(struct reserv *rv);

/*
 * Memory is short: the reservation with spares that was touched least recently gives them back.
 * False: there is none. Pre: no lock of rank MEMOBJ or higher is held.
 */
bool reserv_reclaim(void);

/* Reservations with spares, and how many spares were given back since boot. */
struct reserv_stats {
	uint64_t listed;
	uint64_t broken;
};
struct reserv_stats reserv_stats(void);

/* RV1 to RV3 of one, by a scan; its separate frames are looked up. Object's lock. */
bool reserv_audit(const struct reserv *rv);
