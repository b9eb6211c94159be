/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/pcpu.h - the slices of the per-CPU blocks.
 *
 * THEORY   Everything that a CPU touches between an exception and its release from a park lies in
 *          its slice: struct pcpu, its stacks, its mailbox, its flight recorder. The slices of a
 *          NUMA node's CPUs lie in 2 MiB blocks that are mapped by one level-2 entry each, which
 *          never changes (R1). A slice is aligned to its size: `sp ^ slice` tells at once whether
 *          a stack pointer is ours.
 * NOT HERE Who may write which field of the mailbox, and in which order: ipi/park.h.
 */
#pragma once

#include <arch/cpu.h>
#include <compiler.h>
#include <cpubase.h>
#include <memmap.h>
#include <types.h>

#include "pcpu/counter.h"

/* Where a CPU stands with respect to the door (ARCHITECTURE section 4). */
enum door_state {
	DOOR_OFF = 0,    /* not running, or not yet */
	DOOR_IDLE = 1,   /* before the door: touches pinned memory only */
	DOOR_EL0 = 2,    /* in user mode */
	DOOR_KERNEL = 3, /* past the door: touches anything */
};

/* The initiator writes the first line, the CPU itself the second. */
struct mailbox {
	cacheline_aligned uint64_t request; /* newest generation that asks this CPU to park */
	uint64_t release;                   /* newest generation that lets it go */
	cacheline_aligned uint64_t ack;     /* newest generation that it parked for */
	uint64_t door;                      /* enum door_state */
	uint64_t ack_pc; /* what the park interrupted; 0: a wait loop answered */
	uint64_t space;  /* the user space that this CPU runs or is about to, 0: none (UM1) */
	uint64_t loaded; /* the one whose root is in TTBR0 (UM2, vm/pmap_user.h) */
};

/* What stopped the last copy from or to user memory (kern/usercopy.h). */
struct user_fault {
	uint64_t va;     /* what faulted: FAR_EL1 */
	uint64_t esr;    /* 0: the range was refused, nothing was accessed */
	uint64_t copied; /* bytes that are certain to have been copied */
};

#define PARK_HIST_BUCKETS 128
#define RECORDER_STEP 256 /* a record's number * 256 + its kind is its id */

struct thread;
struct runq;

/* [p] written by this CPU only  [a] atomic, by anyone */
struct pcpu {
	struct cpubase base;
	/* EL0's part, where arch/arm64/el0.h says. */
	_Alignas(64) struct thread *current; /* [p] runs in EL0, or is served; may be nullptr */
	/* [p] moments without a pointer to an object; odd: asleep or off (kern/reclaim.h) */
	uint64_t quiet;
	uint64_t sp0_base; /* [p] where SP0 begins in a call from EL0 */
	uint64_t host_sp; /* [p] SP0 of the kernel program that gave its CPU to threads */
	uint64_t fast_key; /* [p] thread_key() of the thread that the scheduler chose */
	uint64_t *space_word;  /* [p] &mailbox.space */
	uint64_t *asid_active; /* [p] asid_active() of this CPU */
	struct runq *runq;     /* [c] of this CPU; nullptr before it runs threads */
	bool (*host_until)(void *arg); /* [p] when it wants it back; nullptr: it has it */
	void *host_arg;
	bool steps_el0; /* [p] single step of EL0 is on */
	bool idle_work; /* [p] it was idle while something waits to be reclaimed */
	bool gicv2; /* [c] its interrupts are acknowledged at a GICv2 */
	uint64_t resched; /* [a] look for another thread on the way out */
	uint64_t slice_end; /* [p] of the current thread, ticks */
	uint64_t timer_deadline; /* [p] what the timer is set to; 0: nothing */
	struct thread *requests; /* [a] threads that are asked to stop or die */
	uint64_t counter[CTR_COUNT]; /* [p] */
	/* [p] latency of parks that this CPU started, log2 * 2 */
	uint64_t park_hist[PARK_HIST_BUCKETS];
	uint64_t window_max; /* [p] the longest window, ticks */
	uint64_t park_max; /* [p] longest time from request to last ack, ticks */
	uint64_t held; /* [p] ticks that parks of this CPU held others, who ran other things */
	uint64_t recorder_next; /* [p] records written since boot, in steps of RECORDER_STEP */
	uint64_t work_block; /* [p] stress: the block this CPU works in now */
	struct user_fault user_fault; /* [p] */
	uint64_t irq_drop_parks; /* test: park interrupts to lose on this CPU */
	volatile uint64_t timer_fired;
};

static inline struct pcpu *pcpu_this(void)
{
	return (struct pcpu *)this_cpu();
}

/* [c] after boot: slice of CPU n, nullptr beyond pcpu_count(). */
extern struct pcpu *pcpu_slice[MAX_CPUS];

static inline struct pcpu *pcpu_of(unsigned cpu)
{
	return pcpu_slice[cpu];
}

static inline struct mailbox *pcpu_mailbox(struct pcpu *p)
{
	return (struct mailbox *)((char *)p + SLICE_MAILBOX);
}

static inline struct mailbox *mailbox_of(unsigned cpu)
{
	return pcpu_mailbox(pcpu_slice[cpu]);
}

/* CPUs that the device tree names and we have slices for. */
unsigned pcpu_count(void);

/*
 * Write the head of a fresh, zeroed slice and enter it in the table. Boot CPU, before the CPU
 * starts.
 * Pre: slice is SLICE_BYTES-aligned.
 */
void pcpu_register(unsigned cpu, uint32_t node, uint64_t mpidr, void *slice);

/* The red zones at the foot of the stacks are intact. O(1), for slow exits. */
bool pcpu_stacks_intact(const struct pcpu *p);

/* The kernel stack has not reached its red zone: one word of it, for every call. */
bool pcpu_stack_untouched(const struct pcpu *p);

static inline void count_add(enum counter c, uint64_t n)
{
	pcpu_this()->counter[c] += n;
}

static inline void count(enum counter c)
{
	count_add(c, 1);
}

/* Sum over all CPUs; exact when they are quiet. */
uint64_t counter_sum(enum counter c);
