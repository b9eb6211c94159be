/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/stress/stress.c - the promotion stress from EL0: run=stress, or init=stress.
 *
 * THEORY   Arguments, as key=value: seed= cycles= (of each worker) seconds= threads= (of each task)
 *          tasks= (beside this one) only= (workloads, comma between) plant=1 (flip a bit, to see
 *          that it is found). Other tasks are this program once more, with part=N. Each task's
 *          workers run random workloads until their time is over; the first one adds up what all
 *          found, and what the kernel counted, in one line.
 */
#include "user/stress/stress.h"

#include <perch/spawn.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MAX 16u
#define TASKS_MAX 8u
#define CYCLES_DEFAULT 24u
#define CHILD_LIMIT (48 * MIB)
#define STATUS_WRONG 50 /* of a part */

static const struct workload workloads[] = {
	{ "fill", work_fill },     { "protect", work_protect }, { "heap", work_heap },
	{ "remap", work_remap },   { "share", work_share },     { "message", work_message },
	{ "secret", work_secret },
};

#define WORKLOADS (sizeof workloads / sizeof workloads[0])

static struct {
	uint64_t seed, cycles, seconds, threads, tasks, part, plant;
	const char *only;
	uint64_t end_ns; /* 0: by cycles */
	_Atomic(uint64_t) cycles_done;
	_Atomic(uint64_t) wrong, refused, superpages;
} stress = { .seed = 1, .cycles = CYCLES_DEFAULT };

struct kernel_counts {
	uint64_t promotions, demotions, transient, parks;
};

static void read_counts(struct kernel_counts *c)
{
	*c = (struct kernel_counts){ 0 };
	if (start.machine != HANDLE_NONE) {
		(void)sys_machine_info(start.machine, MACHINE_PARKS, &c->promotions, &c->demotions,
				       &c->transient, &c->parks);
	}
}

static void read_arguments(int argc, char **argv)
{
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{ "seed=", &stress.seed },       { "cycles=", &stress.cycles },
		{ "seconds=", &stress.seconds }, { "threads=", &stress.threads },
		{ "tasks=", &stress.tasks },     { "part=", &stress.part },
		{ "plant=", &stress.plant },
	};

	stress.only = "";
	for (int i = 1; i < argc; i++) {
		for (unsigned n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
			if (strncmp(argv[i], numbers[n].key, strlen(numbers[n].key)) == 0) {
				*numbers[n].value =
					strtoull(argv[i] + strlen(numbers[n].key), nullptr, 0);
			}
		}
		if (strncmp(argv[i], "only=", 5) == 0) {
			stress.only = argv[i] + 5;
		}
	}
	if (stress.seconds != 0) {
		stress.end_ns = time_now_ns() + stress.seconds * UINT64_C(1000000000);
	}
}

/* Is it named in only=? */
static bool is_wanted(const char *name)
{
	const char *at = stress.only;

	if (*at == '\0') {
		return true;
	}
	while (at != nullptr) {
		const size_t length = strcspn(at, ",");

		if (strlen(name) == length && strncmp(at, name, length) == 0) {
			return true;
		}
		at = strchr(at, ',');
		at = at != nullptr ? at + 1 : nullptr;
	}
	return false;
}

static bool is_over(uint64_t cycle)
{
	return stress.end_ns != 0 ? time_now_ns() >= stress.end_ns : cycle >= stress.cycles;
}

static void work(void *argument)
{
	struct worker *const w = argument;

	for (uint64_t cycle = 0; !is_over(cycle); cycle++) {
		/* Each workload once, then by chance. */
		const uint64_t n = cycle < WORKLOADS ? cycle : random_next(&w->seed) % WORKLOADS;

		if (is_wanted(workloads[n].name)) {
			workloads[n].run(w);
			stress.cycles_done++;
		}
	}
	stress.wrong += w->wrong;
	stress.refused += w->refused;
	stress.superpages += w->superpages;
}

static bool run_workers(void)
{
	static struct worker worker[WORKERS_MAX];
	struct thread *thread[WORKERS_MAX];
	unsigned count = 0;

	if (!share_begin()) {
		printf("stress: no memory for what workers share\n");
		return false;
	}
	while (count < stress.threads) {
		worker[count] = (struct worker){
			.seed = (stress.seed + 1) * 1000003 + stress.part * 997 + count + 1,
			.index = count,
			.plant = stress.plant != 0 && stress.part == 0 && count == 0,
		};
		if (thread_create(work, &worker[count], nullptr, &thread[count]) != KERR_OK) {
			printf("stress: no memory for worker %u\n", count);
			break;
		}
		count++;
	}
	for (unsigned i = 0; i < count; i++) {
		thread_join(thread[i]);
	}
	share_end();
	return count == stress.threads;
}

/* The same program in other tasks; they report by their status. */
struct parts {
	handle_t endpoint;
	struct child child[TASKS_MAX];
	unsigned count;
};

