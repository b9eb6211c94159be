/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/frame_impl.h - between the blocks (frame.c) and the caches (frame_cache.c).
 */
#pragma once

#include "vm/frame.h"

enum frame_kind { INNER = 0, FREE = 1, OWNED = 2, CACHED = 3 };

/* A cache is filled by a block of 16: one lock for 16 frames, and memory that lies together. */
#define FRAME_RUN_ORDER 4
#define FRAME_RUN (1u << FRAME_RUN_ORDER)

/* FRAME_RUN frames in a row, or one, or none: their number. They are CACHED. Takes the lock. */
unsigned frame_take_cached(uint32_t node, pa_t *first);

/* A single frame changes hands; its node. Without the lock: the frame is the caller's. */
uint32_t frame_turn(pa_t frame, enum frame_kind from, enum frame_kind to);

/* Is a test counting allocations? Then every one takes the way that counts. */
bool frame_may_fail(void);

/* Give the frames of all caches back; false: they were empty. No lock held but lower ranks. */
bool frame_caches_drain(void);

/* Frames in all caches; exact when the other CPUs are quiet. */
uint64_t frame_caches_count(void);
