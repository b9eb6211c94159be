/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap.h - translation tables that change the size of their entries while they are used.
 *
 * THEORY   Adjacent entries that map adjacent memory alike are promoted: 16 pages to a contiguous
 *          run (64 KiB), 512 pages to a block (2 MiB), 16 blocks to a run (32 MiB). A change of a
 *          part demotes again. Each table keeps the number of its valid leaves and of its *breaks*
 *          (neighbours of which the right one does not continue the left one), so that "may this be
 *          promoted" is two comparisons. The table of a promoted block is saved, so demotion needs
 *          no memory; blocks that never were tables get theirs before anything changes.
 * INVARIANTS
 *   PM1  A valid entry becomes a different valid entry only in pmap_update_entry() and
 *        pmap_update_run(), with every CPU parked (R2), never on pinned memory (R3).
 *   PM2  valid and breaks of a table equal what a scan finds. (pmap_audit)
 *   PM3  A saved table maps what its block maps, unless marked stale.
 *   PM4  A kernel table page is never used for anything else, so a look-up without a lock reads
 *        entries, if perhaps old ones, and then notices that the generation moved.
 * LOCKING  pmap->lock (LOCK_PMAP) for everything but pmap_extract(), which takes none (R7).
 * FAILURE  Before the first change; afterwards only KERR_BUSY can stop a multi-step change, and
 *          what it leaves maps exactly what was mapped.
 * NOT HERE Which addresses are free: vm/kmap.h. Frames: vm/frame.h.
 */
#pragma once

#include <arch/atomic.h>
#include <arch/pte.h>
#include <kerr.h>
#include <types.h>

#include "ipi/park.h"
#include "kern/lock.h"
#include "pcpu/memcharge.h"

/* Permissions and memory type. Readable always; writable and executable is refused. */
#define PMAP_READ 0u
#define PMAP_WRITE (1u << 0)
#define PMAP_EXEC (1u << 1)
#define PMAP_DEVICE (1u << 2)
#define PMAP_NOCACHE (1u << 3)
/* For EL0: never executable at EL1, tagged with the ASID. Implied by a user map, refused else. */
#define PMAP_USER (1u << 4)
/* Options of pmap_map(). */
#define PMAP_PAGES (1u << 8)      /* enter 4 KiB leaves, whatever would fit */
#define PMAP_NO_PROMOTE (1u << 9) /* leave them as they are */
#define PMAP_SW1 (1u << 10)       /* a software bit, for tests of what must not be merged */
/* Option of pmap_protect(). */
#define PMAP_SPARSE (1u << 11) /* pass over what is not mapped */

struct inval_windows;

struct pmap {
	struct spinlock lock;
	pte_t *root;
	uint64_t caller; /* [lock] who asked for the change that is going on: for the records */
	bool user;       /* [c] vm/pmap_user.h; the next four are for user maps only */
	struct park_space space;  /* its window, its ASID */
	struct memcharge *charge; /* [c] who pays for its tables */
	uint64_t table_pages;     /* [lock] pinned pages that it has */
	uint64_t ended_to; /* its end: below this address its tables are freed */
	const struct inval_windows *windows; /* [c] those of mode park, for its half */
	struct park_space *own; /* [c] &space if it is a user map, else nullptr */
};

extern struct pmap kernel_pmap;
extern struct pmap lifeboat_pmap; /* vm/lifeboat.h */

/* Is it a user map that pmap_user_retire() has ended? Under the lock the answer stays. */
static inline bool pmap_is_retired(const struct pmap *pmap)
{
	return load_relaxed(&pmap->space.window) == PARK_SPACE_GONE;
}

/*
 * Make the kernel's root from the one that start.S built, beside it the lifeboat's, empty, and
 * tell the first one's address for TTBR1. The first block of the pinned heap must be there.
 * Boot CPU, once.
 */
pa_t pmap_init(const pte_t *boot_root);

/*
 * Map [va, va + size) to pa with the largest leaves that fit, then promote what became uniform.
 * Pre: va, pa, size are page-aligned (KERR_INVALID); the range lies in the half that the map is
 * for, a user map's in [USER_BASE, USER_END) (KERR_RANGE).
 * A user map that is retired takes no change: KERR_DEAD, but unmapping is KERR_OK at once.
 * Errors: KERR_EXISTS something is mapped there; KERR_NO_MEMORY no table. Nothing changed on error.
 */
enum kerr pmap_map(struct pmap *pmap, va_t va, pa_t pa, uint64_t size, unsigned flags);

/*
 * Unmap. Parts that are not mapped are passed over. Demotes at the edges. Errors: NO_MEMORY, BUSY,
 * PINNED.
 */
enum kerr pmap_unmap(struct pmap *pmap, va_t va, uint64_t size);

/*
 * Change permissions; KERR_ABSENT if a page is not mapped. Demotes at the edges, promotes what
 * became uniform.
 */
enum kerr pmap_protect(struct pmap *pmap, va_t va, uint64_t size, unsigned flags);

/*
 * Make every page of the range a leaf of at most `bytes` (4 KiB, 64 KiB, 2 MiB, 32 MiB). What one
 * leaf needs is reserved before it is touched; on an error those before it are apart already.
 */
enum kerr pmap_demote(struct pmap *pmap, va_t va, uint64_t size, uint64_t bytes);

/* Promote whatever is uniform in the range. KERR_OK also when nothing was. */
enum kerr pmap_promote(struct pmap *pmap, va_t va, uint64_t size);

/*
 * The physical address behind a kernel address, without a lock, from any context (R7).
 * False: not mapped. The answer was true at some moment during the call.
 */
bool pmap_extract(va_t va, pa_t *out);

/* The leaf at va: its entry and the bytes of one TLB entry (contiguous runs count whole). */
bool pmap_query(va_t va, pte_t *entry, uint64_t *bytes);

/* R2: the only ways in which a valid entry becomes another valid entry. vm/pmap_entry.c. */
enum kerr pmap_update_entry(struct pmap *pmap, pte_t *slot, va_t va, unsigned level, pte_t expected,
			    pte_t fresh);
/*
 * Set and clear bits in the 16 entries of a run, which map neighbouring memory alike, in one
 * window.
 */
enum kerr pmap_update_run(struct pmap *pmap, pte_t *first, va_t va, unsigned level, uint64_t set,
			  uint64_t clear);

/* Up to 16 separate entries in one window: all of them change, or none. */
struct pmap_change {
	pte_t *slot;
	va_t va;
	unsigned level;
	pte_t expected;
	pte_t fresh;
};
enum kerr pmap_update_batch(struct pmap *pmap, const struct pmap_change *change, unsigned count);
