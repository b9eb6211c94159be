/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/bench.c - what calls cost, from EL0: init=bench.
 *
 * THEORY   Under QEMU's -icount shift=0 an instruction takes a nanosecond, and with a counter of
 *          1 GHz the counter shows instructions. A case is repeated, what reading the counter costs
 *          is taken off, and the median, the least and the most are one line, in the form that
 *          test/bench/run knows. Client and server are in different tasks, on one CPU; each
 *          stamps a page that both have mapped, so that both halves of a call are measured.
 * LIMITS   With another counter the figures are multiples of its tick; without icount they are
 *          time.
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 33u
#define RW (VM_READ | VM_WRITE)
#define SERVER_NUMBER 1u
#define SERVER_LIMIT (4 * MIB)
#define NS_PER_S UINT64_C(1000000000)
#define DUE_STEP_NS UINT64_C(10000) /* whole ticks, of any counter of a multiple of 100 kHz */

/* The page that client and server share. */
struct stamps {
	volatile uint64_t received; /* by the server, right after its receive */
	volatile uint64_t replies;  /* by the server, right before its reply */
	volatile uint64_t yielding; /* the server yields all the time */
};

static struct {
	uint64_t overhead; /* of two stamps */
	const char *only;
	handle_t endpoint, parent;
	struct child server;
	struct stamps *stamps;
	uint64_t sample[SAMPLES];
	handle_t event;
	struct thread *thread;
	volatile uint64_t woke;
} bench;

