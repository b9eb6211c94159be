/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/stress/work_share.c - memory and messages that workers share.
 *
 * THEORY   One object is mapped twice, and each worker has every 16th page of it. A worker writes
 *          its pages through one mapping, reads them through the other, and now and then changes
 *          the protection of a page of the second: its block is demoted and promoted while all the
 *          others read in it.
 */
#include <stdatomic.h>

#include "user/stress/stress.h"

#define RW (VM_READ | VM_WRITE)
#define SHARERS 16u
#define SHARED_BYTES (2 * BLOCK_BYTES)

static struct {
	uint64_t a, b; /* two mappings of one object */
	handle_t endpoint;
	struct thread *server;
} shared;

static void serve(void *argument)
{
	struct ipc_message m;

	(void)argument;
	enum kerr e = sys_ipc_recv(shared.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	while (e == KERR_OK && m.word[0] != 0) {
		for (unsigned i = 0; i < IPC_WORDS; i++) {
			m.word[i] = ~m.word[i];
		}
		e = sys_ipc_reply_recv(shared.endpoint, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE,
				       DEADLINE_NONE, &m);
	}
	(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
}

bool share_begin(void)
{
	handle_t memory;

	if (sys_mem_create(MEM_ANON, SHARED_BYTES, HANDLE_NONE, 0, &memory) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, memory, 0, 0, SHARED_BYTES, RW, &shared.a) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, memory, 0, 0, SHARED_BYTES, RW, &shared.b) != KERR_OK) {
		return false;
	}
	(void)sys_handle_close(memory);
	return sys_endpoint_create(&shared.endpoint) == KERR_OK &&
	       thread_create(serve, nullptr, nullptr, &shared.server) == KERR_OK;
}

void share_end(void)
{
	struct ipc_message m = { 0 };

	(void)sys_ipc_call(shared.endpoint, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m);
	thread_join(shared.server);
	(void)sys_handle_close(shared.endpoint);
	(void)sys_mem_unmap(HANDLE_NONE, shared.a, SHARED_BYTES);
	(void)sys_mem_unmap(HANDLE_NONE, shared.b, SHARED_BYTES);
}

void work_share(struct worker *w)
{
	const uint64_t key = random_next(&w->seed) | 1, slot = w->index % SHARERS * PAGE_BYTES;

	for (uint64_t at = slot; at < SHARED_BYTES; at += SHARERS * PAGE_BYTES) {
		pattern_write(shared.a + at, PAGE_BYTES, key);
	}
	/* Through the second mapping nobody writes, so its protection is free to change. */
	const uint64_t page = random_next(&w->seed) % (SHARED_BYTES / PAGE_BYTES) * PAGE_BYTES;
	if (stress_ok(w, sys_mem_protect(HANDLE_NONE, shared.b + page, PAGE_BYTES, VM_READ))) {
		(void)stress_ok(w, sys_mem_protect(HANDLE_NONE, shared.b + page, PAGE_BYTES, RW));
	}
	for (uint64_t at = slot; at < SHARED_BYTES; at += SHARERS * PAGE_BYTES) {
		const volatile uint64_t *const word =
			(const volatile uint64_t *)(uintptr_t)(shared.b + at);

		w->wrong += *word != pattern(shared.a + at, key);
	}
}

void work_message(struct worker *w)
{
	struct ipc_message m;
	uint64_t sent[IPC_WORDS];

	for (unsigned i = 0; i < IPC_WORDS; i++) {
		sent[i] = m.word[i] = random_next(&w->seed);
	}
	if (!stress_ok(w, sys_ipc_call(shared.endpoint, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE,
				       DEADLINE_NONE, &m))) {
		return;
	}
	for (unsigned i = 0; i < IPC_WORDS; i++) {
		w->wrong += m.word[i] != ~sent[i];
	}
}
