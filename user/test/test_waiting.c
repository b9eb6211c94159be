/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_waiting.c - crowds that wait in one place, and every way in which such waits end.
 *
 * THEORY   What a queue of hundreds costs the one who comes, goes, or ends it must not be paid with
 *          interrupts masked. The longest masked stretch of these is a figure of the benchmark
 *          (test/bench/run, masked_max_crowd), and they fail if somebody is not woken.
 */
#include "user/test/crowd.h"

#define WAITERS 300
#define URGENT PRIORITY_DEFAULT
#define OTHERS 1u /* less urgent than whoever is put in last */
#define CLASSES 3u
#define FAR_NS (3600 * 1000 * MS)
#define BITS 62u  /* that a crowd waits for: neither CROWD_SLEEP_BIT nor LAST_BIT */
#define LAST_BIT (UINT64_C(1) << 62)

/* Most of them less urgent than the last, which has to find its place before all of them. */
static void endpoint_crowd(struct crowd *c, enum crowd_role role, handle_t *endpoint, uint64_t own)
{
	EXPECT_OK(sys_endpoint_create(endpoint));
	crowd_begin(c, *endpoint, RIGHT_SEND | RIGHT_RECEIVE);
	for (unsigned i = 0; i < WAITERS; i++) {
		crowd_add(c, role, OTHERS + i % CLASSES, own != 0 ? own + i : 0);
	}
	crowd_add(c, role, URGENT, own != 0 ? own + WAITERS : 0);
}

static void event_crowd(struct crowd *c, handle_t *event)
{
	EXPECT_OK(sys_event_create(event));
	crowd_begin(c, *event, RIGHT_READ);
	for (unsigned i = 0; i < WAITERS; i++) {
		crowd_add(c, CROWD_AWAITS, OTHERS + i % CLASSES, UINT64_C(1) << i % BITS);
	}
	crowd_add(c, CROWD_AWAITS, OTHERS, LAST_BIT); /* behind all of them */
}

static void crowd_of_callers_dies_with_its_task(void)
{
	handle_t endpoint;
	struct crowd c;

	endpoint_crowd(&c, CROWD_CALLS, &endpoint, 0);
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void crowd_of_callers_is_revoked(void)
{
	handle_t endpoint;
	struct crowd c;

	endpoint_crowd(&c, CROWD_CALLS, &endpoint, 0);
	EXPECT_OK(sys_handle_revoke(endpoint));
	crowd_await(&c, 0);
	EXPECT_EQ(sys_handle_revoke(endpoint), KERR_DEAD);
	EXPECT_OK(sys_handle_close(endpoint));
	crowd_end(&c);
}

/* Nobody has a handle any more: the object's end wakes them. */
static void crowd_of_receivers_loses_its_endpoint(void)
{
	handle_t endpoint;
	struct crowd c;

	endpoint_crowd(&c, CROWD_RECEIVES, &endpoint, 0);
	EXPECT_OK(sys_handle_close(endpoint));
	crowd_add(&c, CROWD_CLOSES, URGENT, 0);
	crowd_await(&c, 0);
	crowd_end(&c);
}

/* The most urgent first, and of those who are alike the one that waits longest. */
static void crowd_of_callers_is_received_in_order(void)
{
	const uint64_t due = time_now_ns() + FAR_NS; /* and a number for each */
	struct ipc_message m;
	handle_t endpoint;
	struct crowd c;

	endpoint_crowd(&c, CROWD_CALLS, &endpoint, due);
	EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
	EXPECT_EQ(m.word[1], due + WAITERS);
	for (unsigned class = CLASSES; class --> 0;) {
		for (unsigned i = class; i < WAITERS; i += CLASSES) {
			EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
			EXPECT_EQ(m.word[1], due + i);
		}
	}
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(endpoint));
}

/*
 * A call takes the first of several away on the fast path. Behind its like it finds its place
 * again, and one that is more urgent finds its own before all of them.
 */
static void crowd_of_servers_takes_turns(void)
{
	handle_t endpoint;
	struct crowd c;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	crowd_begin(&c, endpoint, RIGHT_SEND | RIGHT_RECEIVE);
	for (unsigned i = 0; i < WAITERS; i++) {
		crowd_add(&c, CROWD_SERVES, OTHERS + i % CLASSES, 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		crowd_add(&c, CROWD_ASKS, OTHERS, 0);
		crowd_await(&c, WAITERS);
	}
	crowd_add(&c, CROWD_SERVES, URGENT, 0);
	crowd_add(&c, CROWD_ASKS, OTHERS, 0);
	crowd_await(&c, WAITERS + 1);
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void crowd_at_an_event_dies_with_its_task(void)
{
	handle_t event;
	struct crowd c;

	event_crowd(&c, &event);
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(event));
}

static void crowd_at_an_event_is_revoked(void)
{
	handle_t event;
	struct crowd c;

	event_crowd(&c, &event);
	EXPECT_OK(sys_handle_revoke(event));
	crowd_await(&c, 0);
	EXPECT_OK(sys_handle_close(event));
	crowd_end(&c);
}

/* One bit concerns one of them, all bits one for each. */
static void crowd_at_an_event_wakes_by_its_bits(void)
{
	handle_t event;
	struct crowd c;

	event_crowd(&c, &event);
	EXPECT_OK(sys_event_signal(event, LAST_BIT));
	crowd_await(&c, WAITERS);
	EXPECT_OK(sys_event_signal(event, LAST_BIT - 1));
	crowd_await(&c, WAITERS - BITS);
	for (unsigned left = WAITERS - BITS; left > 0;) {
		EXPECT_OK(sys_event_signal(event, LAST_BIT - 1));
		left -= left < BITS ? left : BITS;
		crowd_await(&c, left);
	}
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(event));
}

/* The same from an interrupt. */
static void crowd_at_an_event_wakes_by_a_timer(void)
{
	handle_t event, timer;
	struct crowd c;

	event_crowd(&c, &event);
	EXPECT_OK(sys_timer_create(event, UINT64_MAX, &timer));
	EXPECT_OK(sys_timer_set(timer, time_now_ns()));
	crowd_await(&c, WAITERS - BITS);
	EXPECT_OK(sys_handle_close(timer));
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(event));
}

/* All of them at once: a time that is far enough for all to be there, and soon. */
static void crowd_of_deadlines_passes_at_once(void)
{
	handle_t event;
	struct crowd c;

	EXPECT_OK(sys_event_create(&event));
	crowd_begin(&c, event, RIGHT_READ);
	const uint64_t due = time_now_ns() + 100 * MS;

	for (unsigned i = 0; i < WAITERS; i++) {
		crowd_add(&c, CROWD_SLEEPS, URGENT, due);
	}
	crowd_await(&c, 0);
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(event));
}

const struct test tests_waiting[] = {
	TEST(crowd_of_callers_dies_with_its_task),
	TEST(crowd_of_callers_is_revoked),
	TEST(crowd_of_receivers_loses_its_endpoint),
	TEST(crowd_of_callers_is_received_in_order),
	TEST(crowd_of_servers_takes_turns),
	TEST(crowd_at_an_event_dies_with_its_task),
	TEST(crowd_at_an_event_is_revoked),
	TEST(crowd_at_an_event_wakes_by_its_bits),
	TEST(crowd_at_an_event_wakes_by_a_timer),
	TEST(crowd_of_deadlines_passes_at_once),
	TEST_END,
};
