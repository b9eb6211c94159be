/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/pin.c - see pcpu/pin.h.
 */
#include "pcpu/pin.h"

#include <arch/atomic.h>

#include "kern/assert.h"

static struct pin pins[PIN_MAX];
static uint64_t pin_count;
static bool sealed;

static bool append(va_t va, pa_t pa, uint64_t size, const char *what)
{
	const uint64_t n = load_relaxed(&pin_count);

	if (n == PIN_MAX) {
		return false;
	}
	pins[n] = (struct pin){ .va = va, .pa = pa, .size = size, .what = what };
	store_release(&pin_count, n + 1);
	return true;
}

void pin_add(va_t va, pa_t pa, uint64_t size, const char *what)
{
	KASSERT(!sealed); /* R1 */
	KASSERT(size > 0);
	if (!append(va, pa, size, what)) {
		panic("pin: the register is full (%d ranges), adding %s", PIN_MAX, what);
	}
}

void pin_seal(void)
{
	sealed = true;
}

bool pin_grow(va_t va, pa_t pa, uint64_t size, const char *what)
{
	KASSERT(sealed);
	return append(va, pa, size, what);
}

const struct pin *pin_overlaps_va(va_t va, uint64_t size)
{
	const uint64_t n = load_acquire(&pin_count);

	for (uint64_t i = 0; i < n; i++) {
		if (ranges_meet(va.v, size, pins[i].va.v, pins[i].size)) {
			return &pins[i];
		}
	}
	return nullptr;
}

const struct pin *pin_overlaps_pa(pa_t pa, uint64_t size)
{
	const uint64_t n = load_acquire(&pin_count);

	for (uint64_t i = 0; i < n; i++) {
		if (ranges_meet(pa.v, size, pins[i].pa.v, pins[i].size)) {
			return &pins[i];
		}
	}
	return nullptr;
}

const struct pin *pin_at(unsigned i)
{
	return i < load_acquire(&pin_count) ? &pins[i] : nullptr;
}
