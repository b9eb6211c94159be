/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/lifeboat.h - the lifeboat's tables: a second root that no change of the live one can reach.
 *
 * THEORY   A CPU that reports a disaster cannot use the tables that may have caused it. So there is
 *          a second root, with tables of its own all the way down. It maps what is pinned exactly
 *          as the live root does, leaf by leaf, so a CPU can switch while it executes: no address
 *          has two translations, and the code, the stack and the devices are where they were. And
 *          it maps all RAM that is ours, read-only, at LIFEBOAT_BASE + PA, where live tables never
 *          map anything: the live tables, and whatever they no longer reach, are read there.
 * INVARIANTS
 *   LB1  Every page that is pinned has the same leaf in both roots.
 *   LB2  No table page is reached from both roots.
 *   LB3  An entry of the lifeboat, once valid, never changes. (pmap_write_entry() alone is used.)
 *   LB4  Memory that the device tree reserves is not mapped, a boot RAM disk apart: a cacheable
 *        mapping of what somebody else owns invites speculation into it.
 * LOCKING  lifeboat_pmap.lock (LOCK_PMAP), never beside kernel_pmap's.
 * FAILURE  Without memory for a table false is returned; part of the range may be there then.
 * NOT HERE The switch: arch/arm64/lifeboat.S. Reading: kern/physread.h.
 */
#pragma once

#include <types.h>

#include "vm/pmap.h"

/*
 * Copy the live leaves of [at, at + size) (LB1). Pre: page-aligned, mapped, pinned or about to be;
 * not in the lifeboat yet.
 */
bool lifeboat_pin(va_t at, uint64_t size);

/* Map RAM to be read at LIFEBOAT_BASE + PA. Pre: page-aligned; not in the lifeboat yet. */
bool lifeboat_ram(pa_t base, uint64_t size);

/* Is every byte of [base, base + size) RAM that the lifeboat maps? Takes no lock: never changes. */
bool lifeboat_has_ram(pa_t base, uint64_t size);

/* Where a pinned address no longer has the leaf that it had when it was pinned. */
struct lifeboat_difference {
	va_t at;
	const char *what; /* the pin */
	unsigned level; /* of the live entry at which the walks part */
	pte_t live;
	pte_t lifeboat; /* the leaf as it must be */
};

/*
 * Compare the live walk of every pinned page with the lifeboat's (LB1), by tables that must be
 * where they were: a live table elsewhere is a difference, and is not read. True: alike.
 */
bool lifeboat_compare(struct lifeboat_difference *out);

/* The same for one pinned address. */
bool lifeboat_compare_at(va_t at, struct lifeboat_difference *out);

struct lifeboat_stats {
	uint64_t table_bytes;
	uint64_t ram_bytes;
};
struct lifeboat_stats lifeboat_stats(void);
