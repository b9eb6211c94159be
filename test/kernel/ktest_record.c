/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_record.c - what the flight recorder says: every kind of record is made to
 * happen, so that its absence elsewhere means something.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/irq.h"
#include "kern/lock.h"
#include "kern/work.h"
#include "pcpu/recorder.h"
#include "test/kernel/ktest.h"

#define ORDER_2M 9
#define LIMIT_SECONDS 20
#define OTHER 1 /* the CPU that takes part */
#define OTHERS (UINT64_C(1) << OTHER)

extern char _image_start[], _text_end[];

static struct spinlock contended = SPINLOCK("records", LOCK_STRESS);
static uint64_t end_other;

/* The newest record of a kind in a ring, among those written since `since`. */
static bool find(unsigned cpu, uint64_t since, enum rec_kind kind, struct record *out)
{
	const uint64_t written = recorder_count(pcpu_of(cpu)) - since;

	for (unsigned age = 0; age < written && age < RECORDER_ENTRIES; age++) {
		if (recorder_read(cpu, age, out) && record_kind(out) == kind) {
			return true;
		}
	}
	return false;
}

static bool wait_for_record(unsigned cpu, uint64_t since, enum rec_kind kind, struct record *out)
{
	const uint64_t limit = counter_now() + LIMIT_SECONDS * arch_counter_hz();

	while (!find(cpu, since, kind, out)) {
		if (counter_now() > limit) {
			return false;
		}
		cpu_wfe();
	}
	return true;
}

static uint64_t mark(unsigned cpu)
{
	return recorder_count(pcpu_of(cpu));
}

static bool block(struct ktest_area *a)
{
	if (!area_open(a, ORDER_2M)) {
		return false;
	}
	EXPECT(map(a->va, a->pa, a->size, RW));
	return true;
}

/* The record is about [at, 2^log bytes). */
static void expect_span(const struct record *r, va_t at, unsigned log)
{
	EXPECT_EQ(r->a & ~REC_SPAN_BITS, at.v);
	EXPECT_EQ(r->a & REC_SPAN_LOG, log);
}

static void stay_in_kernel(void *arg)
{
	store_release(arg, 1);
	while (load_acquire(&end_other) == 0) {
		cpu_wfe();
	}
}

static void other_start(void)
{
	static uint64_t there;

	store_release(&end_other, 0);
	store_release(&there, 0);
	work_start(OTHERS, stay_in_kernel, &there);
	while (load_acquire(&there) == 0) {
		cpu_wfe();
	}
}

static void other_end(void)
{
	store_release(&end_other, 1);
	dsb_ishst();
	cpu_sev();
	EXPECT(work_wait(OTHERS, LIMIT_SECONDS * arch_counter_hz()));
}

static void a_record_holds_what_it_was_given(void)
{
	const uint64_t since = mark(cpu_number());
	struct record r;

	struct record *written = rec(REC_MARK, 0x1234, 0x5678);

	REQUIRE(find(cpu_number(), since, REC_MARK, &r));
	EXPECT_EQ(r.a, 0x1234);
	EXPECT_EQ(r.b, 0x5678);
	EXPECT_EQ(r.took, 0);
	rec_took(written, UINT64_MAX);
	REQUIRE(find(cpu_number(), since, REC_MARK, &r));
	EXPECT_EQ(r.took, UINT32_MAX);
}

static void a_change_is_recorded_with_who_asked_and_its_end(void)
{
	struct ktest_area a;
	struct record r;

	if (!block(&a)) {
		return;
	}
	const uint64_t since = mark(cpu_number());

	EXPECT(demote(a.va, PAGE_BYTES, RUN64_BYTES));
	REQUIRE(find(cpu_number(), since, REC_CHANGE, &r));
	expect_span(&r, a.va, BLOCK_SHIFT);
	EXPECT(pte_is_leaf((pte_t){ r.b }, 2));
	EXPECT_EQ(pte_pa((pte_t){ r.b }).v, a.pa.v);
	EXPECT(pte_is_table((pte_t){ r.c }, 2));
	EXPECT(r.d - (uint64_t)(uintptr_t)_image_start < (uint64_t)(_text_end - _image_start));
	EXPECT(r.took != 0);
	area_close(&a);
}

static void changes_without_a_window_are_recorded(void)
{
	struct ktest_area a;
	struct record r;

	if (!block(&a)) {
		return;
	}
	const uint64_t since = mark(cpu_number());

	EXPECT(protect(a.va, PAGE_BYTES, RO));
	REQUIRE(find(cpu_number(), since, REC_PROTECT, &r));
	EXPECT((r.b & PTE_AP_RO) != 0);
	REQUIRE(find(cpu_number(), since, REC_TLBI, &r));
	expect_span(&r, a.va, PAGE_SHIFT);
	EXPECT_EQ(r.b, 1);
	area_close(&a);
}

static void a_park_is_recorded_on_both_sides(void)
{
	struct ktest_area a;
	struct record sent;
	struct record parked;

	if (inval_mode() != BBM_PARK) {
		ktest_skip("this mode parks nobody");
		return;
	}
	if (!block(&a)) {
		return;
	}
	other_start();
	const uint64_t since = mark(cpu_number());
	const uint64_t since_other = mark(OTHER);

	EXPECT(demote(a.va, PAGE_BYTES, RUN64_BYTES));
	REQUIRE(find(cpu_number(), since, REC_PARK_SEND, &sent));
	EXPECT_EQ(sent.a, park_generation());
	EXPECT_EQ(sent.b, OTHERS);
	EXPECT(sent.took != 0);
	REQUIRE(wait_for_record(OTHER, since_other, REC_PARK, &parked));
	EXPECT_EQ(parked.a, sent.a);
	other_end();
	area_close(&a);
}

