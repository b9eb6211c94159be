/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_table.c - tables, their notes, and walks. See vm/pmap.h, PM2.
 */
#include <arch/barrier.h>
#include <string.h>

#include "vm/pmap_impl.h"

struct pmap kernel_pmap = { .lock = SPINLOCK("pmap", LOCK_PMAP) };

pa_t pmap_init(const pte_t *boot_root)
{
	pte_t *root = table_alloc(0);

	KASSERT(root != nullptr);
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (pte_is_valid(boot_root[i])) {
			pmap_write_entry(&root[i], boot_root[i]);
		}
	}
	dsb_ishst();
	kernel_pmap.root = root;
	return heap_pa(root);
}

uint64_t pmap_attr(unsigned flags)
{
	uint64_t attr = PTE_AF | PTE_SH_INNER | PTE_UXN;

	if ((flags & PMAP_WRITE) == 0) {
		attr |= PTE_AP_RO;
	}
	if ((flags & PMAP_EXEC) == 0) {
		attr |= PTE_PXN;
	}
	if ((flags & PMAP_DEVICE) != 0) {
		attr |= (uint64_t)MAIR_DEVICE << PTE_ATTR_SHIFT;
	} else if ((flags & PMAP_NOCACHE) != 0) {
		attr |= (uint64_t)MAIR_NOCACHE << PTE_ATTR_SHIFT;
	}
	if ((flags & PMAP_SW1) != 0) {
		attr |= UINT64_C(1) << 55;
	}
	return attr;
}

struct walk pmap_walk(const struct pmap *pmap, va_t at)
{
	pte_t *up = nullptr;
	pte_t *slot = &pmap->root[level_index(at, 0)];
	pte_t e = arch_pte_load(slot);
	unsigned level = 0;

	while (pte_is_table(e, level)) {
		level++;
		up = slot;
		slot = (pte_t *)table_under(e) + level_index(at, level);
		e = arch_pte_load(slot);
	}
	return (struct walk){ .level = level, .slot = slot, .up = up, .entry = e };
}

static struct table_notes *notes_init(pte_t *table, unsigned level)
{
	struct table_notes *notes = notes_of(table);

	*notes = (struct table_notes){ .level = (uint8_t)level, .breaks = PT_ENTRIES - 1 };
	memset(notes->group_breaks, CONT_ENTRIES - 1, sizeof(notes->group_breaks));
	return notes;
}

pte_t *table_alloc(unsigned level)
{
	pte_t *table = heap_alloc(1, 1, HEAP_ANY_NODE);

	if (table == nullptr) {
		return nullptr;
	}
	struct table_notes *notes = notes_init(table, level);

	if (level == 2) {
		notes->saved = heap_alloc(1, 1, HEAP_ANY_NODE);
		if (notes->saved == nullptr) {
			heap_free(table, 1);
			return nullptr;
		}
	}
	return table;
}

void table_free(pte_t *table)
{
	struct table_notes *notes = notes_of(table);

	if (notes->saved != nullptr) {
		heap_free(notes->saved, 1);
	}
	heap_free(table, 1);
}

/* Move one pair's state: it was a break or not, it is one or not now. */
static void account_pair(struct table_notes *notes, unsigned right, bool was_break, bool is_break)
{
	const int change = (is_break ? 1 : 0) - (was_break ? 1 : 0);

	notes->breaks = (uint16_t)(notes->breaks + change);
	if (right % CONT_ENTRIES != 0) {
		notes->group_breaks[right / CONT_ENTRIES] =
			(uint8_t)(notes->group_breaks[right / CONT_ENTRIES] + change);
	}
}

static void account_entry(struct table_notes *notes, unsigned i, pte_t was, pte_t now)
{
	const unsigned group = i / CONT_ENTRIES;
	const int valid =
		(pte_is_leaf(now, notes->level) ? 1 : 0) - (pte_is_leaf(was, notes->level) ? 1 : 0);

	notes->valid = (uint16_t)(notes->valid + valid);
	notes->group_valid[group] = (uint8_t)(notes->group_valid[group] + valid);
	if ((now.v & PTE_CONT) != 0) {
		notes->contiguous |= UINT32_C(1) << group;
	} else {
		notes->contiguous &= ~(UINT32_C(1) << group);
	}
}

