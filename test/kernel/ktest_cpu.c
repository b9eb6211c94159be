/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_cpu.c - interrupts, parks, locks, and CPUs that come and go.
 *
 * Waits are bounded by the counter and generous: they end early when all is well, and nothing here
 * asserts how long something took.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>
#include <compiler.h>
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/irq.h"
#include "kern/lock.h"
#include "kern/run.h"
#include "kern/smp.h"
#include "kern/timerq.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"

#define ORDER_2M 9
#define LIMIT_SECONDS 20 /* for what hangs; the boot of a seeded defect has 120 */
#define LOCKS_SECONDS 100 /* the same, where a slow host shows most */
#define LOCK_ROUNDS 30 /* each hand-over may wait for the host to run its CPU */

static uint64_t stop_others;
static uint64_t others_running;

static uint64_t limit(void)
{
	return counter_now() + LIMIT_SECONDS * arch_counter_hz();
}

/* Past the door until told to stop. */
static void stay_in_kernel(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&others_running, 1, __ATOMIC_RELEASE);
	while (load_acquire(&stop_others) == 0) {
		cpu_wfe();
	}
}

static uint64_t others_start(work_fn *fn, void *arg)
{
	const uint64_t cpus = work_cpus();
	const uint64_t count = (uint64_t)__builtin_popcountll(cpus);

	store_release(&stop_others, 0);
	store_release(&others_running, 0);
	work_start(cpus, fn, arg);
	while (load_acquire(&others_running) != count) {
		cpu_wfe();
	}
	return count;
}

static void others_end(void)
{
	store_release(&stop_others, 1);
	dsb_ishst();
	cpu_sev();
	EXPECT(work_wait(work_cpus(), LIMIT_SECONDS * arch_counter_hz()));
}

static bool all_before_the_door(void)
{
	for (uint64_t scan = work_cpus(); scan != 0; scan &= scan - 1) {
		if (load_acquire(&mailbox_of((unsigned)__builtin_ctzll(scan))->door) != DOOR_IDLE) {
			return false;
		}
	}
	return true;
}

static bool block(struct ktest_area *a)
{
	if (!area_open(a, ORDER_2M)) {
		return false;
	}
	EXPECT(map(a->va, a->pa, a->size, RW));
	EXPECT_EQ(bytes_at(a->va), BLOCK_BYTES);
	fill(a->va, a->size, 6);
	return true;
}

/* One demotion and one promotion: two windows, or a test that says so. */
static void change(const struct ktest_area *a)
{
	EXPECT(demote(a->va, PAGE_BYTES, RUN64_BYTES));
	EXPECT(bytes_at(a->va) < BLOCK_BYTES);
	EXPECT(promote(a->va, PAGE_BYTES));
	EXPECT_EQ(bytes_at(a->va), BLOCK_BYTES);
}

static bool is_parking(void)
{
	if (inval_mode() != BBM_PARK) {
		ktest_skip("this mode parks nobody");
		return false;
	}
	return true;
}

static void timer_interrupts_arrive_and_stop(void)
{
	struct pcpu *p = pcpu_this();
	const uint64_t fired = p->timer_fired;
	const uint64_t end = limit();

	irq_timer_start(arch_counter_hz() / 1000);
	while (p->timer_fired < fired + 3 && counter_now() < end) {
		cpu_wfe();
	}
	irq_timer_stop();
	EXPECT(p->timer_fired >= fired + 3);
	const uint64_t stopped = p->timer_fired;
	const uint64_t later = counter_now() + arch_counter_hz() / 100;

	while (counter_now() < later) {
		cpu_wfe();
	}
	EXPECT_EQ(p->timer_fired, stopped);
}

uint64_t ktest_hold_registers(uint64_t rounds); /* ktest_registers.S */

/* What was interrupted goes on with every register, and the flags, as they were. */
static uint64_t rung; /* [a] */

static void ring(struct timerq_node *node)
{
	(void)node;
	store_relaxed(&rung, rung + 1);
}

/* Earlier than whatever else this CPU waits for. */
static void deadlines_that_pass_together_run_one_by_one(void)
{
	static struct timerq_node nodes[3];

	rung = 0;
	irq_mask();
	for (unsigned i = 0; i < array_len(nodes); i++) {
		timerq_add(&nodes[i], 1, ring);
	}
	timerq_run();
	const uint64_t first = rung;

	irq_unmask();
	EXPECT_EQ(first, 1);
	for (const uint64_t end = limit(); load_relaxed(&rung) != array_len(nodes);) {
		if (counter_now() > end) {
			break;
		}
	}
	EXPECT_EQ(rung, array_len(nodes));
}

