/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/pin.c - see pcpu/pin.h.
 */
#include "pcpu/pin.h"

#include <arch/atomic.h>
#include <compiler.h>
#include <memmap.h>

#include "kern/assert.h"

/*
 * The ranges do not meet each other, so in either order of address the only candidate is the last
 * one that begins before the asked range ends: a binary search. Two copies: a change fills the one
 * that nobody reads, then publishes it.
 */
struct pin_book {
	uint64_t count;
	struct pin by_va[PIN_MAX];
	struct pin by_pa[PIN_MAX];
};

static struct pin_book books[2];
static uint64_t current; /* which of them */
struct pin_gap pin_gap;
static bool sealed;

static const struct pin_book *book(void)
{
	return &books[load_acquire(&current)];
}

static uint64_t key(const struct pin *p, bool by_pa)
{
	return by_pa ? p->pa.v : p->va.v;
}

static void insert(struct pin *list, uint64_t count, const struct pin *p, bool by_pa)
{
	uint64_t i = count;

	for (; i > 0 && key(&list[i - 1], by_pa) > key(p, by_pa); i--) {
		list[i] = list[i - 1];
	}
	list[i] = *p;
}

static void find_gap(const struct pin_book *b)
{
	struct pin_gap widest = { 0 };

	for (uint64_t i = 0; i + 1 < b->count; i++) {
		const uint64_t base = b->by_pa[i].pa.v + b->by_pa[i].size;
		const uint64_t bytes = b->by_pa[i + 1].pa.v - base;

		if (bytes > widest.bytes) {
			widest = (struct pin_gap){ .base = base, .bytes = bytes };
		}
	}
	pin_gap = widest;
}

/* What changes size has no pin: every page of the range lies outside. (pin_never_at) */
static bool may_pin(va_t va, uint64_t size)
{
	return va.v >= LINEAR_BASE && !ranges_meet(va.v, size, LINEAR_BASE, LINEAR_BYTES) &&
	       !ranges_meet(va.v, size, KMAP_BASE, KMAP_BYTES);
}

static bool append(va_t va, pa_t pa, uint64_t size, const char *what)
{
	const struct pin_book *old = book();
	struct pin_book *fresh = &books[old == &books[0] ? 1 : 0];
	const struct pin p = { .va = va, .pa = pa, .size = size, .what = what };

	KASSERT(may_pin(va, size)); /* R1 */
	if (old->count == PIN_MAX) {
		return false;
	}
	*fresh = *old;
	insert(fresh->by_va, fresh->count, &p, false);
	insert(fresh->by_pa, fresh->count, &p, true);
	fresh->count++;
	find_gap(fresh);
	store_release(&current, (uint64_t)(fresh - books));
	return true;
}

void pin_add(va_t va, pa_t pa, uint64_t size, const char *what)
{
	KASSERT(!sealed); /* R1 */
	KASSERT(size > 0);
	KASSERT(pin_overlaps_va(va, size) == nullptr && pin_overlaps_pa(pa, size) == nullptr);
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

/* The last pin of a list that begins before `end`, if it reaches past `start`. */
static always_inline const struct pin *find(const struct pin *list, uint64_t count, uint64_t start,
					    uint64_t size, bool by_pa)
{
	uint64_t low = 0;
	uint64_t high = count;

	while (low < high) {
		const uint64_t middle = (low + high) / 2;

		if (key(&list[middle], by_pa) <= start + (size - 1)) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0 || start >= key(&list[low - 1], by_pa) + list[low - 1].size) {
		return nullptr;
	}
	return &list[low - 1];
}

const struct pin *pin_overlaps_va(va_t va, uint64_t size)
{
	const struct pin_book *b = book();

	return find(b->by_va, b->count, va.v, size, false);
}

const struct pin *pin_overlaps_pa(pa_t pa, uint64_t size)
{
	const struct pin_book *b = book();

	return find(b->by_pa, b->count, pa.v, size, true);
}

const struct pin *pin_at(unsigned i)
{
	const struct pin_book *b = book();

	return i < b->count ? &b->by_va[i] : nullptr;
}