static void account(const pte_t *slot, pte_t was, pte_t now, pte_t left, pte_t right)
{
	const unsigned i = slot_index(slot);
	struct table_notes *notes = notes_of(table_of(slot));
	const unsigned level = notes->level;

	account_entry(notes, i, was, now);
	if (i > 0) {
		account_pair(notes, i, !pte_follows(left, was, level),
			     !pte_follows(left, now, level));
	}
	if (i + 1 < PT_ENTRIES) {
		account_pair(notes, i + 1, !pte_follows(was, right, level),
			     !pte_follows(now, right, level));
	}
}

static pte_t neighbour(const pte_t *slot, int step)
{
	const int i = (int)slot_index(slot) + step;

	return i >= 0 && i < PT_ENTRIES ? arch_pte_load(slot + step) : (pte_t){ 0 };
}

void table_account(const pte_t *slot, pte_t was, pte_t now)
{
	account(slot, was, now, neighbour(slot, -1), neighbour(slot, 1));
}

/* A run is uniform before and after: only the pairs at its ends can change. */
void table_account_run(const pte_t *first, const pte_t *was, const pte_t *now)
{
	const unsigned base = slot_index(first);
	struct table_notes *notes = notes_of(table_of(first));
	const unsigned level = notes->level;
	const unsigned last = CONT_ENTRIES - 1;

	account_entry(notes, base, was[0], now[0]);
	if (base > 0) {
		const pte_t left = arch_pte_load(first - 1);

		account_pair(notes, base, !pte_follows(left, was[0], level),
			     !pte_follows(left, now[0], level));
	}
	if (base + CONT_ENTRIES < PT_ENTRIES) {
		const pte_t right = arch_pte_load(first + CONT_ENTRIES);

		account_pair(notes, base + CONT_ENTRIES, !pte_follows(was[last], right, level),
			     !pte_follows(now[last], right, level));
	}
}

void table_account_batch(pte_t *const *slot, const pte_t *was, const pte_t *now, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pte_t left = neighbour(slot[i], -1);
		pte_t right = neighbour(slot[i], 1);

		for (unsigned later = i + 1; later < count; later++) {
			left = slot[later] == slot[i] - 1 ? was[later] : left;
			right = slot[later] == slot[i] + 1 ? was[later] : right;
		}
		account(slot[i], was[i], now[i], left, right);
	}
}

void table_account_uniform(pte_t *table, uint32_t contiguous)
{
	struct table_notes *notes = notes_of(table);

	notes->valid = PT_ENTRIES;
	notes->breaks = 0;
	memset(notes->group_valid, CONT_ENTRIES, sizeof(notes->group_valid));
	memset(notes->group_breaks, 0, sizeof(notes->group_breaks));
	notes->contiguous = contiguous;
}

/* An empty table for a slot of level 2: the saved one, emptied, or a new one. */
static pte_t *table_for_slot(pte_t *slot, unsigned level)
{
	struct table_notes *parent = notes_of(table_of(slot));

	if (level != 2 || parent->saved[slot_index(slot)] == 0) {
		return table_alloc(level + 1);
	}
	pte_t *table = (pte_t *)(uintptr_t)(parent->saved[slot_index(slot)] & ~SAVED_STALE);
	parent->saved[slot_index(slot)] = 0;
	pmap_clear_table(table);
	notes_init(table, 3);
	return table;
}

pte_t *table_reach(struct pmap *pmap, va_t at, unsigned level)
{
	pte_t *table = pmap->root;

	for (unsigned l = 0;; l++) {
		pte_t *slot = &table[level_index(at, l)];
		const pte_t e = arch_pte_load(slot);

		if (l == level) {
			return slot;
		}
		if (pte_is_table(e, l)) {
			table = table_under(e);
			continue;
		}
		if (pte_is_valid(e)) {
			return nullptr;
		}
		table = table_for_slot(slot, l);
		if (table == nullptr) {
			return nullptr;
		}
		dsb_ishst(); /* a walker that sees the link sees an empty table */
		pmap_write_entry(slot, pte_table(heap_pa(table)));
	}
}
