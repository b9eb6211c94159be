/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_impl.h - what the files of the pmap share: tables and their notes, walks, entries.
 */
#pragma once

#include <arch/table.h>
#include <compiler.h>
#include <memmap.h>

#include "kern/assert.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "vm/pmap.h"

#define PT_GROUPS (PT_ENTRIES / CONT_ENTRIES)

/* Notes on a table, in its page's heap tag. [pmap->lock] */
struct table_notes {
	uint16_t valid;      /* valid leaves */
	uint16_t breaks;     /* i in 1..511 with !pte_follows(e[i-1], e[i]) */
	uint32_t contiguous; /* groups that carry the Contiguous bit */
	uint8_t group_valid[PT_GROUPS];
	uint8_t group_breaks[PT_GROUPS]; /* pairs inside a group of 16 */
	uint64_t *saved; /* level 2 only: per entry, the saved level-3 table | SAVED_STALE */
	uint8_t level;   /* 0-3 */
};
static_assert(sizeof(struct table_notes) <= HEAP_TAG_BYTES, "notes fit the tag");

#define SAVED_STALE UINT64_C(1)

/* Where a walk ended. */
struct walk {
	unsigned level; /* of the entry found: a leaf, or invalid */
	pte_t *slot;
	pte_t entry;
	struct table_notes *notes; /* of the table that the slot is in, or nullptr: walk_notes() */
	pte_t *up; /* the slot of the level above that leads here, */
	pte_t up_entry; /* what it held, */
	struct table_notes *up_notes; /* and its table's notes, or nullptr: walk_up_notes() */
};

static inline pte_t *table_of(const pte_t *slot)
{
	return (pte_t *)align_down((uint64_t)(uintptr_t)slot, PAGE_BYTES);
}

static inline unsigned slot_index(const pte_t *slot)
{
	return (unsigned)((uint64_t)(uintptr_t)slot % PAGE_BYTES / sizeof(pte_t));
}

static inline struct table_notes *notes_of(const pte_t *table)
{
	return heap_tag(table);
}

static inline pte_t *table_under(pte_t e)
{
	return heap_ptr(pte_pa(e));
}

/* Bytes that one TLB entry for this leaf covers: a contiguous run counts whole. */
static inline uint64_t leaf_span(pte_t e, unsigned level)
{
	return level_bytes(level) * ((e.v & PTE_CONT) != 0 ? CONT_ENTRIES : 1);
}

/* The groups of 16, as bits, that slots [slot, slot + count) of a table belong to. count > 0 */
static inline uint32_t table_groups(const pte_t *slot, unsigned count)
{
	const unsigned first = slot_index(slot) / CONT_ENTRIES;
	const unsigned last = (slot_index(slot) + count - 1) / CONT_ENTRIES;

	return (UINT32_MAX >> (PT_GROUPS - 1 - last)) & (UINT32_MAX << first);
}

/* The first slot of the group of 16 that a slot belongs to. */
static inline pte_t *group_first(pte_t *slot)
{
	return table_of(slot) + align_down(slot_index(slot), CONT_ENTRIES);
}

/* Whose windows and invalidations: nullptr for the kernel's map. */
static inline struct park_space *space_of(const struct pmap *pmap)
{
	return pmap->own;
}

/* On the table at a walk's end, and the one above: met on the way in the main block. */
static inline struct table_notes *walk_notes(const struct walk *w)
{
	return likely(w->notes != nullptr) ? w->notes : notes_of(table_of(w->slot));
}

static inline struct table_notes *walk_up_notes(const struct walk *w)
{
	return likely(w->up_notes != nullptr) ? w->up_notes : notes_of(table_of(w->up));
}

static always_inline void walk_into(struct walk *w, pte_t *table, struct table_notes *notes,
				    va_t at)
{
	w->level++;
	w->up = w->slot;
	w->up_entry = w->entry;
	w->up_notes = w->notes;
	w->notes = notes;
	w->slot = table + level_index(at, w->level);
	w->entry = arch_pte_load(w->slot);
}

