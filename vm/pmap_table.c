/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_table.c - tables, their notes, and walks. See vm/pmap.h, PM2.
 */
#include <arch/barrier.h>
#include <arch/feature.h>
#include <string.h>

#include "vm/pmap_update.h"

struct pmap kernel_pmap = { .lock = SPINLOCK("pmap", LOCK_PMAP),
			    .windows = &pmap_windows[BBM_PARK][KERNEL_HALF] };
struct pmap lifeboat_pmap = { .lock = SPINLOCK("lifeboat", LOCK_PMAP),
			      .windows = &pmap_windows[BBM_PARK][KERNEL_HALF] };

static struct table_notes *notes_init(pte_t *table, unsigned level)
{
	struct table_notes *notes = notes_of(table);

	*notes = (struct table_notes){ .level = (uint8_t)level, .breaks = PT_ENTRIES - 1 };
	__builtin_memset(notes->group_breaks, CONT_ENTRIES - 1, sizeof(notes->group_breaks));
	return notes;
}

pa_t pmap_init(const pte_t *boot_root)
{
	pte_t *root = heap_alloc(2, 2, HEAP_ANY_NODE); /* LIFEBOAT_ROOT_BIT */

	KASSERT(root != nullptr);
	notes_init(root, 0);
	notes_init(root + PT_ENTRIES, 0);
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (pte_is_valid(boot_root[i])) {
			pmap_write_entry(&root[i], boot_root[i]);
		}
	}
	dsb_ishst();
	kernel_pmap.root = root;
	lifeboat_pmap.root = root + PT_ENTRIES;
	return heap_pa(root);
}

/* UM3: each half's leaves are closed to the other. */
static uint64_t attr_of_half(bool user, bool exec)
{
	return user ? PTE_NG | PTE_AP_EL0 | PTE_PXN | (exec ? 0 : PTE_UXN)
		    : PTE_UXN | (exec ? 0 : PTE_PXN);
}

