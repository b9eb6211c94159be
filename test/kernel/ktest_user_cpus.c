/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_user_cpus.c - user spaces that come, go and change while CPUs run them.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <compiler.h>

#include "ipi/inval.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest_user.h"
#include "vm/asid.h"

/* Bits for at least so many numbers. */
static unsigned width_for(unsigned numbers)
{
	unsigned bits = 4;

	while ((1u << bits) <= numbers) {
		bits++;
	}
	return bits;
}

/* Numbers run out again and again; each space keeps its memory. */
static void rollovers_mix_up_nothing(void)
{
	const uint64_t generations = asid_generations();
	const unsigned bits = width_for(pcpu_count() + 2);
	static struct pmap many[40];
	struct user *u = &user[0];
	uint64_t word = 0;

	REQUIRE(user_open(u, 6));
	asid_set_bits(bits);
	const unsigned count = 1u << bits < array_len(many) ? (1u << bits) + 5 : array_len(many);

	for (unsigned i = 0; i < count; i++) {
		REQUIRE(pmap_user_init(&many[i], &u->charge) == KERR_OK);
		REQUIRE(pmap_map(&many[i], va(AT), pa(u->memory.v + i * PAGE_BYTES), PAGE_BYTES,
				 RW) == KERR_OK);
	}
	for (unsigned round = 0; round < 10 * count; round++) {
		const unsigned i = round * 11 % count;

		run_space(&many[i]);
		if (round >= count) {
			EXPECT(get(AT, &word));
			EXPECT_EQ(word, stamp(i, 5));
		}
		EXPECT(put(AT, stamp(i, 5)));
	}
	/* With very many CPUs there are more numbers than spaces here, and none runs out. */
	EXPECT(count <= 1u << bits || asid_generations() > generations + 5);
	for (unsigned i = 0; i < count; i++) {
		pmap_user_destroy(&many[i]);
	}
	asid_set_bits(cpu_features.asid_bits);
	user_close(u);
}

/* After the end unmapping is free, mapping is refused, and a CPU that ran it runs nothing. */
static void a_retired_space_is_gone_at_once(void)
{
	struct user *u = &user[0];
	uint64_t word = 0;

	REQUIRE(user_open(u, ORDER_2M));
	EXPECT(map_all(u, RW));
	run_space(&u->pmap);
	EXPECT(put(AT, 1));
	const uint64_t removes = counter_sum(CTR_removes);

	pmap_user_retire(&u->pmap);
	EXPECT(!get(AT, &word));
	EXPECT_EQ(pmap_unmap(&u->pmap, va(AT), u->size), KERR_OK);
	EXPECT_EQ(counter_sum(CTR_removes), removes);
	EXPECT_EQ(pmap_map(&u->pmap, va(2 * AT), u->memory, u->size, RW), KERR_DEAD);
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), u->size, RO), KERR_DEAD);
	EXPECT_EQ(pmap_demote(&u->pmap, va(AT), u->size, PAGE_BYTES), KERR_DEAD);
	EXPECT_EQ(pmap_promote(&u->pmap, va(AT), u->size), KERR_DEAD);
	run_space(&u->pmap);
	EXPECT_EQ(mailbox_of(cpu_number())->space, 0);
	EXPECT(!get(AT, &word));
	user_close(u);
}

/* ---- other CPUs ---- */
static uint64_t others_stop;
static uint64_t others_in;
static uint64_t others_reads;
static uint64_t others_faults;

/* Run the space, or none, and read from it until told to stop. */
static void use_space(void *arg)
{
	struct pmap *pmap = arg;
	uint64_t word;

	run_space(pmap);
	__atomic_fetch_add(&others_in, 1, __ATOMIC_RELEASE);
	while (load_acquire(&others_stop) == 0) {
		for (uint64_t off = 0; pmap != nullptr && off < BLOCK_BYTES;
		     off += 16 * PAGE_BYTES) {
			__atomic_fetch_add(get(AT + off, &word) ? &others_reads : &others_faults, 1,
					   __ATOMIC_RELAXED);
		}
		cpu_wfe();
	}
	run_space(nullptr);
}

