/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_task.c - tasks: what separates them, what they may use, how they end.
 */
#include "user/test/test.h"

#include <perch/spawn.h>

#define CHILD_LIMIT (4 * MIB)
#define REST_SMALLEST (4 * PAGE_BYTES) /* a task's first table and what it is written down in */

static void task_ends_with_its_status(void)
{
	struct role_result r;

	if (run_role("status_7", HANDLE_NONE, CHILD_LIMIT, &r)) {
		EXPECT(r.ended);
		EXPECT_EQ(r.status, 7);
	}
}

/* This one's own stdio and table of handles may grow by pages; a child's limit is far more. */
static bool all_came_back(uint64_t before)
{
	return used_falls_to(before + CHILD_LIMIT / 2) <= before + CHILD_LIMIT / 2;
}

/* A killed task goes in steps, so what it used comes back soon, and not at once. */
static void task_memory_comes_back(void)
{
	const uint64_t before = used_bytes();
	struct role_result r;

	for (unsigned i = 0; i < 3; i++) {
		(void)run_role("status_7", HANDLE_NONE, CHILD_LIMIT, &r);
	}
	EXPECT(all_came_back(before));
}

/* Whatever state a thread is in when its task is killed, nothing of it stays. */
static void task_death_takes_threads_in_every_state(void)
{
	static const char *const roles[] = {
		"leave_stopped",
		"leave_faulted",
		"leave_running",
		"leave_stopped_while_running",
		"leave_without_a_handle",
		"leave_revoked",
		"leave_bound",
		"leave_moved",
		"alive_ready",
		"alive_moved",
	};

	for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		const uint64_t before = used_bytes();
		struct role_result r;

		(void)run_role(roles[i], HANDLE_NONE, CHILD_LIMIT, &r);
		if (!all_came_back(before)) {
			printf("test: %s left something behind\n", roles[i]);
			EXPECT(false);
		}
	}
}

static void expect_exception(const char *role, enum exception_kind kind, uint64_t address)
{
	struct role_result r;

	if (run_role(role, HANDLE_NONE, CHILD_LIMIT, &r)) {
		EXPECT(!r.ended);
		EXPECT_EQ(r.exception_kind, kind);
		if (address != 0) {
			EXPECT_EQ(r.exception_address, address);
		}
	}
}

static void task_cannot_read_the_kernel(void)
{
	expect_exception("read_kernel", EXC_PAGE_FAULT, PINNED_BASE);
}

static void task_cannot_write_its_text(void)
{
	expect_exception("write_text", EXC_PAGE_FAULT, 0);
}

static void task_cannot_run_its_stack(void)
{
	expect_exception("run_stack", EXC_PAGE_FAULT, 0);
}

static void task_cannot_pass_its_memory_limit(void)
{
	expect_exception("glutton", EXC_NO_MEMORY, 0);
}

/* All that is left of our limit, in tasks that use none of it. */
static unsigned take_the_rest(handle_t *task, unsigned most)
{
	uint64_t limit, used, threads, handles;
	unsigned count = 0;

	EXPECT_OK(sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles));
	for (uint64_t bytes = align_down(limit - used, PAGE_BYTES);
	     bytes >= REST_SMALLEST && count < most;) {
		if (sys_task_create(bytes, &task[count]) == KERR_OK) {
			count++;
		} else {
			bytes = align_down(bytes / 2, PAGE_BYTES);
		}
	}
	return count;
}

/* For role_late: between its two calls this task has no memory left. */
static void be_poor_meanwhile(void *endpoint)
{
	const handle_t *const extra = endpoint;
	handle_t task[64];
	struct ipc_message m;

	EXPECT_OK(sys_ipc_recv(*extra, 0, HANDLE_NONE, in_time(), &m));
	const unsigned count = take_the_rest(task, 64);
	EXPECT(count > 0);
	EXPECT_OK(sys_ipc_reply_recv(*extra, IPC_INFO(0, 0), HANDLE_NONE, in_time(), &m));
	for (unsigned i = 0; i < count; i++) {
		EXPECT_OK(sys_task_kill(task[i]));
		EXPECT_OK(sys_handle_close(task[i]));
	}
	EXPECT_OK(sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m));
}

