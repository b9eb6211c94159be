/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/memory_grow.c - the pinned heap grows at run time. See vm/memory.h.
 *
 * THEORY   Memory is in one of two maps, never in both. A free block leaves the linear map, with
 *          windows if it lies inside something larger, while every CPU runs; enters the pinned map,
 *          from invalid to valid; enters the lifeboat; and is registered under the token, so that a
 *          window which looked at the register before is over, and any later one finds the block
 *          there (R3). Only then does the heap give it out.
 * LOCKING  Callers take turns: kern/grow.c.
 * FAILURE  Nothing changed, but for a block that could not be registered: it stays out of both
 *          maps, which is said.
 */
#include "vm/memory.h"

#include <arch/barrier.h>
#include <arch/page.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/log.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "vm/frame.h"
#include "vm/lifeboat.h"
#include "vm/pmap.h"

#define GROWTH_CAP 16

static unsigned grown;

/* A free block, from one map to the other, and to the heap. */
static enum kerr move_block(void)
{
	pa_t block;
	enum kerr e = frame_alloc(9, HEAP_ANY_NODE, &block);

	if (e != KERR_OK) {
		return e;
	}
	e = pmap_unmap(&kernel_pmap, va(LINEAR_BASE + block.v), BLOCK_BYTES);
	if (e != KERR_OK) {
		frame_free(block, 9);
		return e;
	}
	const va_t at = va(PINNED_BASE + block.v);

	e = pmap_map(&kernel_pmap, at, block, BLOCK_BYTES, PMAP_WRITE | PMAP_NO_PROMOTE);
	const bool afloat = e == KERR_OK && lifeboat_pin(at, BLOCK_BYTES);

	irq_mask();
	token_acquire(); /* admit() of a window in flight must not miss it */
	const bool pinned = afloat && pin_grow(at, block, BLOCK_BYTES, "pinned heap");

	token_release();
	irq_unmask();
	if (!pinned) {
		/* The block stays out of both maps rather than have two aliases: lost, and said. */
		log_printf("vm", "pinned heap: a block could not be registered");
		return KERR_NO_MEMORY;
	}
	heap_add_block(arch_pinned_ptr(at), block, BLOCK_BYTES / PAGE_BYTES, 0);
	grown++;
	return KERR_OK;
}

enum kerr memory_grow_pinned(void)
{
	if (grown == GROWTH_CAP) {
		return KERR_NO_MEMORY;
	}
	heap_let_grow(true); /* the tables that it takes are there, however empty the heap is */
	const enum kerr e = move_block();

	heap_let_grow(false);
	return e;
}
