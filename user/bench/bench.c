/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/bench.c - what calls cost, from EL0: init=bench.
 *
 * THEORY   Under QEMU's -icount shift=0 an instruction takes a nanosecond, and with a counter of
 *          1 GHz the counter shows instructions. A case is repeated, what reading the counter costs
 *          is taken off, and the median, the least and the most are one line, in the form that
 *          test/bench/run knows. Client and server are in different tasks, on one CPU; each
 *          stamps a page that both have mapped, so that both halves of a call are measured.
 *          A stamp is also a mark, a hint that no architecture defines, for the plugin that counts
 *          from outside (test/bench/count.c): barriers, system registers, and where it all goes.
 *          Threads that a case is about have never used FP registers, unless its name says so: who
 *          has pays for them at every switch.
 * LIMITS   With another counter the figures are multiples of its tick; without icount they are
 *          time.
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/thread.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/bench/message.h"

#define RW (VM_READ | VM_WRITE)
#define SERVER_NUMBER 1u
#define SERVER_LIMIT (4 * MIB)
#define NS_PER_S UINT64_C(1000000000)
#define OVERHEAD_ID 63u /* IDS - 1 in test/bench/count.c */

struct bench bench;

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t less_overhead(uint64_t ticks)
{
	return ticks > bench.overhead ? ticks - bench.overhead : 0;
}

void report(const char *name, unsigned units, const char *goal)
{
	const unsigned long id = bench.id++;
	uint64_t hz;

	if (strncmp(name, bench.only, strlen(bench.only)) != 0) {
		return;
	}
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	const uint64_t per_tick = NS_PER_S / hz;
	qsort(bench.sample, SAMPLES, sizeof bench.sample[0], compare);
	printf("bench: name=%s el=0 instructions=%lu min=%lu max=%lu barriers=- sysregs=- "
	       "goal=%s units=%u id=%lu\n",
	       name, (unsigned long)(bench.sample[SAMPLES / 2] * per_tick / units),
	       (unsigned long)(bench.sample[0] * per_tick / units),
	       (unsigned long)(bench.sample[SAMPLES - 1] * per_tick / units), goal, units, id);
}

bool on_fresh_thread(void (*fn)(void *), void *argument)
{
	struct thread *thread;

	if (thread_create(fn, argument, nullptr, &thread) != KERR_OK) {
		return false;
	}
	thread_join(thread);
	return true;
}

enum kerr exchange(struct half *h)
{
	register uint64_t x0 __asm__("x0") = h->id;
	register uint64_t x8 __asm__("x8") = h->number;
	register uint64_t x9 __asm__("x9") = h->endpoint;
	register uint64_t x10 __asm__("x10") = h->info;
	register uint64_t x11 __asm__("x11") = h->reply;
	register uint64_t x12 __asm__("x12") = h->deadline;
	uint64_t before, after;

	__asm__ volatile("hint #126\n\tmov x0, %[word]\n\tisb\n\tmrs %[before], cntvct_el0\n\t"
			 "svc #0\n\tisb\n\tmrs %[after], cntvct_el0\n\thint #127"
			 : "+r"(x0), "+r"(x8), "+r"(x9), "+r"(x10), "+r"(x11),
			   "+r"(x12), [before] "=&r"(before), [after] "=&r"(after)
			 : [word] "r"(h->word)
			 : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x13", "x14", "x15", "x16",
			   "x17", "memory");
	h->before = before;
	h->after = after;
	h->word = x0;
	h->info = x10;
	return (enum kerr)x8;
}