static void others_start(struct pmap *pmap)
{
	const uint64_t cpus = (uint64_t)__builtin_popcountll(work_cpus());

	others_stop = others_in = others_reads = others_faults = 0;
	work_start(work_cpus(), use_space, pmap);
	while (load_acquire(&others_in) != cpus) {
		cpu_wfe();
	}
}

static void others_end(void)
{
	store_release(&others_stop, 1);
	dsb_ishst();
	cpu_sev();
	work_wait(work_cpus(), 0);
}

static void a_window_parks_only_who_runs_the_space(void)
{
	const uint64_t cpus = (uint64_t)__builtin_popcountll(work_cpus());
	struct user *u = &user[0];

	REQUIRE(user_open(u, ORDER_2M));
	if (inval_mode() != BBM_PARK) {
		ktest_skip("this mode parks nobody");
		user_close(u);
		return;
	}
	EXPECT(map_all(u, RW));
	for (unsigned running = 0; running < 2; running++) {
		others_start(running != 0 ? &u->pmap : nullptr);
		const uint64_t parks = counter_sum(CTR_parks);
		const uint64_t windows = counter_sum(CTR_windows);

		EXPECT_EQ(pmap_demote(&u->pmap, va(AT), PAGE_BYTES, PAGE_BYTES), KERR_OK);
		EXPECT_EQ(pmap_promote(&u->pmap, va(AT), PAGE_BYTES), KERR_OK);
		EXPECT_EQ(counter_sum(CTR_windows) - windows, 2);
		EXPECT_EQ(counter_sum(CTR_parks) - parks, running != 0 ? 2 * cpus : 0);
		others_end();
		EXPECT_EQ(others_faults, 0);
	}
	user_close(u);
}

static void what_is_unmapped_is_gone_on_every_cpu(void)
{
	struct user *u = &user[0];

	REQUIRE(user_open(u, ORDER_2M));
	for (unsigned round = 0; round < 8; round++) {
		EXPECT(map_all(u, RW | (round % 2 != 0 ? PMAP_PAGES | PMAP_NO_PROMOTE : 0)));
		others_start(&u->pmap);
		while (load_relaxed(&others_reads) < 100) {
			cpu_wfe();
		}
		EXPECT_EQ(load_relaxed(&others_faults), 0);
		EXPECT_EQ(pmap_unmap(&u->pmap, va(AT), u->size), KERR_OK);
		const uint64_t reads = load_relaxed(&others_reads);
		const uint64_t faults = load_relaxed(&others_faults);

		/* At most one read was on its way on each CPU. */
		while (load_relaxed(&others_faults) < faults + 100) {
			cpu_wfe();
		}
		EXPECT(load_relaxed(&others_reads) <= reads + MAX_CPUS);
		others_end();
	}
	user_close(u);
}

/* They are in the middle of it, with nothing that would ever make them leave by themselves. */
static void cpus_are_taken_off_a_retired_space(void)
{
	struct user *u = &user[0];

	for (unsigned round = 0; round < 20; round++) {
		REQUIRE(user_open(u, ORDER_2M));
		EXPECT(map_all(u, RW));
		others_start(&u->pmap);
		run_space(&u->pmap);
		/* No memory is needed to take them off. */
		(void)heap_fail_after(0);
		pmap_user_retire(&u->pmap);
		(void)heap_fail_after(UINT64_MAX);
		for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
			EXPECT_EQ(mailbox_of(cpu)->loaded, 0);
		}
		const uint64_t reads = load_relaxed(&others_reads);

		user_close(u);
		others_end();
		EXPECT(load_relaxed(&others_reads) <= reads + MAX_CPUS);
	}
}

const struct ktest ktest_user_cpus[] = {
	{ "rollovers_mix_up_nothing", rollovers_mix_up_nothing, 1 },
	{ "a_retired_space_is_gone_at_once", a_retired_space_is_gone_at_once, 1 },
	{ "a_window_parks_only_who_runs_the_space", a_window_parks_only_who_runs_the_space, 2 },
	{ "what_is_unmapped_is_gone_on_every_cpu", what_is_unmapped_is_gone_on_every_cpu, 2 },
	{ "cpus_are_taken_off_a_retired_space", cpus_are_taken_off_a_retired_space, 2 },
	{ nullptr, nullptr, 0 },
};
