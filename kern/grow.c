/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/grow.c - see kern/grow.h.
 */
#include "kern/grow.h"

#include <arch/atomic.h>
#include <compiler.h>

#include "pcpu/heap.h"
#include "vm/memory.h"

static uint64_t growing; /* [a] 1: a CPU does it */

static bool grow(void)
{
	bool grown = true;

	if (cas_acquire(&growing, 0, 1)) {
		grown = memory_grow_pinned() == KERR_OK;
		store_release(&growing, 0);
	}
	return grown;
}

bool grow_pinned_if_low(void)
{
	return unlikely(heap_is_low()) && grow();
}

bool grow_pinned_when_refused(void)
{
	const unsigned blocks = heap_refused_at();

	return blocks != 0 && (heap_stats().blocks > blocks || grow());
}
