/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/work.c - see kern/work.h.
 */
#include "kern/work.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>

#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/sched.h"
#include "pcpu/recorder.h"

struct work {
	cacheline_aligned uint64_t given; /* items handed out */
	work_fn *fn;
	void *arg;
	cacheline_aligned uint64_t done; /* items finished */
};

static struct work work[MAX_CPUS];
static uint64_t loops; /* CPUs that take work */

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

uint64_t work_cpus(void)
{
	return load_acquire(&loops);
}

void work_finish(void)
{
	struct work *w = &work[cpu_number()];

	__atomic_fetch_and(&loops, ~CPU_BIT(cpu_number()), __ATOMIC_RELEASE);
	store_release(&w->done, w->given);
}

void work_start(uint64_t cpus, work_fn *fn, void *arg)
{
	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		struct work *w = &work[__builtin_ctzll(scan)];

		KASSERT(load_acquire(&w->done) == w->given);
		w->fn = fn;
		w->arg = arg;
		store_release(&w->given, w->given + 1);
	}
	if (cpus != 0) {
		rec(REC_IPI, SGI_WAKE, cpus);
		dsb_ishst();
		arch_ipi_send(SGI_WAKE, cpus);
	}
}

bool work_wait(uint64_t cpus, uint64_t timeout_ticks)
{
	const uint64_t start = counter_now();

	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		const struct work *w = &work[__builtin_ctzll(scan)];

		while (load_acquire(&w->done) != w->given) {
			if (timeout_ticks != 0 && counter_now() - start > timeout_ticks) {
				return false;
			}
			cpu_wfe();
		}
	}
	return true;
}

static bool work_is_given(void *arg)
{
	const struct work *w = arg;

	return load_acquire(&w->given) != w->done;
}

_Noreturn void work_loop(void)
{
	struct work *w = &work[cpu_number()];

	__atomic_fetch_or(&loops, CPU_BIT(cpu_number()), __ATOMIC_RELEASE);
	for (;;) {
		sched_give(work_is_given, w);
		w->fn(w->arg);
		KASSERT(this_cpu()->lock_count == 0 && this_cpu()->mask_depth == 0);
		KASSERT(pcpu_stacks_intact(pcpu_this()));
		store_release(&w->done, w->given);
		dsb_ishst();
		cpu_sev();
	}
}
