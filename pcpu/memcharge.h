/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/memcharge.h - who pays for memory: a limit, and what is used of it.
 *
 * THEORY   A task can exhaust only what it was given. Whatever is allocated on its behalf (kernel
 *          objects, table pages, frames) is taken from its charge before it is allocated, and given
 *          back after it was freed, so the sum of what is used never passes the limit.
 * LOCKING  None: one atomic word. `nullptr` stands for the kernel, which is not limited.
 * NOT HERE Whether the machine has the memory: pcpu/heap.h, vm/frame.h.
 */
#pragma once

#include <types.h>

struct memcharge {
	uint64_t limit_bytes; /* [c] */
	uint64_t used_bytes;  /* [a] */
};

/* Take `bytes` from the charge. False: the limit would be passed, nothing was taken. */
bool memcharge_take(struct memcharge *charge, uint64_t bytes);

/* Give back what was taken. Panics when it is more than is used (R10). */
void memcharge_give(struct memcharge *charge, uint64_t bytes);

/* Bytes that are used now. */
uint64_t memcharge_used(const struct memcharge *charge);
