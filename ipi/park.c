/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/park.c - see ipi/park.h; the proof is in docs/park-proof.md, the model in test/prove.
 */
#include "ipi/park.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/ipi.h>

#include "ipi/park_fast.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/stop.h"
#include "pcpu/recorder.h"

struct park_state park_state;

#define SLOW_WAITS_PER_SECOND 10000 /* a wait for a lock of 100 us or more is recorded */

static void note_slow_wait(const struct spinlock *lock, uint64_t ticks)
{
	rec(REC_LOCK_WAIT, (uint64_t)(uintptr_t)lock, ticks);
}

void park_init(uint64_t counter_hz)
{
	park_set_limits(counter_hz / 20, 60); /* 50 ms, 3 s in all */
	park_state.persist_ticks = 2 * counter_hz;
	lock_set_wait_hook(ipi_poll);
	lock_set_slow_hook(counter_hz / SLOW_WAITS_PER_SECOND, note_slow_wait);
}

void park_set_limits(uint64_t attempt_ticks, unsigned attempts)
{
	store_relaxed(&park_state.attempt_ticks, attempt_ticks);
	store_relaxed(&park_state.attempts, attempts);
}

void park_get_limits(uint64_t *attempt_ticks, unsigned *attempts)
{
	*attempt_ticks = load_relaxed(&park_state.attempt_ticks);
	*attempts = (unsigned)load_relaxed(&park_state.attempts);
}

uint64_t park_generation(void)
{
	return load_acquire(&park_state.generation);
}

uint64_t park_window(void)
{
	return load_acquire(&park_state.window);
}

uint64_t park_online(void)
{
	return load_acquire(&park_state.online);
}

bool token_is_mine(void)
{
	return token_is_ours(&park_state);
}

noinline keeps_registers void token_wait(uint64_t ticket)
{
	const struct wait wait = wait_begin();

	do {
		wait_round(); /* R5 */
	} while (load_acquire(&park_state.serving) != ticket);
	wait_end(&wait);
}

void token_acquire(void)
{
	(void)token_take(&park_state);
}

void token_release(void)
{
	token_pass(&park_state, load_relaxed(&park_state.serving));
}

void park_set_online(unsigned cpu, bool online)
{
	const uint64_t now = load_relaxed(&park_state.online);

	KASSERT(token_is_mine()); /* PK4 */
	store_seq_cst(&park_state.online, online ? now | CPU_BIT(cpu) : now & ~CPU_BIT(cpu));
}

/* Has the CPU acknowledged exactly this generation, or does it not concern it any more? PK1 */
static always_inline bool has_answered(const struct park_space *space, uint64_t gen,
				       const struct mailbox *m)
{
	return likely(load_acquire(&m->ack) == gen) || !concerns(space, m);
}

/* The attempt's time is up. Does one of these CPUs still owe an answer? Then it is a culprit. */
static noinline bool park_is_late(struct park *p, uint64_t ask)
{
	p->culprits = 0;
	for (; ask != 0; ask &= ask - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(ask);

		if (!has_answered(p->space, p->window.gen, mailbox_of(cpu))) {
			p->culprits |= CPU_BIT(cpu);
		}
	}
	return p->culprits != 0;
}

/* Wait for the targets of the window that p has open. False: they did not all answer in time. */
static bool wait_for_acks(struct park *p)
{
	const struct park_window *w = &p->window;

	for (uint64_t left = w->targets; left != 0; left &= left - 1) {
		const struct mailbox *m = mailbox_of((unsigned)__builtin_ctzll(left));

		while (!has_answered(p->space, w->gen, m)) {
			if (unlikely(counter_now() - w->record->time >
				     load_relaxed(&park_state.attempt_ticks))) {
				return !park_is_late(p, left);
			}
			stop_poll(); /* R5; parks cannot be asked for: the token is ours */
			cpu_wfe();
		}
	}
	return true;
}

/* PK2: before the break only. The generation is dead; whoever parks for it late leaves at once. */
static void park_abandon(struct park *p)
{
	close_parked(p->space, &p->window);
	count_add(CTR_ipis_sent, (uint64_t)__builtin_popcountll(p->window.targets));
	count(CTR_retries);
	rec(REC_PARK_ABANDON, p->window.gen, p->culprits);
}

/* Any GIC. Out of line, and so that its callers' registers stay theirs. */
noinline keeps_registers void park_send(uint64_t targets)
{
	arch_ipi_send(SGI_PARK, targets);
}

/*
 * A CPU that did not park, and has taken no interrupt since it did not park before: that is not
 * load, that is a CPU that will never come. The caller could only try again for ever.
 */
static void check_persistence(const struct park *p)
{
	const unsigned cpu = (unsigned)__builtin_ctzll(p->culprits);
	const uint64_t irqs = pcpu_of(cpu)->counter[CTR_irqs];
	const uint64_t now = counter_now();

	if (park_state.deaf_cpu != cpu + 1 || park_state.deaf_irqs != irqs) {
		park_state.deaf_cpu = cpu + 1;
		park_state.deaf_irqs = irqs;
		park_state.deaf_since = now;
	} else if (now - park_state.deaf_since > park_state.persist_ticks) {
		panic("park: cpu%u has not parked for %llu ms", cpu,
		      (unsigned long long)((now - park_state.deaf_since) /
					   (park_state.persist_ticks / 2000)));
	}
}

