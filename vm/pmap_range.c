/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_range.c - what the leaves of a range are, and changes of all of them, table by table.
 *
 * THEORY   A range is gone through in stretches: slots of one table that lie in it. Pages are
 *          taken as many at a time as their table holds, so a page costs its store and not a walk
 *          and an entry in the notes; anything larger is taken alone. What a stretch holds is
 *          known from the table's notes when it is the whole table.
 * LOCKING  pmap->lock.
 * FAILURE  pmap_protect_leaves() stops at the first run that cannot be changed.
 * NOT HERE Splitting at the ends of a range, which has been done: vm/pmap.c.
 */
#include <arch/barrier.h>

#include "ipi/inval.h"
#include "pcpu/pcpu.h"
#include "vm/pmap_impl.h"

/* Slots [slot, slot + count) of one table. More than one only at level 3. */
struct stretch {
	struct walk walk; /* of the first */
	unsigned count;
	uint64_t end; /* the address behind the last */
};

/* From `at` to the end of its table or to `end`, which is after it. */
static always_inline struct stretch stretch_at(struct pmap *pmap, uint64_t at, uint64_t end)
{
	struct stretch s = { .walk = pmap_walk(pmap, va(at)), .count = 1 };
	const uint64_t bytes = level_bytes(s.walk.level);

	if (s.walk.level == PT_LEVELS - 1) {
		const uint64_t in_table = PT_ENTRIES - slot_index(s.walk.slot);
		const uint64_t in_range = (end - at) / bytes;

		s.count = (unsigned)(in_range < in_table ? in_range : in_table);
	}
	s.end = align_down(at, bytes) + s.count * bytes;
	return s;
}

/* How many slots of a stretch hold leaves. */
static unsigned count_leaves(const struct stretch *s)
{
	unsigned leaves = 0;

	if (s->count == PT_ENTRIES) {
		return notes_of(table_of(s->walk.slot))->valid;
	}
	for (unsigned i = 0; i < s->count; i++) {
		leaves += pte_is_leaf(arch_pte_load(s->walk.slot + i), s->walk.level) ? 1 : 0;
	}
	return leaves;
}

bool pmap_range_is_empty(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;

	for (uint64_t at = start.v; at - start.v < size;) {
		const struct stretch s = stretch_at(pmap, at, end);

		if (count_leaves(&s) != 0) {
			return false;
		}
		at = s.end;
	}
	return true;
}

bool pmap_range_is_full(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;

	for (uint64_t at = start.v; at - start.v < size;) {
		const struct stretch s = stretch_at(pmap, at, end);

		if (count_leaves(&s) != s.count) {
			return false;
		}
		at = s.end;
	}
	return true;
}

void pmap_remove_leaves(struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t end = start.v + size;
	uint64_t stride = size >= BLOCK_BYTES ? BLOCK_BYTES : PAGE_BYTES;

	for (uint64_t at = start.v; at - start.v < size;) {
		const struct stretch s = stretch_at(pmap, at, end);

		if (s.walk.level == PT_LEVELS - 1) {
			pmap_remove_pages(s.walk.slot, s.count);
			stride = PAGE_BYTES;
		} else if (pte_is_valid(s.walk.entry)) {
			KASSERT(is_aligned(at, level_bytes(s.walk.level)));
			if (s.walk.level == 2) {
				pmap_mark_stale(s.walk.slot);
			}
			pmap_write_entry(s.walk.slot, (pte_t){ 0 });
		}
		at = s.end;
	}
	inval_range_now(space_of(pmap), start, size, stride);
}

/*
 * A page, a block, or a run of either, which changes as a whole; what is not mapped is passed over.
 * *end: the address behind it.
 */
static enum kerr protect_leaf(struct pmap *pmap, const struct walk *w, uint64_t at, uint64_t attr,
			      uint64_t *end)
{
	const bool run = (w->entry.v & PTE_CONT) != 0;
	pte_t *first = run ? group_first(w->slot) : w->slot;
	const uint64_t span = leaf_span(w->entry, w->level);

	*end = align_down(at, span) + span;
	if (!pte_is_valid(w->entry) || (w->entry.v & PTE_PROTECT_MASK) == attr) {
		return KERR_OK;
	}
	if (w->level == 2) {
		for (unsigned i = 0; i < (run ? CONT_ENTRIES : 1); i++) {
			pmap_mark_stale(first + i);
		}
	}
	if (run) {
		return pmap_update_run(pmap, first, va(align_down(at, span)), w->level, attr,
				       PTE_PROTECT_MASK);
	}
	pmap_protect_entry(w, (pte_t){ (w->entry.v & ~PTE_PROTECT_MASK) | attr });
	return KERR_OK;
}

/* Shorten a stretch of pages to those in front of the first run; 0 if it begins with one. */
static unsigned pages_before_run(const struct stretch *s)
{
	const struct table_notes *notes = notes_of(table_of(s->walk.slot));
	const unsigned first = slot_index(s->walk.slot);
	const uint32_t runs = notes->contiguous >> first / CONT_ENTRIES << first / CONT_ENTRIES;

	if (runs == 0) {
		return s->count;
	}
	const unsigned run = (unsigned)__builtin_ctz(runs) * CONT_ENTRIES;
	const unsigned before = run > first ? run - first : 0;

	return before < s->count ? before : s->count;
}

enum kerr pmap_protect_leaves(struct pmap *pmap, va_t start, uint64_t size, uint64_t attr)
{
	const uint64_t end = start.v + size;
	uint64_t stride = BLOCK_BYTES;
	enum kerr e = KERR_OK;

	for (uint64_t at = start.v; e == KERR_OK && at - start.v < size;) {
		const struct stretch s = stretch_at(pmap, at, end);
		const bool pages = s.walk.level == PT_LEVELS - 1;
		const bool full = pages && s.count > 1 && count_leaves(&s) == s.count;
		const unsigned single = full ? pages_before_run(&s) : 0;

		stride = pages ? PAGE_BYTES : stride;
		if (single > 1) {
			pmap_protect_pages(s.walk.slot, single, attr);
			at += single * PAGE_BYTES;
		} else {
			e = protect_leaf(pmap, &s.walk, at, attr, &at);
		}
	}
	inval_range_now(space_of(pmap), start, size, stride);
	return e;
}
