/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object.h - memory objects: what a region shows.
 *
 * THEORY   An object is a length of memory by offset: zeroed at first touch, given by a physical
 *          address, handed out of a DMA pool, filled by a pager, or secret. It knows the regions
 *          that show it, and no more: there is no record per mapped page. To find who maps a page,
 *          go through the regions, and compute the address. Objects that many spaces show pay for
 *          that in time, every page of every object saves it in memory.
 *          Taking pages away is one operation, object_unmap_pages(): it makes the pages *busy*,
 *          so that no fault enters them anew, and then visits each region once, in steps. Nothing
 *          is looked at twice, so there is no loop that could go round for ever.
 * INVARIANTS
 *   OB1  A region is on its object's list exactly while it is in its space's tree.
 *   OB2  A fault maps a page only under the object's lock, not busy, not revoked.
 *   OB3  At most one range of an object is busy.
 * LOCKING  object->lock (LOCK_MEMOBJ), inside the space's, outside that of tables.
 * FAILURE  Results are written, and memory is charged, on KERR_OK only.
 */
#pragma once

#include <abi.h>
#include <kerr.h>
#include <types.h>

#include "pcpu/memcharge.h"
#include "vm/budget.h"

struct memory_object;

/* Limits: an offset fits the user half. */
#define OBJECT_BYTES_MAX (UINT64_C(1) << 47)

/*
 * MEM_ANON, MEM_SECRET or MEM_DMA of `bytes`, page-aligned, with one reference. `charge` (kept, may
 * be nullptr) pays for what it will hold; `budget` for the windows that carving a secret takes.
 * Errors: RANGE no bytes or too many; INVALID alignment, kind; NO_MEMORY; BUSY the budget is
 * used up, or a CPU did not park.
 */
enum kerr object_create(enum memory_kind kind, uint64_t bytes, struct memcharge *charge,
			struct window_budget *budget, struct memory_object **out);

/*
 * MEM_PHYS: [base, base + bytes), device memory (nGnRE) or, with `cached`, normal memory. It must
 * not be RAM that the kernel manages or keeps (RANGE).
 */
enum kerr object_create_phys(pa_t base, uint64_t bytes, bool cached, struct memcharge *charge,
			     struct memory_object **out);

/*
 * Call fn(arg) when the last reference is dropped, in whatever context that is: it sees to it that
 * object_end() is called until that says true. What the object's charge and its pager belong to may
 * go then. Without it the object ends at once.
 */
void object_on_end(struct memory_object *object, void (*fn)(void *arg), void *arg);

/*
 * One step of the end (R8): up to 8 blocks of 2 MiB, or 128 pages that lie apart or are to be
 * zeroed. What is not back yet is still charged. True: the object is gone.
 * Pre: fn was called. No lock held.
 */
bool object_end(struct memory_object *object);

/*
 * A device that the kernel has mapped for itself, and lets a program drive: objects may show these
 * pages although they are pinned. They are device memory in both maps. Page-aligned.
 */
void object_share_device(pa_t base, uint64_t bytes);

void object_ref(struct memory_object *object);
/* The last one begins its end. No lock held. */
void object_unref(struct memory_object *object);

enum memory_kind object_kind(const struct memory_object *object);
uint64_t object_bytes(const struct memory_object *object);
/* Bytes that have contents. */
uint64_t object_resident(struct memory_object *object);

/*
 * Revoke: from now on nothing of it is mapped anew; when *done no space maps a page of it, and
 * every access faults, for ever. One step (R8); whoever calls again goes on with it. KERR_BUSY: a
 * CPU did not park, or another operation on its pages is under way: call again.
 */
enum kerr object_unmap_some(struct memory_object *object, bool *done);
/* All steps, until one is refused. */
enum kerr object_unmap_all(struct memory_object *object);

/*
 * Give the contents of [offset, offset + bytes) away: the next touch finds zeroes (MEM_ANON), or
 * asks the pager. KERR_UNSUPPORTED: other kinds. KERR_BUSY: another such operation is under way.
 */
enum kerr object_discard(struct memory_object *object, uint64_t offset, uint64_t bytes);

/*
 * Copy the populated pages of the aligned 2 MiB at `offset` into one block, so that they can be
 * mapped at once. KERR_OK also when they lie so already; ABSENT nothing is there; UNSUPPORTED.
 */
enum kerr object_collapse(struct memory_object *object, uint64_t offset);

/* ---- MEM_PAGER (object_pager.c) ---- */

struct pager_ops {
	/*
	 * A page is wanted, once until it is supplied or failed. Called under the object's lock:
	 * may take locks of rank KMAP and higher only, may not block. KERR_DEAD: nobody answers.
	 */
	enum kerr (*request)(void *pager, uint64_t offset, unsigned access);
	/* The page can be tried again: it was supplied, or will never be. Under the same rules. */
	void (*ready)(void *pager, uint64_t offset);
};

enum kerr object_create_pager(uint64_t bytes, const struct pager_ops *ops, void *pager,
			      struct memcharge *charge, struct memory_object **out);

/*
 * Supplying a page takes two steps, because its contents come from memory that may itself fault:
 * take a frame, fill it through the linear map without a lock, then give it or drop it.
 * Errors of give: EXISTS the page has contents (the frame is dropped); RANGE; NO_MEMORY.
 */
enum kerr object_supply_frame(struct memory_object *object, uint64_t offset, pa_t *frame);
enum kerr object_supply(struct memory_object *object, uint64_t offset, pa_t frame);
void object_supply_drop(struct memory_object *object, pa_t frame);
/* The page will not come: faults on it are hardware errors from now on. */
enum kerr object_supply_fail(struct memory_object *object, uint64_t offset);
/* The pager is gone: nothing that was asked for, or will be, comes. */
void object_pager_gone(struct memory_object *object);

/*
 * The first page at or after *offset that was written since it was supplied or cleaned: it is made
 * read-only wherever it is mapped, and counts as clean. ABSENT: there is none. The pager writes it
 * back from *frame.
 */
enum kerr object_clean(struct memory_object *object, uint64_t *offset, pa_t *frame);

/* ---- MEM_DMA (object_dma.c) ---- */

/*
 * Set a pool of 2^order pages (at least 2 MiB) aside. Boot, once. Its objects are contiguous, not
 * cached, and zero; the kernel has no other mapping of them (Arm ARM B2.8: no two memory types).
 */
enum kerr dma_pool_init(unsigned order);

/* Waits for a part of the pool. Its fn is called once, without locks, when a try is worth it. */
struct dma_waiter {
	struct dma_waiter *next;
	uint64_t bytes; /* of one object */
	void (*fn)(struct dma_waiter *waiter);
};
/*
 * Wait in a queue, first come first served. False: so much is free now, and nobody waits: not
 * queued. It may still lie in pieces; who fails then again queues again.
 */
bool dma_wait(struct dma_waiter *waiter);
void dma_wait_cancel(struct dma_waiter *waiter);

struct dma_stats {
	uint64_t bytes;
	uint64_t free;
	uint64_t runs_free;
};
struct dma_stats dma_stats(void);
