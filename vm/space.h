/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space.h - address spaces: which addresses show which memory.
 *
 * THEORY   The regions are the truth; translation tables are their cache. An entry that is missing
 *          costs a fault, so tables may always say less than the regions allow, and never more once
 *          a call has returned. A call that takes something away first makes its two ends borders
 *          of leaves, the only step that can fail, then changes the truth, and then brings the
 *          tables in line piece by piece, each time by what the truth is then: two calls that
 *          overlap leave what one of them wanted, and nothing more.
 * INVARIANTS
 *   SP1  A leaf maps a page of a region's object, with at most the region's rights, unless a call
 *        that takes it away has not returned.
 *   SP2  No region is writable and executable, nor may one become both ways at once.
 *   SP3  A region that is dying keeps its addresses, and maps nothing new.
 * LOCKING  space->lock (LOCK_SPACE); then the object's, then the tables'. Long operations take it
 *          for one piece at a time (R8).
 * FAILURE  Nothing changed, but that superpages may lie in smaller pieces.
 */
#pragma once

#include <abi.h>
#include <kerr.h>
#include <types.h>

#include "pcpu/memcharge.h"
#include "vm/budget.h"
#include "vm/object.h"
#include "vm/pmap_user.h"
#include "vm/region.h"

#define SPACE_REGIONS_MAX 65536u
/* Regions that one call of space_protect() may cover: they change under one lock (R8). */
#define SPACE_CALL_REGIONS 32u

struct space {
	struct pmap pmap;
	struct spinlock lock;
	struct region_tree tree;     /* [l] */
	struct memcharge *charge;    /* [c] pays for regions and tables; nullptr: the kernel */
	struct window_budget budget; /* [a] */
	uint64_t mapped_bytes;       /* [l] in regions, guards apart */
	uint64_t same_va;            /* [l] the last fault that changed nothing... */
	uint64_t same_esr;           /* [l] */
	uint32_t same_count;         /* [l] ...and how often it came in a row */
	struct region *gone;         /* its end: regions detached, not freed yet */
	bool detached;               /* all of them, and the tables are freed */
};

enum kerr space_create(struct memcharge *charge, struct space **out);

/*
 * One step of its end (R8): 16 regions detached, some 32 tables freed, or 16 regions; what nobody
 * else uses of what they showed ends then. True: it is gone. Pre: no thread runs in it, or will;
 * CPUs that still have it loaded are switched off it. No lock held.
 */
bool space_end(struct space *space);

/* All steps. */
void space_destroy(struct space *space);

/* What to map. `prot_max`: the rights of the handle; prot may never become more. */
struct space_request {
	struct memory_object *object; /* nullptr with VM_GUARD */
	uint64_t offset;
	uint64_t at;     /* 0: anywhere; else there (VM_FIXED), or there or near */
	uint64_t bytes;
	unsigned prot;     /* VM_READ | VM_WRITE | VM_EXEC | VM_FIXED | VM_GUARD */
	unsigned prot_max; /* VM_READ | VM_WRITE | VM_EXEC */
};

/*
 * Map. The space takes a reference of its own. Without VM_FIXED the address is chosen so that
 * superpages fit. Errors: INVALID alignment, writable and executable, guard with an object or no
 * object without one; RANGE outside the object or the user half; DENIED prot beyond prot_max;
 * EXISTS something is there; NO_MEMORY no room, too many regions, or the charge is used up.
 */
enum kerr space_map(struct space *space, const struct space_request *request, va_t *out);

/*
 * Unmap whatever is in the range. Errors: INVALID, RANGE, NO_MEMORY, BUSY (budget, park): nothing
 * changed, unless others change the range meanwhile.
 */
enum kerr space_unmap(struct space *space, va_t at, uint64_t bytes);

/*
 * One step of that (R8), from *at, which moves on, towards `end`: 16 regions, or 16 MiB of a large
 * one. Between two steps what is below *at is unmapped, what is above is not.
 * Pre: the range was checked.
 */
enum kerr space_unmap_some(struct space *space, uint64_t *at, uint64_t end);
/* Page-aligned, and within the user half? RANGE, INVALID. */
enum kerr space_check_range(va_t at, uint64_t bytes);

/*
 * Change what may be done in a range that is mapped without a hole. Errors: ABSENT, DENIED, INVALID
 * (also: more than SPACE_CALL_REGIONS regions), RANGE, NO_MEMORY, BUSY.
 */
enum kerr space_protect(struct space *space, va_t at, uint64_t bytes, unsigned prot);

/* Errors: INVALID no such advice; ABSENT a part is not mapped; NO_MEMORY; BUSY. */
enum kerr space_advise(struct space *space, va_t at, uint64_t bytes, enum memory_advice advice);

struct space_info {
	uint64_t base; /* of the region */
	uint64_t bytes;
	uint64_t offset;     /* of the address asked for, in the object */
	unsigned prot;       /* VM_GUARD: a guard */
	uint64_t leaf_bytes; /* 0: no leaf is there now */
	pa_t physical;       /* MEM_PHYS and MEM_DMA: behind the address; else 0 */
};
/* ABSENT: no region is there; RANGE: not in the user half. */
enum kerr space_query(struct space *space, va_t at, struct space_info *out);

/* SP1 by looking at each region's pages, and the tree's own invariants. O(pages). No other CPU. */
bool space_audit(struct space *space);
