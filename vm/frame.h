/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/frame.h - physical frames: a buddy allocator per NUMA node.
 *
 * THEORY   Free memory is kept in blocks of 2^order frames, aligned to their size. Eight bytes of
 *          state a frame: links of the free list, order, owner. Every frame has one owner (R10):
 *          free + owned = total at any moment, per node, and frame_audit() proves it by a scan.
 * LOCKING  LOCK_FRAME inside. The frame array is pinned.
 * FAILURE  KERR_NO_MEMORY; nothing changed.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/lock.h"

extern struct spinlock frame_lock; /* LOCK_FRAME */

#define FRAME_ORDER_MAX 18 /* 1 GiB */

/*
 * Manage [base, base + size). Boot CPU. `state`: 8 * size / 4096 pinned, zeroed bytes.
 * Pre: page-aligned; ranges do not overlap.
 */
void frame_add_range(pa_t base, uint64_t size, uint32_t node, uint64_t *state);

/*
 * 2^order contiguous frames, aligned to their size, from `node` if it has some. Contents:
 * anything.
 */
enum kerr frame_alloc(unsigned order, uint32_t node, pa_t *out);
void frame_free(pa_t base, unsigned order);

/* Make each part of an allocated block free-able by itself, as blocks of `order`. */
void frame_split(pa_t base, unsigned from_order, unsigned order);

struct frame_stats {
	uint64_t total;
	uint64_t free;
};
struct frame_stats frame_stats(void);

/* R10: the lists, the state words and the counts agree. O(n). */
bool frame_audit(void);

/* Test: let `successes` more allocations through, then fail; UINT64_MAX: never. */
void frame_fail_after(uint64_t successes);
