/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_event.c - events, timers, interrupts.
 */
#include "user/test/test.h"

static void event_signal_before_wait_is_kept(void)
{
	handle_t event;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_event_signal(event, 5));
	EXPECT_OK(sys_event_wait(event, 0xff, DEADLINE_NONE, &bits));
	EXPECT_EQ(bits, 5);
	EXPECT_EQ(sys_event_wait(event, 0xff, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(event));
}

static void event_wait_takes_only_its_bits(void)
{
	handle_t event;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_event_signal(event, UINT64_C(1) << 63 | 6));
	EXPECT_OK(sys_event_wait(event, 2, DEADLINE_NONE, &bits));
	EXPECT_EQ(bits, 2);
	EXPECT_OK(sys_event_wait(event, UINT64_MAX, DEADLINE_NONE, &bits));
	EXPECT_EQ(bits, UINT64_C(1) << 63 | 4);
	EXPECT_OK(sys_handle_close(event));
}

static void event_wait_for_no_bit_is_refused(void)
{
	handle_t event;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_EQ(sys_event_wait(event, 0, DEADLINE_POLL, &bits), KERR_INVALID);
	EXPECT_OK(sys_handle_close(event));
}

struct waiter {
	handle_t event;
	enum kerr error;
	uint64_t bits;
};

static void wait_for_bits(void *argument)
{
	struct waiter *const w = argument;

	w->error = sys_event_wait(w->event, 0xf0, in_time(), &w->bits);
}

static void event_signal_wakes_the_one_who_waits(void)
{
	struct waiter w = { 0 };

	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_thread(wait_for_bits, &w, PRIORITY_DEFAULT);
	await_state(thread_handle(t), THREAD_IS_WAITING);
	EXPECT_OK(sys_event_signal(w.event, 0x1)); /* not for it */
	EXPECT_OK(time_sleep_ns(5 * MS));
	await_state(thread_handle(t), THREAD_IS_WAITING);
	EXPECT_OK(sys_event_signal(w.event, 0x31));
	thread_join(t);
	EXPECT_OK(w.error);
	EXPECT_EQ(w.bits, 0x30);
	EXPECT_OK(sys_handle_close(w.event));
}

static void event_revoked_wakes_the_one_who_waits(void)
{
	struct waiter w = { 0 };

	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_thread(wait_for_bits, &w, PRIORITY_DEFAULT);
	await_state(thread_handle(t), THREAD_IS_WAITING);
	EXPECT_OK(sys_handle_revoke(w.event));
	thread_join(t);
	EXPECT_EQ(w.error, KERR_DEAD);
	EXPECT_OK(sys_handle_close(w.event));
}

static void event_wait_ends_at_its_deadline(void)
{
	handle_t event;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	const uint64_t until = time_now_ns() + 10 * MS;
	EXPECT_EQ(sys_event_wait(event, 1, until, &bits), KERR_TIMEOUT);
	EXPECT(time_now_ns() >= until);
	EXPECT_EQ(sys_event_wait(event, 1, time_now_ns() - 1, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(event));
}

static void timer_signals_at_its_time(void)
{
	handle_t event, timer;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_timer_create(event, 8, &timer));
	const uint64_t at = time_now_ns() + 10 * MS;
	EXPECT_OK(sys_timer_set(timer, at));
	EXPECT_OK(sys_event_wait(event, 8, in_time(), &bits));
	EXPECT(time_now_ns() >= at);
	EXPECT_EQ(sys_event_wait(event, 8, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(timer));
	EXPECT_OK(sys_handle_close(event));
}

static void timer_of_the_past_signals_at_once(void)
{
	handle_t event, timer;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_timer_create(event, 8, &timer));
	EXPECT_OK(sys_timer_set(timer, 1));
	EXPECT_OK(sys_event_wait(event, 8, in_time(), &bits));
	EXPECT_OK(sys_handle_close(timer));
	EXPECT_OK(sys_handle_close(event));
}

/*
 * A time from now until which something is to be done. On a busy host it may be over before: then
 * the caller tries again with more.
 */
static uint64_t next_lead(uint64_t ns)
{
	return ns == 0 ? 10 * MS : 2 * ns;
}

static void timer_set_to_0_does_not_signal(void)
{
	handle_t event, timer;
	uint64_t bits, at;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_timer_create(event, 8, &timer));
	for (uint64_t lead = next_lead(0); lead < LONG_NS; lead = next_lead(lead)) {
		at = time_now_ns() + lead;
		EXPECT_OK(sys_timer_set(timer, at));
		EXPECT_OK(sys_timer_set(timer, 0));
		if (time_now_ns() < at) {
			break;
		}
		(void)sys_event_wait(event, 8, DEADLINE_POLL, &bits); /* it was too late */
	}
	EXPECT_EQ(sys_event_wait(event, 8, at + 20 * MS, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(timer));
	EXPECT_OK(sys_handle_close(event));
}

