/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/page.h> - the contents of a frame, through the linear map. Shadowed by the host build.
 *
 * Pre of all: the frame is in the linear map (no pinned and no secret one is), page-aligned.
 */
#pragma once

#include <types.h>

/* Zero 4 KiB: DC ZVA, or stores where DCZID_EL0.DZP prohibits it (Arm ARM C5.3.2, D24.2.32). */
void arch_frame_zero(pa_t frame);
/* The same at any mapped, page-aligned address of Normal memory. */
void arch_page_zero(va_t page);

void arch_frame_copy(pa_t to, pa_t from);

/* Where the kernel reads and writes what the pinned map has at this address. */
static inline void *arch_pinned_ptr(va_t at)
{
	return (void *)(uintptr_t)at.v;
}

/* Write 64 bytes of a pattern at the front; are they there? */
void arch_frame_mark(pa_t frame, uint64_t pattern);
bool arch_frame_is_marked(pa_t frame, uint64_t pattern);

/*
 * What was written to the frame is what will be fetched from it: clean to the point of
 * unification, invalidate the instruction caches (Arm ARM B2.4.4). Before an executable mapping.
 */
void arch_frame_sync_code(pa_t frame);
