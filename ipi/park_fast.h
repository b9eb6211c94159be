/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/park_fast.h - the initiator's side when nobody is late, inlined into the flush.
 *
 * THEORY   Most windows find the token free and nobody past the door. What is left then are a
 *          ticket, three stores that publish the window, a look at each door, and a store that
 *          closes it. Whoever is past the door is interrupted and, as a rule, parked when the
 *          initiator looks. Who has to wait for longer goes on in ipi/park.c.
 * LOCKING  As ipi/park.h says of token_acquire(), token_release(), park_begin() and park_end(),
 *          which are these. Only ipi/ includes this file.
 */
#pragma once

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi_direct.h>
#include <compiler.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "pcpu/recorder.h"

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
keeps_registers void park_send(uint64_t targets);
keeps_registers enum kerr park_wait(struct park *p);

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
	uint64_t *word = unlikely(space != nullptr) ? &space->window : &s->window;

	__asm__("" : "+r"(word)); /* in one register, as the_park() */
	struct park_window w = {
		.word = word,
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

static always_inline struct park_window open_in(struct park_state *s, struct park_space *space)
{
	struct park_window w = publish_window(s, space);

	w.targets = load_relaxed(&s->online) & ~this_cpu()->bit;
	for (uint64_t others = w.targets; others != 0; others &= others - 1) {
		struct mailbox *m = mailbox_of((unsigned)__builtin_ctzll(others));

		if (likely(concerns(space, m))) {
			store_release(&m->request, w.gen);
		} else {
			w.targets ^= others & -others;
			count(CTR_ipis_spared);
		}
	}
	return w;
}

/*
 * Open a window, and post a request to whoever it concerns: its targets. None has been interrupted
 * yet. Expanded twice: a window of the kernel does not ask at each door what the window is of.
 */
static always_inline struct park_window open_window(struct park_state *s, struct park_space *space)
{
	return likely(space == nullptr) ? open_in(s, nullptr) : open_in(s, space);
}

/*
 * Interrupt the targets, whose requests are posted. Afterwards this CPU's event register is set, by
 * its own SEV.
 */
static always_inline void send_requests(struct park_window *w)
{
	w->record = rec(REC_PARK_SEND, w->gen, w->targets);
	/* the request is visible before the interrupt; pairs with park_answer() */
	dsb_ishst();
	if (unlikely(!arch_ipi_send_direct(SGI_PARK, w->targets))) {
		park_send(w->targets);
	}
	cpu_sev(); /* a masked interrupt ends no WFE: whoever waits for a lock wakes by this */
}

/*
 * Have all targets acknowledged exactly this generation? *count: how many they are. One after the
 * other: what has been answered stays answered until the release. PK1
 */
static always_inline bool all_acked(const struct park_window *w, uint64_t *count)
{
	for (uint64_t left = w->targets; left != 0; left &= left - 1) {
		if (load_acquire(&mailbox_of((unsigned)__builtin_ctzll(left))->ack) != w->gen) {
			return false;
		}
		(*count)++;
	}
	return true;
}

/* log2 with one bit of fraction: two buckets an octave, from 2 ticks on. */
static always_inline uint64_t histogram_bucket(uint64_t ticks)
{
	const uint64_t above = (uint64_t)__builtin_clzll(ticks | 2);

	static_assert(2 * 62 + 3 < PARK_HIST_BUCKETS, "all ticks have a bucket");
	return 2 * 62 + (ticks << above >> 62) - 2 * above;
}

/* `parked` CPUs answered, `ticks` after they were first asked. */
static always_inline void note_parked(struct pcpu *me, uint64_t parked, uint64_t ticks)
{
	me->counter[CTR_parks] += parked;
	me->counter[CTR_ipis_sent] += parked;
	me->park_hist[histogram_bucket(ticks)]++;
	if (unlikely(ticks > me->park_max)) {
		me->park_max = ticks;
		if (ticks > me->base.wait_max) { /* which counts these waits too: >= park_max */
			me->base.wait_max = ticks;
		}
	}
}

/*
 * Ask the targets, and look once whether all have parked. The one WFE finds the event of our own
 * SEV: nothing has been looked at yet, so no other's event can be lost by it. An emulator that runs
 * CPUs in turn lets the others run.
 */
static always_inline enum kerr park_ask(struct park *p, struct park_window *w)
{
	struct pcpu *me = pcpu_this();

	send_requests(w);
	cpu_wfe();
	uint64_t parked = 0;

	if (unlikely(!all_acked(w, &parked))) {
		p->window = *w;
		const enum kerr e = park_wait(p);

		*w = p->window;
		return e;
	}
	const uint64_t ticks = counter_now() - w->record->time;

	me->base.mask_since += ticks; /* a wait, as wait_end() has it */
	note_parked(me, parked, ticks);
	return KERR_OK;
}

/* park_begin(), under the token that the caller has just taken. The window is in *w alone. */
static always_inline enum kerr park_open(struct park_state *s, struct park *p,
					 struct park_window *w)
{
	*w = open_window(s, p->space);
	return likely(w->targets == 0) ? KERR_OK : park_ask(p, w);
}

static always_inline void close_window(const struct park_window *w)
{
	store_release(w->word, 0);
	dsb_ishst();
	cpu_sev();
}

/*
 * The time of CPUs that run something else than the space which changes is billed to who wanted the
 * change (vm/budget.h). Its own CPUs are its own affair.
 */
static always_inline void note_held(const struct park_space *space, uint64_t ticks)
{
	struct pcpu *me = pcpu_this();

	if (likely(space == nullptr) || pcpu_mailbox(me)->space != (uintptr_t)space) {
		me->held += ticks;
	}
}

/* Let the targets go, and close their window. */
static always_inline void close_parked(const struct park_space *space, const struct park_window *w)
{
	for (uint64_t left = w->targets; left != 0; left &= left - 1) {
		store_release(&mailbox_of((unsigned)__builtin_ctzll(left))->release, w->gen);
	}
	close_window(w);
	const uint64_t ticks = counter_now() - w->record->time;

	rec_took(w->record, ticks);
	note_held(space, ticks);
}

/* park_end(). */
static always_inline void park_close(const struct park_space *space, const struct park_window *w)
{
	KASSERT(*w->word == w->gen);
	if (unlikely(w->targets != 0)) {
		close_parked(space, w);
	} else {
		close_window(w);
	}
}