static void timer_closed_does_not_signal(void)
{
	handle_t event, timer;
	uint64_t bits, at;

	EXPECT_OK(sys_event_create(&event));
	for (uint64_t lead = next_lead(0); lead < LONG_NS; lead = next_lead(lead)) {
		EXPECT_OK(sys_timer_create(event, 8, &timer));
		at = time_now_ns() + lead;
		EXPECT_OK(sys_timer_set(timer, at));
		EXPECT_OK(sys_handle_revoke(timer));
		EXPECT_OK(sys_handle_close(timer));
		if (time_now_ns() < at) {
			break;
		}
		(void)sys_event_wait(event, 8, DEADLINE_POLL, &bits); /* it was too late */
	}
	EXPECT_EQ(sys_event_wait(event, 8, at + 20 * MS, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(event));
}

/* All are of one CPU, which signals them in their order however late it comes to it. */
static void timer_keeps_order_among_many(void)
{
	handle_t event, timer[16];
	uint64_t seen = 0, bits, base;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&event));
	for (unsigned i = 0; i < 16; i++) {
		EXPECT_OK(sys_timer_create(event, UINT64_C(1) << i, &timer[i]));
	}
	for (uint64_t lead = next_lead(0); lead < LONG_NS; lead = next_lead(lead)) {
		base = time_now_ns() + lead;
		for (unsigned i = 0; i < 16; i++) {
			EXPECT_OK(sys_timer_set(timer[i * 5 % 16], base + i * 5 % 16 * MS));
		}
		if (time_now_ns() < base) {
			break;
		}
		EXPECT_OK(time_sleep_ns(20 * MS)); /* some were too late: let all go by */
		(void)sys_event_wait(event, 0xffff, DEADLINE_POLL, &bits);
	}
	while (seen != 0xffff) {
		if (sys_event_wait(event, 0xffff, in_time(), &bits) != KERR_OK) {
			EXPECT(false);
			break;
		}
		seen |= bits;
		EXPECT_EQ(seen & (seen + 1), 0); /* never a later one before an earlier one */
	}
	for (unsigned i = 0; i < 16; i++) {
		EXPECT_OK(sys_handle_close(timer[i]));
	}
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static void irq_of_the_kernel_is_refused(void)
{
	const uint64_t own[] = { 0, 1, 15, 16, 27, 30, 31 }; /* SGIs and PPIs */
	handle_t irq;

	for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++) {
		EXPECT_EQ(sys_irq_claim(start.machine, own[i], 0, &irq), KERR_EXISTS);
	}
	EXPECT_EQ(sys_irq_claim(start.machine, 1019, 0, &irq), KERR_ABSENT);
	EXPECT_EQ(sys_irq_claim(start.machine, 1020, 0, &irq), KERR_INVALID);
	EXPECT_EQ(sys_irq_claim(start.machine, 100, 2, &irq), KERR_INVALID);
	EXPECT_EQ(sys_irq_claim(start.self, 100, 0, &irq), KERR_HANDLE);
}

static void irq_is_claimed_by_one(void)
{
	handle_t irq = HANDLE_NONE, other, event;
	uint64_t number = 32;

	/* The first that no driver has; it is not bound, so it stays masked. */
	while (sys_irq_claim(start.machine, number, 1, &irq) == KERR_EXISTS) {
		number++;
	}
	EXPECT(irq != HANDLE_NONE);
	EXPECT_OK(sys_event_create(&event));
	EXPECT_EQ(sys_irq_claim(start.machine, number, 1, &other), KERR_EXISTS);
	EXPECT_EQ(sys_irq_ack(irq), KERR_ABSENT);
	EXPECT_EQ(sys_irq_bind(irq, event, 0), KERR_INVALID);
	EXPECT_OK(sys_handle_revoke(irq));
	EXPECT_OK(sys_irq_claim(start.machine, number, 1, &other));
	EXPECT_OK(sys_handle_close(other));
	EXPECT_OK(sys_handle_close(irq));
	EXPECT_OK(sys_handle_close(event));
}

const struct test tests_event[] = {
	TEST(event_signal_before_wait_is_kept),
	TEST(event_wait_takes_only_its_bits),
	TEST(event_wait_for_no_bit_is_refused),
	TEST(event_signal_wakes_the_one_who_waits),
	TEST(event_revoked_wakes_the_one_who_waits),
	TEST(event_wait_ends_at_its_deadline),
	TEST(timer_signals_at_its_time),
	TEST(timer_of_the_past_signals_at_once),
	TEST(timer_set_to_0_does_not_signal),
	TEST(timer_closed_does_not_signal),
	TEST(timer_keeps_order_among_many),
	TEST(irq_of_the_kernel_is_refused),
	TEST(irq_is_claimed_by_one),
	TEST_END,
};
