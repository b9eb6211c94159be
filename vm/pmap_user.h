/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_user.h - the tables of user spaces: made, run by CPUs, retired, destroyed.
 *
 * THEORY   A user map is a pmap like the kernel's (vm/pmap.h does all changes) with three
 *          differences: its leaves carry an ASID (nG), only CPUs that run it are parked for its
 *          windows, and it ends. Which CPUs run it is written by each CPU in its own mailbox:
 *
 *              pmap_activate()                    a window on the map (ipi/park.c)
 *              mailbox.space = map   (seq_cst)    map.space.window = g      (seq_cst)
 *              read map.space.window (seq_cst)    read every mailbox.space  (seq_cst)
 *
 *          Each stores, then loads what the other stores: a CPU that comes in is seen and asked to
 *          park, or it sees the window and waits for it to close.
 * INVARIANTS
 *   UM1  A CPU makes user accesses only with mailbox.space == mailbox.loaded == what TTBR0 holds.
 *   UM2  mailbox.loaded names what TTBR0 holds, or what it held just before: a map that no CPU
 *        names in either word is in no TTBR0 and cannot come back (its window is PARK_SPACE_GONE).
 *   UM3  Every leaf of a user map is nG, PXN and open to EL0; no leaf of the kernel's map is.
 *        (pmap_audit)
 *   UM4  An entry that is removed or restricted is stored, visible (DSB ISHST), and only then the
 *        ASID is read for its invalidation: who renews the ASID meanwhile sees the new entry.
 * LOCKING  pmap->lock for the tables; pmap_activate() takes none (R7) but LOCK_ASID when the number
 *          is of an old generation.
 * MEMORY   struct pmap of a user map is pinned (R1): windows and switches read it on SPx.
 * NOT HERE Which frames are mapped where, and when they are free: vm/space.h.
 */
#pragma once

#include "pcpu/memcharge.h"
#include "vm/pmap.h"

/* An empty user map, its table pages paid from `charge`. KERR_NO_MEMORY: no root. */
enum kerr pmap_user_init(struct pmap *pmap, struct memcharge *charge);

/*
 * Run this map on this CPU, nullptr: none (the reserved empty root). A map that is retired counts
 * as none. Cheap when it runs already.
 * Pre: interrupts masked; SP0 or SPx; under the scheduler's lock at most (R7). *pmap lives until
 * this CPU runs something else.
 */
void pmap_activate(struct pmap *pmap);

/*
 * The map is of no use any more: no CPU runs it, none ever will, and nothing in any TLB comes from
 * it. From here on its frames may be freed, and pmap_unmap() does nothing: its tables go with
 * pmap_user_destroy(), whole. CPUs that run it are switched to the empty root, by interrupt.
 * Costs the same whatever is mapped; needs no memory. Once more: no effect.
 * Pre: on SP0, interrupts open, no lock held; no thread of the space is let to EL0 again.
 */
void pmap_user_retire(struct pmap *pmap);

/*
 * One step of its end (R8): retired, and some 32 of its tables freed: a cost per table, not per
 * page. True: they are all gone. Pre: as above; nobody else uses it.
 */
bool pmap_user_end(struct pmap *pmap);

/* All steps. */
void pmap_user_destroy(struct pmap *pmap);

/* The leaf at va: its entry, and the bytes of one TLB entry. False: not mapped. Takes the lock. */
bool pmap_user_query(struct pmap *pmap, va_t va, pte_t *entry, uint64_t *bytes);

/* The top half of SGI_SPACE, on SPx: leave the map that this CPU runs, if it was retired. */
void pmap_leave_retired(void);
