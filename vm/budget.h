/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/budget.h - how often a task may make the machine park.
 *
 * THEORY   A window stops every CPU that runs the space (or, for the kernel's map, all of them).
 *          What a task does by touching memory pays for itself: a promotion needs 16 or 512 faults
 *          before it. What it does by *taking superpages apart* does not: a call or two a window,
 *          for ever. So each such request takes one token of the task's budget, and is refused with
 *          KERR_BUSY when there is none. Tokens come back at a constant rate, up to a burst.
 *          And what was taken apart is not put together at once (hysteresis): a range that is
 *          toggled stays in pages, where toggling needs no window at all.
 *          The budget is one word: the time at which it will be full again. A token moves it on; it
 *          may lie ahead of now by no more than the burst.
 * LOCKING  None: one atomic word. `nullptr` stands for the kernel, which is not limited.
 */
#pragma once

#include <kerr.h>
#include <types.h>

struct window_budget {
	uint64_t full_at; /* [a] counter */
	uint64_t refused; /* [a] requests */
};

/* Tokens a second and tokens at most; 0 a second: no limit and no hysteresis. Tests. */
void budget_set(uint64_t counter_hz, uint64_t per_second, uint64_t burst);

/* The limits that every machine boots with. */
void budget_init(uint64_t counter_hz);

/* Take `tokens`; KERR_BUSY: not now. */
enum kerr budget_take(struct window_budget *budget, unsigned tokens);

/* Has the task taken little apart of late, so that promoting again is worth a window? */
bool budget_is_calm(const struct window_budget *budget);
