/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/physread.c - see kern/physread.h.
 */
#include "kern/physread.h"

#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/sysreg.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "vm/lifeboat.h"

#define DAIF_ALL UINT64_C(0x3c0)

bool lifeboat_is_on(void)
{
	return (read_sysreg(ttbr1_el1) & LIFEBOAT_ROOT_BIT) != 0;
}

static bool is_pinned(const void *p, size_t bytes)
{
	const va_t at = va((uint64_t)(uintptr_t)p);
	const struct pin *pin = pin_overlaps_va(at, bytes);

	return pin != nullptr && at.v >= pin->va.v && at.v + bytes <= pin->va.v + pin->size;
}

/* A copy that the compiler cannot turn into a call or into accesses of another size. */
static void copy(uint64_t from, void *to, size_t bytes)
{
	const volatile uint8_t *in = (const volatile uint8_t *)(uintptr_t)from;
	uint8_t *out = to;

	if (bytes == sizeof(uint64_t) && is_aligned(from | (uint64_t)(uintptr_t)to, 8)) {
		*(uint64_t *)to = *(const volatile uint64_t *)(uintptr_t)from;
		return;
	}
	for (size_t i = 0; i < bytes; i++) {
		out[i] = in[i];
	}
}

static uint64_t load(uint64_t at)
{
	return *(const volatile uint64_t *)(uintptr_t)(LIFEBOAT_BASE + at);
}

/*
 * Does the live linear map lead to this frame? On the lifeboat. Tables are pinned: what points
 * elsewhere is garbage.
 */
static bool is_linear(uint64_t root, uint64_t frame)
{
	const va_t at = va(LINEAR_BASE + frame);
	pa_t table = pa(root & PTE_ADDR_MASK & ~(uint64_t)LIFEBOAT_ROOT_BIT);

	for (unsigned level = 0; frame < LINEAR_BYTES; level++) {
		if (pin_overlaps_pa(table, PAGE_BYTES) == nullptr ||
		    !lifeboat_has_ram(table, PAGE_BYTES)) {
			return false;
		}
		const pte_t e = { load(table.v + level_index(at, level) * sizeof(e)) };
		const uint64_t inside = level_bytes(level) - 1;

		if (level > 0 && pte_is_leaf(e, level)) {
			return ((pte_pa(e).v ^ frame) & ~inside) == 0;
		}
		if (!pte_is_table(e, level)) {
			return false;
		}
		table = pte_pa(e);
	}
	return false;
}

/* Every page pinned or linear: no secret. On the lifeboat. */
static bool may_be_read(uint64_t root, pa_t at, size_t bytes)
{
	const uint64_t end = at.v + bytes;

	for (uint64_t page = align_down(at.v, PAGE_BYTES); page < end; page += PAGE_BYTES) {
		if (pin_overlaps_pa(pa(page), PAGE_BYTES) == nullptr && !is_linear(root, page)) {
			return false;
		}
	}
	return true;
}

bool phys_read(pa_t at, void *to, size_t bytes)
{
	if (bytes == 0 || !lifeboat_has_ram(at, bytes) || !is_pinned(to, bytes) ||
	    !is_pinned(__builtin_frame_address(0), 1)) {
		return false;
	}
	const uint64_t daif = read_sysreg(daif);

	write_sysreg(daif, DAIF_ALL);
	const uint64_t root = lifeboat_enter();

	const bool ok = may_be_read(root, at, bytes);

	if (ok) {
		copy(LIFEBOAT_BASE + at.v, to, bytes);
	}
	if ((root & LIFEBOAT_ROOT_BIT) == 0) {
		lifeboat_leave(root);
	}
	write_sysreg(daif, daif);
	return ok;
}

bool phys_read_word(pa_t at, uint64_t *out)
{
	return is_aligned(at.v, sizeof(*out)) && phys_read(at, out, sizeof(*out));
}
