/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/sim_main.c - run many schedules, or one again.
 *
 *   sim [--runs N] [--seed N] [--scenario NAME] [--replay SEED] [--verbose]
 *   sim --exhaust PREEMPTIONS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "test/host/exhaust.h"
#include "test/host/scenario.h"

struct options {
	uint64_t runs;
	uint64_t seed;
	const char *only;
	bool replay;
	bool verbose;
	unsigned exhaust; /* preemptions, 0: random schedules */
};

struct totals {
	uint64_t runs;
	uint64_t failed;
	uint64_t steps;
	uint64_t windows;
	uint64_t accesses;
	uint64_t retried;
	uint64_t stream_ticks;
	uint64_t lost_events;
};

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static const struct scenario *choose(const char *only, uint64_t seed)
{
	uint64_t n = mix(seed ^ UINT64_C(0x5ce)) % 100;

	for (unsigned i = 0; i < scenario_count; i++) {
		if (only != nullptr ? strcmp(scenarios[i].name, only) == 0
				    : n < scenarios[i].weight) {
			return &scenarios[i];
		}
		n -= scenarios[i].weight;
	}
	fprintf(stderr, "sim: no scenario %s\n", only != nullptr ? only : "");
	exit(2);
}

/* A seed says everything: the scenario, its variant, the scheduler, the schedule. */
static void one_run(const struct options *o, uint64_t seed, struct totals *t)
{
	const struct scenario *s = choose(o->only, seed);
	struct plan plan = { .name = s->name };
	struct sim_result result;

	s->make(&plan, mix(seed) >> 8);
	struct sim_config config = plan_config(&plan, (mix(seed) & ~UINT64_C(3)) | (seed & 3));

	config.seed = mix(seed + 1);
	config.verbose = o->verbose;
	sim_run(&config, scene_main, &plan, &result);
	t->runs++;
	t->steps += result.steps;
	t->windows += result.windows;
	t->accesses += result.accesses;
	t->retried += result.retried;
	t->stream_ticks += result.stream_ticks;
	t->lost_events += result.lost_events;
	if (result.failed) {
		t->failed++;
		sim_trace_print();
		fprintf(stderr, "FAILED scenario=%s seed=%llu cpus=%u: %s\n", s->name,
			(unsigned long long)seed, plan.cpus, result.reason);
		fprintf(stderr, "  again: sim --scenario %s --replay %llu --verbose\n", s->name,
			(unsigned long long)seed);
	}
}

static void progress(const struct totals *t, uint64_t runs)
{
	if (t->runs % 2000 == 0 && isatty(STDERR_FILENO)) {
		fprintf(stderr, "\r%llu of %llu schedules", (unsigned long long)t->runs,
			(unsigned long long)runs);
	}
}

static int usage(void)
{
	fprintf(stderr,
		"sim [--runs N] [--seed N] [--scenario NAME] [--replay SEED] [--verbose]\nscenarios:");
	for (unsigned i = 0; i < scenario_count; i++) {
		fprintf(stderr, " %s", scenarios[i].name);
	}
	fprintf(stderr, "\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : nullptr;

		if (strcmp(argv[i], "--verbose") == 0) {
			o->verbose = true;
			continue;
		}
		if (value == nullptr) {
			return false;
		}
		if (strcmp(argv[i], "--runs") == 0) {
			o->runs = strtoull(value, nullptr, 0);
		} else if (strcmp(argv[i], "--seed") == 0) {
			o->seed = strtoull(value, nullptr, 0);
		} else if (strcmp(argv[i], "--scenario") == 0) {
			o->only = value;
		} else if (strcmp(argv[i], "--exhaust") == 0) {
			o->exhaust = (unsigned)strtoul(value, nullptr, 0);
		} else if (strcmp(argv[i], "--replay") == 0) {
			o->seed = strtoull(value, nullptr, 0);
			o->replay = true;
			o->runs = 1;
		} else {
			return false;
		}
		i++;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct options o = { .runs = 1000, .seed = 1 };
	struct totals t = { 0 };

	if (!parse(argc, argv, &o)) {
		return usage();
	}
	sim_boot();
	if (o.exhaust != 0) {
		return o.exhaust <= 3 && exhaust(o.exhaust, &t.runs) ? 0 : 1;
	}
	for (uint64_t i = 0; i < o.runs && t.failed == 0; i++) {
		one_run(&o, o.seed + i, &t);
		progress(&t, o.runs);
	}
	printf("sim: %llu schedules, %llu failed; %llu points, %llu windows, %llu accesses, %llu retried, "
	       "%llu events lost, %llu times only the event stream went on\n",
	       (unsigned long long)t.runs, (unsigned long long)t.failed,
	       (unsigned long long)t.steps, (unsigned long long)t.windows,
	       (unsigned long long)t.accesses, (unsigned long long)t.retried,
	       (unsigned long long)t.lost_events, (unsigned long long)t.stream_ticks);
	return t.failed == 0 ? 0 : 1;
}