/* Its program is paid out of its own limit, which is set aside for it. */
static void task_needs_nothing_that_its_parent_has_left(void)
{
	const uint64_t before = used_bytes();
	struct role_result r;
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	struct thread *const t = start_thread(be_poor_meanwhile, &endpoint, PRIORITY_DEFAULT);

	if (run_role("late", endpoint, CHILD_LIMIT, &r)) {
		EXPECT_EQ(r.exception_kind, 0);
		EXPECT(r.ended);
		EXPECT_EQ(r.status, 0);
	}
	(void)sys_handle_revoke(endpoint);
	thread_join(t);
	EXPECT_OK(sys_handle_close(endpoint));
	EXPECT(all_came_back(before));
}

/* Who may manage a task may let it pay, as far as its limit goes. */
static void task_pays_for_memory_made_for_it(void)
{
	uint64_t limit, before, used, threads, handles, at;
	handle_t task, memory, reader;

	EXPECT_OK(sys_task_create(MIB, &task));
	EXPECT_OK(sys_task_info(task, &limit, &before, &threads, &handles));
	EXPECT_OK(sys_mem_create(MEM_ANON, 2 * MIB, task, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, 2 * MIB, VM_READ | VM_WRITE, &at));
	EXPECT_OK(sys_mem_advise(HANDLE_NONE, at, MIB / 2, VM_WILLNEED));
	EXPECT_OK(sys_task_info(task, &limit, &used, &threads, &handles));
	EXPECT(used >= before + MIB / 2);
	EXPECT_EQ(sys_mem_advise(HANDLE_NONE, at, 2 * MIB, VM_WILLNEED), KERR_NO_MEMORY);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 2 * MIB));
	EXPECT_OK(sys_handle_close(memory));

	EXPECT_OK(sys_handle_dup(task, RIGHT_READ, HANDLE_NONE, &reader));
	EXPECT_EQ(sys_mem_create(MEM_ANON, PAGE_BYTES, reader, 0, &memory), KERR_DENIED);
	EXPECT_EQ(sys_mem_create(MEM_SECRET, PAGE_BYTES, task, 0, &memory), KERR_HANDLE);
	EXPECT_OK(sys_task_kill(task));
	EXPECT_EQ(sys_mem_create(MEM_ANON, PAGE_BYTES, task, 0, &memory), KERR_DEAD);
	EXPECT_OK(sys_handle_close(reader));
	EXPECT_OK(sys_handle_close(task));
}

static void task_cannot_pass_its_limit_by_handles(void)
{
	struct role_result r;

	if (run_role("hoarder", HANDLE_NONE, CHILD_LIMIT, &r)) {
		EXPECT(r.ended);
		EXPECT_EQ(r.status, 0);
	}
}

/* No fault ends it while memory of its own is on its way back. */
static void task_can_spend_again_what_it_gave_up(void)
{
	struct role_result r;

	if (run_role("spender", HANDLE_NONE, 6 * MIB, &r)) {
		EXPECT_EQ(r.exception_kind, 0);
		EXPECT(r.ended);
		EXPECT_EQ(r.status, 0);
	}
}

static void task_shares_memory_that_it_was_given(void)
{
	struct role_result r;
	handle_t memory;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ, &at));
	(void)run_role("writer", memory, CHILD_LIMIT, &r);
	EXPECT_EQ(r.status, 0);
	EXPECT_EQ(strcmp((const char *)(uintptr_t)at, "written by another task"), 0);
	EXPECT_OK(sys_handle_revoke(memory));
	EXPECT_OK(sys_handle_close(memory));
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

struct client {
	handle_t endpoint;
	enum kerr error;
	unsigned wrong;
};

static void call_adder(void *argument)
{
	struct client *const c = argument;

	for (uint64_t i = 1; i <= 200 && c->error == KERR_OK; i++) {
		struct ipc_message m = { .word = { i, i * 2, 3, 4, 5, 6, 7, 8 } };

		c->error = sys_ipc_call(c->endpoint, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE, in_time(),
					&m);
		c->wrong += m.word[0] != i + 1 || m.word[1] != i * 2 + 1 || m.word[7] != 9;
	}
	struct ipc_message end = { 0 };
	(void)sys_ipc_call(c->endpoint, IPC_INFO(1, 0), HANDLE_NONE, in_time(), &end);
}

static void task_serves_calls_of_another(void)
{
	struct client c = { 0 };
	struct role_result r;

	EXPECT_OK(sys_endpoint_create(&c.endpoint));
	struct thread *const t = start_thread(call_adder, &c, PRIORITY_DEFAULT);
	(void)run_role("adder", c.endpoint, CHILD_LIMIT, &r);
	EXPECT(r.ended); /* else it was killed with a caller waiting */
	EXPECT_EQ(r.status, 0);
	thread_join(t);
	EXPECT_OK(c.error);
	EXPECT_EQ(c.wrong, 0);
	EXPECT_OK(sys_handle_close(c.endpoint));
}