/* Once the client asked for it; until it has had enough. */
static void yield_all_the_time(const struct stamps *stamps)
{
	struct ipc_message m = { 0 };

	(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
	while (stamps->yielding != 0) {
		(void)sys_thread_yield();
	}
	(void)sys_ipc_recv(start.extra, 0, HANDLE_NONE, DEADLINE_NONE, &m);
}

/* A thread of its own, which has not used FP registers: the program's first has, in the library. */
static void serve_messages(void *argument)
{
	struct stamps *const stamps = argument;
	struct half h = { .number = CALL_IPC_REPLY_RECV, .endpoint = start.extra };
	enum kerr e = sys_thread_set_affinity(HANDLE_NONE, 1);

	while (e == KERR_OK) {
		h.id = stamps->reply_id;
		e = exchange(&h);
		stamps->received = h.after;
		stamps->replies = h.before;
		if (stamps->yielding != 0) {
			yield_all_the_time(stamps);
			h.info = 0;
		}
		if (stamps->fp != 0) {
			__asm__ volatile("fmov d0, xzr" : : : "v0");
		}
		const bool excepted = (h.info & IPC_FLAG_EXCEPTION) != 0;

		h.word = EXC_SKIP;
		h.info = IPC_INFO(excepted ? 1 : IPC_INFO_WORDS(h.info), 0);
	}
}

static int serve(void (*messages)(void *))
{
	struct ipc_message m;
	uint64_t at;

	/* The first message carries the page; its caller goes on at the first reply. */
	if (sys_ipc_recv(start.extra, 0, HANDLE_NONE, DEADLINE_NONE, &m) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, (handle_t)m.word[0], 0, 0, PAGE_BYTES, RW, &at) != KERR_OK ||
	    sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m) != KERR_OK) {
		return EXIT_FAILURE;
	}
	(void)on_fresh_thread(messages, (void *)(uintptr_t)at);
	return EXIT_FAILURE;
}

bool start_server(const char *program_name, const char *role)
{
	const char *const words[] = { program_name, role };
	struct ipc_message m = { 0 };
	struct elf_program program;
	const void *archive;
	handle_t memory;
	size_t bytes;
	uint64_t at;

	if (sys_endpoint_create(&bench.endpoint) != KERR_OK ||
	    sys_endpoint_create(&bench.parent) != KERR_OK ||
	    sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, RW, &at) != KERR_OK ||
	    ramdisk_map(&archive, &bytes) != KERR_OK ||
	    !ramdisk_program(archive, bytes, "bench", &program)) {
		return false;
	}
	bench.stamps = (struct stamps *)(uintptr_t)at;
	const struct spawn_options options = {
		.limit_bytes = SERVER_LIMIT,
		.number = SERVER_NUMBER,
		.parent = bench.parent,
		.extra = bench.endpoint,
		.console = start.console,
		.argc = 2,
		.argv = words,
	};
	m.word[0] = memory;
	return spawn(&program, &options, &bench.server) == KERR_OK &&
	       sys_ipc_call(bench.endpoint, IPC_INFO(1, 1), HANDLE_NONE, DEADLINE_NONE, &m) ==
		       KERR_OK;
}

static void sample_ipc(void *words)
{
	struct half h = { .number = CALL_IPC_CALL, .endpoint = bench.endpoint, .id = bench.id };

	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	bench.stamps->reply_id = bench.id + 1;
	for (unsigned i = 0; i <= SAMPLES; i++) {
		const uint64_t back =
			h.after; /* of the one before: only now we learn when it began */

		h.info = IPC_INFO((uint64_t)(uintptr_t)words, 0);
		bench.failed = bench.failed || exchange(&h) != KERR_OK;
		bench.sample[i % SAMPLES] = less_overhead(bench.stamps->received - h.before);
		bench.back[i % SAMPLES] = less_overhead(back - bench.stamps->replies);
	}
}

void report_back(const char *name, const char *goal)
{
	memcpy(bench.sample, bench.back, sizeof bench.sample);
	report(name, 1, goal);
}

/* The server is the handler of our exceptions: a store to a guard page, which it skips. */
static void sample_fault(void *guard)
{
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	uint64_t now = 0;

	bench.stamps->reply_id = bench.id + 1;
	for (unsigned i = 0; i <= SAMPLES; i++) {
		const uint64_t from = stamp_begin(bench.id);
		*(volatile uint64_t *)guard = 1;
		const uint64_t back = now;
		now = stamp_end();
		bench.sample[i % SAMPLES] = less_overhead(bench.stamps->received - from);
		bench.back[i % SAMPLES] = less_overhead(back - bench.stamps->replies);
	}
}

/* By a thread without FP registers, or by this one. */
static void measure_fault(bool fresh, const char *there, const char *goal, const char *back)
{
	uint64_t guard;
	bool done = sys_mem_map(HANDLE_NONE, HANDLE_NONE, 0, 0, PAGE_BYTES, VM_GUARD, &guard) ==
			    KERR_OK &&
		    sys_task_set_exception(HANDLE_NONE, bench.endpoint) == KERR_OK;

	if (done && fresh) {
		done = on_fresh_thread(sample_fault, (void *)(uintptr_t)guard);
	} else if (done) {
		sample_fault((void *)(uintptr_t)guard);
	}
	bench.failed = bench.failed || !done;
	(void)sys_task_set_exception(HANDLE_NONE, start.parent);
	report(there, 1, goal);
	report_back(back, "440");
}

