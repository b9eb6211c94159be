/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_crowd.c - many of everything: what a program makes numerous holds nobody up.
 *
 * The longest masked stretch of these is a figure of the benchmark (test/bench/run): the kernel
 * does in steps what grows with a number that a program chose.
 */
#include "user/test/test.h"

#include <perch/spawn.h>

#define THREADS 300
#define TASKS 40
#define TIMERS 400
#define HANDLES 1000
#define CROWD_LIMIT (4 * MIB)
#define FAR_NS (3600 * 1000 * MS)

#define MOVZ(x, value) (UINT32_C(0xd2800000) | (uint32_t)(value) << 5 | (x))
#define SVC_0 UINT32_C(0xd4000001)
#define BRK_0 UINT32_C(0xd4200000)

/* A task whose threads wait in `event`, which is its first handle, and say so first in `ready`. */
static handle_t waiting_task(handle_t event, unsigned threads)
{
	const uint32_t code[] = { MOVZ(1, 1), MOVZ(2, 0), MOVZ(8, CALL_EVENT_WAIT), SVC_0, BRK_0 };
	handle_t memory, task, theirs, thread;
	uint64_t at, there;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at));
	memcpy((void *)(uintptr_t)at, code, sizeof code);
	EXPECT_OK(sys_task_create(CROWD_LIMIT, &task));
	EXPECT_OK(sys_mem_map(task, memory, 0, 0, PAGE_BYTES, VM_READ | VM_EXEC, &there));
	EXPECT_OK(sys_handle_dup(event, RIGHT_READ, task, &theirs));
	for (unsigned i = 0; i < threads; i++) {
		EXPECT_OK(sys_thread_create(task, PRIORITY_DEFAULT, &thread));
		EXPECT_OK(sys_thread_start(thread, there, 0, theirs, 0));
		EXPECT_OK(sys_handle_close(thread));
	}
	EXPECT_OK(sys_handle_close(memory));
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
	return task;
}

/* This program's own table of handles may have grown. */
static void expect_all_back(uint64_t before)
{
	EXPECT(used_falls_to(before + CROWD_LIMIT / 2) <= before + CROWD_LIMIT / 2);
}

static void crowd_of_threads_dies_with_its_task(void)
{
	const uint64_t before = used_bytes();
	handle_t event;

	EXPECT_OK(sys_event_create(&event));
	const handle_t task = waiting_task(event, THREADS);

	EXPECT_OK(sys_task_kill(task));
	EXPECT_OK(sys_handle_close(task));
	EXPECT_OK(sys_handle_close(event));
	expect_all_back(before);
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
	expect_all_back(before);
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
