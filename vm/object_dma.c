/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_dma.c - the DMA pool. See vm/object.h.
 *
 * THEORY   A device writes to memory that no cache keeps and no change of size may disturb. So
 *          the pool is set aside once, at boot: out of the linear map for good (a cached alias of
 *          memory that is not cached must not be used, Arm ARM B2.8), and mapped in the kernel
 *          map, not cached, for ever. Handing out and back changes no entry there, and takes no
 *          window.
 *          An object is a run of the pool, contiguous. Free runs are a list in order of address,
 *          kept in an array with a word for each page; the first that is long enough serves, and
 *          a run that comes back joins its neighbours. It comes back zeroed.
 *          Who finds the pool exhausted can wait, in a queue, so that a large request is not
 *          overtaken for ever by small ones: a run that comes back wakes the first, and those after
 *          it as far as there is room for all of them together.
 * LOCKING  pool.lock (LOCK_RESERV). Waiters are called without it.
 */
#include <arch/page.h>

#include "pcpu/heap.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/object_impl.h"
#include "vm/pmap.h"

#define NO_RUN UINT32_MAX

/* At the index of a free run's first page. [l] */
struct dma_run {
	uint32_t pages;
	uint32_t next; /* index of the next run, by address; NO_RUN */
};

static struct {
	struct spinlock lock;
	struct dma_run *run;      /* [c] one for each page */
	uint32_t first;           /* [l] */
	pa_t base;                /* [c] */
	va_t window;              /* [c] where the kernel has it */
	uint64_t bytes;           /* [c] */
	uint64_t free;            /* [l] bytes */
	struct dma_waiter *queue; /* [l] */
} pool = { .lock = SPINLOCK("dma pool", LOCK_RESERV), .first = NO_RUN };

/* Frames out of the linear map and into the kernel map. */
static enum kerr move_mapping(pa_t base, uint64_t bytes, va_t *window)
{
	enum kerr e = kmap_reserve(bytes, BLOCK_BYTES, window);

	if (e != KERR_OK) {
		return e;
	}
	e = pmap_unmap(&kernel_pmap, va(LINEAR_BASE + base.v), bytes);
	if (e == KERR_OK) {
		e = pmap_map(&kernel_pmap, *window, base, bytes, PMAP_WRITE | PMAP_NOCACHE);
		if (e != KERR_OK) {
			const enum kerr back = pmap_map(&kernel_pmap, va(LINEAR_BASE + base.v),
							base, bytes, PMAP_WRITE);

			KASSERT(back == KERR_OK); /* its tables stayed */
		}
	}
	if (e != KERR_OK) {
		kmap_release(*window, bytes);
	}
	return e;
}

enum kerr dma_pool_init(unsigned order)
{
	const uint64_t bytes = PAGE_BYTES << order;
	const unsigned heap_pages = (unsigned)((sizeof(struct dma_run) << order) / PAGE_BYTES);
	enum kerr e;

	KASSERT(pool.bytes == 0 && order >= RESERV_ORDER && heap_pages > 0);
	struct dma_run *run = heap_alloc(heap_pages, 1, HEAP_ANY_NODE);

	if (run == nullptr) {
		return KERR_NO_MEMORY;
	}
	e = frame_alloc(order, 0, &pool.base);
	if (e == KERR_OK) {
		frame_zero(pool.base, bytes);
		e = move_mapping(pool.base, bytes, &pool.window);
		if (e != KERR_OK) {
			frame_free(pool.base, order);
		}
	}
	if (e != KERR_OK) {
		heap_free(run, heap_pages);
		return e;
	}
	pool.run = run;
	pool.run[0] = (struct dma_run){ .pages = 1u << order, .next = NO_RUN };
	pool.first = 0;
	pool.free = bytes;
	pool.bytes = bytes;
	return KERR_OK;
}

/* The front of the first run that is long enough. Pool's lock. */
static bool take(uint32_t pages, uint32_t *at)
{
	uint32_t *link = &pool.first;

	while (*link != NO_RUN && pool.run[*link].pages < pages) {
		link = &pool.run[*link].next;
	}
	if (*link == NO_RUN) {
		return false;
	}
	const struct dma_run was = pool.run[*link];

	*at = *link;
	if (was.pages == pages) {
		*link = was.next;
	} else {
		*link = *at + pages;
		pool.run[*link] = (struct dma_run){ was.pages - pages, was.next };
	}
	pool.free -= pages * PAGE_BYTES;
	return true;
}

