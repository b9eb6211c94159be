/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/soak/soak.c - everything at once, for long: init=soak seconds=N seed=N.
 *
 * THEORY   The stress, the fuzzer, the tests, the pager and the debugger run side by side in tasks
 *          of their own, each started again when it ends, with another seed, until the time is
 *          over. Each must end with status 0, and in the end no task may have left anything behind.
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_DEFAULT 60u
#define NS_PER_S UINT64_C(1000000000)
#define CHECK_NS NS_PER_S
#define SMALLEST_LIMIT (4 * MIB)

static const struct {
	const char *name;
	uint64_t limit_bytes;
	const char *words[3]; /* beside the seed */
} parts[] = {
	{ "stress", 160 * MIB, { "tasks=1", "threads=3", "cycles=20" } },
	{ "fuzz", 64 * MIB, { "calls=100000" } },
	{ "pager", 32 * MIB, { nullptr } },
	{ "dbg", 16 * MIB, { nullptr } },
	{ "hello", SMALLEST_LIMIT, { nullptr } },
};

#define PARTS (sizeof parts / sizeof parts[0])

static struct {
	uint64_t seconds, seed;
	const void *archive;
	size_t archive_bytes;
	handle_t endpoint;
	struct child child[PARTS];
	uint64_t runs[PARTS], failed;
} soak = { .seconds = SECONDS_DEFAULT, .seed = 1 };

static bool start_part(unsigned n)
{
	char seed[32];
	const char *words[5] = { parts[n].name, seed };
	struct elf_program program;
	uint32_t count = 2;

	snprintf(seed, sizeof seed, "seed=%lu", (unsigned long)(soak.seed + soak.runs[n]));
	for (unsigned i = 0; i < 3 && parts[n].words[i] != nullptr; i++) {
		words[count++] = parts[n].words[i];
	}
	if (!ramdisk_program(soak.archive, soak.archive_bytes, parts[n].name, &program)) {
		return false;
	}
	const struct spawn_options options = {
		.limit_bytes = parts[n].limit_bytes,
		.number = n + 1,
		.parent = soak.endpoint,
		.console = start.console,
		.ramdisk = start.ramdisk,
		.ramdisk_bytes = start.ramdisk_bytes,
		.machine = start.machine,
		.argc = count,
		.argv = words,
	};
	const enum kerr e = spawn(&program, &options, &soak.child[n]);
	if (e != KERR_OK) {
		printf("soak: FAIL %s: cannot be started, error %d\n", parts[n].name, (int)e);
	}
	return e == KERR_OK;
}

/* A message of a part, if one comes soon: it is over. Returns its number, or PARTS. */
static unsigned listen(void)
{
	struct ipc_message m;

	if (sys_ipc_recv(soak.endpoint, 0, HANDLE_NONE, time_now_ns() + CHECK_NS, &m) != KERR_OK) {
		return PARTS;
	}
	message_drop_handles(&m);
	if (m.badge == 0 || m.badge > PARTS) {
		return PARTS;
	}
	const unsigned n = (unsigned)m.badge - 1;
	if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
		printf("soak: FAIL %s: exception %lu pc=%#lx address=%#lx\n", parts[n].name,
		       (unsigned long)m.word[EXC_WORD_KIND], (unsigned long)m.word[EXC_WORD_PC],
		       (unsigned long)m.word[EXC_WORD_ADDRESS]);
		soak.failed++;
		m.word[0] = EXC_KILL;
		(void)sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m);
	} else if (m.word[1] != EXIT_SUCCESS) {
		printf("soak: FAIL %s: status %lu\n", parts[n].name, (unsigned long)m.word[1]);
		soak.failed++;
	}
	child_end(&soak.child[n]);
	soak.runs[n]++;
	return n;
}

static bool run_for(uint64_t seconds)
{
	const uint64_t until = time_now_ns() + seconds * NS_PER_S;
	unsigned running = 0;

	for (unsigned n = 0; n < PARTS; n++) {
		if (!start_part(n)) {
			return false;
		}
		running++;
	}
	while (running > 0) {
		const unsigned n = listen();

		if (n == PARTS) {
			continue;
		}
		running--;
		if (time_now_ns() < until) {
			if (!start_part(n)) {
				return false;
			}
			running++;
		}
	}
	return true;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "seconds=", 8) == 0) {
			soak.seconds = strtoull(argv[i] + 8, nullptr, 0);
		} else if (strncmp(argv[i], "seed=", 5) == 0) {
			soak.seed = strtoull(argv[i] + 5, nullptr, 0);
		}
	}
	if (sys_endpoint_create(&soak.endpoint) != KERR_OK ||
	    ramdisk_map(&soak.archive, &soak.archive_bytes) != KERR_OK) {
		printf("soak: result=fail: no RAM disk\n");
		return EXIT_FAILURE;
	}
	/* One round first: what a task keeps for ever is there when the first count is made. */
	handles_grow();
	const uint64_t childless = used_bytes();
	bool ran = run_for(0);
	const uint64_t before = used_settled(childless + SMALLEST_LIMIT / 2);
	ran = ran && run_for(soak.seconds);
	const uint64_t after = used_falls_to(before);
	const bool pass = ran && soak.failed == 0 && after <= before;
	printf("soak: result=%s seconds=%lu seed=%lu failed=%lu used_before=%lu used_after=%lu",
	       pass ? "pass" : "fail", (unsigned long)soak.seconds, (unsigned long)soak.seed,
	       (unsigned long)soak.failed, (unsigned long)before, (unsigned long)after);
	for (unsigned n = 0; n < PARTS; n++) {
		printf(" %s=%lu", parts[n].name, (unsigned long)soak.runs[n]);
	}
	printf("\n");
	return pass ? EXIT_SUCCESS : EXIT_FAILURE;
}
