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
#include "vm/pmap.h"

#define PT_GROUPS (PT_ENTRIES / CONT_ENTRIES)

/* Notes on a table, in its page's heap tag. [pmap->lock] */
struct table_notes {
	uint16_t valid;  /* valid leaves */
	uint16_t breaks; /* i in 1..511 with !pte_follows(e[i-1], e[i]) */
	uint8_t level;   /* 0-3 */
	uint8_t group_valid[PT_GROUPS];
	uint8_t group_breaks[PT_GROUPS]; /* pairs inside a group of 16 */
	uint32_t contiguous;             /* groups that carry the Contiguous bit */
	uint64_t *saved; /* level 2 only: per entry, the saved level-3 table | SAVED_STALE */
};
static_assert(sizeof(struct table_notes) <= HEAP_TAG_BYTES, "notes fit the tag");

#define SAVED_STALE UINT64_C(1)

/* Where a walk ended. */
struct walk {
	unsigned level; /* of the entry found: a leaf, or invalid */
	pte_t *slot;
	pte_t *up; /* the slot of the level above that leads here */
	pte_t entry;
};

static inline pte_t *table_of(const pte_t *slot)
{
	return (pte_t *)align_down((uint64_t)(uintptr_t)slot, PAGE_BYTES);
}

static inline unsigned slot_index(const pte_t *slot)
{
	return (unsigned)((uint64_t)(uintptr_t)slot % PAGE_BYTES / sizeof(pte_t));
}

static inline struct table_notes *notes_of(pte_t *table)
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

/* The first slot of the group of 16 that a slot belongs to. */
static inline pte_t *group_first(pte_t *slot)
{
	return table_of(slot) + align_down(slot_index(slot), CONT_ENTRIES);
}

/* Whose windows and invalidations: nullptr for the kernel's map. */
static inline struct park_space *space_of(struct pmap *pmap)
{
	return pmap->user ? &pmap->space : nullptr;
}

/* One level down, if a table leads there. */
static always_inline bool walk_down(struct walk *w, va_t at)
{
	if (!pte_is_table(w->entry, w->level)) {
		return false;
	}
	w->level++;
	w->up = w->slot;
	w->slot = table_under(w->entry) + level_index(at, w->level);
	w->entry = arch_pte_load(w->slot);
	return true;
}

/* From the root to where no table leads on. Inlined and unrolled: each change begins with it. */
static always_inline struct walk pmap_walk(const struct pmap *pmap, va_t at)
{
	struct walk w = { .slot = &pmap->root[level_index(at, 0)] };

	w.entry = arch_pte_load(w.slot);
	(void)(walk_down(&w, at) && walk_down(&w, at) && walk_down(&w, at));
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
void table_account(const pte_t *slot, pte_t was, pte_t now);
/* was, now: the first and the last entry of the run */
void table_account_run(const pte_t *first, const pte_t was[2], const pte_t now[2]);
void table_account_batch(const struct pmap_change *change, unsigned count);
/* The notes of a full, uniform table with Contiguous on the groups of a mask. */
void table_account_uniform(pte_t *table, uint32_t contiguous);

/*
 * The slot of `level` for an address, whatever it holds, making tables above it. nullptr: no
 * memory, or a leaf above.
 */
pte_t *table_reach(struct pmap *pmap, va_t va, unsigned level);

/* vm/pmap_entry.c */
/* Invalid to valid, or valid to invalid. Removing: the caller invalidates before it unlocks. */
void pmap_write_entry(pte_t *slot, pte_t e);
/* Fill an unreachable table as the continuation of `leaf`, a block of the level above it. */
void pmap_fill_table(pte_t *table, pte_t block, unsigned level, uint32_t contiguous);
/* Empty an unreachable table; its notes are the caller's. */
void pmap_clear_table(pte_t *table);
/* Take Contiguous off a group of an unreachable table. */
void pmap_loosen_group(pte_t *table, unsigned group);
/* Valid to valid with nothing but permissions and software bits changed; the caller invalidates. */
void pmap_protect_entry(pte_t *slot, pte_t e);

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
/* Take the leaf under va apart by one step; *w moves down with it. */
enum kerr pmap_demote_leaf(struct pmap *pmap, struct reserve *r, struct walk *w, va_t va);
/* The block at slot changed: its saved table maps something else now (PM3). */
void pmap_mark_stale(pte_t *slot);
/* All 16 entries of the run under `at`: set and clear bits, in one window. */
enum kerr pmap_change_run(struct pmap *pmap, struct walk w, va_t at, uint64_t set, uint64_t clear);
/* Promote whatever is uniform, 64 KiB runs, blocks, 32 MiB runs. */
enum kerr pmap_promote_range(struct pmap *pmap, va_t va, uint64_t size);
