/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/exhaust.c - every schedule of a small scenario with a bounded number of preemptions.
 *
 * THEORY   Without a preemption a CPU runs until it waits. One preemption is a point and a CPU that
 *          goes on there; a second one comes after it. Most races need no more (Musuvathi and
 *          Qadeer, "Iterative context bounding", PLDI 2007). A preemption in favour of a CPU that
 *          could not go on there changes nothing, so only those that could are tried. Stores drain
 *          at barriers only, and at once, in turn: between the two lies what a store buffer can do
 *          to one schedule.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "test/host/exhaust.h"
#include "test/host/scenario.h"

struct search {
	struct plan plan;
	struct sim_config config;
	uint64_t runs;
	uint64_t points; /* of the run without preemptions */
	bool failed;
};

static void run_once(struct search *s, struct sim_result *result)
{
	sim_run(&s->config, scene_main, &s->plan, result);
	s->runs++;
	if (result->points >= SIM_SCRIPT_POINTS) {
		result->failed = true;
		snprintf(result->reason, sizeof(result->reason), "too long to be explored");
	}
	if (result->failed) {
		s->failed = true;
		sim_trace_print();
		fprintf(stderr, "FAILED exhaustive %s, %u preemptions:", s->plan.name,
			s->config.preemptions);
		for (unsigned i = 0; i < s->config.preemptions; i++) {
			fprintf(stderr, " at %llu to cpu%u",
				(unsigned long long)s->config.preempt[i].at,
				s->config.preempt[i].to);
		}
		fprintf(stderr, ": %s\n", result->reason);
	}
}

/* All ways to add up to `left` preemptions after point `from`. */
static void explore(struct search *s, uint64_t from, unsigned left)
{
	struct sim_result result;
	const unsigned n = s->config.preemptions;

	run_once(s, &result);
	const uint64_t points = result.points;

	if (n == 0) {
		s->points = points;
	}
	for (uint64_t at = from; at <= points && left > 0 && !s->failed; at++) {
		for (unsigned to = 0; to < s->plan.cpus && !s->failed; to++) {
			if ((result.could[at] >> to & 1) == 0) {
				continue;
			}
			s->config.preemptions = n + 1;
			s->config.preempt[n].at = at;
			s->config.preempt[n].to = to;
			explore(s, at + 1, left - 1);
		}
		if (n == 0 && isatty(STDERR_FILENO)) {
			fprintf(stderr, "\r  %s: point %llu of %llu", s->plan.name,
				(unsigned long long)at, (unsigned long long)points);
		}
	}
	s->config.preemptions = n;
}

static const struct {
	const char *name;
	void (*initiator)(unsigned cpu);
	enum bbm_mode mode;
	bool idle;
	bool user;
	bool retire;
} small[] = {
	{ "block", initiate_small_block, .mode = BBM_PARK },
	{ "run", initiate_small_run, .mode = BBM_PARK },
	{ "door", initiate_small_block, .mode = BBM_PARK, .idle = true },
	{ "user-block", initiate_small_block, .mode = BBM_PARK, .user = true },
	{ "user-run", initiate_small_run, .mode = BBM_PARK, .user = true },
	{ "user-end", initiate_small_run, .mode = BBM_PARK, .user = true, .retire = true },
	{ "user-retry", initiate_small_run, .mode = BBM_RETRY, .user = true },
	{ "user-bbml2", initiate_small_run, .mode = BBM_BBML2, .user = true },
};

bool exhaust(unsigned preemptions, uint64_t *runs)
{
	bool ok = true;

	for (unsigned i = 0; i < 2 * array_len(small) && ok; i++) {
		struct search s = {
			.plan = { .name = small[i / 2].name,
				  .initiator = small[i / 2].initiator,
				  .mode = small[i / 2].mode,
				  .kind = INVAL_AUTO,
				  .cpus = 2,
				  .initiators = 1,
				  .idle = small[i / 2].idle,
				  .user = small[i / 2].user,
				  .retire = small[i / 2].retire,
				  .small = true },
			.config = { .seed = 1,
				    .cpus = 2,
				    .scheduler = SIM_SCRIPT,
				    .ordered_stores = i % 2 != 0 },
		};

		explore(&s, 1, s.plan.user && preemptions > 2 ? 2 : preemptions);
		ok = !s.failed;
		*runs += s.runs;
		printf("exhaustive: %s, stores drain %s: %llu schedules of %llu points, %s\n",
		       s.plan.name, s.config.ordered_stores ? "at once" : "at barriers",
		       (unsigned long long)s.runs, (unsigned long long)s.points,
		       ok ? "none fails" : "FAILED");
		fflush(stdout);
	}
	return ok;
}
