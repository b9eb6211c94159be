/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fuzz_pmap.c - libFuzzer target: bytes become operations on mappings, and a schedule of
 * the CPUs that do them; whatever a run of the machine model checks is checked.
 *
 * THEORY   A random schedule forgets what the last one met. The fuzzer keeps the bytes that took a
 *          new branch of the kernel's or the machine's code, and changes those.
 *
 *          byte 0      scenario
 *          bytes 1-8   its variant: mode, invalidations, CPUs, faults; the scheduler
 *          byte 9      how many of the rest, of 256, say what the CPUs do
 *          the rest    first what they do, then whose turn it is, which stores are seen, which
 *                      interrupts are late; a fixed seed goes on where the bytes end
 *
 * A file that fails is replayed by naming it: fuzz_pmap FILE; with --verbose it tells every step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/host/scenario.h"

#define HEADER_BYTES 10

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool verbose;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	for (int i = 1; i < *argc; i++) {
		verbose = verbose || strcmp((*argv)[i], "--verbose") == 0;
	}
	sim_boot();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < HEADER_BYTES) {
		return 0;
	}
	const struct scenario *s = &scenarios[data[0] % scenario_count];
	const size_t rest = size - HEADER_BYTES;
	const size_t work = rest * data[HEADER_BYTES - 1] / 256;
	struct plan plan = { .name = s->name };
	struct sim_result result;
	uint64_t variant;

	memcpy(&variant, data + 1, sizeof(variant));
	s->make(&plan, variant);
	struct sim_config config = plan_config(&plan, variant);

	config.verbose = verbose;
	config.seed = 1;
	config.work = (struct sim_choices){ data + HEADER_BYTES, work };
	config.schedule = (struct sim_choices){ data + HEADER_BYTES + work, rest - work };
	sim_run(&config, scene_main, &plan, &result);
	if (result.failed) {
		sim_trace_print();
		fprintf(stderr, "FAILED fuzz_pmap scenario=%s cpus=%u: %s\n", s->name, plan.cpus,
			result.reason);
		abort();
	}
	return 0;
}
