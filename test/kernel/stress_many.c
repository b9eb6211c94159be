/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_many.c - workloads with several initiators, CPUs that come, go or do not
 * answer.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "kern/smp.h"
#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/log.h"
#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/stress.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap.h"

#define DUEL_ROUNDS 50
#define LOCK_ROUNDS 20

static uint64_t failed; /* facts that did not hold on other CPUs */

/* The CPU that plays the other part; 0 when this is the only one. */
static unsigned partner(void)
{
	return work_cpus() != 0 ? (unsigned)__builtin_ctzll(work_cpus()) : 0;
}

static void duel_rounds(va_t block, uint64_t random)
{
	for (unsigned i = 0; i < DUEL_ROUNDS; i++) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		const va_t page = va(block.v + (random >> 40) % 512 * PAGE_BYTES);
		uint64_t *word =
			(uint64_t *)(uintptr_t)(page.v + ARENA_SLOTS + 8ull * cpu_number());

		if (pmap_demote(&kernel_pmap, page, PAGE_BYTES, PAGE_BYTES) != KERR_OK) {
			__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
		}
		*(volatile uint64_t *)word = random;
		if (*(volatile uint64_t *)word != random) {
			__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
		}
		if (pmap_promote(&kernel_pmap, page, PAGE_BYTES) != KERR_OK) {
			__atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
		}
	}
}

static void duel_same(void *arg)
{
	(void)arg;
	duel_rounds(stress.main.rw, cpu_number() + 1);
}

static void duel_own(void *arg)
{
	const uint64_t cpu = cpu_number();
	const bool big = stress.big.size != 0;

	(void)arg;
	duel_rounds(big ? va(stress.big.rw.v + cpu % 16 * BLOCK_BYTES) : stress.main.rw, cpu + 77);
}

/* Two and more initiators, on the same block and on different ones. */
void work_duel(void)
{
	work_fn *fn = stress.cycles % 2 == 0 ? duel_same : duel_own;

	load_stop();
	failed = 0;
	work_start(work_cpus(), fn, nullptr);
	fn(nullptr);
	work_wait(work_cpus(), 0);
	CHECK(failed == 0);
	CHECK(pmap_promote(&kernel_pmap, stress.main.rw, stress.main.size) == KERR_OK);
	CHECK(stress_leaf(stress.main.rw) >= BLOCK_BYTES);
	if (stress.big.size != 0) {
		CHECK(pmap_promote(&kernel_pmap, stress.big.rw, stress.big.size) == KERR_OK);
		CHECK(stress_leaf(stress.big.rw) == stress.big.size);
	}
}

static void go_offline(void *arg)
{
	(void)arg;
	work_finish();
	smp_offline_self();
}

/* A CPU goes off and comes back while the others change mappings. */
void work_hotplug(void)
{
	const unsigned cpu = partner();
	const uint64_t limit = counter_now() + 60 * arch_counter_hz();

	load_stop();
	if (cpu == 0 || !smp_can_hotplug()) {
		log_printf("stress", "hotplug skipped=%s", cpu == 0 ? "one-cpu" : "psci");
		return;
	}
	const uint64_t bit = UINT64_C(1) << cpu;

	work_start(bit, go_offline, nullptr);
	work_start(work_cpus() & ~bit, duel_same, nullptr);
	while (!smp_is_off(&bootinfo, cpu) && counter_now() < limit) {
		change_block(&stress.main, stress.main.rx);
		__asm__ volatile("yield" ::: "memory"); /* let it go off, under one host thread */
	}
	CHECK(smp_is_off(&bootinfo, cpu));
	CHECK((park_online() & bit) == 0);
	change_block(&stress.main, stress.main.rx);
	CHECK(smp_start(&bootinfo, cpu) == KERR_OK);
	CHECK((park_online() & bit) != 0);
	work_wait(work_cpus() & ~bit, 0);
	while ((work_cpus() & bit) == 0 && counter_now() < limit) {
		cpu_wfe();
	}
	CHECK((work_cpus() & bit) != 0);
	CHECK(failed == 0);
	CHECK(pmap_promote(&kernel_pmap, stress.main.rw, stress.main.size) == KERR_OK);
}

static uint64_t deaf_until;
static uint64_t deaf_now;

/* Past the door, everything masked, answering nothing: the CPU that a park must survive. */
static void be_deaf(void *arg)
{
	uint64_t daif;

	(void)arg;
	__asm__ volatile("mrs %0, daif\n\tmsr daifset, #0xf" : "=r"(daif)::"memory");
	store_release(&deaf_now, 1);
	dsb_ishst();
	cpu_sev();
	while (load_acquire(&deaf_until) == 0) {
		cpu_wfe();
	}
	__asm__ volatile("msr daif, %0" ::"r"(daif) : "memory");
}