uint64_t pmap_attr(const struct pmap *pmap, unsigned flags)
{
	const bool by_hardware = pmap->user && cpu_features.hafdbs; /* TCR_EL1.HA */
	uint64_t attr = PTE_SH_INNER | attr_of_half(pmap->user, (flags & PMAP_EXEC) != 0);

	attr |= by_hardware ? 0 : PTE_AF;

	if ((flags & PMAP_WRITE) == 0) {
		attr |= PTE_AP_RO;
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

static void *page_alloc(struct pmap *pmap)
{
	if (!memcharge_take(pmap->charge, PAGE_BYTES)) {
		return nullptr;
	}
	void *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	if (page == nullptr) {
		memcharge_give(pmap->charge, PAGE_BYTES);
		return nullptr;
	}
	pmap->table_pages++;
	return page;
}

static void page_free(struct pmap *pmap, void *page)
{
	heap_free(page, 1);
	memcharge_give(pmap->charge, PAGE_BYTES);
	pmap->table_pages--;
}

pte_t *table_alloc(struct pmap *pmap, unsigned level)
{
	pte_t *table = page_alloc(pmap);

	if (table == nullptr) {
		return nullptr;
	}
	struct table_notes *notes = notes_init(table, level);

	if (level == 2) {
		notes->saved = page_alloc(pmap);
		if (notes->saved == nullptr) {
			page_free(pmap, table);
			return nullptr;
		}
	}
	return table;
}

void table_free(struct pmap *pmap, pte_t *table)
{
	struct table_notes *notes = notes_of(table);

	if (notes->saved != nullptr) {
		page_free(pmap, notes->saved);
	}
	page_free(pmap, table);
}

void table_account(pte_t *slot, pte_t was, pte_t now)
{
	struct table_notes *notes = notes_of(table_of(slot));
	const struct neighbours by = neighbours_of(slot);
	struct pmap_change change = { .slot = slot, .level = 3, .expected = was, .fresh = now };

	if (likely(notes->level == 3)) { /* as a constant, which makes it short */
		account_change(notes, &change, by);
		return;
	}
	change.level = notes->level;
	account_change(notes, &change, by);
}

/* A run is uniform before and after: only the pairs at its ends can change. */
void table_account_run(const pte_t *first, const pte_t was[2], const pte_t now[2])
{
	const unsigned base = slot_index(first);
	struct table_notes *notes = notes_of(table_of(first));
	const unsigned level = notes->level;
	const uint32_t bit = UINT32_C(1) << base / CONT_ENTRIES;
	const pte_t left = neighbours_of(first).left;
	const pte_t right = neighbours_of(first + CONT_ENTRIES - 1).right;

	notes->contiguous = (now[0].v & PTE_CONT) != 0 ? notes->contiguous | bit
						       : notes->contiguous & ~bit;
	count_pair(notes, base,
		   pte_follows(left, was[0], level) - pte_follows(left, now[0], level));
	count_pair(notes, base + CONT_ENTRIES,
		   pte_follows(was[1], right, level) - pte_follows(now[1], right, level));
}

/* The pair (right - 1, right) of a table, if it is no break. */
static void account_pair(struct table_notes *notes, const pte_t *table, unsigned right, int sign)
{
	if (right > 0 && right < PT_ENTRIES &&
	    pte_follows(arch_pte_load(&table[right - 1]), arch_pte_load(&table[right]),
			PT_LEVELS - 1)) {
		count_pair(notes, right, -sign);
	}
}

void table_account_pairs(const pte_t *slot, unsigned count, enum account_pairs which, int sign)
{
	struct table_notes *notes = notes_of(table_of(slot));
	const pte_t *table = table_of(slot);
	const unsigned first = slot_index(slot);

	account_pair(notes, table, first, sign);
	if (which == ACCOUNT_ALL) {
		for (unsigned right = first + 1; right < first + count; right++) {
			account_pair(notes, table, right, sign);
		}
	}
	account_pair(notes, table, first + count, sign);
}

/* A whole group goes: what it contributes is known, but for the pairs with what lies beside it. */
static void account_group_removal(struct table_notes *notes, unsigned group)
{
	const unsigned breaks = CONT_ENTRIES - 1;

	notes->valid = (uint16_t)(notes->valid - notes->group_valid[group]);
	notes->group_valid[group] = 0;
	notes->breaks = (uint16_t)(notes->breaks + breaks - notes->group_breaks[group]);
	notes->group_breaks[group] = (uint8_t)breaks;
}

/* Slots [first, end) of one group. */
static void account_slots_removal(struct table_notes *notes, const pte_t *table, unsigned first,
				  unsigned end)
{
	for (unsigned i = first; i < end; i++) {
		if (i > first) {
			account_pair(notes, table, i, -1);
		}
		if (pte_is_valid(arch_pte_load(&table[i]))) {
			notes->valid--;
			notes->group_valid[i / CONT_ENTRIES]--;
		}
	}
}

void table_account_removal(const pte_t *slot, unsigned count)
{
	const pte_t *table = table_of(slot);
	struct table_notes *notes = notes_of(table);
	const unsigned end = slot_index(slot) + count;
	unsigned next;

	KASSERT(notes->level == PT_LEVELS - 1);
	if (count == PT_ENTRIES) {
		notes_init(table_of(slot), PT_LEVELS - 1);
		return;
	}
	for (unsigned i = slot_index(slot); i < end; i = next) {
		const unsigned group = i / CONT_ENTRIES;
		const unsigned group_end = (group + 1) * CONT_ENTRIES;

		next = end < group_end ? end : group_end;
		account_pair(notes, table, i, -1);
		if (next - i == CONT_ENTRIES) {
			account_group_removal(notes, group);
		} else {
			account_slots_removal(notes, table, i, next);
		}
	}
	account_pair(notes, table, end, -1);
	notes->contiguous &= ~table_groups(slot, count);
}

void table_account_uniform(pte_t *table)
{
	struct table_notes *notes = notes_of(table);

	notes->valid = PT_ENTRIES;
	notes->breaks = 0;
	notes->contiguous = UINT32_MAX;
	__builtin_memset(notes->group_valid, CONT_ENTRIES, sizeof(notes->group_valid));
	__builtin_memset(notes->group_breaks, 0, sizeof(notes->group_breaks));
}

/* An empty table for a slot of level 2: the saved one, emptied, or a new one. */
static pte_t *table_for_slot(struct pmap *pmap, pte_t *slot, unsigned level)
{
	struct table_notes *parent = notes_of(table_of(slot));

	if (level != 2 || parent->saved[slot_index(slot)] == 0) {
		return table_alloc(pmap, level + 1);
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
		table = table_for_slot(pmap, slot, l);
		if (table == nullptr) {
			return nullptr;
		}
		dsb_ishst(); /* a walker that sees the link sees an empty table */
		pmap_write_entry(slot, pte_table(heap_pa(table)));
	}
}
