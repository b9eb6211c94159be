/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_hostile.c - a task that does nothing but take superpages apart, make secrets,
 * and hold everybody up.
 *
 * THEORY   The others lose the time for which they are held. That time, and the time that passes,
 *          are read off one counter by one CPU, and what is checked of them follows from how the
 *          budget admits requests (BG1 in vm/budget.h): so it is true on any host, however slow and
 *          busy it is. How many rounds the others do in that time is the host's affair.
 */
#include <arch/atomic.h>
#include <memmap.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "test/kernel/crew.h"
#include "test/kernel/stress.h"
#include "test/kernel/vm_user.h"

#define AT (16 * GIB)
#define BYTES (16 * MIB)
#define VM_RW (VM_READ | VM_WRITE)
#define ROUNDS 1024
#define FEW_BURST 16
#define FEW_RATE 1 /* a second: less than any machine needs for the rounds */
#define HOLDS_PER_SECOND 1000 /* of the greediest step: a millisecond each */
#define STEPS 256
#define LOOKS_PER_SECOND 10 /* a look at what is held takes a tenth of a second, or longer */

static struct {
	uint64_t victims; /* [a] CPUs that have begun */
	uint64_t refused; /* requests */
	uint64_t held;    /* ticks for which its steps held the others */
	uint64_t longest; /* of them */
} hostile;

static void crew_victim(void *arg)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	(void)arg;
	if (space_create(&charge, &space) != KERR_OK) {
		return;
	}
	user_enter(space);
	if (user_map_anon(space, AT, BLOCK_BYTES, VM_RW) == KERR_OK) {
		fetch_add_relaxed(&hostile.victims, 1);
		do {
			crew_fact(user_fill(space, AT, 16 * PAGE_BYTES, 3));
		} while (crew_goes_on());
	}
	space_destroy(space);
}

/* ---- the steps that a task may take ---- */

/* Toggle a page in each 64 KiB, and make a secret now and then. */
static void try_harm(struct space *space, uint64_t i)
{
	const uint64_t at = AT + i / 2 * 16 % (BYTES / PAGE_BYTES) * PAGE_BYTES;
	const unsigned prot = i % 2 == 0 ? VM_READ : VM_RW;
	struct memory_object *secret;

	hostile.refused += space_protect(space, va(at), PAGE_BYTES, prot) == KERR_BUSY ? 1 : 0;
	if (i % 64 == 0) {
		const enum kerr e =
			object_create(MEM_SECRET, PAGE_BYTES, nullptr, &space->budget, &secret);

		hostile.refused += e == KERR_BUSY ? 1 : 0;
		if (e == KERR_OK) {
			object_unref(secret);
		}
	}
}

/* Every victim is past the door: it is asked, and held. */
static void hold_everybody(void)
{
	struct park park = { 0 };

	irq_mask();
	token_acquire();
	if (park_begin(&park) == KERR_OK) {
		const struct wait held = wait_begin();
		const uint64_t start = counter_now();

		while (counter_now() - start < arch_counter_hz() / HOLDS_PER_SECOND) {
		}
		park_end(&park);
		wait_end(&held); /* on purpose: not what R8 measures */
	}
	token_release();
	irq_unmask();
}

/* A request that takes long, as on a machine where windows do. */
static void try_long(struct space *space, uint64_t i)
{
	(void)i;
	if (budget_take(&space->budget, 1) == KERR_OK) {
		hold_everybody();
	}
}

/* Billed as a call is (kern/call.c). */
static void take_step(void (*step)(struct space *, uint64_t), struct space *space, uint64_t i)
{
	const uint64_t before = budget_meter();

	step(space, i);
	const uint64_t held = budget_meter() - before;

	budget_bill(&space->budget, before);
	hostile.held += held;
	hostile.longest = held > hostile.longest ? held : hostile.longest;
}

/* ---- the limits ---- */

/* Hardly any tokens: as many windows as there were, whatever is tried. */
static void windows_are_counted(struct space *space)
{
	budget_set(arch_counter_hz(), FEW_RATE, FEW_BURST);
	const uint64_t before = counter_sum(CTR_windows);
	const uint64_t start = counter_now();

	for (uint64_t i = 0; i < ROUNDS; i++) {
		take_step(try_harm, space, i);
	}
	const uint64_t elapsed = counter_now() - start;
	const uint64_t windows = counter_sum(CTR_windows) - before;
	const uint64_t tokens = FEW_BURST + elapsed * FEW_RATE / arch_counter_hz() + 1;

	budget_init(arch_counter_hz());
	CHECK(hostile.refused > 0);
	/* What the victims do by touching memory aside: 16 windows of theirs at most. */
	CHECK(windows <= 3 * tokens + 64);
}

/* The meter sees who is held, and the bill has it. */
static void time_is_billed(struct space *space)
{
	const uint64_t start = counter_now();

	space->budget = (struct window_budget){ 0 };
	take_step(try_long, space, 0);
	CHECK(space->budget.paid_at >=
	      start + BUDGET_SHARE * (arch_counter_hz() / HOLDS_PER_SECOND));
}

/*
 * Thousandths of the time for which the others are held, from when the burst is spent: as it would
 * go on for ever. Until the longest hold is an eighth of the time: none decides the result.
 */
static uint64_t held_permille(void (*step)(struct space *, uint64_t), struct space *space)
{
	const uint64_t start = counter_now();
	uint64_t elapsed = 0;

	space->budget.full_at = start + BUDGET_SECONDS * arch_counter_hz();
	space->budget.paid_at = space->budget.full_at;
	hostile.held = 0;
	hostile.longest = 0;
	for (uint64_t i = 0; i < STEPS || elapsed < 8 * hostile.longest ||
			     elapsed < arch_counter_hz() / LOOKS_PER_SECOND;
	     i++) {
		take_step(step, space, i);
		elapsed = counter_now() - start;
	}
	CHECK((hostile.held - hostile.longest) * BUDGET_SHARE <= elapsed); /* BG1 */
	return hostile.held * 1000 / elapsed;
}

/* With the limits that every machine has. */
static void others_keep_half(struct space *space)
{
	const uint64_t toggling = held_permille(try_harm, space);
	const uint64_t holding = held_permille(try_long, space);

	log_printf("stress", "hostile held: toggling=%llu/1000 holding=%llu/1000",
		   (unsigned long long)toggling, (unsigned long long)holding);
	CHECK(toggling <= 500);
	/* Not a thousandth: a stall of the host is longer than thousands of holds. */
	CHECK(hostile.held > 0 && holding <= 500);
}

void work_hostile(void)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	hostile.refused = 0;
	store_release(&hostile.victims, 0);
	crew_start(crew_victim);
	CHECK(space_create(&charge, &space) == KERR_OK);
	user_enter(space);
	CHECK(user_map_anon(space, AT, BYTES, VM_RW) == KERR_OK);
	CHECK(user_fill(space, AT, BYTES, 1));
	windows_are_counted(space);
	while (load_acquire(&hostile.victims) != (uint64_t)__builtin_popcountll(work_cpus())) {
		__asm__ volatile("yield" ::: "memory");
	}
	if (work_cpus() != 0) {
		time_is_billed(space);
		others_keep_half(space);
	}
	crew_end();
	space_destroy(space);
	CHECK(memcharge_used(&charge) == 0);
}