static void an_interrupt_changes_no_register(void)
{
	struct pcpu *p = pcpu_this();
	const uint64_t fired = p->timer_fired;
	const uint64_t end = limit();

	irq_timer_start(arch_counter_hz() / 5000);
	while (p->timer_fired < fired + 20 && counter_now() < end) {
		EXPECT_EQ(ktest_hold_registers(2000), 0);
	}
	irq_timer_stop();
	EXPECT(p->timer_fired >= fired + 20);
}

static void windows_stand_timer_interrupts(void)
{
	struct pcpu *p = pcpu_this();
	const uint64_t fired = p->timer_fired;
	const uint64_t end = limit();
	struct ktest_area a;

	if (!block(&a)) {
		return;
	}
	irq_timer_start(arch_counter_hz() / 5000);
	for (unsigned i = 0; (i < 200 || p->timer_fired < fired + 5) && counter_now() < end; i++) {
		change(&a);
	}
	irq_timer_stop();
	EXPECT(p->timer_fired >= fired + 5);
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

static void storm_interrupts_reach_every_cpu(void)
{
	const uint64_t cpus = work_cpus();
	const uint64_t end = limit();
	uint64_t before[MAX_CPUS] = { 0 };

	others_start(stay_in_kernel, nullptr);
	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(scan);

		before[cpu] = load_relaxed(&pcpu_of(cpu)->counter[CTR_irq_sgi]);
	}
	arch_ipi_send(SGI_STORM, cpus);
	for (uint64_t scan = cpus; scan != 0; scan &= scan - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(scan);
		const uint64_t *counter = &pcpu_of(cpu)->counter[CTR_irq_sgi];

		while (load_relaxed(counter) == before[cpu] && counter_now() < end) {
			cpu_wfe();
		}
		EXPECT(load_relaxed(counter) > before[cpu]);
	}
	others_end();
}

static void windows_park_cpus_past_the_door(void)
{
	struct ktest_area a;

	if (!is_parking() || !block(&a)) {
		return;
	}
	const uint64_t count = others_start(stay_in_kernel, nullptr);
	const uint64_t parks = counter_sum(CTR_parks);

	for (unsigned i = 0; i < 10; i++) {
		change(&a);
		/* PK1: exactly the generation of the last window, by each of them. */
		for (uint64_t scan = work_cpus(); scan != 0; scan &= scan - 1) {
			EXPECT_EQ(load_acquire(&mailbox_of((unsigned)__builtin_ctzll(scan))->ack),
				  park_generation());
		}
	}
	others_end();
	EXPECT_EQ(counter_sum(CTR_parks), parks + 20 * count);
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

static uint64_t latencies_noted(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PARK_HIST_BUCKETS; i++) {
		sum += pcpu_this()->park_hist[i];
	}
	return sum;
}

/* One entry in the histogram for each park that had to ask somebody, none for the others. */
static void park_latencies_are_noted(void)
{
	struct ktest_area a;

	if (!is_parking() || !block(&a)) {
		return;
	}
	const uint64_t before = latencies_noted();

	others_start(stay_in_kernel, nullptr);
	for (unsigned i = 0; i < 10; i++) {
		change(&a);
	}
	EXPECT_EQ(latencies_noted(), before + 20);
	EXPECT(pcpu_this()->park_max > 0);
	others_end();
	area_close(&a);
}

/* Masked on SP0, answering nothing by itself: an urgent interrupt is all that reaches it. */
static void stay_masked(void *arg)
{
	(void)arg;
	irq_mask();
	__atomic_fetch_add(&others_running, 1, __ATOMIC_RELEASE);
	while (load_acquire(&stop_others) == 0) {
		cpu_wfe();
	}
	irq_unmask();
}

