/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/crowd.c - see user/test/crowd.h.
 */
#include "user/test/crowd.h"

#include <perch/spawn.h>

#define MOVZ(x, value) (UINT32_C(0xd2800000) | (uint32_t)(value) << 5 | (x))
#define MOV(to, from) (UINT32_C(0xaa0003e0) | (uint32_t)(from) << 16 | (to))
#define MOV_OWN(x) (UINT32_C(0xd53bd040) | (x)) /* MRS TPIDR_EL0: a word that each has of its own */
#define MOVZ_TOP(x, value) (UINT32_C(0xd2e00000) | (uint32_t)(value) << 5 | (x)) /* LSL 48 */
#define BACK(words) (UINT32_C(0x14000000) | (-(uint32_t)(words) & 0x3ffffff)) /* B */
#define SVC_0 UINT32_C(0xd4000001)
#define END MOVZ(8, CALL_THREAD_EXIT), SVC_0

#define ROLE_WORDS 8
#define ROLE_BYTES (ROLE_WORDS * sizeof(uint32_t))

/* x0 is the object, the other registers are 0 at first. */
static const uint32_t code[CROWD_ROLES][ROLE_WORDS] = {
	[CROWD_CALLS] = { MOV_OWN(1), MOV(9, 0), MOVZ(10, 2), MOV_OWN(12), MOVZ(8, CALL_IPC_CALL),
			  SVC_0, END },
	[CROWD_RECEIVES] = { MOV(9, 0), MOV_OWN(12), MOVZ(8, CALL_IPC_RECV), SVC_0, END },
	[CROWD_SERVES] = { MOV(19, 0), MOV(9, 19), MOVZ(10, 0), MOVZ(8, CALL_IPC_REPLY_RECV), SVC_0,
			   BACK(4) },
	[CROWD_ASKS] = { MOV(9, 0), MOVZ(8, CALL_IPC_CALL), SVC_0, END },
	[CROWD_AWAITS] = { MOV_OWN(1), MOVZ(8, CALL_EVENT_WAIT), SVC_0, END },
	[CROWD_SLEEPS] = { MOVZ_TOP(1, CROWD_SLEEP_BIT >> 48), MOV_OWN(2), MOVZ(8, CALL_EVENT_WAIT),
			   SVC_0, END },
	[CROWD_CLOSES] = { MOVZ(8, CALL_HANDLE_CLOSE), SVC_0, END },
};

/* How one that waits is told from one that is on its way there. */
static const enum thread_report waits_as[CROWD_ROLES] = {
	[CROWD_CALLS] = THREAD_IS_SENDING,
	[CROWD_RECEIVES] = THREAD_IS_RECEIVING,
	[CROWD_SERVES] = THREAD_IS_RECEIVING,
	[CROWD_AWAITS] = THREAD_IS_WAITING,
};

void crowd_begin(struct crowd *c, handle_t object, uint64_t rights)
{
	handle_t memory;
	uint64_t at;

	c->before = used_bytes();
	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at));
	memcpy((void *)(uintptr_t)at, code, sizeof code);
	EXPECT_OK(sys_task_create(CROWD_LIMIT, &c->task));
	EXPECT_OK(sys_mem_map(c->task, memory, 0, 0, PAGE_BYTES, VM_READ | VM_EXEC, &c->code));
	EXPECT_OK(sys_handle_dup(object, rights, c->task, &c->object));
	EXPECT_OK(sys_handle_close(memory));
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

void crowd_add(const struct crowd *c, enum crowd_role role, uint32_t priority, uint64_t own)
{
	const uint64_t entry = c->code + (uint64_t)role * ROLE_BYTES;
	handle_t thread;

	EXPECT_OK(sys_thread_create(c->task, priority, &thread));
	EXPECT_OK(sys_thread_set_affinity(thread, 1));
	EXPECT_OK(sys_thread_start(thread, entry, 0, c->object, own));
	if (waits_as[role] != 0) {
		await_state(thread, waits_as[role]);
	}
	EXPECT_OK(sys_handle_close(thread));
}

void crowd_await(const struct crowd *c, uint64_t threads)
{
	const uint64_t until = in_time();
	uint64_t limit, used, left = UINT64_MAX, handles;

	while (sys_task_info(c->task, &limit, &used, &left, &handles) == KERR_OK &&
	       left > threads && time_now_ns() < until) {
		(void)time_sleep_ns(MS / 4);
	}
	EXPECT_EQ(left, threads);
}

void crowd_end(const struct crowd *c)
{
	EXPECT_OK(sys_task_kill(c->task));
	EXPECT_OK(sys_handle_close(c->task));
	/* This program's own table of handles may have grown. */
	EXPECT(used_falls_to(c->before + CROWD_LIMIT / 2) <= c->before + CROWD_LIMIT / 2);
}
