/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_asid.c - numbers of address spaces, on the simulated machine: it checks AS1, AS2
 * and AS3 at each load of TTBR0 (test/host/user.c), under any schedule.
 */

#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/tlb.h>
#include <arch/user.h>
#include <stdlib.h>

#include "kern/lock.h"
#include "pcpu/counter.h"
#include "pcpu/pcpu.h"
#include "test/host/unit.h"
#include "vm/asid.h"

#define SPACES 40
#define SWITCHES 60

struct space {
	uint64_t word;
	uint64_t root;
	unsigned users; /* CPUs that have it loaded, or are about to */
};

static struct space space[SPACES];
static uint64_t next_root;
static uint64_t rollovers;
static unsigned given_back;

struct machine {
	unsigned bits;
	unsigned cpus;
	unsigned spaces;
	void (*cpu)(void);
};
static struct machine machine;

static void run_space(struct space *s)
{
	irq_mask();
	sim_user_leaves();
	arch_user_root_load(pa(s->root), asid_use(&s->word));
	irq_unmask();
}

static void run_nothing(void)
{
	irq_mask();
	arch_user_root_clear();
	irq_unmask();
}

static void renew_space(struct space *s)
{
	s->root = ++next_root * PAGE_BYTES;
}

/* Nobody runs it: invalidate, give the number back, and be another space. */
static void replace(struct space *s)
{
	s->users = UINT32_MAX / 2; /* nobody may */
	dsb_ishst();
	tlbi_aside1is(tlbi_operand_asid(asid_number(s->word)));
	dsb_ish();
	if (sim_is_tainted(s->root, asid_number(s->word))) {
		sim_fail("an invalidated number is still in a TLB");
	}
	asid_give_back(&s->word);
	given_back++;
	renew_space(s);
	s->users = 0;
}

static void switch_about(void)
{
	struct space *mine = nullptr;

	for (unsigned n = 0; n < SWITCHES; n++) {
		struct space *s = &space[sim_random(machine.spaces)];

		if (s->users == 0 && sim_random(4) == 0) {
			replace(s);
			continue;
		}
		if (s->users >= UINT32_MAX / 2) {
			continue;
		}
		s->users++;
		if (sim_random(4) == 0) {
			run_nothing();
		}
		run_space(s);
		if (mine != nullptr) {
			mine->users--;
		}
		mine = s;
	}
	run_nothing();
	if (mine != nullptr) {
		mine->users--;
	}
}

static void other_cpu(void *arg)
{
	(void)arg;
	this_cpu()->mask_depth = 0;
	this_cpu()->lock_count = 0;
	sim_set_spx(false);
	sim_irq_open();
	machine.cpu();
}

static void boot_cpu(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < SPACES; i++) {
		space[i] = (struct space){ 0 };
		renew_space(&space[i]);
	}
	sim_set_spx(false);
	sim_irq_open();
	asid_set_bits(machine.bits);
	for (unsigned cpu = 1; cpu < machine.cpus; cpu++) {
		sim_start(cpu, other_cpu, nullptr);
	}
	machine.cpu();
	for (unsigned cpu = 1; cpu < machine.cpus; cpu++) {
		while (!sim_has_ended(cpu)) {
			sim_yield();
		}
	}
	rollovers += counter_sum(CTR_asid_rollovers) - 1;
}

static void run(struct machine m, uint64_t seed, enum sim_scheduler scheduler)
{
	const struct sim_config config = { .seed = seed,
					   .cpus = m.cpus,
					   .scheduler = scheduler,
					   .change_points = scheduler == SIM_PCT ? 8 : 0 };
	struct sim_result result;

	machine = m;
	sim_run(&config, boot_cpu, nullptr, &result);
	if (result.failed) {
		fail_msg("seed %llu: %s", (unsigned long long)seed, result.reason);
	}
}