static void lose_one(unsigned cpu)
{
	const uint64_t retries = counter_sum(CTR_retries);
	uint64_t ticks;
	unsigned attempts;

	load_start(&stress.main, LOAD_ALL);
	park_get_limits(&ticks, &attempts);
	park_set_limits(arch_counter_hz() / 100, 100);
	pcpu_of(cpu)->irq_drop_parks = 1;
	change_block(&stress.main, stress.main.rw);
	CHECK(pcpu_of(cpu)->irq_drop_parks == 0);
	CHECK(counter_sum(CTR_retries) > retries); /* abandoned, sent again, answered */
	park_set_limits(ticks, attempts);
	load_stop();
}

static void ignore_all(unsigned cpu)
{
	const uint64_t bit = UINT64_C(1) << cpu;
	const va_t page = va(stress.main.rw.v + stress_below(512) * PAGE_BYTES);
	const uint64_t windows = counter_sum(CTR_windows);
	uint64_t ticks;
	unsigned attempts;

	park_get_limits(&ticks, &attempts);
	park_set_limits(arch_counter_hz() / 1000, 3);
	store_release(&deaf_until, 0);
	store_release(&deaf_now, 0);
	work_start(bit, be_deaf, nullptr);
	while (load_acquire(&deaf_now) == 0) {
		cpu_wfe();
	}
	CHECK(pmap_demote(&kernel_pmap, page, PAGE_BYTES, PAGE_BYTES) == KERR_BUSY);
	CHECK(stress_leaf(page) >= BLOCK_BYTES); /* abandoned before the break */
	CHECK(counter_sum(CTR_windows) == windows);
	CHECK(arena_is_intact(&stress.main));
	store_release(&deaf_until, 1);
	dsb_ishst();
	cpu_sev();
	work_wait(bit, 0);
	park_set_limits(ticks, attempts);
	change_block(&stress.main, stress.main.rw);
}

/* A park interrupt that never arrives; a CPU that does not answer. */
void work_lost(void)
{
	const unsigned cpu = partner();

	load_stop();
	if (cpu == 0 || inval_mode() != BBM_PARK) {
		log_printf("stress", "lost skipped=%s", cpu == 0 ? "one-cpu" : "mode");
		return;
	}
	lose_one(cpu);
	ignore_all(cpu);
}

static struct spinlock *contended;
static uint64_t locks_end;

static void spin_on_it(void *arg) __attribute__((no_thread_safety_analysis))
{
	(void)arg;
	while (load_acquire(&locks_end) == 0) {
		spin_lock(contended);
		spin_unlock(contended);
		__asm__ volatile("yield" ::: "memory");
	}
}

/*
 * The lock is held: until every other CPU spins on it. Without that a park would find them on their
 * way, before the door, and show nothing.
 */
static bool all_wait(uint64_t cpus)
{
	const uint64_t limit = counter_now() + 60 * arch_counter_hz();

	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		const struct cpubase *cpu = &pcpu_of((unsigned)__builtin_ctzll(scan))->base;

		while (__atomic_load_n(&cpu->lock_wanted, __ATOMIC_RELAXED) != contended) {
			if (counter_now() > limit) {
				return false;
			}
			wait_round();
		}
	}
	return true;
}

/* A window with nothing to change: what a park alone does. On SPx. */
static uint64_t bare_park(void *arg)
{
	struct park park = { 0 };

	(void)arg;
	irq_mask();
	token_acquire();
	const enum kerr e = park_begin(&park);

	if (e == KERR_OK) {
		park_end(&park);
	}
	token_release();
	irq_unmask();
	return e;
}

/* The initiator holds each kernel lock in turn while the others spin on it. */
void work_locks(void) __attribute__((no_thread_safety_analysis))
{
	struct spinlock *const locks[] = { &kmap_lock, &kernel_pmap.lock, &heap_lock, &frame_lock };
	const uint64_t polls = counter_sum(CTR_park_polls);
	uint64_t least = 0;
	const uint64_t others = (uint64_t)__builtin_popcountll(work_cpus());

	load_stop();
	if (inval_mode() != BBM_PARK) {
		log_printf("stress", "locks skipped=mode");
		return;
	}
	for (unsigned i = 0; i < array_len(locks); i++) {
		contended = locks[i];
		least += spin_is_open(contended) ? 0 : LOCK_ROUNDS * others;
		store_release(&locks_end, 0);
		work_start(work_cpus(), spin_on_it, nullptr);
		for (unsigned round = 0; round < LOCK_ROUNDS; round++) {
			spin_lock(contended);
			CHECK(all_wait(work_cpus()));
			CHECK(arch_call_on_spx(bare_park, nullptr) == KERR_OK);
			spin_unlock(contended);
		}
		store_release(&locks_end, 1);
		work_wait(work_cpus(), 0);
	}
	/* Each answered from its wait for the lock: no plain interrupt reaches it there (R5). */
	CHECK(bootargs.park == PARK_NMI || counter_sum(CTR_park_polls) - polls >= least);
	change_block(&stress.main, stress.main.rw);
}