static bool parts_begin(struct parts *parts, int argc, char **argv)
{
	const char *words[START_ARGS_MAX];
	struct elf_program program;
	const void *archive;
	size_t bytes;
	char part[32];

	if (sys_endpoint_create(&parts->endpoint) != KERR_OK ||
	    ramdisk_map(&archive, &bytes) != KERR_OK ||
	    !ramdisk_program(archive, bytes, "stress", &program)) {
		return false;
	}
	const uint32_t given = (uint32_t)argc < START_ARGS_MAX - 1 ? (uint32_t)argc
								   : START_ARGS_MAX - 1;
	for (uint32_t i = 0; i < given; i++) {
		words[i] = argv[i];
	}
	words[given] = part;
	for (; parts->count < stress.tasks; parts->count++) {
		snprintf(part, sizeof part, "part=%u", parts->count + 1);
		const struct spawn_options options = {
			.limit_bytes = CHILD_LIMIT,
			.number = parts->count + 1,
			.parent = parts->endpoint,
			.console = start.console,
			.argc = given + 1,
			.argv = words,
		};
		const enum kerr e = spawn(&program, &options, &parts->child[parts->count]);
		if (e != KERR_OK) {
			printf("stress: task %u cannot be started, error %d\n", parts->count + 1,
			       (int)e);
			return false;
		}
	}
	return true;
}

/* Wait for all of them; how many failed. */
static unsigned parts_end(struct parts *parts)
{
	unsigned failed = 0;

	for (unsigned ended = 0; ended < parts->count; ended++) {
		struct ipc_message m;

		if (sys_ipc_recv(parts->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m) != KERR_OK) {
			return parts->count;
		}
		if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
			printf("stress: FAIL task %lu: exception %lu pc=%#lx address=%#lx esr=%#lx\n",
			       (unsigned long)m.badge, (unsigned long)m.word[EXC_WORD_KIND],
			       (unsigned long)m.word[EXC_WORD_PC],
			       (unsigned long)m.word[EXC_WORD_ADDRESS],
			       (unsigned long)m.word[EXC_WORD_ESR]);
			failed++;
		} else if (m.word[1] != EXIT_SUCCESS) {
			printf("stress: FAIL task %lu: status %lu\n", (unsigned long)m.badge,
			       (unsigned long)m.word[1]);
			failed++;
		}
		child_end(&parts->child[m.badge - 1]);
	}
	return failed;
}

static bool report(unsigned failed, const struct kernel_counts *before)
{
	struct kernel_counts now;
	uint64_t cpus = 0, hz, midr, unused;

	read_counts(&now);
	(void)sys_machine_info(start.machine, MACHINE_CPUS, &cpus, &hz, &midr, &unused);
	const uint64_t promotions = now.promotions - before->promotions;
	const uint64_t transient = now.transient - before->transient;
	const bool pass = failed == 0 && stress.wrong == 0 && stress.refused == 0 &&
			  transient == 0 && stress.cycles_done > 0;
	printf("stress: result=%s el=0 cpus=%lu tasks=%lu threads=%lu seed=%lu cycles=%lu "
	       "promotions=%lu demotions=%lu superpages=%lu parks=%lu transient_faults=%lu "
	       "corruptions=%lu refused=%lu failed_tasks=%u\n",
	       pass ? "pass" : "fail", (unsigned long)cpus, (unsigned long)stress.tasks + 1,
	       (unsigned long)stress.threads, (unsigned long)stress.seed,
	       (unsigned long)stress.cycles_done, (unsigned long)promotions,
	       (unsigned long)(now.demotions - before->demotions), (unsigned long)stress.superpages,
	       (unsigned long)(now.parks - before->parks), (unsigned long)transient,
	       (unsigned long)stress.wrong, (unsigned long)stress.refused, failed);
	return pass;
}

static void set_defaults(void)
{
	uint64_t cpus = 1, hz, midr, unused;

	if (start.machine != HANDLE_NONE) {
		(void)sys_machine_info(start.machine, MACHINE_CPUS, &cpus, &hz, &midr, &unused);
	}
	if (stress.threads == 0) {
		stress.threads = cpus;
	}
	if (stress.threads > WORKERS_MAX) {
		stress.threads = WORKERS_MAX;
	}
	if (stress.part == 0 && stress.tasks == 0) {
		stress.tasks = 2;
	}
	if (stress.tasks > TASKS_MAX) {
		stress.tasks = TASKS_MAX;
	}
}

int main(int argc, char **argv)
{
	struct kernel_counts before;
	struct parts parts = { 0 };

	read_arguments(argc, argv);
	set_defaults();
	if (stress.part != 0) {
		const bool ran = run_workers();
		return ran && stress.wrong == 0 && stress.refused == 0 ? EXIT_SUCCESS
								       : STATUS_WRONG;
	}
	read_counts(&before);
	bool ran = parts_begin(&parts, argc, argv);
	ran = run_workers() && ran;
	const unsigned failed = parts_end(&parts);
	return report(failed + !ran, &before) ? EXIT_SUCCESS : EXIT_FAILURE;
}
