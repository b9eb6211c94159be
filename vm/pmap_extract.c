/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_extract.c - look-ups that take no lock (R7), and the audit of the tables.
 *
 * THEORY   A table page of the kernel's map is a table for ever (PM4), so a walk without a lock
 *          always reads entries, if perhaps of a table that was unlinked under it. A window may
 *          have opened and closed during the walk: the generation tells, and the walk is repeated.
 *          While a window is open nobody is here in mode park; in mode retry the walk waits.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>

#include "ipi/park.h"
#include "pcpu/pcpu.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_impl.h"

static struct walk stable_walk(va_t at)
{
	for (;;) {
		/* The window is published before the generation: an open one is not missed. */
		const uint64_t before = park_generation();
		const uint64_t open = park_window();
		const struct walk w = pmap_walk(&kernel_pmap, at);

		dmb_ish(); /* the entries are read before the generation is read again */
		if (park_generation() == before && (open == 0 || pte_is_valid(w.entry))) {
			return w;
		}
		count(CTR_extract_retries);
		if (park_window() != 0) {
			cpu_wfe(); /* pairs with the SEV of its close */
		}
	}
}

bool pmap_extract(va_t at, pa_t *out)
{
	const struct walk w = stable_walk(at);

	if (!pte_is_leaf(w.entry, w.level)) {
		return false;
	}
	*out = pa(pte_pa(w.entry).v + at.v % level_bytes(w.level));
	return true;
}

bool pmap_query(va_t at, pte_t *entry, uint64_t *bytes)
{
	const struct walk w = stable_walk(at);

	if (!pte_is_leaf(w.entry, w.level)) {
		return false;
	}
	*entry = w.entry;
	*bytes = leaf_span(w.entry, w.level);
	return true;
}

/* PM2: the notes of a table against a scan. */
static bool notes_are_true(const pte_t *table, struct table_notes *notes)
{
	unsigned valid = 0;
	unsigned breaks = 0;

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		valid += pte_is_leaf(table[i], notes->level) ? 1 : 0;
		if (i > 0 && !pte_follows(table[i - 1], table[i], notes->level)) {
			breaks++;
		}
	}
	return valid == notes->valid && breaks == notes->breaks;
}

/* A group that has Contiguous set on all 16: is it aligned, and uniform? */
static bool run_is_whole(const pte_t *first, unsigned level)
{
	for (unsigned i = 1; i < CONT_ENTRIES; i++) {
		if (!pte_follows(first[i - 1], first[i], level)) {
			return false;
		}
	}
	return is_aligned(pte_pa(first[0]).v, level_bytes(level) * CONT_ENTRIES);
}

/* Contiguous is set on all 16 of a group or on none, and only where the group is uniform. */
static bool runs_are_whole(const pte_t *table, unsigned level)
{
	for (const pte_t *first = table; first < table + PT_ENTRIES; first += CONT_ENTRIES) {
		uint64_t some = 0;
		uint64_t all = UINT64_MAX;

		for (unsigned i = 0; i < CONT_ENTRIES; i++) {
			some |= first[i].v;
			all &= first[i].v;
		}
		if ((some & PTE_CONT) != 0 &&
		    ((all & PTE_CONT) == 0 || !run_is_whole(first, level))) {
			return false;
		}
	}
	return true;
}

/* UM3: what the kernel's leaves must not have, EL0's must, and the other way round. */
static bool leaf_is_of_half(pte_t e, bool user)
{
	const uint64_t mask = PTE_AP_EL0 | PTE_NG;

	return user ? (e.v & (mask | PTE_PXN)) == (mask | PTE_PXN)
		    : (e.v & (mask | PTE_UXN)) == PTE_UXN;
}

static void audit_leaf(pte_t e, unsigned level, va_t at, struct pmap_audit *a)
{
	if (!leaf_is_of_half(e, at.v < USER_END)) {
		a->open++;
		a->bad = at;
	}
	const bool writable = (e.v & PTE_AP_RO) == 0;
	const bool executable = (e.v & PTE_PXN) == 0 || (e.v & PTE_UXN) == 0;

	if (writable && executable) {
		a->wx++;
		a->bad = at;
	}
	a->leaf_bytes[level][(e.v & PTE_CONT) != 0 ? 1 : 0] += level_bytes(level);
}

static void audit_notes(pte_t *table, unsigned level, va_t base, struct pmap_audit *a)
{
	a->tables++;
	/* The image's own tables are start.S's: pinned, never changed, without notes. */
	if (heap_has_tag(table) && !notes_are_true(table, notes_of(table))) {
		a->bad_notes++;
		a->bad = base;
	}
	if (level >= 2 && !runs_are_whole(table, level)) {
		a->bad_runs++;
		a->bad = base;
	}
}

/* Depth-first without recursion: the stack depth of the kernel is a number. */
static void audit_tree(pte_t *root, va_t first, struct pmap_audit *a)
{
	pte_t *table[PT_LEVELS] = { root };
	unsigned next[PT_LEVELS] = { 0 };
	va_t base[PT_LEVELS] = { first };
	unsigned level = 0;

	audit_notes(root, 0, base[0], a);
	for (;;) {
		if (next[level] == PT_ENTRIES) {
			if (level-- == 0) {
				return;
			}
			continue;
		}
		const unsigned i = next[level]++;
		const pte_t e = table[level][i];

		if (!pte_is_valid(e)) {
			continue;
		}
		const va_t at = va(base[level].v + i * level_bytes(level));

		if (pte_is_table(e, level)) {
			level++;
			table[level] = table_under(e);
			next[level] = 0;
			base[level] = at;
			audit_notes(table[level], level, at, a);
		} else {
			audit_leaf(e, level, at, a);
		}
	}
}

bool pmap_audit(struct pmap *pmap, struct pmap_audit *a)
{
	struct cpubase *cpu = this_cpu();
	const uint64_t masked_max = cpu->masked_max;
	const uint64_t masked_max_pc = cpu->masked_max_pc;

	*a = (struct pmap_audit){ 0 };
	spin_lock(&pmap->lock);
	audit_tree(pmap->root, va(pmap->user ? 0 : LINEAR_BASE), a);
	spin_unlock(&pmap->lock);
	/* Every entry under the lock: for the boot and tests, and none of R8's stretches. */
	cpu->masked_max = masked_max;
	cpu->masked_max_pc = masked_max_pc;
	return a->wx == 0 && a->open == 0 && a->bad_notes == 0 && a->bad_runs == 0;
}
