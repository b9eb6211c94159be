/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/frame.h - physical frames: a buddy allocator per NUMA node, and a few single frames per CPU.
 *
 * THEORY   Free memory is kept in blocks of 2^order frames, aligned to their size. Eight bytes of
 *          state a frame: links of the free list, order, owner. Every frame has one owner (R10):
 *          free + owned = total at any moment, per node, and frame_audit() proves it by a scan.
 *          Single frames come and go through a small cache of the CPU that asks (frame_cache.c):
 *          no lock in the common case, and memory that this CPU has touched lately. Cached frames
 *          are free: when memory runs short they are taken back, from every CPU.
 * LOCKING  LOCK_FRAME inside. The frame array and the caches are pinned. SP0 only: kernel code on
 *          SP0 is not preempted by other kernel code, so a CPU's cache needs no mask.
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

/*
 * One frame, as frame_alloc(0), frame_free(0), through this CPU's cache. A debug build writes a
 * pattern into the first line of a freed frame and looks for it when the frame is given out again.
 * Pre of free: the frame is in the linear map.
 */
enum kerr frame_alloc_one(uint32_t node, pa_t *out);
void frame_free_one(pa_t frame);

/*
 * Zero frames through the linear map, by DC ZVA where the CPU allows it: about 160 instructions a
 * page with lines of 64 bytes. Under a lock: one page at most (R8). Pre: page-aligned.
 */
void frame_zero(pa_t base, uint64_t bytes);

/* Is a frame of [base, base + bytes) managed here? */
bool frame_manages(pa_t base, uint64_t bytes);

struct frame_stats {
	uint64_t total;
	uint64_t free; /* in blocks or caches */
	uint64_t cached;
};
struct frame_stats frame_stats(void);

/* R10: the lists, the caches, the state words and the counts agree. O(n). Other CPUs are quiet. */
bool frame_audit(void);

/* Test: let `successes` more allocations through, then fail; UINT64_MAX: never. */
void frame_fail_after(uint64_t successes);