/* A run comes back; it joins its neighbours. Pool's lock. */
static void give(uint32_t at, uint32_t pages)
{
	uint32_t before = NO_RUN;
	uint32_t next = pool.first;

	while (next != NO_RUN && next < at) {
		before = next;
		next = pool.run[next].next;
	}
	pool.free += pages * PAGE_BYTES;
	if (next != NO_RUN && at + pages == next) {
		pages += pool.run[next].pages;
		next = pool.run[next].next;
	}
	if (before != NO_RUN && before + pool.run[before].pages == at) {
		pool.run[before] = (struct dma_run){ pool.run[before].pages + pages, next };
		return;
	}
	pool.run[at] = (struct dma_run){ pages, next };
	if (before != NO_RUN) {
		pool.run[before].next = at;
	} else {
		pool.first = at;
	}
}

enum kerr object_dma_take(struct memory_object *object)
{
	bool found = false;
	uint32_t at = 0;

	spin_lock(&pool.lock);
	if (object->bytes <= pool.free) {
		found = take((uint32_t)page_of(object->bytes), &at);
	}
	spin_unlock(&pool.lock);
	if (!found) {
		return KERR_NO_MEMORY;
	}
	object->base = pa(pool.base.v + at * PAGE_BYTES);
	return KERR_OK;
}

/* The first waiter, if there is room for it after `promised` bytes. Pool's lock. */
static struct dma_waiter *next_waiter(uint64_t promised)
{
	struct dma_waiter *w = pool.queue;

	if (w == nullptr || w->bytes > pool.free || promised > pool.free - w->bytes) {
		return nullptr;
	}
	pool.queue = w->next;
	return w;
}

static void wake_waiters(void)
{
	struct dma_waiter *w;
	uint64_t promised = 0;

	do {
		spin_lock(&pool.lock);
		w = next_waiter(promised);
		spin_unlock(&pool.lock);
		if (w != nullptr) {
			promised += w->bytes;
			w->fn(w);
		}
	} while (w != nullptr);
}

#define ZERO_BYTES (128 * PAGE_BYTES) /* of one step (R8) */

bool object_dma_zero(struct memory_object *object)
{
	const va_t from = va(pool.window.v + (object->base.v - pool.base.v));
	const uint64_t left = object->bytes - object->zeroed;
	const uint64_t to = object->zeroed + (left < ZERO_BYTES ? left : ZERO_BYTES);

	for (; object->zeroed < to; object->zeroed += PAGE_BYTES) {
		arch_page_zero(va(from.v + object->zeroed));
	}
	return object->zeroed == object->bytes;
}

void object_dma_give(struct memory_object *object)
{
	const uint64_t offset = object->base.v - pool.base.v;

	spin_lock(&pool.lock);
	give((uint32_t)page_of(offset), (uint32_t)page_of(object->bytes));
	spin_unlock(&pool.lock);
	wake_waiters();
}

bool dma_wait(struct dma_waiter *waiter)
{
	spin_lock(&pool.lock);
	struct dma_waiter **link = &pool.queue;
	const bool queue = pool.queue != nullptr || waiter->bytes > pool.free;

	while (*link != nullptr) {
		link = &(*link)->next;
	}
	if (queue) {
		waiter->next = nullptr;
		*link = waiter;
	}
	spin_unlock(&pool.lock);
	return queue;
}

void dma_wait_cancel(struct dma_waiter *waiter)
{
	spin_lock(&pool.lock);
	for (struct dma_waiter **link = &pool.queue; *link != nullptr; link = &(*link)->next) {
		if (*link == waiter) {
			*link = waiter->next;
			break;
		}
	}
	spin_unlock(&pool.lock);
}

struct dma_stats dma_stats(void)
{
	struct dma_stats s = { .bytes = pool.bytes };

	spin_lock(&pool.lock);
	s.free = pool.free;
	for (uint32_t at = pool.first; at != NO_RUN; at = pool.run[at].next) {
		s.runs_free++;
	}
	spin_unlock(&pool.lock);
	return s;
}
