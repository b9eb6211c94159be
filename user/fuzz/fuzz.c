/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/fuzz/fuzz.c - every call with random handles, words and pointers: init=fuzz calls=N seed=N.
 *
 * THEORY   Victims are this program once more, in tasks of their own, with a few threads that do
 *          nothing but call the kernel with registers made of what is interesting. They can make
 *          handles of every kind but the machine's. One that kills, stops or faults itself, or
 *          waits for ever, is replaced. What must hold: the kernel goes on; when all victims are
 *          gone it uses as many frames and pages as before; nobody but a victim was changed (a page
 *          of the parent's is checked). Calls are counted in a page that parent and victims share,
 *          and that a victim may ruin as all that it has: a step that is more than all lives of
 *          that time could have made is none.
 */
#include <gen/call_names.h>

#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/fuzz/fuzz.h"

#define VICTIM_LIMIT (6 * MIB)
#define CALLS_DEFAULT 100000u
#define LIFE_CALLS 20000u /* then a victim ends by itself */
#define CANARY UINT64_C(0xc0ffee0ddba11)
#define RIGHTS_GIVEN (RIGHT_READ | RIGHT_WRITE | RIGHT_TRANSFER | RIGHT_DUPLICATE)
#define STUCK_NS UINT64_C(2000000000)
#define CHECK_NS UINT64_C(100000000)

struct victim {
	struct child child;
	bool alive;
	uint64_t seen, seen_ns; /* its count, and since when */
};

static struct {
	uint64_t calls, seed;
	const char *name;
	struct elf_program program;
	handle_t endpoint, memory;
	struct fuzz_page *page;
	struct victim victim[VICTIMS_MAX];
	uint64_t lives, exceptions, stuck;
	struct {
		uint64_t seen, sum;
	} made, succeeded; /* calls */
	uint64_t canary[512];
} fuzz = { .calls = CALLS_DEFAULT, .seed = 1 };

static bool start_victim(unsigned n)
{
	char seed[32];
	const char *const words[] = { fuzz.name, "role=victim", seed };

	snprintf(seed, sizeof seed, "seed=%lu", (unsigned long)(fuzz.seed * 1000 + fuzz.lives));
	const struct spawn_options options = {
		.limit_bytes = VICTIM_LIMIT,
		.number = n + 1,
		.parent = fuzz.endpoint,
		.extra = fuzz.memory,
		.argc = 3,
		.argv = words,

	};
	const enum kerr e = spawn(&fuzz.program, &options, &fuzz.victim[n].child);
	fuzz.victim[n].alive = e == KERR_OK;
	fuzz.victim[n].seen_ns = time_now_ns();
	fuzz.lives++;
	if (e != KERR_OK) {
		printf("fuzz: victim %u cannot be started, error %d, after %lu lives\n", n, (int)e,
		       (unsigned long)fuzz.lives);
	}
	return e == KERR_OK;
}

/* All that say they are over, or look so, are ended. */
static void bury(unsigned n)
{
	child_end(&fuzz.victim[n].child);
	fuzz.victim[n].alive = false;
}

/*
 * Has it made no call for long? All its threads may wait for what never comes: each other, a time
 * in a hundred years, a page of a pager that it is itself. (Or the host is slow: no harm is done.)
 */
static bool is_stuck(unsigned n)
{
	struct victim *const v = &fuzz.victim[n];
	const uint64_t count = atomic_load(&fuzz.page->calls_of[n]), now = time_now_ns();

	if (count != v->seen) {
		v->seen = count;
		v->seen_ns = now;
	}
	return now - v->seen_ns > STUCK_NS;
}

static void look_at_victims(void)
{
	uint64_t state, priority, cpu, number;

	for (unsigned n = 0; n < VICTIMS_MAX; n++) {
		if (!fuzz.victim[n].alive) {
			continue;
		}
		const bool stuck = is_stuck(n);

		fuzz.stuck += stuck;
		if (stuck ||
		    sys_thread_info(fuzz.victim[n].child.thread, &state, &priority, &cpu,
				    &number) != KERR_OK ||
		    state == THREAD_IS_DEAD || state == THREAD_IS_STOPPED) {
			bury(n);
		}
	}
}

/* One message or a while without any. */
static void listen(void)
{
	struct ipc_message m;

	const enum kerr e =
		sys_ipc_recv(fuzz.endpoint, 0, HANDLE_NONE, time_now_ns() + CHECK_NS, &m);
	if (e == KERR_OK) {
		message_drop_handles(&m);
	}
	if (e != KERR_OK || m.badge == 0 || m.badge > VICTIMS_MAX) {
		look_at_victims();
		return;
	}
	const unsigned n = (unsigned)m.badge - 1; /* the reply overwrites the message */

	if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
		fuzz.exceptions++;
		m.word[0] = EXC_KILL;
		(void)sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m);
	}
	/* A victim may send anything here; it loses its life for it. */
	if (fuzz.victim[n].alive) {
		bury(n);
	}
}

