/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/memcharge.c - see pcpu/memcharge.h.
 */
#include "pcpu/memcharge.h"

#include <arch/atomic.h>

#include "kern/assert.h"

bool memcharge_take(struct memcharge *charge, uint64_t bytes)
{
	uint64_t used;

	if (charge == nullptr) {
		return true;
	}
	do {
		used = load_relaxed(&charge->used_bytes);
		if (bytes > charge->limit_bytes || used > charge->limit_bytes - bytes) {
			return false;
		}
	} while (!cas_acquire(&charge->used_bytes, used, used + bytes));
	return true;
}

void memcharge_give(struct memcharge *charge, uint64_t bytes)
{
	if (charge == nullptr) {
		return;
	}
	const uint64_t used = fetch_add_relaxed(&charge->used_bytes, -bytes);

	KASSERT(used >= bytes); /* R10 */
}

uint64_t memcharge_used(const struct memcharge *charge)
{
	return load_relaxed(&charge->used_bytes);
}

void memcharge_return_begins(struct memcharge *charge)
{
	if (charge != nullptr) {
		fetch_add_relaxed(&charge->returning, 1);
	}
}

void memcharge_return_ends(struct memcharge *charge)
{
	if (charge != nullptr) {
		const uint64_t was = fetch_add_seq_cst(&charge->returning, UINT64_MAX);

		KASSERT(was != 0);
	}
}

bool memcharge_is_returning(const struct memcharge *charge)
{
	return charge != nullptr && load_acquire(&charge->returning) != 0;
}
