/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/crew.c - see test/kernel/crew.h.
 */
#include "test/kernel/crew.h"

#include <arch/atomic.h>
#include <arch/barrier.h>

#include "arch/arm64/timer.h"
#include "test/kernel/stress.h"

struct crew crew;

void crew_fact(bool fact)
{
	if (!fact) {
		fetch_add_relaxed(&crew.wrong, 1);
	}
}

void crew_start(work_fn *fn)
{
	load_stop();
	store_release(&crew.stop, 0);
	store_release(&crew.wrong, 0);
	store_release(&crew.rounds, 0);
	work_start(work_cpus(), fn, nullptr);
}

void crew_end(void)
{
	store_release(&crew.stop, 1);
	dsb_ishst();
	cpu_sev();
	CHECK(work_wait(work_cpus(), 60 * arch_counter_hz()));
	CHECK(load_acquire(&crew.wrong) == 0);
}

bool crew_goes_on(void)
{
	fetch_add_relaxed(&crew.rounds, 1);
	__asm__ volatile("yield");
	return load_acquire(&crew.stop) == 0;
}

uint64_t crew_random(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 33;
}
