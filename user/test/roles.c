/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/roles.c - the other tasks of a test: starting them, and what they do.
 */
#include "user/test/roles.h"
#include "user/test/test.h"

#include <perch/spawn.h>

#include <stdlib.h>

#define ROLE_NUMBER 7u
#define LATE_PAGES 64u

/* Answer calls by adding one to each word, until word 0 is 0. */
static int role_adder(void)
{
	struct ipc_message m;

	enum kerr e = sys_ipc_recv(start.extra, 0, HANDLE_NONE, in_time(), &m);
	while (e == KERR_OK && m.word[0] != 0) {
		for (unsigned i = 0; i < IPC_WORDS; i++) {
			m.word[i]++;
		}
		e = sys_ipc_reply_recv(start.extra, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE, in_time(),
				       &m);
	}
	if (e == KERR_OK) {
		e = sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
	}
	return e == KERR_OK ? 0 : ROLE_STATUS_FAILED;
}

/* Take a call and die with the caller waiting. */
static int role_die_serving(void)
{
	struct ipc_message m;

	(void)sys_ipc_recv(start.extra, 0, HANDLE_NONE, in_time(), &m);
	return 5;
}

/* Write to the memory object in `extra`, for others to read. */
static int role_writer(void)
{
	uint64_t at;

	if (sys_mem_map(HANDLE_NONE, start.extra, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at) !=
	    KERR_OK) {
		return ROLE_STATUS_FAILED;
	}
	strcpy((char *)(uintptr_t)at, "written by another task");
	return 0;
}

/* Touch memory until the limit is met: an exception ends it. */
static int role_glutton(void)
{
	const uint64_t bytes = 256 * MIB;
	handle_t memory;
	uint64_t at;

	if (sys_mem_create(MEM_ANON, bytes, HANDLE_NONE, 0, &memory) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes, VM_READ | VM_WRITE, &at) != KERR_OK) {
		return 3;
	}
	for (uint64_t offset = 0; offset < bytes; offset += PAGE_BYTES) {
		*(volatile char *)(uintptr_t)(at + offset) = 1;
	}
	return 4;
}

/* Touch memory of one's own while the parent, who answers two calls, has nothing left. */
static int role_late(void)
{
	static volatile char fresh[LATE_PAGES * PAGE_BYTES];
	struct ipc_message m = { 0 };

	enum kerr e = sys_ipc_call(start.extra, IPC_INFO(0, 0), HANDLE_NONE, in_time(), &m);
	for (uint64_t offset = 0; offset < sizeof fresh; offset += PAGE_BYTES) {
		fresh[offset] = 1;
	}
	if (e == KERR_OK) {
		e = sys_ipc_call(start.extra, IPC_INFO(0, 0), HANDLE_NONE, in_time(), &m);
	}
	return e == KERR_OK ? 0 : ROLE_STATUS_FAILED;
}

/* Make handles until there is no more. */
static int role_hoarder(void)
{
	handle_t event;

	for (unsigned i = 0; i < 1000000; i++) {
		const enum kerr e = sys_event_create(&event);
		if (e != KERR_OK) {
			return e == KERR_NO_MEMORY ? 0 : ROLE_STATUS_FAILED;
		}
	}
	return 4;
}

/* Read what belongs to the kernel: an exception ends it. */
static int role_read_kernel(void)
{
	return *(volatile int *)(uintptr_t)PINNED_BASE == 0 ? 1 : 2;
}

static int role_write_text(void)
{
	*(volatile uint32_t *)(uintptr_t)role_write_text = 0;
	return 1;
}

/* An instruction on the stack: RET. */
static int role_run_stack(void)
{
	uint32_t code[4] = { 0xd65f03c0, 0xd65f03c0, 0xd65f03c0, 0xd65f03c0 };

	__asm__ volatile("blr %0" : : "r"(code) : "x30", "memory");
	return 1;
}

/* A thread that ends in no way of its own; returns its handle. */
static handle_t leave_thread(uint64_t pc)
{
	handle_t thread = HANDLE_NONE;

	if (sys_thread_create(HANDLE_NONE, PRIORITY_DEFAULT - 1, &thread) == KERR_OK && pc != 0) {
		(void)sys_thread_start(thread, pc, 0, 0, 0);
	}
	(void)time_sleep_ns(2 * MS);
	return thread;
}

__attribute__((naked)) static void spin(void)
{
	__asm__("b .");
}

static int role_leave_stopped(void)
{
	(void)leave_thread(0);
	return 0;
}

static int role_leave_faulted(void)
{
	(void)leave_thread(0x10); /* nothing is there: it waits for the answer to its exception */
	return 0;
}

static int role_leave_running(void)
{
	(void)leave_thread((uint64_t)(uintptr_t)spin);
	return 0;
}

static int role_leave_stopped_while_running(void)
{
	(void)sys_thread_stop(leave_thread((uint64_t)(uintptr_t)spin));
	return 0;
}

