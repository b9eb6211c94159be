/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/fuzz/victim.c - what a victim does: calls with registers made of what is interesting.
 *
 * THEORY   Most arguments are near something valid: a handle that exists, a page of ours, an edge
 *          of the address space, a power of two and its neighbours. Deadlines are short, so that a
 *          wait ends; and what would end a victim at once (exit, kill, stop of itself) is rare.
 */
#include <gen/call_names.h>

#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "user/fuzz/fuzz.h"

#define THREADS 3u
#define HANDLES 48u
#define ARENA_BYTES (4 * BLOCK_BYTES)
#define REGISTERS 13u
#define SUICIDE_ONE_IN 20000u

static struct {
	struct fuzz_page *page;
	uint64_t arena; /* memory that calls may ruin */
	_Atomic(uint64_t) handles[HANDLES];
	_Atomic(uint64_t) left;
} victim;

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static uint64_t edge(uint64_t *seed)
{
	static const uint64_t edges[] = {
		0,          1,          USER_BASE,   USER_END,   USER_END - 1,      PINNED_BASE,
		PAGE_BYTES, IMAGE_BASE, LINEAR_BASE, UINT64_MAX, UINT64_MAX - 4095, BLOCK_BYTES,
	};

	return edges[next(seed) % (sizeof edges / sizeof edges[0])];
}

static uint64_t address(uint64_t *seed)
{
	const uint64_t at = victim.arena + next(seed) % ARENA_BYTES;

	switch (next(seed) % 8) {
	case 0:
		return edge(seed);
	case 1:
		return at;
	case 2:
		return align_down(at, BLOCK_BYTES);
	default:
		return align_down(at, PAGE_BYTES);
	}
}

static uint64_t word(uint64_t *seed)
{
	switch (next(seed) % 8) {
	case 0:
		return next(seed);
	case 1:
		return edge(seed);
	case 2:
		return UINT64_C(1) << next(seed) % 64;
	case 3:
		return (UINT64_C(1) << next(seed) % 64) - 1;
	case 4:
		return (next(seed) % 64) * PAGE_BYTES;
	default:
		return next(seed) % 20;
	}
}

static uint64_t some_handle(uint64_t *seed)
{
	const uint64_t h = victim.handles[next(seed) % HANDLES];

	switch (next(seed) % 16) {
	case 0:
		return next(seed);
	case 1:
		return h ^ UINT64_C(1) << next(seed) % 40;
	case 2:
		return 0;
	default:
		return h;
	}
}

static bool is_handle(const char *name, size_t length)
{
	static const char *const names[] = { "handle", "task",    "thread", "endpoint",
					     "reply",  "event",   "memory", "irq",
					     "timer",  "machine", "by" };

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (strlen(names[i]) == length && strncmp(names[i], name, length) == 0) {
			return true;
		}
	}
	return false;
}

/* A value for the argument of this name. */
static uint64_t value(const char *name, size_t length, uint64_t *seed)
{
	if (next(seed) % 64 == 0) {
		return word(seed);
	}
	if (is_handle(name, length)) {
		return some_handle(seed);
	}
	if (strncmp(name, "deadline", length) == 0) {
		return next(seed) % 4 == 0 ? time_now_ns() + next(seed) % 20000 : DEADLINE_POLL;
	}
	if (strncmp(name, "address", length) == 0 || strncmp(name, "buffer", length) == 0 ||
	    strncmp(name, "pc", length) == 0 || strncmp(name, "stack", length) == 0 ||
	    strncmp(name, "from", length) == 0) {
		return address(seed);
	}
	if (strncmp(name, "bytes", length) == 0 || strncmp(name, "offset", length) == 0) {
		return (1 + next(seed) % 600) * PAGE_BYTES;
	}
	return word(seed);
}

