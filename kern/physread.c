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

bool phys_read(pa_t at, void *to, size_t bytes)
{
	if (bytes == 0 || !lifeboat_has_ram(at, bytes) || !is_pinned(to, bytes) ||
	    !is_pinned(__builtin_frame_address(0), 1)) {
		return false;
	}
	const uint64_t daif = read_sysreg(daif);

	write_sysreg(daif, DAIF_ALL);
	const uint64_t root = lifeboat_enter();

	copy(LIFEBOAT_BASE + at.v, to, bytes);
	if ((root & LIFEBOAT_ROOT_BIT) == 0) {
		lifeboat_leave(root);
	}
	write_sysreg(daif, daif);
	return true;
}

bool phys_read_word(pa_t at, uint64_t *out)
{
	return is_aligned(at.v, sizeof(*out)) && phys_read(at, out, sizeof(*out));
}
