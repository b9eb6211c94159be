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
