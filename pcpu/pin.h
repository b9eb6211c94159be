/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/pin.h - the register of pinned memory (R1, R3).
 *
 * THEORY   A range is pinned by virtual and by physical address: breaking the mapping of an alias
 *          of a pcpu block would be as fatal as breaking the block's own. The ranges do
 *          not meet each other, so the check is a binary search, exact, and cheap; it looks at
 *          addresses, never at bits in an entry, which a wrong entry could lack.
 * LOCKING  Added at boot by one CPU; after pin_seal() only under the window token, which also
 *          guards every check that precedes a break (ipi/park.h). Readers need no lock: the
 *          register
 *          is copied, changed and published. A reader may hold the old copy during one change, not
 *          two: growth is bounded and happens under the token.
 */
#pragma once

#include <compiler.h>
#include <memmap.h>
#include <types.h>

#define PIN_MAX 64

struct pin {
	va_t va;
	pa_t pa;
	uint64_t size; /* bytes */
	const char *what;
};

/*
 * Register [va, va + size) -> pa. Never removed. Panics when the register is full (boot) or
 * sealed.
 */
void pin_add(va_t va, pa_t pa, uint64_t size, const char *what);

/* From now on only pin_grow() adds. */
void pin_seal(void);

/*
 * Add after the seal: the pinned heap's growth. Pre: the caller holds the window token. False:
 * full.
 */
bool pin_grow(va_t va, pa_t pa, uint64_t size, const char *what);

/* Does a range meet pinned memory? The pin, or nullptr. */
const struct pin *pin_overlaps_va(va_t va, uint64_t size);
const struct pin *pin_overlaps_pa(pa_t pa, uint64_t size);

/* The widest range of physical addresses without a pin: most RAM. [token] */
struct pin_gap {
	uint64_t base;
	uint64_t bytes;
};
extern struct pin_gap pin_gap;

/* Does [at, at + size) lie in the one aligned region of 1 << shift bytes at base? size > 0. */
static inline bool pin_lies_in(va_t at, uint64_t size, uint64_t base, unsigned shift)
{
	return (((at.v ^ base) | ((at.v + (size - 1)) ^ base)) >> shift) == 0;
}

/*
 * Addresses whose mapping may ever be broken, because no pin may lie there: kmap, the linear map,
 * and the user's half. pin_add() asserts it, so this is exact for a range that does not leave them.
 */
static inline bool pin_never_at(va_t at, uint64_t size)
{
	static_assert(LINEAR_BYTES == UINT64_C(1) << 44 && KMAP_BYTES == UINT64_C(1) << 36,
		      "the regions are aligned to their size");
	return likely(pin_lies_in(at, size, KMAP_BASE, 36)) ||
	       likely(pin_lies_in(at, size, 0, 48)) || pin_lies_in(at, size, LINEAR_BASE, 44);
}

/* R3: no pin meets the range, by physical address. Pre: the token, or nobody grows the register. */
static inline bool pin_clear_pa(pa_t at, uint64_t size)
{
	const uint64_t off = at.v - pin_gap.base;

	return (off < pin_gap.bytes && size <= pin_gap.bytes - off) ||
	       pin_overlaps_pa(at, size) == nullptr;
}

/* For reports: the pins one by one; nullptr past the last. */
const struct pin *pin_at(unsigned i);