static inline uint64_t stamp(void)
{
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	return ticks;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t less_overhead(uint64_t ticks)
{
	return ticks > bench.overhead ? ticks - bench.overhead : 0;
}

static void report(const char *name, const char *goal)
{
	uint64_t hz;

	if (strncmp(name, bench.only, strlen(bench.only)) != 0) {
		return;
	}
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	const uint64_t per_tick = NS_PER_S / hz;
	qsort(bench.sample, SAMPLES, sizeof bench.sample[0], compare);
	printf("bench: name=%s el=0 instructions=%lu min=%lu max=%lu goal=%s\n", name,
	       (unsigned long)(bench.sample[SAMPLES / 2] * per_tick),
	       (unsigned long)(bench.sample[0] * per_tick),
	       (unsigned long)(bench.sample[SAMPLES - 1] * per_tick), goal);
}

/* Measure `statement` SAMPLES times. */
#define MEASURE(name, goal, statement)                                   \
	do {                                                             \
		for (unsigned i = 0; i < SAMPLES; i++) {                 \
			const uint64_t from = stamp();                   \
			statement;                                       \
			bench.sample[i] = less_overhead(stamp() - from); \
		}                                                        \
		report(name, goal);                                      \
	} while (0)

static int serve(void)
{
	struct ipc_message m;
	uint64_t at;

	/* The first message carries the page. */
	enum kerr e = sys_thread_set_affinity(HANDLE_NONE, 1);
	if (e == KERR_OK) {
		e = sys_ipc_recv(start.extra, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	}
	if (e == KERR_OK) {
		e = sys_mem_map(HANDLE_NONE, (handle_t)m.word[0], 0, 0, PAGE_BYTES, RW, &at);
	}
	if (e != KERR_OK) {
		return EXIT_FAILURE;
	}
	struct stamps *const stamps = (struct stamps *)(uintptr_t)at;
	for (;;) {
		uint64_t words = IPC_INFO_WORDS(m.info);

		if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
			m.word[0] = EXC_SKIP;
			words = 1;
		}
		stamps->replies = stamp();
		e = sys_ipc_reply_recv(start.extra, IPC_INFO(words, 0), HANDLE_NONE, DEADLINE_NONE,
				       &m);
		stamps->received = stamp();
		if (e != KERR_OK) {
			return EXIT_FAILURE;
		}
		if (stamps->yielding != 0) {
			(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
			while (stamps->yielding != 0) {
				(void)sys_thread_yield();
			}
			(void)sys_ipc_recv(start.extra, 0, HANDLE_NONE, DEADLINE_NONE, &m);
		}
	}
}

static bool start_server(const char *program_name)
{
	const char *const words[] = { program_name, "role=server" };
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

static void measure_ipc(unsigned words)
{
	uint64_t replies[SAMPLES];
	char name[32];

	for (unsigned i = 0; i < SAMPLES; i++) {
		struct ipc_message m = { .word = { 1, 2, 3, 4, 5, 6, 7, 8 } };

		const uint64_t from = stamp();
		(void)sys_ipc_call(bench.endpoint, IPC_INFO(words, 0), HANDLE_NONE, DEADLINE_NONE,
				   &m);
		const uint64_t back = stamp();
		bench.sample[i] = less_overhead(bench.stamps->received - from);
		replies[i] = less_overhead(back - bench.stamps->replies);
	}
	snprintf(name, sizeof name, "ipc_call_%u", words);
	report(name, "120");
	memcpy(bench.sample, replies, sizeof replies);
	snprintf(name, sizeof name, "ipc_reply_recv_%u", words);
	report(name, "130");
}

/* The server is the handler of our exceptions: a store to a guard page, which it skips. */
static void measure_fault(void)
{
	uint64_t back[SAMPLES], guard;

	if (sys_mem_map(HANDLE_NONE, HANDLE_NONE, 0, 0, PAGE_BYTES, VM_GUARD, &guard) != KERR_OK ||
	    sys_task_set_exception(HANDLE_NONE, bench.endpoint) != KERR_OK) {
		printf("bench: failed: no guard\n");
		return;
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp();
		*(volatile uint64_t *)(uintptr_t)guard = 1;
		const uint64_t now = stamp();
		bench.sample[i] = less_overhead(bench.stamps->received - from);
		back[i] = less_overhead(now - bench.stamps->replies);
	}
	(void)sys_task_set_exception(HANDLE_NONE, start.parent);
	report("fault_to_handler", "220");
	memcpy(bench.sample, back, sizeof back);
	report("handler_to_fault", "none");
}

static void measure_yield(void)
{
	struct ipc_message m = { 0 };

	bench.stamps->yielding = 1;
	(void)sys_ipc_call(bench.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp();
		(void)sys_thread_yield();
		bench.sample[i] = less_overhead(stamp() - from) / 2; /* there, and back */
	}
	bench.stamps->yielding = 0;
	report("yield_space", "150");
	(void)sys_ipc_call(bench.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
}

/* Waits for the event, and notes when it runs. */
static void wake(void *argument)
{
	uint64_t bits;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while (sys_event_wait(bench.event, 3, DEADLINE_NONE, &bits) == KERR_OK && bits == 1) {
		bench.woke = stamp();
	}
}

static void with_waiter(uint32_t priority, void (*measure)(void))
{
	if (sys_event_create(&bench.event) != KERR_OK ||
	    thread_create(wake, nullptr, &(struct thread_options){ .priority = priority },
			  &bench.thread) != KERR_OK) {
		printf("bench: failed: no thread\n");
		return;
	}
	(void)time_sleep_ns(1000000); /* it waits now */
	measure();
	(void)sys_event_signal(bench.event, 2);
	thread_join(bench.thread);
	(void)sys_handle_close(bench.event);
}

static void measure_signal(void)
{
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp();
		(void)sys_event_signal(bench.event, 1);
		bench.sample[i] = less_overhead(stamp() - from);
		(void)time_sleep_ns(100000); /* it runs, and waits again */
	}
	report("signal_lower", "130");
}

/*
 * One sample of it. The driver is more urgent and on this CPU: once it has noted its time it waits
 * again before this thread goes on. Without icount that takes the host's time, however long.
 */
static bool interrupt_once(handle_t timer, uint64_t hz, uint64_t *ticks)
{
	const uint64_t step = time_now_ns() / DUE_STEP_NS + 6;
	const uint64_t due = step * (hz / (NS_PER_S / DUE_STEP_NS));

	bench.woke = 0;
	if (sys_timer_set(timer, step * DUE_STEP_NS) != KERR_OK) {
		return false;
	}
	while (bench.woke == 0 && stamp() < due + hz) {
	}
	*ticks = less_overhead(bench.woke - due);
	return bench.woke >= due;
}

/* From the moment the timer's interrupt is due to the driver thread that waits for it. */
static void measure_interrupt(void)
{
	handle_t timer;
	uint64_t hz;

	/* Less urgent than the driver from here on, and for good: a thread cannot raise itself. */
	(void)sys_thread_set_priority(HANDLE_NONE, PRIORITY_DEFAULT - 4);
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	if (sys_timer_create(bench.event, 1, &timer) != KERR_OK) {
		printf("bench: failed: no timer\n");
		return;
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		if (!interrupt_once(timer, hz, &bench.sample[i])) {
			printf("bench: failed name=irq_to_driver: the driver did not run\n");
			(void)sys_handle_close(timer);
			return;
		}
	}
	(void)sys_handle_close(timer);
	report("irq_to_driver", "200");
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
		const uint64_t from = stamp();
		bench.sample[i] = stamp() - from;
	}
	qsort(bench.sample, SAMPLES, sizeof bench.sample[0], compare);
	bench.overhead = bench.sample[SAMPLES / 2];
}

int main(int argc, char **argv)
{
	bench.only = "";
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "role=server") == 0) {
			return serve();
		}
		if (strncmp(argv[i], "only=", 5) == 0) {
			bench.only = argv[i] + 5;
		}
	}
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	calibrate();
	measure_simple();
	if (!start_server(argv[0])) {
		printf("bench: failed: no server\n");
		return EXIT_FAILURE;
	}
	measure_ipc(0);
	measure_ipc(8);
	measure_fault();
	measure_yield();
	child_end(&bench.server);
	with_waiter(PRIORITY_DEFAULT - 2, measure_signal);
	with_waiter(PRIORITY_DEFAULT, measure_interrupt);
	return EXIT_SUCCESS;
}