static uint64_t call(uint64_t number, uint64_t *x)
{
	register uint64_t x0 __asm__("x0") = x[0];
	register uint64_t x1 __asm__("x1") = x[1];
	register uint64_t x2 __asm__("x2") = x[2];
	register uint64_t x3 __asm__("x3") = x[3];
	register uint64_t x4 __asm__("x4") = x[4];
	register uint64_t x5 __asm__("x5") = x[5];
	register uint64_t x6 __asm__("x6") = x[6];
	register uint64_t x7 __asm__("x7") = x[7];
	register uint64_t x8 __asm__("x8") = number;
	register uint64_t x9 __asm__("x9") = x[9];
	register uint64_t x10 __asm__("x10") = x[10];
	register uint64_t x11 __asm__("x11") = x[11];
	register uint64_t x12 __asm__("x12") = x[12];

	__asm__ volatile("svc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6),
			   "+r"(x7), "+r"(x8), "+r"(x9), "+r"(x10), "+r"(x11), "+r"(x12)
			 :
			 : "x13", "x14", "x15", "x16", "x17", "memory");
	x[0] = x0;
	return x8;
}

/* Would it most likely end this victim? Then only now and then. */
static bool is_suicide(uint64_t number, const uint64_t *x, uint64_t *seed)
{
	switch (number) {
	case CALL_THREAD_EXIT:
	case CALL_THREAD_STOP:
	case CALL_TASK_KILL:
		return next(seed) % SUICIDE_ONE_IN != 0;
	case CALL_MEM_UNMAP:
	case CALL_MEM_PROTECT:
	case CALL_MEM_ADVISE:
		/* Memory in which we live. */
		return (x[0] == 0 && x[1] < victim.arena) && next(seed) % SUICIDE_ONE_IN != 0;
	default:
		return false;
	}
}

static void one_call(uint64_t *seed)
{
	const uint64_t number = next(seed) % CALL_LIMIT;
	const struct call_name *const c = &call_names[number];
	uint64_t x[REGISTERS];

	for (unsigned i = 0; i < REGISTERS; i++) {
		x[i] = word(seed);
	}
	unsigned r = c->first;
	for (const char *name = c->arguments; *name != '\0';) {
		const size_t length = strcspn(name, " ");

		x[r++] = value(name, length, seed);
		name += length + (name[length] == ' ');
	}
	if (number == CALL_IPC_CALL || number == CALL_IPC_SEND) {
		x[12] = DEADLINE_POLL;
	}
	if (is_suicide(number, x, seed)) {
		return;
	}
	atomic_fetch_add(&victim.page->calls, 1);
	atomic_fetch_add(&victim.page->calls_of[(start.number - 1) % VICTIMS_MAX], 1);
	if (call(number, x) == KERR_OK) {
		atomic_fetch_add(&victim.page->succeeded, 1);
		/* What looks like a handle may be one. */
		if (x[0] != 0 && x[0] == (handle_t)x[0]) {
			victim.handles[next(seed) % HANDLES] = x[0];
		}
	}
}

static void play(void *argument)
{
	uint64_t seed = *(const uint64_t *)argument;

	while (atomic_fetch_sub(&victim.left, 1) > THREADS) {
		one_call(&seed);
	}
}

int victim_main(uint64_t seed, uint64_t calls)
{
	static uint64_t seeds[THREADS];
	uint64_t at;
	handle_t h;

	if (sys_mem_map(HANDLE_NONE, start.extra, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at) !=
		    KERR_OK ||
	    sys_mem_create(MEM_ANON, ARENA_BYTES, HANDLE_NONE, 0, &h) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, h, 0, 0, ARENA_BYTES, VM_READ | VM_WRITE, &victim.arena) !=
		    KERR_OK) {
		return EXIT_FAILURE;
	}
	victim.page = (struct fuzz_page *)(uintptr_t)at;
	victim.left = calls;
	victim.handles[0] = h;
	for (unsigned i = 0; i < THREADS; i++) {
		struct thread *thread;

		seeds[i] = (seed * THREADS + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		if (i + 1 < THREADS) {
			(void)thread_create(play, &seeds[i], nullptr, &thread);
		}
	}
	play(&seeds[THREADS - 1]);
	return EXIT_SUCCESS;
}