static int role_leave_without_a_handle(void)
{
	(void)sys_handle_close(leave_thread(0));
	return 0;
}

/* The event is bound to a thread, and each keeps the other. */
static int role_leave_bound(void)
{
	handle_t event;

	return sys_event_create(&event) == KERR_OK &&
			       sys_event_bind(event, leave_thread(0)) == KERR_OK
		       ? 0
		       : ROLE_STATUS_FAILED;
}

/* Threads that are ready, and get no CPU, because this one is more urgent and never waits. */
static int role_alive_ready(void)
{
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	for (unsigned i = 0; i < 5; i++) {
		handle_t thread = HANDLE_NONE;

		(void)sys_thread_create(HANDLE_NONE, 1, &thread);
		(void)sys_thread_set_affinity(thread, 1);
		(void)sys_thread_start(thread, (uint64_t)(uintptr_t)spin, 0, 0, 0);
	}
	spin();
	return 0;
}

/* Threads that never ran, moved to each CPU. */
static int role_alive_moved(void)
{
	for (unsigned i = 0; i < 16; i++) {
		handle_t thread = HANDLE_NONE;

		(void)sys_thread_create(HANDLE_NONE, 1, &thread);
		(void)sys_thread_set_affinity(thread, UINT64_C(1) << i % 4);
		(void)sys_thread_set_priority(thread, i % 16);
	}
	spin();
	return 0;
}

static int role_leave_moved(void)
{
	const handle_t thread = leave_thread(0);

	(void)sys_thread_set_affinity(thread, 2);
	(void)sys_thread_set_priority(thread, 3);
	return 0;
}

static int role_leave_revoked(void)
{
	(void)sys_handle_revoke(leave_thread(0));
	return 0;
}

/* The console's input. */
static int role_echo(void)
{
	char text[80];

	printf("say something\n");
	if (fgets(text, sizeof text, stdin) == nullptr) {
		return ROLE_STATUS_FAILED;
	}
	printf("you said: %s", text);
	return 0;
}

static int role_status_7(void)
{
	return 7;
}

static void yield_as_other(void *argument)
{
	volatile struct turns *const turns = argument;

	yield_in_turn(turns, UINT64_C(0x3333) << 32, &turns->second);
}

/* Yield to the task that has mapped the memory object in `extra` too, until it has had enough. */
static int role_yielder(void)
{
	uint64_t at;

	if (sys_mem_map(HANDLE_NONE, start.extra, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at) !=
	    KERR_OK) {
		return ROLE_STATUS_FAILED;
	}
	thread_join(start_thread(yield_as_other, (void *)(uintptr_t)at, PRIORITY_DEFAULT));
	return 0;
}

/* The driver of device_runs_a_driver_in_another_space: bit 0 is an interrupt, bit 2 the end. */
struct driving {
	handle_t event;
	volatile uint64_t *ran;
};

static void drive_for_another(void *argument)
{
	const struct driving *const d = argument;
	uint64_t bits = 0;

	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while ((bits & 4) == 0 &&
	       sys_event_wait(d->event, 1 | 4, DEADLINE_NONE, &bits) == KERR_OK) {
		*d->ran = *d->ran + (bits & 1);
	}
}

/* A call brings the event, and memory where to count. Without a device there is none. */
static int role_driver(void)
{
	struct ipc_message m;
	uint64_t at;

	if (sys_ipc_recv(start.extra, 0, HANDLE_NONE, in_time(), &m) == KERR_DEAD) {
		return 0;
	}
	if (sys_mem_map(HANDLE_NONE, (handle_t)m.word[1], 0, 0, PAGE_BYTES, VM_READ | VM_WRITE,
			&at) != KERR_OK) {
		return ROLE_STATUS_FAILED;
	}
	struct driving d = { .event = (handle_t)m.word[0], .ran = (uint64_t *)(uintptr_t)at };

	*d.ran = 0; /* the page is there */
	struct thread *const driver = start_thread(drive_for_another, &d, PRIORITY_DEFAULT - 2);

	await_state(thread_handle(driver), THREAD_IS_WAITING);
	(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
	thread_join(driver);
	return 0;
}

/* Refused stores, of which one is skipped after the other, by a thread without FP registers. */
static void fault_in_turn(void *argument)
{
	uint64_t *const changed = argument;
	uint64_t at = 0, pc;

	if (sys_thread_set_affinity(HANDLE_NONE, 1) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, HANDLE_NONE, 0, 0, PAGE_BYTES, VM_GUARD, &at) != KERR_OK) {
		++*changed;
		return;
	}
	for (uint64_t i = 0; i < FAULTER_ROUNDS; i++) {
		*changed += store_and_compare(at, i << 32, &pc);
	}
}

static int role_faulter(void)
{
	uint64_t changed = 0;

	if (sys_task_set_exception(HANDLE_NONE, start.extra) != KERR_OK) {
		return ROLE_STATUS_FAILED;
	}
	thread_join(start_thread(fault_in_turn, &changed, PRIORITY_DEFAULT));
	return changed == 0 ? 0 : ROLE_STATUS_FAILED;
}