/* Another attempt, with a generation of its own. False: somebody did not answer in time. */
static bool park_again(struct park *p)
{
	p->window = open_window(&park_state, p->space);
	if (p->window.targets == 0) {
		return true; /* all have left the door meanwhile */
	}
	send_requests(&p->window);
	return wait_for_acks(p);
}

/* Not everybody has answered yet whom p's window asked. */
noinline keeps_registers enum kerr park_wait(struct park *p)
{
	const struct wait wait = {
		.start = p->window.record->time,
		.since = this_cpu()->mask_since,
	};
	uint64_t left = load_relaxed(&park_state.attempts);
	bool parked = wait_for_acks(p);

	while (!parked) {
		park_abandon(p);
		if (--left == 0) {
			wait_end(&wait);
			count(CTR_busy_errors);
			check_persistence(p);
			return KERR_BUSY;
		}
		parked = park_again(p);
	}
	note_parked(pcpu_this(), (uint64_t)__builtin_popcountll(p->window.targets),
		    wait_end(&wait));
	return KERR_OK;
}

enum kerr park_begin(struct park *p)
{
	KASSERT(token_is_mine());
	return park_open(&park_state, p, &p->window);
}

void park_begin_unparked(struct park *p)
{
	KASSERT(token_is_mine());
	p->window = publish_window(&park_state, p->space);
	/* Whoever meets the broken entry and faults must find the window open: trap.c asks. */
	dsb_ishst();
}

void park_end(struct park *p)
{
	park_close(p->space, &p->window);
}

bool park_answer(uint64_t pc)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());
	uint64_t start = 0;

	if (stop_is_mine()) {
		/* the report goes on: who asked has been told to stop, and will not release */
		return false;
	}
	for (;;) {
		const uint64_t gen = load_acquire(&m->request);

		if (load_acquire(&m->release) >= gen) {
			break; /* PK3: nothing newer was asked while we left */
		}
		if (start == 0) {
			start = counter_now();
		}
		struct record *r = rec(REC_PARK, gen, pc);

		m->ack_pc = pc;
		store_release(&m->ack, gen);
		dsb_ishst();
		cpu_sev(); /* pairs with the WFE in wait_for_acks() */
		while (load_acquire(&m->release) < gen) {
			stop_poll();
			cpu_wfe();
		}
		rec_end(r);
	}
	if (start == 0) {
		return false;
	}
	isb(); /* what was walked before, a fault included, is forgotten */
	const uint64_t ticks = counter_now() - start;
	struct cpubase *cpu = this_cpu();

	if (ticks > cpu->parked_max) {
		cpu->parked_max = ticks;
	}
	cpu->mask_since += ticks;
	count(CTR_park_answers);
	if (pc == 0) {
		count(CTR_park_polls);
	}
	return true;
}

bool ipi_poll(void)
{
	stop_poll();
	return park_answer(0);
}

void door_enter(void)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());

	KASSERT(m->door != DOOR_KERNEL);
	store_seq_cst(&m->door, DOOR_KERNEL);
	const uint64_t open = load_seq_cst(&park_state.window); /* pairs with open_window() */

	count(CTR_doors);
	if (open != 0) {
		const struct wait wait = wait_begin();
		struct record *r = rec(REC_DOOR_WAIT, open, 0);

		count(CTR_door_waits);
		/*
		 * A later window has seen our state and asks: waiting for this one to go is
		 * enough.
		 */
		while (load_acquire(&park_state.window) == open) {
			wait_round();
		}
		rec_took(r, wait_end(&wait));
	}
	isb(); /* a translation, or a fault, that was walked during the window is forgotten */
}

void door_leave(enum door_state state)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());

	KASSERT(m->door == DOOR_KERNEL && state != DOOR_KERNEL);
	store_release(&m->door, state); /* after the last access to unpinned memory */
	dsb_ishst();
	cpu_sev(); /* an initiator may be waiting for our acknowledgement: it need not any more */
}

void park_report_culprits(uint64_t cpus)
{
	static const char *const door[] = { "off", "idle", "el0", "kernel" };

	for (; cpus != 0; cpus &= cpus - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(cpus);
		const struct pcpu *p = pcpu_of(cpu);
		const struct mailbox *m = mailbox_of(cpu);
		const struct spinlock *lock = p->base.lock_wanted;
		struct record last = { 0 };
		const bool recorded = recorder_read(cpu, 0, &last);

		log_printf(
			"park",
			"culprit=cpu%u door=%s masked_at=%#llx lock=%s request=%llu ack=%llu last=%s:%#llx",
			cpu, door[m->door & 3], (unsigned long long)p->base.mask_pc,
			lock != nullptr ? lock->name : "none", (unsigned long long)m->request,
			(unsigned long long)m->ack,
			recorded ? rec_kind_name(record_kind(&last)) : "nothing",
			(unsigned long long)last.a);
	}
}
