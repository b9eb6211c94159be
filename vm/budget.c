/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/budget.c - see vm/budget.h.
 */
#include "vm/budget.h"

#include <arch/atomic.h>
#include <arch/cpu.h>

/* Calm: all but so many tokens of the burst are there again. */
#define CALM_TOKENS 8

/* A window costs each CPU some microseconds: a hundredth of their time, at worst. */
#define WINDOWS_PER_SECOND 1000
#define WINDOW_BURST 1000

/* [c] after boot, but for tests. Ticks of the counter; 0: no limit. */
static uint64_t token_ticks;
static uint64_t burst_ticks;

void budget_set(uint64_t counter_hz, uint64_t per_second, uint64_t burst)
{
	token_ticks = per_second != 0 ? (counter_hz + per_second - 1) / per_second : 0;
	burst_ticks = burst * token_ticks;
}

void budget_init(uint64_t counter_hz)
{
	budget_set(counter_hz, WINDOWS_PER_SECOND, WINDOW_BURST);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

enum kerr budget_take(struct window_budget *budget, unsigned tokens)
{
	const uint64_t cost = tokens * token_ticks;

	if (budget == nullptr || cost == 0) {
		return KERR_OK;
	}
	for (;;) {
		const uint64_t now = counter_now();
		const uint64_t was = load_relaxed(&budget->full_at);
		const uint64_t full_at = later(was, now) + cost;

		if (full_at - now > burst_ticks) {
			fetch_add_relaxed(&budget->refused, 1);
			return KERR_BUSY;
		}
		if (cas_acquire(&budget->full_at, was, full_at)) {
			return KERR_OK;
		}
	}
}

bool budget_is_calm(const struct window_budget *budget)
{
	return budget == nullptr ||
	       load_relaxed(&budget->full_at) <= counter_now() + CALM_TOKENS * token_ticks;
}