static void sample_yield(void *argument)
{
	struct ipc_message m = { 0 };

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	bench.stamps->yielding = 1;
	(void)sys_ipc_call(bench.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp_begin(bench.id);
		(void)sys_thread_yield();
		bench.sample[i] = less_overhead(stamp_end() - from);
	}
	bench.stamps->yielding = 0;
	(void)sys_ipc_call(bench.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
}

/* Two programs, client and server. */
static void measure_two(void)
{
	bench.failed = !on_fresh_thread(sample_ipc, (void *)0);
	report("ipc_call_0", 1, "120");
	report_back("ipc_reply_recv_0", "130");
	bench.failed = bench.failed || !on_fresh_thread(sample_ipc, (void *)IPC_WORDS);
	report("ipc_call_8", 1, "120");
	report_back("ipc_reply_recv_8", "130");
	measure_fault(true, "fault_to_handler", "220", "handler_to_fault");
	measure_fault(false, "fault_to_handler_fp_to_none", "440", "handler_to_fault_none_to_fp");
	bench.failed = bench.failed || !on_fresh_thread(sample_yield, nullptr);
	report("yield_space", 2, "150"); /* there, and back */
	bench.stamps->fp = 1;
	sample_ipc((void *)IPC_WORDS); /* the first call: the server has none yet */
	sample_ipc((void *)IPC_WORDS);
	report("ipc_call_8_fp", 1, "none");
	report_back("ipc_reply_recv_8_fp", "none");
	measure_fault(true, "fault_to_handler_none_to_fp", "440", "handler_to_fault_fp_to_none");
	sample_yield(nullptr);
	report("yield_space_fp", 2, "300");
	if (bench.failed) {
		printf("bench: failed: a message was lost\n");
	}
}

static void nothing(void *argument)
{
	(void)argument;
}

static void create_and_join(void)
{
	struct thread *thread;

	if (thread_create(nothing, nullptr, nullptr, &thread) == KERR_OK) {
		thread_join(thread);
	}
}

static void map_and_unmap(handle_t memory)
{
	uint64_t at;

	if (sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, RW, &at) == KERR_OK) {
		(void)sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES);
	}
}

static void measure_simple(void)
{
	handle_t event, memory;
	uint64_t bits;

	MEASURE("null_call", "50", (void)sys_null());
	if (sys_event_create(&event) == KERR_OK) {
		MEASURE("event_signal_nobody", "none", (void)sys_event_signal(event, 1));
		MEASURE("event_wait_ready", "none", {
			(void)sys_event_signal(event, 1);
			(void)sys_event_wait(event, 1, DEADLINE_NONE, &bits);
		});
		MEASURE("event_create_close", "none", {
			(void)sys_handle_close(event);
			(void)sys_event_create(&event);
		});
		(void)sys_handle_close(event);
	}
	MEASURE("thread_create_join", "none", create_and_join());
	if (sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory) == KERR_OK) {
		MEASURE("map_unmap", "none", map_and_unmap(memory));
		(void)sys_handle_close(memory);
	}
}

static void calibrate(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp_begin(OVERHEAD_ID);
		bench.sample[i] = stamp_end() - from;
	}
	qsort(bench.sample, SAMPLES, sizeof bench.sample[0], compare);
	bench.overhead = bench.sample[SAMPLES / 2];
}

int main(int argc, char **argv)
{
	bench.only = "";
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "role=server") == 0) {
			return serve(serve_messages);
		}
		if (strcmp(argv[i], "role=cases") == 0) {
			return serve(serve_ipc_cases);
		}
		if (strcmp(argv[i], "role=driver") == 0) {
			return serve(serve_driver);
		}
		if (strncmp(argv[i], "only=", 5) == 0) {
			bench.only = argv[i] + 5;
		}
	}
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	calibrate();
	measure_simple();
	if (!start_server(argv[0], "role=server")) {
		printf("bench: failed: no server\n");
		return EXIT_FAILURE;
	}
	measure_two();
	child_end(&bench.server);
	measure_events(argv[0]);
	if (!start_server(argv[0], "role=cases")) {
		printf("bench: failed: no server\n");
		return EXIT_FAILURE;
	}
	measure_ipc_cases();
	child_end(&bench.server);
	return EXIT_SUCCESS;
}
