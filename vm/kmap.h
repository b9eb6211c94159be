/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/kmap.h - the dynamic kernel map: ranges of [KMAP_BASE, KMAP_BASE + KMAP_BYTES).
 *
 * THEORY   Ranges are handed out in units of 2 MiB by a bitmap, aligned to what the caller wants
 *          to promote to. What is mapped there is the caller's affair (vm/pmap.h); this only says
 *          which addresses are whose.
 * LOCKING  LOCK_KMAP inside.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/lock.h"

extern struct spinlock kmap_lock; /* LOCK_KMAP */

/* Reserve `size` bytes aligned to `align`, multiples of 2 MiB. KERR_NO_MEMORY: no such range. */
enum kerr kmap_reserve(uint64_t size, uint64_t align, va_t *out);

/* Give a range back. Pre: nothing is mapped there. */
void kmap_release(va_t base, uint64_t size);