static enum kerr show(uint64_t bytes, uint64_t *at)
{
	handle_t memory;
	enum kerr e = sys_mem_create(MEM_ANON, bytes, HANDLE_NONE, 0, &memory);

	if (e == KERR_OK) {
		e = sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes, VM_READ | VM_WRITE, at);
	}
	return e == KERR_OK ? sys_handle_close(memory) : e;
}

/* With nothing left, it gives up a mapping and touches a page in the next instruction. */
static int role_spender(void)
{
	uint64_t some, rest, page;
	enum kerr e = KERR_OK;

	if (show(MIB, &some) != KERR_OK || show(8 * MIB, &rest) != KERR_OK ||
	    show(PAGE_BYTES, &page) != KERR_OK ||
	    sys_mem_advise(HANDLE_NONE, some, MIB, VM_WILLNEED) != KERR_OK) {
		return 1;
	}
	for (uint64_t at = rest; e == KERR_OK && at < rest + 8 * MIB; at += PAGE_BYTES) {
		e = sys_mem_advise(HANDLE_NONE, at, PAGE_BYTES, VM_WILLNEED);
	}
	if (e != KERR_NO_MEMORY || sys_mem_unmap(HANDLE_NONE, some, MIB) != KERR_OK) {
		return 2;
	}
	*(volatile uint64_t *)(uintptr_t)page = 1;
	return 0;
}

int role_play(const char *role)
{
	static const struct {
		const char *name;
		int (*play)(void);
	} roles[] = {
		{ "adder", role_adder },
		{ "die_serving", role_die_serving },
		{ "writer", role_writer },
		{ "glutton", role_glutton },
		{ "hoarder", role_hoarder },
		{ "spender", role_spender },
		{ "late", role_late },
		{ "read_kernel", role_read_kernel },
		{ "write_text", role_write_text },
		{ "run_stack", role_run_stack },
		{ "leave_stopped", role_leave_stopped },
		{ "leave_faulted", role_leave_faulted },
		{ "leave_running", role_leave_running },
		{ "leave_stopped_while_running", role_leave_stopped_while_running },
		{ "leave_without_a_handle", role_leave_without_a_handle },
		{ "leave_revoked", role_leave_revoked },
		{ "leave_bound", role_leave_bound },
		{ "leave_moved", role_leave_moved },
		{ "alive_ready", role_alive_ready },
		{ "alive_moved", role_alive_moved },
		{ "status_7", role_status_7 },
		{ "echo", role_echo },
		{ "yielder", role_yielder },
		{ "driver", role_driver },
		{ "faulter", role_faulter },
	};

	for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++) {
		if (strcmp(roles[i].name, role) == 0) {
			return roles[i].play();
		}
	}
	return ROLE_STATUS_UNKNOWN;
}

static void wait_for(handle_t endpoint, struct role_result *out)
{
	struct ipc_message m;

	const enum kerr e = sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m);
	EXPECT_OK(e);
	if (e != KERR_OK) {
		return;
	}
	EXPECT_EQ(m.badge, ROLE_NUMBER);
	if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
		out->exception_kind = m.word[EXC_WORD_KIND];
		out->exception_address = m.word[EXC_WORD_ADDRESS];
		m.word[0] = EXC_KILL;
		EXPECT_OK(sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m));
	} else if (m.word[0] == PARENT_EXIT) {
		out->ended = true;
		out->status = (int)m.word[1];
	}
}

bool run_role(const char *role, handle_t extra, uint64_t limit_bytes, struct role_result *out)
{
	static const void *archive;
	static size_t archive_bytes;
	char word[32];
	const char *const argv[] = { "test", word };
	struct elf_program program;
	struct child child;
	handle_t endpoint;

	snprintf(word, sizeof word, "role=%s", role);
	*out = (struct role_result){ 0 };
	if ((archive == nullptr && ramdisk_map(&archive, &archive_bytes) != KERR_OK) ||
	    !ramdisk_program(archive, archive_bytes, "test", &program) ||
	    sys_endpoint_create(&endpoint) != KERR_OK) {
		EXPECT(false);
		return false;
	}
	const struct spawn_options options = {
		.limit_bytes = limit_bytes,
		.number = ROLE_NUMBER,
		.parent = endpoint,
		.extra = extra,
		.console = start.console,
		.argc = 2,
		.argv = argv,
	};
	const enum kerr e = spawn(&program, &options, &child);
	EXPECT_OK(e);
	if (e == KERR_OK) {
		if (strncmp(role, "alive", 5) == 0) {
			(void)time_sleep_ns(100 * MS); /* it is killed while it runs */
		} else {
			wait_for(endpoint, out);
		}
		child_end(&child);
	}
	EXPECT_OK(sys_handle_close(endpoint));
	return e == KERR_OK;
}