static void numbers_stay_apart_under_any_schedule(void **state)
{
	(void)state;
	rollovers = 0;
	given_back = 0;
	for (uint64_t seed = 1; seed <= 600; seed++) {
		run((struct machine){ 4, 2 + (unsigned)seed % 3, SPACES, switch_about }, seed,
		    seed % 2 == 0 ? SIM_RANDOM : SIM_PCT);
	}
	assert_true(rollovers > 600);
	assert_true(given_back > 600);
}

/* ---- one CPU, whole widths ---- */
static void use_every_number(void)
{
	static uint64_t word[UINT64_C(1) << 16];
	static bool seen[UINT64_C(1) << 16];
	const uint64_t numbers = (UINT64_C(1) << machine.bits) - 1;
	const uint64_t generation = asid_generations();
	uint64_t first = 0;

	sim_quiet(true);
	for (uint64_t i = 0; i <= numbers; i++) {
		word[i] = 0;
		seen[i] = false;
	}
	for (uint64_t i = 0; i < numbers; i++) {
		const uint64_t number = asid_use(&word[i]);

		if (number == 0 || number > numbers || seen[number]) {
			sim_fail("number %llu is given twice, or not one",
				 (unsigned long long)number);
		}
		seen[number] = true;
	}
	if (asid_generations() != generation) {
		sim_fail("a rollover before the numbers are used up");
	}
	first = word[numbers - 1]; /* it runs */
	if (asid_use(&word[numbers]) == asid_number(first) ||
	    asid_generations() != generation + 1) {
		sim_fail("the rollover does not spare who runs");
	}
	if (asid_use(&word[numbers - 1]) != asid_number(first) || word[numbers - 1] == first) {
		sim_fail("who ran during the rollover has another number now");
	}
	sim_quiet(false);
}

static void eight_bits_are_255_numbers(void **state)
{
	(void)state;
	run((struct machine){ 8, 1, 1, use_every_number }, 1, SIM_RANDOM);
}

static void sixteen_bits_are_65535_numbers(void **state)
{
	(void)state;
	run((struct machine){ 16, 1, 1, use_every_number }, 1, SIM_RANDOM);
}

/* Spaces that come and go need no rollover, however many. */
static void come_and_go(void)
{
	const uint64_t generation = asid_generations();

	for (unsigned n = 0; n < 1000; n++) {
		run_space(&space[n % 3]);
		run_nothing();
		replace(&space[n % 3]);
	}
	if (asid_generations() != generation) {
		sim_fail("numbers that were given back are not used");
	}
}

static void numbers_given_back_are_used_again(void **state)
{
	(void)state;
	run((struct machine){ 8, 1, 3, come_and_go }, 1, SIM_RANDOM);
}

/* From 16 bits to 8 while a large number is in use, as a forced width at boot of a test. */
static void narrow(void)
{
	uint64_t word[300] = { 0 };

	for (unsigned i = 0; i < 300; i++) {
		(void)asid_use(&word[i]);
	}
	const uint64_t running = asid_number(word[299]);

	asid_set_bits(8);
	if (running < 256 || asid_use(&word[299]) != running) {
		sim_fail("a number in use is lost when the width shrinks");
	}
	for (unsigned i = 0; i < 299; i++) {
		if (asid_use(&word[i]) > 255) {
			sim_fail("a number wider than the width");
		}
	}
}

static void the_width_can_shrink_under_a_running_space(void **state)
{
	(void)state;
	run((struct machine){ 16, 1, 1, narrow }, 1, SIM_RANDOM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stay_apart_under_any_schedule),
		cmocka_unit_test(eight_bits_are_255_numbers),
		cmocka_unit_test(sixteen_bits_are_65535_numbers),
		cmocka_unit_test(numbers_given_back_are_used_again),
		cmocka_unit_test(the_width_can_shrink_under_a_running_space),
	};

	return cmocka_run_group_tests(tests, unit_boot, nullptr);
}
