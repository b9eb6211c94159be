/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/park_fast.h - the initiator's side when nobody is in the way, inlined into the flush.
 *
 * THEORY   Most windows find the token free and nobody past the door. What is left then are a
 *          ticket, three stores that publish the window, a look at each door, and a store that
 *          closes it. Whoever has to wait, or to ask, goes on in ipi/park.c.
 * LOCKING  As ipi/park.h says of token_acquire(), token_release(), park_begin() and park_end(),
 *          which are these. Only ipi/ includes this file.
 */
#pragma once

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <compiler.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"

/* Each on a line of its own: the token is fought for, the window is read by every door. */
struct park_state {
	cacheline_aligned uint64_t next;   /* tickets of the token: drawn, */
	uint64_t serving;                  /* and whose turn it is */
	uint64_t owner;                    /* 0: free, else the CPU's slice */
	cacheline_aligned uint64_t window; /* [token] generation that is open, 0: none */
	uint64_t generation;               /* [token] newest ever used */
	uint64_t online;                   /* [token] CPUs that take part */
	uint64_t attempt_ticks;
	uint64_t attempts;
	uint64_t persist_ticks; /* [c] */
	uint64_t deaf_since; /* [token] counter when the CPU that is deaf was found so */
	uint64_t deaf_irqs;  /* [token] its interrupts then */
	uint64_t deaf_cpu;   /* [token] its number + 1, 0: none */
};
extern struct park_state park_state;

/* Its address, in one register: else each field takes one of its own. */
static always_inline struct park_state *the_park(void)
{
	struct park_state *state = &park_state;

	__asm__("" : "+r"(state));
	return state;
}

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

keeps_registers void token_wait(uint64_t ticket);
enum kerr park_others(struct park *p);
keeps_registers void park_let_go(const struct park *p);

static always_inline bool token_is_ours(const struct park_state *s)
{
	return load_relaxed(&s->owner) == (uint64_t)(uintptr_t)this_cpu();
}

/* Returns the ticket, for token_pass(). */
static always_inline uint64_t token_take(struct park_state *s)
{
	KASSERT(!token_is_ours(s));
	/* Drawn before `serving` is read: pairs with ticket_pass(). */
	const uint64_t ticket = fetch_add_seq_cst(&s->next, 1);

	if (unlikely(load_seq_cst(&s->serving) != ticket)) {
		token_wait(ticket);
	}
	store_relaxed(&s->owner, (uint64_t)(uintptr_t)this_cpu());
	return ticket;
}

static always_inline void token_pass(struct park_state *s, uint64_t ticket)
{
	KASSERT(token_is_ours(s));
	store_relaxed(&s->owner, 0);
	ticket_pass(&s->next, &s->serving, ticket);
}

/* Publish a new generation, and its window. */
static always_inline struct park_window publish_window(struct park_state *s,
						       struct park_space *space)
{
	struct park_window w = {
		.word = unlikely(space != nullptr) ? &space->window : &s->window,
		.gen = load_relaxed(&s->generation) + 1,
	};

	KASSERT(*w.word == 0);
	store_seq_cst(w.word, w.gen);
	/* after the window: pairs with stable_walk() */
	store_release(&s->generation, w.gen);
	return w;
}

/* Could the CPU touch what this window breaks? Pairs with door_enter(), pmap_activate(). */
static always_inline bool concerns(const struct park_space *space, const struct mailbox *m)
{
	return likely(space == nullptr) ? load_seq_cst(&m->door) == DOOR_KERNEL
					: load_seq_cst(&m->space) == (uintptr_t)space;
}

/*
 * Open a window, and post a request to whoever it concerns: its targets. None has been interrupted
 * yet.
 */
static always_inline struct park_window open_window(struct park_state *s, struct park_space *space)
{
	struct park_window w = publish_window(s, space);
	uint64_t others = load_relaxed(&s->online) & ~this_cpu()->bit;
	uint64_t spared = 0;

	for (; others != 0; others &= others - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(others);
		struct mailbox *m = mailbox_of(cpu);

		if (concerns(space, m)) {
			store_release(&m->request, w.gen);
			w.targets |= CPU_BIT(cpu);
		} else {
			spared++;
		}
	}
	if (spared != 0) {
		count_add(CTR_ipis_spared, spared);
	}
	return w;
}

/* park_begin(), under the token that the caller has just taken. The window is in *w alone. */
static always_inline enum kerr park_open(struct park_state *s, struct park *p,
					 struct park_window *w)
{
	*w = open_window(s, p->space);
	if (likely(w->targets == 0)) {
		return KERR_OK;
	}
	p->window = *w;
	const enum kerr e = park_others(p);

	*w = p->window;
	return e;
}

static always_inline void close_window(const struct park_window *w)
{
	store_release(w->word, 0);
	dsb_ishst();
	cpu_sev();
}

/* park_end(). `p`: of a window that has targets, where park_others() left it. */
static always_inline void park_close(const struct park *p, const struct park_window *w)
{
	KASSERT(*w->word == w->gen);
	if (unlikely(w->targets != 0)) {
		park_let_go(p);
	} else {
		close_window(w);
	}
}
