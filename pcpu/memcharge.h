/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/memcharge.h - who pays for memory: a limit, and what is used of it.
 *
 * THEORY   A task can exhaust only what it was given. Whatever is allocated on its behalf (kernel
 *          objects, table pages, frames) is taken from its charge before it is allocated, and given
 *          back after it was freed, so the sum of what is used never passes the limit.
 *          What is given up comes back later, in steps. Until it has, a fault that is refused for
 *          want of memory is taken again. Calls are not made again: a program can ask for more
 *          than it will ever have, and would wait each time for all that is on its way.
 * LOCKING  None: two atomic words. `nullptr` stands for the kernel, which is not limited.
 * NOT HERE Whether the machine has the memory: pcpu/heap.h, vm/frame.h.
 */
#pragma once

#include <types.h>

struct memcharge {
	uint64_t limit_bytes; /* [c] */
	uint64_t used_bytes;  /* [a] */
	uint64_t returning;   /* [a] things that are on their way back */
};

/* Take `bytes` from the charge. False: the limit would be passed, nothing was taken. */
bool memcharge_take(struct memcharge *charge, uint64_t bytes);

/* Give back what was taken. Panics when it is more than is used (R10). */
void memcharge_give(struct memcharge *charge, uint64_t bytes);

/*
 * Something that the charge pays for is at its end; it has been given back. Whoever asks before it
 * takes, and sees nothing on its way, is refused with all of it there.
 */
void memcharge_return_begins(struct memcharge *charge);
void memcharge_return_ends(struct memcharge *charge);
bool memcharge_is_returning(const struct memcharge *charge);

/* Bytes that are used now. */
uint64_t memcharge_used(const struct memcharge *charge);
