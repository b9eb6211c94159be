/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/budget.h - how often, and for how long, a task may make the machine park.
 *
 * THEORY   A window stops every CPU that runs the space (or, for the kernel's map, all of them).
 *          What a task does by touching memory pays for itself: a promotion needs 16 or 512 faults
 *          before it. What it does by *taking superpages apart* does not: a call or two a window,
 *          for ever. So each such request takes one token of the task's budget, and is refused with
 *          KERR_BUSY when there is none. Tokens come back at a constant rate, up to a burst.
 *          And what was taken apart is not put together at once (hysteresis): a range that is
 *          toggled stays in pages, where toggling needs no window at all.
 *          How long a window takes is no constant of the machine. So whatever call made it, the
 *          time for which it held CPUs that ran something else (secrets, objects that others show)
 *          goes on the caller's bill when the call is done (kern/call.c). A task may take one part
 *          in BUDGET_SHARE of it; while it owes more than BUDGET_SECONDS, requests are refused.
 *          Both are one word, a time: when the tokens will all be back, when the bill is paid.
 *          Many tasks would take a part each. So all bills go on one more, the machine's, at the
 *          same price; and each BUDGET_SECONDS that the machine owes raise the price for a task by
 *          the first price again. n tasks that take what they can find it n times as high in the
 *          end, and share what one would have; who asks seldom pays more, and is not refused.
 * INVARIANTS
 *   BG1  From when a task owes nothing, for any time t: the others are held for at most
 *        (t + BUDGET_SECONDS) / BUDGET_SHARE, and the last request.
 *   BG2  From when nobody owes anything: by n tasks together for at most
 *        (t + n * BUDGET_SECONDS) / BUDGET_SHARE, and the last request of each. For where the
 *        machine owes (n - 1) * BUDGET_SECONDS, what it comes to owe is a part in n of what the
 *        tasks do, and of that each has BUDGET_SECONDS and what it pays off meanwhile.
 * LOCKING  None: atomic words. `nullptr` stands for the kernel, which is not limited.
 */
#pragma once

#include <compiler.h>
#include <kerr.h>
#include <types.h>

#include "pcpu/pcpu.h"

#define BUDGET_SHARE 4
#define BUDGET_SECONDS 1

struct window_budget {
	uint64_t full_at; /* [a] counter */
	uint64_t paid_at; /* [a] counter */
	uint64_t refused; /* [a] requests */
};

/* Tokens a second and tokens at most; 0 a second: no limits, no hysteresis. Tests. */
void budget_set(uint64_t counter_hz, uint64_t per_second, uint64_t burst);

/* The limits that every machine boots with. */
void budget_init(uint64_t counter_hz);

/* Take `tokens`; KERR_BUSY: not now. */
enum kerr budget_take(struct window_budget *budget, unsigned tokens);

/* Ticks for which windows of this CPU have held CPUs that ran something else. */
static inline uint64_t budget_meter(void)
{
	return pcpu_this()->held;
}

/* Put `ticks` on the bill. Never refused: it was done. */
void budget_owe(struct window_budget *budget, uint64_t ticks);

/* What was done since the meter stood at `since`. */
static inline void budget_bill(struct window_budget *budget, uint64_t since)
{
	if (unlikely(budget_meter() != since)) {
		budget_owe(budget, budget_meter() - since);
	}
}

/* Has the task taken little apart of late, so that promoting again is worth a window? */
bool budget_is_calm(const struct window_budget *budget);
