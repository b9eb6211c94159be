/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/physread.h - memory by its physical address, through the lifeboat's map.
 *
 * GUARANTEE Whatever the live tables say, phys_read() reads RAM that the kernel manages and nothing
 *          else: no device, no hole, no memory that the device tree reserves. Of that it refuses
 *          what is neither pinned nor in the linear map: the frames of secret objects, which are
 *          in neither. (So a broken entry of the linear map hides what it mapped: a report says
 *          that it cannot read there, and no secret is ever shown.) It does not fault (an
 *          external abort of the RAM itself apart) and takes no lock, so it serves a report, a
 *          debugger, or a CPU that has just stopped the others. It works on either root: on the
 *          live one it switches for the time of the call, interrupts masked, at the price of this
 *          CPU's TLB; so ask for much at once.
 * NOT HERE Consistency: another CPU that runs may be writing what is read.
 */
#pragma once

#include <types.h>

/* Is this CPU on the lifeboat's root? */
bool lifeboat_is_on(void);

/*
 * Read [at, at + bytes) into `to`, at any alignment. False: part of the range is not such memory,
 * or `to` or this CPU's slice is not pinned (pcpu=scattered), and nothing was written.
 */
bool phys_read(pa_t at, void *to, size_t bytes);

/* The same for one aligned 64-bit word, by a single access: a table entry. */
bool phys_read_word(pa_t at, uint64_t *out);

/* arch/arm64/lifeboat.S. Pre: DAIF masked, on a pinned stack. */
uint64_t lifeboat_enter(void);
void lifeboat_leave(uint64_t root);
