/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fake_pmap.h - tables as flat arrays of pages, for tests of what stands above them.
 *
 * THEORY   The regions, objects and faults use tables through vm/pmap.h alone. Here each user map
 *          is an array with a leaf for every page and the span of the superpage that it belongs
 *          to; the rules of the pmap (map nothing over something, split at the ends, promote what
 *          is uniform) are kept, every access can be compared, and any step can be made to fail.
 */
#pragma once

#include <types.h>

#include "vm/pmap_user.h"

#define FAKE_PAGES 16384u /* addresses below 64 MiB */

/* The frame that an access finds; false: it would fault. */
bool fake_access(const struct pmap *pmap, uint64_t at, unsigned access, pa_t *frame);
uint64_t fake_span(const struct pmap *pmap, uint64_t at);
uint64_t fake_leaves(const struct pmap *pmap);

/* Let so many steps that may fail through, then fail each with `error`; UINT64_MAX: never. */
void fake_fail_after(uint64_t successes, enum kerr error);

/* Windows that demotions and promotions of user maps would have opened. */
extern uint64_t fake_windows;

/* Is the frame in the kernel's linear map? */
bool fake_is_linear(pa_t frame);
