/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_crowd.c - many of everything: what a program makes numerous holds nobody up.
 *
 * The longest masked stretch of these is a figure of the benchmark (test/bench/run): the kernel
 * does in steps what grows with a number that a program chose.
 */
#include "user/test/crowd.h"

#include <perch/spawn.h>

#define THREADS 300
#define TASKS 40
#define TIMERS 400
#define HANDLES 1000
#define FAR_NS (3600 * 1000 * MS)

static void crowd_of_threads_dies_with_its_task(void)
{
	handle_t event;
	struct crowd c;

	EXPECT_OK(sys_event_create(&event));
	crowd_begin(&c, event, RIGHT_READ);
	for (unsigned i = 0; i < THREADS; i++) {
		crowd_add(&c, CROWD_AWAITS, PRIORITY_DEFAULT, 1);
	}
	crowd_end(&c);
	EXPECT_OK(sys_handle_close(event));
}

static void crowd_of_tasks_dies_one_by_one(void)
{
	const uint64_t before = used_bytes();
	handle_t event, task[TASKS];

	EXPECT_OK(sys_event_create(&event));
	for (unsigned i = 0; i < TASKS; i++) {
		EXPECT_OK(sys_task_create(MIB / 4, &task[i]));
	}
	for (unsigned i = 0; i < TASKS; i++) {
		/* the odd ones from the middle of the list of this task's children */
		const unsigned which = i < TASKS / 2 ? 2 * i + 1 : 2 * (i - TASKS / 2);

		EXPECT_OK(sys_task_kill(task[which]));
		EXPECT_OK(sys_handle_close(task[which]));
	}
	EXPECT_OK(sys_handle_close(event));
	EXPECT(used_falls_to(before + CROWD_LIMIT / 2) <= before + CROWD_LIMIT / 2);
}

/* In the order of their deadlines, whatever the order in which they were set. */
static void crowd_of_timers_passes_in_order(void)
{
	handle_t event, timer[TIMERS];
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	for (unsigned i = 0; i < TIMERS; i++) {
		const uint64_t after = (i * 7919) % TIMERS; /* a prime: each of them once */

		EXPECT_OK(sys_timer_create(event, UINT64_C(1) << i % 64, &timer[i]));
		EXPECT_OK(sys_timer_set(timer[i], time_now_ns() + FAR_NS + after * MS));
	}
	EXPECT_EQ(sys_event_wait(event, UINT64_MAX, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	for (unsigned i = 0; i < 64; i++) {
		EXPECT_OK(sys_timer_set(timer[i], time_now_ns()));
		EXPECT_OK(sys_event_wait(event, UINT64_C(1) << i, in_time(), &bits));
	}
	EXPECT_EQ(sys_event_wait(event, UINT64_MAX, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	for (unsigned i = 0; i < TIMERS; i++) {
		EXPECT_OK(sys_handle_close(timer[i]));
	}
	EXPECT_OK(sys_handle_close(event));
}

static void crowd_of_handles_is_closed_and_used_again(void)
{
	static handle_t copy[HANDLES];
	handle_t event;

	EXPECT_OK(sys_event_create(&event));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < HANDLES; i++) {
			EXPECT_OK(sys_handle_dup(event, RIGHT_READ, HANDLE_NONE, &copy[i]));
		}
		for (unsigned i = 0; i < HANDLES; i++) {
			EXPECT_OK(sys_handle_close(copy[i]));
		}
	}
	EXPECT_OK(sys_handle_close(event));
}

const struct test tests_crowd[] = {
	TEST(crowd_of_threads_dies_with_its_task),
	TEST(crowd_of_tasks_dies_one_by_one),
	TEST(crowd_of_timers_passes_in_order),
	TEST(crowd_of_handles_is_closed_and_used_again),
	TEST_END,
};