static void an_abandoned_park_is_recorded(void)
{
	struct ktest_area a;
	struct record r;
	uint64_t ticks;
	unsigned attempts;

	if (inval_mode() != BBM_PARK) {
		ktest_skip("this mode parks nobody");
		return;
	}
	if (!block(&a)) {
		return;
	}
	other_start();
	const uint64_t since = mark(cpu_number());

	park_get_limits(&ticks, &attempts);
	park_set_limits(arch_counter_hz() / 100, 1000);
	pcpu_of(OTHER)->irq_drop_parks = 1;
	EXPECT(demote(a.va, PAGE_BYTES, RUN64_BYTES));
	park_set_limits(ticks, attempts);
	REQUIRE(find(cpu_number(), since, REC_PARK_ABANDON, &r));
	EXPECT_EQ(r.b, OTHERS);
	other_end();
	area_close(&a);
}

/* A window that changes nothing is held open until the other CPU stands at its door. */
static void a_wait_at_the_door_is_recorded(void)
{
	const uint64_t since = mark(OTHER);
	struct record r;
	struct park park = { 0 };

	irq_mask();
	token_acquire();
	park_begin_unparked(&park);
	store_release(&end_other, 1);
	work_start(OTHERS, stay_in_kernel, &end_other);
	EXPECT(wait_for_record(OTHER, since, REC_DOOR_WAIT, &r));
	EXPECT_EQ(r.a, park.window.gen);
	EXPECT_EQ(r.took, 0);
	park_end(&park);
	token_release();
	irq_unmask();
	EXPECT(work_wait(OTHERS, LIMIT_SECONDS * arch_counter_hz()));
	REQUIRE(find(OTHER, since, REC_DOOR_WAIT, &r));
	EXPECT(r.took != 0);
}

static void interrupts_are_recorded(void)
{
	const uint64_t since = mark(cpu_number());
	const uint64_t since_other = mark(OTHER);
	struct record r;

	irq_timer_start(arch_counter_hz() / 1000);
	EXPECT(wait_for_record(cpu_number(), since, REC_IRQ, &r));
	irq_timer_stop();
	EXPECT_EQ(r.a, irq_timer_intid());
	other_start();
	REQUIRE(find(cpu_number(), since, REC_IPI, &r));
	EXPECT_EQ(r.a, SGI_WAKE);
	EXPECT_EQ(r.b, OTHERS);
	arch_ipi_send(SGI_STORM, OTHERS);
	EXPECT(wait_for_record(OTHER, since_other, REC_IRQ, &r));
	other_end();
}

static void a_fault_is_recorded_and_ends_when_it_is_resolved(void)
{
	const uint64_t since = mark(cpu_number());
	const va_t nowhere = va(KMAP_BASE + KMAP_BYTES);
	struct record r;

	EXPECT(!can_read(nowhere));
	REQUIRE(find(cpu_number(), since, REC_FAULT, &r));
	EXPECT_EQ(r.a, nowhere.v);
	EXPECT(r.d - (uint64_t)(uintptr_t)_image_start < (uint64_t)(_text_end - _image_start));
	EXPECT(r.took != 0);
}

static void take_it_once(void *arg)
{
	(void)arg;
	spin_lock(&contended);
	spin_unlock(&contended);
}

static void a_long_wait_for_a_lock_is_recorded(void)
{
	const uint64_t since = mark(OTHER);
	const uint64_t limit = counter_now() + LIMIT_SECONDS * arch_counter_hz();
	struct record r;

	spin_lock(&contended);
	work_start(OTHERS, take_it_once, nullptr);
	while (__atomic_load_n(&pcpu_of(OTHER)->base.lock_wanted, __ATOMIC_RELAXED) != &contended &&
	       counter_now() < limit) {
		cpu_wfe();
	}
	for (const uint64_t held = counter_now();
	     counter_now() - held < arch_counter_hz() / 1000;) {
		cpu_wfe();
	}
	spin_unlock(&contended);
	EXPECT(work_wait(OTHERS, LIMIT_SECONDS * arch_counter_hz()));
	REQUIRE(find(OTHER, since, REC_LOCK_WAIT, &r));
	EXPECT_EQ(r.a, (uint64_t)(uintptr_t)&contended);
	EXPECT(r.b >= arch_counter_hz() / 1000);
}

const struct ktest ktest_record[] = {
	{ "a_record_holds_what_it_was_given", a_record_holds_what_it_was_given, 1 },
	{ "a_change_is_recorded_with_who_asked_and_its_end",
	  a_change_is_recorded_with_who_asked_and_its_end, 1 },
	{ "changes_without_a_window_are_recorded", changes_without_a_window_are_recorded, 1 },
	{ "a_park_is_recorded_on_both_sides", a_park_is_recorded_on_both_sides, 2 },
	{ "an_abandoned_park_is_recorded", an_abandoned_park_is_recorded, 2 },
	{ "a_wait_at_the_door_is_recorded", a_wait_at_the_door_is_recorded, 2 },
	{ "interrupts_are_recorded", interrupts_are_recorded, 2 },
	{ "a_fault_is_recorded_and_ends_when_it_is_resolved",
	  a_fault_is_recorded_and_ends_when_it_is_resolved, 1 },
	{ "a_long_wait_for_a_lock_is_recorded", a_long_wait_for_a_lock_is_recorded, 2 },
	{ nullptr, nullptr, 0 },
};