/*
 * One level down, if a table of the main block leads there. An entry of ours that is a table has
 * its address and the two type bits: what is left of it without those of the block is the table's
 * offset there, if it is a multiple of the page and less than the block, which one comparison of
 * it, rotated, tells.
 */
static always_inline bool walk_down_near(struct walk *w, const struct heap_main *near, va_t at)
{
	const uint64_t off = w->entry.v - pte_table(near->pa).v;

	if (unlikely((off >> PAGE_SHIFT | off << (64 - PAGE_SHIFT)) >= near->bytes >> PAGE_SHIFT)) {
		return false;
	}
	walk_into(w, (pte_t *)(near->base + off), heap_tag_near(near, off), at);
	return true;
}

/* One level down, if a table leads there. */
static always_inline bool walk_down(struct walk *w, const struct heap_main *near, va_t at)
{
	if (likely(walk_down_near(w, near, at))) {
		return true;
	}
	if (!pte_is_table(w->entry, w->level)) {
		return false;
	}
	walk_into(w, heap_ptr_slow(pte_pa(w->entry)), nullptr, at);
	return true;
}

static always_inline struct walk walk_root(const struct pmap *pmap, va_t at)
{
	pte_t *slot = &pmap->root[level_index(at, 0)];

	return (struct walk){ .slot = slot, .entry = arch_pte_load(slot) };
}

/* From the root to where no table leads on. Inlined and unrolled: each change begins with it. */
static always_inline struct walk pmap_walk(const struct pmap *pmap, va_t at)
{
	const struct heap_main near = heap_main; /* read once */
	struct walk w = walk_root(pmap, at);

	(void)(walk_down(&w, &near, at) && walk_down(&w, &near, at) && walk_down(&w, &near, at));
	return w;
}

/* vm/pmap_table.c */
uint64_t pmap_attr(const struct pmap *pmap, unsigned flags);

/* A fresh table of `level`, empty, with its notes, charged; nullptr without memory. */
pte_t *table_alloc(struct pmap *pmap, unsigned level);
/* Give back a table that was never linked, or that no walk can reach any more. */
void table_free(struct pmap *pmap, pte_t *table);

/*
 * Note that an entry changed; that all 16 of a uniform run did, alike; that several did, in one
 * table or more.
 */
void table_account(pte_t *slot, pte_t was, pte_t now);
/* was, now: the first and the last entry of the run */
void table_account_run(const pte_t *first, const pte_t was[2], const pte_t now[2]);
/*
 * Take what a stretch of a level-3 table contributes to the notes off them, before it changes, and
 * add it afterwards. `ends`: its pairs do not change, but for those that its two ends make with
 * what lies beside it. Leaves that stay leaves need not be counted again.
 */
enum account_pairs { ACCOUNT_ENDS, ACCOUNT_ALL };
void table_account_pairs(const pte_t *slot, unsigned count, enum account_pairs which, int sign);
/* The notes of a stretch of a level-3 table whose leaves and runs are about to go. */
void table_account_removal(const pte_t *slot, unsigned count);
/* The notes of a full, uniform table of runs. */
void table_account_uniform(pte_t *table);

/*
 * The slot of `level` for an address, whatever it holds, making tables above it. nullptr: no
 * memory, or a leaf above.
 */
pte_t *table_reach(struct pmap *pmap, va_t va, unsigned level);

/* vm/pmap_entry.c */
/* Invalid to valid, or valid to invalid. Removing: the caller invalidates before it unlocks. */
void pmap_write_entry(pte_t *slot, pte_t e);
/*
 * Fill an unreachable table with what `block`, of the level above it, maps: in runs, but for the
 * group `loose`.
 */
void pmap_fill_table(pte_t *table, pte_t block, unsigned level, unsigned loose);
/* Empty an unreachable table; its notes are the caller's. */
void pmap_clear_table(pte_t *table);
/* Take Contiguous off a group of an unreachable table. */
keeps_registers void pmap_loosen_group(pte_t *table, struct table_notes *notes, unsigned group);
/*
 * Valid to valid with nothing but permissions and software bits changed; the caller invalidates.
 * Pages: `count` neighbours of one level-3 table, all of them mapped, none in a run.
 */
