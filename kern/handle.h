/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/handle.h - a task's table of handles: capabilities to kernel objects.
 *
 * THEORY   A handle is an index and a generation; its slot names an object, its type, the rights
 *          that the task has on it, and a badge that the receiver of a message sees. A look-up
 *          takes no lock: it reads the slot's word (generation, type, rights) with LDAR, then
 *          the rest. A closed slot is reused only after a grace period, so what was read belongs
 *          together.
 * INVARIANTS
 *   HT1  A slot whose word is not 0 holds a reference on its object.
 *   HT2  A slot's generation grows with each use; a handle of an earlier use is refused. After
 *        65,535 uses of one slot it begins again.
 * LOCKING  LOCK_TASK for every change; handle_get() takes none.
 * FAILURE  KERR_NO_MEMORY: the charge or the pinned heap is exhausted, or HANDLE_MAX is reached.
 */
#pragma once

#include <abi.h>
#include <arch/atomic.h>
#include <kerr.h>
#include <types.h>

#include "kern/lock.h"
#include "kern/object.h"

#define HANDLE_PAGE_SLOTS 128
#define HANDLE_PAGES 64
#define HANDLE_MAX (HANDLE_PAGE_SLOTS * HANDLE_PAGES)

struct handle_slot {
	uint64_t word; /* [a] generation << 16 | type << 8 | rights; 0: empty */
	struct kobj *obj;
	uint64_t badge;
	uint32_t next;       /* [l] empty slots: index + 1 of the next, 0: last */
	uint32_t generation; /* [l] of the last use */
};

struct handle_table {
	struct spinlock lock;                   /* LOCK_TASK */
	struct memcharge *charge;               /* [c] */
	/* [a] filled from the front, never removed; the first is there, empty, before that */
	struct handle_slot *page[HANDLE_PAGES];
	uint32_t pages;    /* [l] */
	uint32_t count;    /* [l] handles */
	uint32_t free;     /* [l] slots that may be used again: index + 1 */
	uint32_t fresh;    /* [l] from this index on none was ever used */
	uint32_t closed; /* [l] closed since the grace period below began */
	uint32_t resting; /* [l] waiting for it */
	struct reclaim_node reclaim; /* of the resting ones */
	bool grace; /* [l] reclaim is on its way */
};

/* What a look-up found; obj is good until this CPU returns to EL0 or its thread blocks. */
struct handle_view {
	struct kobj *obj;
	uint64_t badge;
	uint8_t rights;
};

void handle_table_init(struct handle_table *table, struct memcharge *charge);

/*
 * Close at most `steps` handles. True: none is left, and the table's memory is given back.
 * Pre: no thread uses the table, and a grace period has passed since one did.
 */
bool handle_table_end(struct handle_table *table, unsigned steps);

/*
 * Look h up. KERR_HANDLE: not a handle of `type` (KOBJ_NONE: of any); KERR_DENIED: lacks one of
 * `rights`; KERR_DEAD: the object was revoked. No lock, any context, pinned memory only.
 */
enum kerr handle_get(const struct handle_table *table, handle_t h, enum kobj_type type,
		     uint8_t rights, struct handle_view *out);

/* The same for an object of any type, also one that was revoked. */
enum kerr handle_get_dead(const struct handle_table *table, handle_t h, uint8_t rights,
			  struct handle_view *out);

/*
 * The same for the fast paths: the object, or nullptr, which says only that handle_get() knows. Of
 * the table's first page.
 */
static inline struct kobj *handle_quick(const struct handle_table *table, uint64_t h,
					enum kobj_type type, uint8_t rights)
{
	const struct handle_slot *page = (const struct handle_slot *)load_acquire(
		(const uint64_t *)(const void *)table->page);

	if ((h & UINT16_MAX) >= HANDLE_PAGE_SLOTS) {
		return nullptr;
	}
	const struct handle_slot *slot = page + (h & UINT16_MAX);
	const uint64_t word = load_acquire(&slot->word); /* as in handle_get() */

	/* An index of the first page has no bits where the type is. */
	if ((word ^ h) >> 8 != (uint64_t)type || (word & rights) != rights ||
	    kobj_is_dead(slot->obj)) {
		return nullptr;
	}
	return slot->obj;
}

/* The same of any page, and with the slot, which has the badge. */
static always_inline const struct handle_slot *handle_quick_slot(const struct handle_table *table,
								 uint64_t h, enum kobj_type type,
								 uint8_t rights)
{
	const uint64_t index = h & UINT16_MAX;
	const uint64_t page = index < HANDLE_MAX
				      ? load_acquire((const uint64_t *)(const void *)&table
							     ->page[index / HANDLE_PAGE_SLOTS])
				      : 0;

	if (page == 0) {
		return nullptr;
	}
	const struct handle_slot *slot =
		(const struct handle_slot *)page + index % HANDLE_PAGE_SLOTS;
	const uint64_t word = load_acquire(&slot->word); /* as in handle_get() */

	if (word >> 8 != (h >> 16 << 8 | (uint64_t)type) || (word & rights) != rights ||
	    kobj_is_dead(slot->obj)) {
		return nullptr;
	}
	return slot;
}

/* A new handle on obj; takes a reference of its own. KERR_DEAD: obj is at its end. */
enum kerr handle_new(struct handle_table *table, struct kobj *obj, uint8_t rights, uint64_t badge,
		     handle_t *out);

/* Close h: KERR_HANDLE if there is none. */
enum kerr handle_close(struct handle_table *table, handle_t h);

/* Handles that are open. */
uint32_t handle_count(const struct handle_table *table);