static void urgent_parks_reach_masked_cpus(void)
{
	struct ktest_area a;

	if (!arch_masks_by_priority()) {
		ktest_skip("park=nmi is not on");
		return;
	}
	if (!is_parking() || !block(&a)) {
		return;
	}
	others_start(stay_masked, nullptr);
	for (unsigned i = 0; i < 10; i++) {
		change(&a);
	}
	others_end();
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

static void windows_spare_cpus_before_the_door(void)
{
	struct ktest_area a;
	const uint64_t end = limit();

	if (!is_parking() || !block(&a)) {
		return;
	}
	while (!all_before_the_door() && counter_now() < end) {
		cpu_wfe();
	}
	REQUIRE(all_before_the_door());
	const uint64_t sent = counter_sum(CTR_ipis_sent);
	const uint64_t spared = counter_sum(CTR_ipis_spared);

	change(&a);
	EXPECT_EQ(counter_sum(CTR_ipis_sent), sent);
	EXPECT_EQ(counter_sum(CTR_ipis_spared),
		  spared + 2 * (uint64_t)__builtin_popcountll(work_cpus()));
	area_close(&a);
}

static void a_lost_interrupt_is_sent_again(void)
{
	struct ktest_area a;
	uint64_t ticks;
	unsigned attempts;

	if (!is_parking() || !block(&a)) {
		return;
	}
	others_start(stay_in_kernel, nullptr);
	const uint64_t retries = counter_sum(CTR_retries);

	park_get_limits(&ticks, &attempts);
	park_set_limits(arch_counter_hz() / 100, 1000);
	pcpu_of(1)->irq_drop_parks = 1;
	change(&a);
	EXPECT_EQ(pcpu_of(1)->irq_drop_parks, 0);
	EXPECT(counter_sum(CTR_retries) > retries);
	park_set_limits(ticks, attempts);
	others_end();
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

static void a_cpu_that_does_not_answer_stops_nothing(void)
{
	struct ktest_area a;
	uint64_t ticks;
	unsigned attempts;

	if (!is_parking() || !block(&a)) {
		return;
	}
	others_start(stay_in_kernel, nullptr);
	const uint64_t breaks = counter_sum(CTR_breaks);
	const uint64_t busy = counter_sum(CTR_busy_errors);

	park_get_limits(&ticks, &attempts);
	park_set_limits(arch_counter_hz() / 200, 3);
	pcpu_of(1)->irq_drop_parks = UINT64_MAX;
	EXPECT_EQ(pmap_demote(&kernel_pmap, a.va, PAGE_BYTES, RUN64_BYTES), KERR_BUSY);
	pcpu_of(1)->irq_drop_parks = 0;
	park_set_limits(ticks, attempts);
	EXPECT_EQ(counter_sum(CTR_breaks), breaks);
	EXPECT_EQ(counter_sum(CTR_busy_errors), busy + 1);
	EXPECT_EQ(bytes_at(a.va), BLOCK_BYTES);
	EXPECT(holds(a.va, a.size, 6));
	change(&a);
	others_end();
	area_close(&a);
}

struct counted_lock {
	struct spinlock lock;
	uint64_t value;
};

static struct counted_lock counted = { .lock = SPINLOCK("ktest", LOCK_STRESS) };

static void count_under_lock(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&others_running, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < LOCK_ROUNDS; i++) {
		spin_lock(&counted.lock);
		counted.value++;
		spin_unlock(&counted.lock);
	}
}

/* Others spin on a lock that is held across windows: they answer while they wait (R5). */
static void cpus_that_spin_answer_parks(void)
{
	struct ktest_area a;

	if (!block(&a)) {
		return;
	}
	counted.value = 0;
	spin_lock(&counted.lock);
	const uint64_t count = others_start(count_under_lock, nullptr);

	for (unsigned i = 0; i < 10; i++) {
		change(&a);
	}
	EXPECT_EQ(counted.value, 0);
	spin_unlock(&counted.lock);
	EXPECT(work_wait(work_cpus(), LOCKS_SECONDS * arch_counter_hz()));
	EXPECT_EQ(counted.value, count * LOCK_ROUNDS);
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

/* ---- what interrupts do meanwhile ---- */

static struct spinlock open_lock = SPINLOCK("ktest open", LOCK_OPEN_FIRST);
static struct spinlock closed_lock = SPINLOCK("ktest closed", LOCK_OBJECT);
static uint64_t interrupts; /* [a] */

static void interrupt_locks(struct timerq_node *node)
{
	(void)node;
	spin_lock(&closed_lock); /* of a lower rank than the one that was held */
	store_release(&interrupts, load_relaxed(&interrupts) + 1);
	spin_unlock(&closed_lock);
}

/* A timer that is due: has its function run when `ticks` have passed? */
static bool interrupt_comes(struct timerq_node *node, uint64_t ticks)
{
	const uint64_t before = load_relaxed(&interrupts);
	const uint64_t end = counter_now() + ticks;

	timerq_add(node, counter_now(), interrupt_locks);
	while (load_acquire(&interrupts) == before && counter_now() < end) {
	}
	return load_acquire(&interrupts) != before;
}

/* R8: long work is done under open locks; an interrupt then takes its own as if none were held. */
static void open_locks_leave_interrupts_on(void)
{
	struct timerq_node node = { 0 };

	store_release(&interrupts, 0);
	spin_lock(&open_lock);
	EXPECT(interrupt_comes(&node, LIMIT_SECONDS * arch_counter_hz()));
	EXPECT(spin_is_held(&open_lock));
	spin_unlock(&open_lock);
	spin_lock(&closed_lock);
	EXPECT(!interrupt_comes(&node, arch_counter_hz() / 1000));
	spin_unlock(&closed_lock);
	const uint64_t end = limit();

	while (load_acquire(&interrupts) < 2 && counter_now() < end) {
	}
	EXPECT_EQ(load_acquire(&interrupts), 2);
}

/* ---- look-ups ---- */

static uint64_t wrong_answers;

static void look_up_until_told(void *arg)
{
	const struct ktest_area *a = arg;

	__atomic_fetch_add(&others_running, 1, __ATOMIC_RELEASE);
	for (uint64_t i = 0; load_acquire(&stop_others) == 0; i++) {
		const uint64_t off = i * 8 * 1021 % a->size;
		pa_t out;

		if (!pmap_extract(va(a->va.v + off), &out) || out.v != a->pa.v + off) {
			__atomic_fetch_add(&wrong_answers, 1, __ATOMIC_RELAXED);
		}
		if (i % 64 == 0) {
			cpu_wfe();
		}
	}
}

static void look_ups_are_right_throughout(void)
{
	struct ktest_area a;

	if (!block(&a)) {
		return;
	}
	store_release(&wrong_answers, 0);
	others_start(look_up_until_told, &a);
	/* Elsewhere windows are held open on purpose, and look-ups wait for them. */
	for (unsigned i = inval_mode() == BBM_PARK ? 100 : 2; i > 0; i--) {
		change(&a);
	}
	others_end();
	EXPECT_EQ(load_acquire(&wrong_answers), 0);
	area_close(&a);
}

static void leave(void *arg)
{
	(void)arg;
	work_finish();
	smp_offline_self();
}

static void a_cpu_goes_and_comes_back(void)
{
	const unsigned cpu = 1;
	const uint64_t bit = UINT64_C(1) << cpu;
	const uint64_t end = limit();
	struct ktest_area a;

	if (!smp_can_hotplug()) {
		ktest_skip("no firmware that stops a CPU");
		return;
	}
	if (!block(&a)) {
		return;
	}
	work_start(bit, leave, nullptr);
	while (!smp_is_off(&bootinfo, cpu) && counter_now() < end) {
		change(&a);
		__asm__ volatile("yield" ::: "memory");
	}
	REQUIRE(smp_is_off(&bootinfo, cpu));
	EXPECT((park_online() & bit) == 0);
	EXPECT((work_cpus() & bit) == 0);
	change(&a); /* the CPU that is off is not asked */
	REQUIRE(smp_start(&bootinfo, cpu) == KERR_OK);
	EXPECT((park_online() & bit) != 0);
	while ((work_cpus() & bit) == 0 && counter_now() < end) {
		cpu_wfe();
	}
	EXPECT((work_cpus() & bit) != 0);
	others_start(stay_in_kernel, nullptr);
	change(&a);
	others_end();
	EXPECT(holds(a.va, a.size, 6));
	area_close(&a);
}

const struct ktest ktest_cpu[] = {
	{ "timer_interrupts_arrive_and_stop", timer_interrupts_arrive_and_stop, 1 },
	{ "deadlines_that_pass_together_run_one_by_one",
	  deadlines_that_pass_together_run_one_by_one, 1 },
	{ "an_interrupt_changes_no_register", an_interrupt_changes_no_register, 1 },
	{ "windows_stand_timer_interrupts", windows_stand_timer_interrupts, 1 },
	{ "storm_interrupts_reach_every_cpu", storm_interrupts_reach_every_cpu, 2 },
	{ "windows_park_cpus_past_the_door", windows_park_cpus_past_the_door, 2 },
	{ "park_latencies_are_noted", park_latencies_are_noted, 2 },
	{ "urgent_parks_reach_masked_cpus", urgent_parks_reach_masked_cpus, 2 },
	{ "windows_spare_cpus_before_the_door", windows_spare_cpus_before_the_door, 2 },
	{ "a_lost_interrupt_is_sent_again", a_lost_interrupt_is_sent_again, 2 },
	{ "a_cpu_that_does_not_answer_stops_nothing", a_cpu_that_does_not_answer_stops_nothing, 2 },
	{ "cpus_that_spin_answer_parks", cpus_that_spin_answer_parks, 2 },
	{ "open_locks_leave_interrupts_on", open_locks_leave_interrupts_on, 1 },
	{ "look_ups_are_right_throughout", look_ups_are_right_throughout, 2 },
	{ "a_cpu_goes_and_comes_back", a_cpu_goes_and_comes_back, 2 },
	{ nullptr, nullptr, 0 },
};
