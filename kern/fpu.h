/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fpu.h - FP/SIMD registers of threads.
 *
 * THEORY   The kernel uses none. A thread that has never used them has no area, and a CPU that runs
 *          it traps the first use (CPACR_EL1.FPEN = 0b01: EL0 traps). From then on the thread has
 *          an area, paid by its task, and its registers are saved and loaded at every switch:
 *          eagerly, because a lazy switch leaves one thread's registers where another can
 *          speculate on them, and because a thread that moves must find them in memory.
 * LOCKING  The CPU that runs the thread; the run queue's lock orders a save before the next load.
 */
#pragma once

#include <types.h>

#include "pcpu/memcharge.h"

struct thread;

struct fpu_state {
	uint64_t v[64]; /* q0-q31 */
	uint64_t fpcr;
	uint64_t fpsr;
};

/* EL0's first use: give t an area and open the registers, all zero. False: no memory. SP0. */
bool fpu_first_use(struct thread *t);

/* t leaves this CPU: save what it has. Pinned data only. */
void fpu_leave(struct thread *t);

/* t comes to this CPU: load what it has, or trap. Effective at the next ERET. Pinned data only. */
void fpu_come(const struct thread *t);

/* Give the area back, to the one who paid. */
void fpu_free(struct thread *t);
