/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/help.c - what many tests need: threads, memory, a catcher of exceptions.
 */
#include "user/test/test.h"

#include <stdlib.h>

struct thread *start_thread(void (*function)(void *), void *argument, uint32_t priority)
{
	struct thread *thread;

	const enum kerr e = thread_create(
		function, argument, &(struct thread_options){ .priority = priority }, &thread);
	if (e != KERR_OK) {
		printf("test: no thread, error %d: the tests cannot go on\n", (int)e);
		exit(EXIT_FAILURE);
	}
	return thread;
}

void resume_thread(const struct thread *thread)
{
	const uint64_t until = in_time();
	enum kerr e;

	do {
		e = sys_thread_resume(thread_handle(thread));
	} while (e == KERR_BUSY && time_now_ns() < until);
	EXPECT_OK(e);
}

void await_state(handle_t thread, enum thread_report state)
{
	const uint64_t until = in_time();
	uint64_t now = THREAD_IS_DEAD, priority, cpu, number;
	enum kerr e;

	do {
		e = sys_thread_info(thread, &now, &priority, &cpu, &number);
		if (e == KERR_OK && now != state) {
			(void)time_sleep_ns(MS / 4); /* it may be less urgent than we */
		}
	} while (e == KERR_OK && now != state && time_now_ns() < until);
	EXPECT_EQ(e == KERR_DEAD ? THREAD_IS_DEAD : now, state);
}

bool await_change(const volatile uint64_t *word, uint64_t old)
{
	const uint64_t until = in_time();

	while (*word == old && time_now_ns() < until) {
		(void)time_sleep_ns(MS / 4);
	}
	return *word != old;
}

bool await_equal(const volatile uint64_t *word, uint64_t wanted)
{
	uint64_t now = *word;

	while (now != wanted && await_change(word, now)) {
		now = *word;
	}
	return now == wanted;
}

handle_t start_bare(void (*function)(uint64_t argument), uint64_t argument)
{
	static _Alignas(16) char stack[4096];
	handle_t thread = HANDLE_NONE;

	EXPECT_OK(sys_thread_create(HANDLE_NONE, PRIORITY_DEFAULT, &thread));
	EXPECT_OK(sys_thread_start(thread, (uint64_t)(uintptr_t)function,
				   (uint64_t)(uintptr_t)stack + sizeof stack, argument, 0));
	return thread;
}

/* Who waits or is stopped does not use the stack again when it is killed; who runs might. */
void end_bare(handle_t thread)
{
	uint64_t state, priority, cpu, number;

	if (sys_thread_info(thread, &state, &priority, &cpu, &number) == KERR_OK &&
	    (state == THREAD_IS_READY || state == THREAD_IS_RUNNING)) {
		EXPECT_OK(sys_thread_stop(thread));
		await_state(thread, THREAD_IS_STOPPED);
	}
	const enum kerr e = sys_handle_revoke(thread);
	EXPECT(e == KERR_OK || e == KERR_DEAD);
	EXPECT_OK(sys_handle_close(thread));
}

void await_alone(void)
{
	const uint64_t until = in_time();
	uint64_t limit, used, threads = 0, handles;

	while (sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles) == KERR_OK &&
	       threads != 1 && time_now_ns() < until) {
		(void)time_sleep_ns(MS / 4);
	}
	EXPECT_EQ(threads, 1);
}

enum kerr protect(uint64_t address, uint64_t bytes, uint64_t flags)
{
	const uint64_t until = in_time();
	enum kerr e;

	do {
		e = sys_mem_protect(HANDLE_NONE, address, bytes, flags);
	} while (e == KERR_BUSY && time_now_ns() < until);
	return e;
}

uint64_t cpus_online(void)
{
	uint64_t count = 1, hz, midr, unused;

	EXPECT_OK(sys_machine_info(start.machine, MACHINE_CPUS, &count, &hz, &midr, &unused));
	return count;
}

uint64_t map_memory(enum memory_kind kind, uint64_t bytes, uint64_t flags)
{
	handle_t memory;
	uint64_t at = 0;

	const enum kerr e = sys_mem_create(kind, bytes, HANDLE_NONE, 0, &memory);
	EXPECT_OK(e);
	if (e == KERR_OK) {
		EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes, flags, &at));
		EXPECT_OK(sys_handle_close(memory));
	}
	return at;
}

#define CATCHER_STOP 0x53544f50u
#define CATCHER_MOST 20u

static void catch (void *argument)
{
	struct catcher *const c = argument;
	struct ipc_message m;

	enum kerr e = sys_ipc_recv(c->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	while (e == KERR_OK && (m.info & IPC_FLAG_EXCEPTION) != 0) {
		c->last = m;
		c->count++;
		if (c->fix != nullptr) {
			c->fix(&m);
		}
		/* A fix that does not help would be tried for ever. */
		m.word[0] = c->count < CATCHER_MOST ? c->verdict : EXC_KILL;
		e = sys_ipc_reply_recv(c->endpoint, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m);
	}
	if (e == KERR_OK) {
		(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
	}
}

void catcher_begin(struct catcher *c, enum exception_verdict verdict,
		   void (*fix)(const struct ipc_message *exception))
{
	*c = (struct catcher){ .verdict = verdict, .fix = fix };
	EXPECT_OK(sys_endpoint_create(&c->endpoint));
	EXPECT_OK(sys_task_set_exception(HANDLE_NONE, c->endpoint));
	c->thread = start_thread(catch, c, PRIORITY_DEFAULT);
}

void catcher_end(struct catcher *c)
{
	struct ipc_message m = { .word = { CATCHER_STOP } };

	EXPECT_OK(sys_ipc_call(c->endpoint, IPC_INFO(1, 0), HANDLE_NONE, in_time(), &m));
	thread_join(c->thread);
	EXPECT_OK(sys_task_set_exception(HANDLE_NONE, start.parent));
	EXPECT_OK(sys_handle_close(c->endpoint));
}
