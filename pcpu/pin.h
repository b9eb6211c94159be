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

/* For reports: the pins one by one; nullptr past the last. */
const struct pin *pin_at(unsigned i);
