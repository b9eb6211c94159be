/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/cpubase.h - the first bytes of every CPU's slice: what the lowest layers need to know
 * of the CPU they run on. struct pcpu (pcpu/pcpu.h) begins with it.
 */
#pragma once

#include <types.h>

#define LOCKS_HELD_MAX 16 /* of SP0, and of an interrupt on top of it */

struct spinlock;

/* [c] const after the CPU's init  [p] this CPU only, others may read a stale value for a report */
struct cpubase {
	uint64_t slice; /* [c] address of this slice; == TPIDR_EL1 == x18 */
	uint32_t cpu;   /* [c] logical number */
	uint32_t node;  /* [c] NUMA node */
	uint64_t mpidr; /* [c] affinity fields */
	uint64_t bit;   /* [c] 1 << cpu */

	uint32_t lock_count; /* [p] locks held, innermost last */
	uint32_t mask_depth; /* [p] nested irq_mask() */
	struct spinlock *lock[LOCKS_HELD_MAX];
	struct spinlock *lock_wanted; /* [p] what it spins on now */

	uint64_t mask_state;   /* [p] what the outermost irq_unmask() restores */
	uint64_t mask_pc;      /* [p] who masked them */
	/* [p] counter when interrupts were masked last, plus ticks parked or waiting since */
	uint64_t mask_since;
	uint64_t masked_max; /* [p] longest stretch without waiting, ticks */
	uint64_t masked_max_pc;
	uint64_t parked_max; /* [p] longest single park, ticks */
	uint64_t wait_max; /* [p] longest wait for a lock, the token or acknowledgements, ticks */
};
