/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/lifeboat.c - see vm/lifeboat.h.
 */
#include "vm/lifeboat.h"

#include <arch/barrier.h>
#include <compiler.h>

#include "pcpu/pin.h"
#include "vm/pmap_impl.h"

static struct lifeboat_stats stats;

/* What a call took from the heap. Boot, and growth under its caller's lock: nobody else counts. */
static void count_tables(const struct heap_stats *before)
{
	const struct heap_stats now = heap_stats();

	if (now.pages_free < before->pages_free) {
		stats.table_bytes += (before->pages_free - now.pages_free) * PAGE_BYTES;
	}
}

bool lifeboat_pin(va_t start, uint64_t size)
{
	const struct heap_stats before = heap_stats();
	bool ok = true;

	KASSERT(is_aligned(start.v | size, PAGE_BYTES));
	spin_lock(&lifeboat_pmap.lock);
	for (uint64_t at = start.v; ok && at - start.v < size;) {
		const struct walk live = pmap_walk(&kernel_pmap, va(at));

		KASSERT(pte_is_leaf(live.entry, live.level)); /* R1: what is pinned is mapped */
		pte_t *slot = table_reach(&lifeboat_pmap, va(at), live.level);

		ok = slot != nullptr;
		if (ok) {
			pmap_write_entry(slot, live.entry); /* LB3: the slot was empty */
		}
		at = align_down(at, level_bytes(live.level)) + level_bytes(live.level);
	}
	dsb_ishst();
	isb();
	spin_unlock(&lifeboat_pmap.lock);
	count_tables(&before);
	return ok;
}

bool lifeboat_ram(pa_t base, uint64_t size)
{
	const struct heap_stats before = heap_stats();
	const bool ok = base.v + size <= BOOTWIN_BASE - LIFEBOAT_BASE &&
			pmap_map(&lifeboat_pmap, va(LIFEBOAT_BASE + base.v), base, size,
				 PMAP_READ | PMAP_NO_PROMOTE) == KERR_OK;

	count_tables(&before);
	stats.ram_bytes += ok ? size : 0;
	return ok;
}

bool lifeboat_has_ram(pa_t base, uint64_t size)
{
	const uint64_t space = BOOTWIN_BASE - LIFEBOAT_BASE;

	if (base.v >= space || size > space - base.v) {
		return false;
	}
	for (uint64_t at = base.v; at - base.v < size;) {
		const struct walk w = pmap_walk(&lifeboat_pmap, va(LIFEBOAT_BASE + at));

		if (!pte_is_leaf(w.entry, w.level)) {
			return false;
		}
		at = align_down(at, level_bytes(w.level)) + level_bytes(w.level);
	}
	return true;
}

/* A table page where it is pinned; nullptr: it is elsewhere, so it is none of ours. */
static const pte_t *pinned_table(pa_t page)
{
	const struct pin *p = pin_overlaps_pa(page, PAGE_BYTES);

	if (p == nullptr || (p->va.v >= DEVICE_BASE && p->va.v < LIFEBOAT_BASE)) {
		return nullptr;
	}
	return (const pte_t *)(uintptr_t)(p->va.v + (page.v - p->pa.v));
}

/* The live walk down to level `want`, as far as tables are where tables can be. */
static pte_t live_walk(va_t at, unsigned want, unsigned *level)
{
	const pte_t *table = kernel_pmap.root;

	for (unsigned l = 0;; l++) {
		const pte_t e = arch_pte_load(&table[level_index(at, l)]);

		*level = l;
		table = pte_is_table(e, l) ? pinned_table(pte_pa(e)) : nullptr;
		if (l == want || table == nullptr) {
			return e;
		}
	}
}

/*
 * Compare one address; *bytes: how many the lifeboat's leaf maps. Hardware moves no bit of a pinned
 * leaf: AF is set from the start, dirty is software's.
 */
static bool compare(va_t at, const struct pin *p, uint64_t *bytes, struct lifeboat_difference *out)
{
	const struct walk boat = pmap_walk(&lifeboat_pmap, at);
	unsigned level;
	const pte_t live = live_walk(at, boat.level, &level);

	*bytes = level_bytes(boat.level);
	if (level == boat.level && live.v == boat.entry.v) {
		return true;
	}
	*out = (struct lifeboat_difference){ at, p->what, level, live, boat.entry };
	return false;
}

static bool compare_pin(const struct pin *p, struct lifeboat_difference *out)
{
	for (uint64_t at = p->va.v; at - p->va.v < p->size;) {
		uint64_t bytes;

		if (!compare(va(at), p, &bytes, out)) {
			return false;
		}
		at = align_down(at, bytes) + bytes;
	}
	return true;
}

bool lifeboat_compare_at(va_t at, struct lifeboat_difference *out)
{
	const struct pin *p = pin_overlaps_va(at, 1);
	uint64_t bytes;

	KASSERT(p != nullptr);
	return compare(at, p, &bytes, out);
}

bool lifeboat_compare(struct lifeboat_difference *out)
{
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		if (!compare_pin(pin_at(i), out)) {
			return false;
		}
	}
	return true;
}

struct lifeboat_stats lifeboat_stats(void)
{
	return stats;
}
