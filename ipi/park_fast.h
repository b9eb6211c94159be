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

#define CPU_BIT(cpu) (UINT64_C(1) << (cpu))

void token_wait(uint64_t ticket);
enum kerr park_others(struct park *p, uint64_t others);
void park_let_go(const struct park *p);

static always_inline bool token_is_ours(void)
{
	return load_relaxed(&park_state.owner) == (uint64_t)(uintptr_t)this_cpu();
}

static always_inline void token_own(void)
{
	store_relaxed(&park_state.owner, (uint64_t)(uintptr_t)this_cpu());
}

static always_inline void token_take(void)
{
	KASSERT(!token_is_ours());
	/* Drawn before `serving` is read: pairs with ticket_pass(). */
	const uint64_t ticket = fetch_add_seq_cst(&park_state.next, 1);

	if (unlikely(load_seq_cst(&park_state.serving) != ticket)) {
		token_wait(ticket);
	}
	token_own();
}

static always_inline void token_pass(void)
{
	KASSERT(token_is_ours());
	store_relaxed(&park_state.owner, 0);
	ticket_pass(&park_state.next, &park_state.serving);
}

/* Publish a new generation, and its window. */
static always_inline uint64_t publish_window(struct park *p)
{
	const uint64_t gen = load_relaxed(&park_state.generation) + 1;

	p->window = unlikely(p->space != nullptr) ? &p->space->window : &park_state.window;
	KASSERT(*p->window == 0);
	p->gen = gen;
	store_seq_cst(p->window, gen);
	/* after the window: pairs with stable_walk() */
	store_release(&park_state.generation, gen);
	return gen;
}

/* Could the CPU touch what this window breaks? Pairs with door_enter(), pmap_activate(). */
static always_inline bool concerns(const struct park *p, const struct mailbox *m)
{
	return likely(p->space == nullptr) ? load_seq_cst(&m->door) == DOOR_KERNEL
					   : load_seq_cst(&m->space) == (uintptr_t)p->space;
}

/*
 * Open a window, and post a request to whoever it concerns. Returns them; none has been
 * interrupted yet.
 */
static always_inline uint64_t open_window(struct park *p, uint64_t others)
{
	const uint64_t gen = publish_window(p);
	uint64_t ask = 0;

	for (; others != 0; others &= others - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(others);
		struct mailbox *m = mailbox_of(cpu);

		if (concerns(p, m)) {
			store_release(&m->request, gen);
			ask |= CPU_BIT(cpu);
		} else {
			count(CTR_ipis_spared);
		}
	}
	return ask;
}

static always_inline enum kerr park_open(struct park *p)
{
	const uint64_t others = load_relaxed(&park_state.online) & ~CPU_BIT(cpu_number());

	KASSERT(token_is_ours());
	p->targets = open_window(p, others);
	return likely(p->targets == 0) ? KERR_OK : park_others(p, others);
}

static always_inline void close_window(const struct park *p)
{
	store_release(p->window, 0);
	dsb_ishst();
	cpu_sev();
}

static always_inline void park_close(struct park *p)
{
	KASSERT(*p->window == p->gen);
	if (unlikely(p->targets != 0)) {
		park_let_go(p);
	} else {
		close_window(p);
	}
}
