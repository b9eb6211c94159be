/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/budget.c - see vm/budget.h.
 */
#include "vm/budget.h"

#include <arch/atomic.h>
#include <arch/cpu.h>

/* Calm: all but so many tokens of the burst are there again. */
#define CALM_TOKENS 8

/* Of some microseconds each: a hundredth of the time of its own CPUs, at worst. */
#define WINDOWS_PER_SECOND 1000
#define WINDOW_BURST 1000

/* [c] after boot, but for tests. Ticks of the counter; 0: no limit. */
static uint64_t token_ticks;
static uint64_t burst_ticks;
static uint64_t debt_ticks; /* that a task may owe and go on */

static uint64_t all_paid_at; /* [a] counter: the bill of all tasks together */

void budget_set(uint64_t counter_hz, uint64_t per_second, uint64_t burst)
{
	token_ticks = per_second != 0 ? (counter_hz + per_second - 1) / per_second : 0;
	burst_ticks = burst * token_ticks;
	debt_ticks = BUDGET_SECONDS * counter_hz;
	store_relaxed(&all_paid_at, 0);
}

void budget_init(uint64_t counter_hz)
{
	budget_set(counter_hz, WINDOWS_PER_SECOND, WINDOW_BURST);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Move a time on by `cost`, from now if it has passed; false: that would be more than `ahead`. */
static bool move_on(uint64_t *word, uint64_t cost, uint64_t ahead)
{
	for (;;) {
		const uint64_t now = counter_now();
		const uint64_t was = load_relaxed(word);
		const uint64_t to = later(was, now) + cost;

		if (to - now > ahead) {
			return false;
		}
		if (cas_acquire(word, was, to)) {
			return true;
		}
	}
}

enum kerr budget_take(struct window_budget *budget, unsigned tokens)
{
	if (budget == nullptr || token_ticks == 0) {
		return KERR_OK;
	}
	if (load_relaxed(&budget->paid_at) > counter_now() + debt_ticks ||
	    !move_on(&budget->full_at, tokens * token_ticks, burst_ticks)) {
		fetch_add_relaxed(&budget->refused, 1);
		return KERR_BUSY;
	}
	return KERR_OK;
}

void budget_owe(struct window_budget *budget, uint64_t ticks)
{
	if (token_ticks == 0) {
		return;
	}
	const uint64_t now = counter_now();
	const uint64_t owed = later(load_relaxed(&all_paid_at), now) - now;

	(void)move_on(&all_paid_at, ticks * BUDGET_SHARE, UINT64_MAX);
	(void)move_on(&budget->paid_at, ticks * BUDGET_SHARE * (1 + owed / debt_ticks), UINT64_MAX);
}

bool budget_is_calm(const struct window_budget *budget)
{
	return budget == nullptr ||
	       load_relaxed(&budget->full_at) <= counter_now() + CALM_TOKENS * token_ticks;
}
