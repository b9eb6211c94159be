/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/scenarios.c - the plans, each with its variants.
 */
#include <compiler.h>

#include "test/host/scenario.h"

/* What every plan varies: the kind of invalidation, what the CPU has, how many CPUs. */
static void vary(struct plan *p, uint64_t v)
{
	static const enum inval_kind kinds[] = { INVAL_AUTO, INVAL_RANGE, INVAL_ALL, INVAL_VA };

	p->mode = BBM_PARK;
	p->kind = kinds[v & 3];
	p->tlb_range = (v & 4) != 0;
	p->cpus = 2 + (unsigned)(v >> 3) % 3;
	p->idle = (v & 64) != 0;
	p->initiators = 1;
}

static void make_sizes(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_sizes;
	p->rounds = 2;
	p->initiators = (v & 128) != 0 ? 2 : 1;
}

static void make_operations(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_operations;
	p->rounds = 5;
	p->initiators = (v & 128) != 0 && p->cpus > 2 ? 2 : 1;
	p->skewed = (v >> 9 & 7) == 0;
}

static void make_many(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_sizes;
	p->rounds = 1;
	p->cpus = 4 + (unsigned)(v >> 8) % 5;
	p->initiators = 4;
}

static void make_big(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_big;
	p->rounds = 2;
}

static void make_retry(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->mode = BBM_RETRY;
	p->initiator = (v & 256) != 0 ? initiate_sizes : initiate_operations;
	p->rounds = 2;
}

static void make_bbml2(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->mode = BBM_BBML2;
	p->initiator = initiate_sizes;
	p->rounds = 2;
}

static void make_lost(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_sizes;
	p->rounds = 2;
	p->drops = 1 + (unsigned)(v >> 8) % 4;
	p->may_be_busy = true;
}

static void make_lost_operations(struct plan *p, uint64_t v)
{
	make_lost(p, v);
	p->initiator = initiate_operations;
	p->rounds = 3;
}

/* The events that wake whoever waits are lost now and then: late, but no worse. */
static void make_events(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = (v & 256) != 0 ? initiate_sizes : initiate_operations;
	p->rounds = 3;
	p->initiators = 2;
	p->lost = 1 + (unsigned)(v >> 9) % 6;
}

static void make_memory(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_operations;
	p->rounds = 4;
	p->fail_memory = true;
}

static void make_hotplug(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_sizes;
	p->rounds = 2;
	p->cpus = 3 + (unsigned)(v >> 3) % 2;
	p->initiators = 2;
	p->hotplug = true;
}

static void make_panic(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_sizes;
	p->rounds = 4;
	p->panics = true;
}

static void make_pinned(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_refused;
	p->rounds = 2;
}

static void make_batch(struct plan *p, uint64_t v)
{
	static const enum bbm_mode modes[] = { BBM_PARK, BBM_PARK, BBM_BBML2, BBM_RETRY };

	vary(p, v);
	p->initiator = initiate_batch;
	p->mode = modes[v >> 9 & 3];
	p->user = (v >> 11 & 1) != 0;
	p->kind = (v >> 12 & 3) == 0 ? INVAL_PAGES : p->kind;
	p->rounds = 3;
}

/* User spaces: two that are worked on, others that only ask for numbers, of which there are 15. */
static void make_user(struct plan *p, uint64_t v)
{
	static const enum bbm_mode modes[8] = { BBM_BBML2, BBM_RETRY };

	vary(p, v);
	p->user = true;
	p->initiator = (v & 256) != 0 ? initiate_sizes : initiate_operations;
	p->initiators = (v & 128) != 0 && p->cpus > 2 ? 2 : 1;
	p->rounds = 2;
	p->spaces = (v >> 9 & 3) == 0 ? 0 : 20;
	p->retire = (v >> 11 & 1) != 0;
	p->hafdbs = (v >> 15 & 1) != 0;
	p->mode = modes[v >> 12 & 7];
}

/* The pinned heap grows by a block of the linear map, while another CPU changes an alias of it. */
static void make_growth(struct plan *p, uint64_t v)
{
	vary(p, v);
	p->initiator = initiate_growth;
	p->initiators = (v & 128) != 0 && p->cpus > 2 ? 2 : 1;
	p->rounds = 6;
	p->fail_memory = (v >> 9 & 3) == 0;
	p->drops = (v >> 9 & 3) == 1 ? 1 : 0;
	p->may_be_busy = p->drops != 0;
}

const struct scenario scenarios[] = {
	{ "sizes", 12, make_sizes },  { "operations", 12, make_operations },
	{ "growth", 2, make_growth }, { "user", 12, make_user },
	{ "many", 10, make_many },    { "big", 6, make_big },
	{ "retry", 6, make_retry },   { "bbml2", 5, make_bbml2 },
	{ "lost", 5, make_lost },     { "lost-operations", 4, make_lost_operations },
	{ "memory", 5, make_memory }, { "hotplug", 5, make_hotplug },
	{ "panic", 4, make_panic },   { "pinned", 2, make_pinned },
	{ "batch", 6, make_batch },   { "events", 4, make_events },
};
const unsigned scenario_count = array_len(scenarios);

/*
 * Nobody may need the event stream, so it is off; but an initiator that waits for a CPU that will
 * not answer has only the stream to tell it the time, and it mends each event that was lost.
 */
static void plan_events(const struct plan *p, struct sim_config *c)
{
	const uint64_t dropped = (uint64_t)p->drops * (p->cpus - 1);

	c->lose_events = p->lost;
	c->event_stream = p->drops != 0 || p->lost != 0;
	c->stream_budget = p->lost + dropped * (LOST_PARK_TICKS / SIM_STREAM_TICK + 2);
}

struct sim_config plan_config(const struct plan *p, uint64_t number)
{
	struct sim_config c = {
		.cpus = p->cpus,
		.scheduler = number % 4 == 3 ? SIM_PCT : SIM_RANDOM,
		.change_points = 1 + (unsigned)(number >> 2) % 6,
		.park_by_nmi = (number >> 32) % 4 == 0,
		.expect_panic = p->panics,
	};

	plan_events(p, &c);
	return c;
}
