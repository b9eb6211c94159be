/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/heap.h - the pinned heap: pages for whatever must never lose its mapping.
 *
 * THEORY   Slices, translation tables, kernel objects and the frame array live in 2 MiB blocks of
 *          the pinned map. What the CPUs leave of their block is not wasted: it is this heap. Each
 *          page has a 128-byte tag beside it, for its owner's notes (vm keeps the entry counts of a
 *          table there). The first, small block lies in the image, so that there are tables before
 *          there is memory.
 *          The last HEAP_GROWTH_PAGES are for tables that growth itself needs: others are refused
 *          them, or a heap that was emptied could never grow.
 * LOCKING  LOCK_HEAP inside.
 * FAILURE  nullptr; nothing changed. Growth is the caller's affair (vm/memory_grow.c), because it
 *          changes the linear map.
 */
#pragma once

#include <compiler.h>
#include <types.h>

#include "kern/lock.h"

extern struct spinlock heap_lock; /* LOCK_HEAP */

#define HEAP_TAG_BYTES 128
#define HEAP_ANY_NODE UINT32_MAX

/*
 * Give a block: `pages` (<= 512) pages at ptr, physically at base. Its tags are taken from its
 * front.
 */
void heap_add_block(void *ptr, pa_t base, unsigned pages, uint32_t node);

/*
 * `pages` contiguous zeroed pages (1 to 496), aligned to `align_pages` (a power of two), from
 * `node`
 * if it has some, else from any.
 */
void *heap_alloc(unsigned pages, unsigned align_pages, uint32_t node);
void heap_free(void *ptr, unsigned pages);

/* The page's tag: HEAP_TAG_BYTES bytes, zeroed when the page was allocated. */
static inline void *heap_tag(const void *page);

/* Does the page belong to the heap, so that it has a tag? */
bool heap_has_tag(const void *page);

/* Let heap_ptr() and heap_pa() know the kernel image, whose tables lie outside every block. */
void heap_set_image(void *ptr, pa_t base, uint64_t size);

/* Physical address of pinned heap memory, and back. */
[[gnu::pure]] pa_t heap_pa_slow(const void *ptr);
[[gnu::pure]] void *heap_ptr_slow(pa_t pa);
[[gnu::pure]] void *heap_tag_slow(const void *page);

/* [c] after boot: the block that most tables lie in, the boot CPU's. */
struct heap_main {
	char *base;
	pa_t pa;
	uint64_t bytes;
};
extern struct heap_main heap_main;

static inline void *heap_ptr(pa_t at)
{
	const uint64_t off = at.v - heap_main.pa.v;

	return likely(off < heap_main.bytes) ? heap_main.base + off : heap_ptr_slow(at);
}

static inline pa_t heap_pa(const void *ptr)
{
	const uint64_t off = (uint64_t)((const char *)ptr - heap_main.base);

	return likely(off < heap_main.bytes) ? pa(heap_main.pa.v + off) : heap_pa_slow(ptr);
}

/* `near`: a copy of heap_main, for who asks more than once. `off`: of the page in that block. */
static inline void *heap_tag_near(const struct heap_main *near, uint64_t off)
{
	return near->base + off / 4096 * HEAP_TAG_BYTES;
}

static inline void *heap_tag(const void *page)
{
	const uint64_t off = (uint64_t)((const char *)page - heap_main.base);

	return likely(off < heap_main.bytes) ? heap_tag_near(&heap_main, off) : heap_tag_slow(page);
}

struct heap_stats {
	unsigned blocks;
	unsigned pages; /* that can be allocated */
	unsigned pages_free;
};
struct heap_stats heap_stats(void);

/* Few pages are left: it should grow while there are enough to grow with. A hint; no lock. */
#define HEAP_LOW_PAGES 64
bool heap_is_low(void);

/* Pages that only the CPU which lets the heap grow may take; at most 12 are needed at once. */
#define HEAP_GROWTH_PAGES 16

/* This CPU may take them from now on, or (false) no more. One CPU at a time. */
void heap_let_grow(bool begins);

/*
 * Did the heap refuse this CPU something because it had no more, since this was asked last? Then
 * the number of blocks that it had; 0: it did not.
 */
unsigned heap_refused_at(void);

/*
 * Test: let `successes` more allocations through, then fail every one; UINT64_MAX: never fail.
 * Tells how many were refused since the last call.
 */
uint64_t heap_fail_after(uint64_t successes);