void pmap_protect_entry(const struct walk *w, pte_t e);
void pmap_protect_pages(pte_t *slot, unsigned count, uint64_t attr);
/* `count` neighbours of one level-3 table to invalid; runs go whole. The caller invalidates. */
void pmap_remove_pages(pte_t *slot, unsigned count);

/* vm/pmap_range.c */
/* Is nothing, or every page, of the range mapped? */
bool pmap_range_is_empty(struct pmap *pmap, va_t start, uint64_t size);
bool pmap_range_is_full(struct pmap *pmap, va_t start, uint64_t size);
/* All leaves of a range that was split at its ends: out, or with other permissions; invalidates. */
void pmap_remove_leaves(struct pmap *pmap, va_t start, uint64_t size);
enum kerr pmap_protect_leaves(struct pmap *pmap, va_t start, uint64_t size, uint64_t attr);

/* May [at, at + size) be asked for? KERR_INVALID: alignment; KERR_RANGE: not this map's. */
static always_inline enum kerr pmap_check_range(const struct pmap *pmap, va_t at, uint64_t size)
{
	if (size == 0 || !is_aligned(at.v | size, PAGE_BYTES)) {
		return KERR_INVALID;
	}
	/* The half that the map is for, without wrapping. */
	if (likely(!pmap->user)) {
		return likely(at.v >= LINEAR_BASE && size <= UINT64_MAX - at.v) ? KERR_OK
										: KERR_RANGE;
	}
	return size <= USER_END && at.v <= USER_END - size && at.v >= USER_BASE ? KERR_OK
										: KERR_RANGE;
}

/* R1: a pinned mapping never changes, not even its permissions. */
enum kerr pmap_check_pinned(va_t at, uint64_t size);

/* What every change of something mapped begins with. */
static always_inline enum kerr pmap_check_change(const struct pmap *pmap, va_t at, uint64_t size)
{
	const enum kerr e = pmap_check_range(pmap, at, size);

	return e != KERR_OK || likely(pin_never_at(at, size)) ? e : pmap_check_pinned(at, size);
}

/* What a change under the lock begins with. */
static always_inline enum kerr pmap_alive(const struct pmap *pmap)
{
	return unlikely(pmap_is_retired(pmap)) ? KERR_DEAD : KERR_OK;
}

/* vm/pmap_size.c: all under the lock. */
struct reserve {
	struct pmap *pmap;
	pte_t *table[8];
	unsigned count;
};
/*
 * Tables that taking the leaf of a walk apart down to `bytes` would need; adds to the reserve.
 * False: no memory.
 */
bool reserve_for_split(struct reserve *r, const struct walk *w, uint64_t bytes);
void reserve_drop(struct reserve *r);
/*
 * Make va the boundary of a leaf, unless no leaf is there. *w, the walk of va, moves down with it.
 */
enum kerr pmap_split(struct pmap *pmap, struct reserve *r, struct walk *w, va_t va);
/*
 * Take the leaf at a walk's end apart until it is no larger than `bytes`, reserved for at once;
 * *w, the walk of `at`, moves down with it.
 */
enum kerr pmap_reduce_leaf(struct pmap *pmap, struct walk *w, va_t at, uint64_t bytes);
/* The block at slot changed: its saved table maps something else now (PM3). */
void pmap_mark_stale(pte_t *slot);
/* All 16 entries of the run under `at`: set and clear bits, in one window. */
enum kerr pmap_change_run(struct pmap *pmap, struct walk w, va_t at, uint64_t set, uint64_t clear);
/*
 * A page, at a walk's end: its table into a block, or its group into a run. Returns the bytes that
 * were tried.
 */
uint64_t pmap_promote_page(struct pmap *pmap, const struct walk *w, va_t at);
/* Promote whatever is uniform, 64 KiB runs, blocks, 32 MiB runs. */
enum kerr pmap_promote_range(struct pmap *pmap, va_t va, uint64_t size);