static bool prepare(void)
{
	const void *archive;
	handle_t memory;
	uint64_t at;
	size_t bytes;

	/* Victims may use the page, and not revoke it: others need it. */
	if (sys_endpoint_create(&fuzz.endpoint) != KERR_OK ||
	    sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory) != KERR_OK ||
	    sys_handle_dup(memory, RIGHTS_GIVEN, HANDLE_NONE, &fuzz.memory) != KERR_OK ||
	    sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at) !=
		    KERR_OK ||
	    ramdisk_map(&archive, &bytes) != KERR_OK ||
	    !ramdisk_program(archive, bytes, "fuzz", &fuzz.program)) {
		return false;
	}
	fuzz.page = (struct fuzz_page *)(uintptr_t)at;
	for (unsigned i = 0; i < 512; i++) {
		fuzz.canary[i] = CANARY ^ i;
	}
	return true;
}

static bool canary_lives(void)
{
	for (unsigned i = 0; i < 512; i++) {
		if (fuzz.canary[i] != (CANARY ^ i)) {
			return false;
		}
	}
	return true;
}

/* Between two looks each victim has two lives at most, of LIFE_CALLS each. */
static uint64_t step(uint64_t now, uint64_t *seen)
{
	const uint64_t calls = now - *seen;

	*seen = now;
	return calls <= 2 * VICTIMS_MAX * LIFE_CALLS ? calls : 0;
}

/* How many calls all victims have made. */
static uint64_t calls_made(void)
{
	fuzz.made.sum += step(atomic_load(&fuzz.page->calls), &fuzz.made.seen);
	fuzz.succeeded.sum += step(atomic_load(&fuzz.page->succeeded), &fuzz.succeeded.seen);
	return fuzz.made.sum;
}

static int run(void)
{
	uint64_t before = 0;

	if (!prepare()) {
		printf("fuzz: result=fail: cannot begin\n");
		return EXIT_FAILURE;
	}
	/* One life before the first count, so that what a task keeps for ever is there. */
	handles_grow();
	const uint64_t childless = used_bytes();
	for (unsigned round = 0; round < 2; round++) {
		const uint64_t until = round == 0 ? 1 : fuzz.calls;
		while (calls_made() < until) {
			for (unsigned n = 0; n < VICTIMS_MAX; n++) {
				if (!fuzz.victim[n].alive && !start_victim(n)) {
					return EXIT_FAILURE;
				}
			}
			listen();
		}
		for (unsigned n = 0; n < VICTIMS_MAX; n++) {
			bury(n);
		}
		if (round == 0) {
			before = used_settled(childless + VICTIM_LIMIT / 2);
		}
	}
	const uint64_t after = used_falls_to(before);
	const bool pass = after <= before && canary_lives();
	printf("fuzz: result=%s calls=%lu ok=%lu lives=%lu exceptions=%lu stuck=%lu seed=%lu "
	       "used_before=%lu "
	       "used_after=%lu\n",
	       pass ? "pass" : "fail", (unsigned long)calls_made(),
	       (unsigned long)fuzz.succeeded.sum, (unsigned long)fuzz.lives,
	       (unsigned long)fuzz.exceptions, (unsigned long)fuzz.stuck, (unsigned long)fuzz.seed,
	       (unsigned long)before, (unsigned long)after);
	return pass ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	bool victim = false;

	fuzz.name = argv[0];
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "calls=", 6) == 0) {
			fuzz.calls = strtoull(argv[i] + 6, nullptr, 0);
		} else if (strncmp(argv[i], "seed=", 5) == 0) {
			fuzz.seed = strtoull(argv[i] + 5, nullptr, 0);
		} else if (strcmp(argv[i], "role=victim") == 0) {
			victim = true;
		}
	}
	return victim ? victim_main(fuzz.seed, LIFE_CALLS) : run();
}