static void call_once(void *argument)
{
	struct client *const c = argument;
	struct ipc_message m = { 0 };

	c->error = sys_ipc_call(c->endpoint, 0, HANDLE_NONE, in_time(), &m);
}

static void task_death_wakes_its_callers(void)
{
	struct client c = { 0 };
	struct role_result r;

	EXPECT_OK(sys_endpoint_create(&c.endpoint));
	struct thread *const t = start_thread(call_once, &c, PRIORITY_DEFAULT);
	(void)run_role("die_serving", c.endpoint, CHILD_LIMIT, &r);
	EXPECT_EQ(r.status, 5);
	thread_join(t);
	EXPECT_EQ(c.error, KERR_DEAD);
	EXPECT_OK(sys_handle_close(c.endpoint));
}

static void task_limit_beyond_the_parents_is_refused(void)
{
	uint64_t limit, used, threads, handles;
	handle_t task;

	EXPECT_OK(sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles));
	EXPECT_EQ(sys_task_create(align_up(limit + PAGE_BYTES, PAGE_BYTES), &task), KERR_NO_MEMORY);
	EXPECT_EQ(sys_task_create(12345, &task), KERR_INVALID);
	EXPECT_EQ(used <= limit, 1);
	EXPECT(threads >= 1 && handles >= 1);
}

#define MOVZ(x, value) (UINT32_C(0xd2800000) | (uint32_t)(value) << 5 | (x))
#define SVC_0 UINT32_C(0xd4000001)
#define BRK_0 UINT32_C(0xd4200000)

/* Nor has it a table of its own yet, into which the calls that take a short way look, too. */
static void task_without_handles_may_call_with_one(void)
{
	static const uint8_t calls[] = { CALL_EVENT_SIGNAL, CALL_IPC_CALL, CALL_IPC_REPLY_RECV,
					 CALL_HANDLE_CLOSE };
	handle_t endpoint, memory, task, thread;
	struct ipc_message m = { 0 };
	struct user_regs regs = { 0 };
	uint64_t at, there;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at));
	for (unsigned i = 0; i < sizeof calls; i++) {
		const uint32_t code[] = { MOVZ(0, 1), MOVZ(9, 1), MOVZ(8, calls[i]), SVC_0, BRK_0 };

		memcpy((char *)(uintptr_t)at + i * sizeof code, code, sizeof code);
	}
	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_task_create(MIB, &task));
	EXPECT_OK(sys_task_set_exception(task, endpoint));
	EXPECT_OK(sys_mem_map(task, memory, 0, 0, PAGE_BYTES, VM_READ | VM_EXEC, &there));
	for (unsigned i = 0; i < sizeof calls; i++) {
		EXPECT_OK(sys_thread_create(task, PRIORITY_DEFAULT, &thread));
		EXPECT_OK(sys_thread_start(thread, there + i * 5 * sizeof(uint32_t), 0, 0, 0));
		EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
		EXPECT_EQ(m.word[EXC_WORD_KIND], EXC_BREAKPOINT);
		EXPECT_OK(sys_thread_regs_read(thread, (uint64_t)(uintptr_t)&regs));
		EXPECT_EQ(regs.x[8], KERR_HANDLE);
		EXPECT_OK(sys_handle_close(thread));
	}
	EXPECT_OK(sys_task_kill(task));
	EXPECT_OK(sys_handle_close(task));
	EXPECT_OK(sys_handle_close(endpoint));
	EXPECT_OK(sys_handle_close(memory));
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

const struct test tests_task[] = {
	TEST(task_ends_with_its_status),
	TEST(task_memory_comes_back),
	TEST(task_death_takes_threads_in_every_state),
	TEST(task_cannot_read_the_kernel),
	TEST(task_cannot_write_its_text),
	TEST(task_cannot_run_its_stack),
	TEST(task_cannot_pass_its_memory_limit),
	TEST(task_cannot_pass_its_limit_by_handles),
	TEST(task_needs_nothing_that_its_parent_has_left),
	TEST(task_pays_for_memory_made_for_it),
	TEST(task_can_spend_again_what_it_gave_up),
	TEST(task_shares_memory_that_it_was_given),
	TEST(task_serves_calls_of_another),
	TEST(task_death_wakes_its_callers),
	TEST(task_limit_beyond_the_parents_is_refused),
	TEST(task_without_handles_may_call_with_one),
	TEST_END,
};
