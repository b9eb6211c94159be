/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/kmap.c - see vm/kmap.h.
 */
#include "vm/kmap.h"

#include <memmap.h>

#include "kern/assert.h"
#include "kern/lock.h"

#define KMAP_UNITS (KMAP_BYTES / BLOCK_BYTES)

struct spinlock kmap_lock = SPINLOCK("kmap", LOCK_KMAP);
static uint64_t used[KMAP_UNITS / 64];

static bool unit_is_used(uint64_t unit)
{
	return (used[unit / 64] >> (unit % 64) & 1) != 0;
}

static void flip(uint64_t first, uint64_t count, bool was)
{
	for (uint64_t u = first; u < first + count; u++) {
		KASSERT(unit_is_used(u) == was);
		used[u / 64] ^= UINT64_C(1) << (u % 64);
	}
}

static bool is_free(uint64_t first, uint64_t count)
{
	for (uint64_t u = first; u < first + count; u++) {
		if (unit_is_used(u)) {
			return false;
		}
	}
	return true;
}

enum kerr kmap_reserve(uint64_t size, uint64_t align, va_t *out)
{
	const uint64_t count = size / BLOCK_BYTES;
	const uint64_t step = align / BLOCK_BYTES;
	enum kerr e = KERR_NO_MEMORY;

	if (size == 0 || !is_aligned(size | align, BLOCK_BYTES) || step == 0 || size > KMAP_BYTES) {
		return KERR_INVALID;
	}
	spin_lock(&kmap_lock);
	for (uint64_t u = 0; u + count <= KMAP_UNITS; u += step) {
		if (is_free(u, count)) {
			flip(u, count, false);
			*out = va(KMAP_BASE + u * BLOCK_BYTES);
			e = KERR_OK;
			break;
		}
	}
	spin_unlock(&kmap_lock);
	return e;
}

void kmap_release(va_t base, uint64_t size)
{
	spin_lock(&kmap_lock);
	flip((base.v - KMAP_BASE) / BLOCK_BYTES, size / BLOCK_BYTES, true);
	spin_unlock(&kmap_lock);
}
