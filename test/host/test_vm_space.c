/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_space.c - address spaces, objects and faults beside a flat model.
 *
 * THEORY   The model (test/model/vm_model.h) on flat tables: accesses are asked of them, and
 *          memory, tables and parks fail at random. At the end everything is given back, to the
 *          last frame and the last byte charged. With arguments: so many steps, from that seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arch/page.h>
#include <memmap.h>
#include <stdlib.h>
#include <string.h>

#include "pcpu/heap.h"
#include "test/host/fake_pmap.h"
#include "test/host/sim.h"
#include "test/model/vm_model.h"
#include "vm/frame.h"
#include "vm/space_impl.h"

#define FRAMES (UINT64_C(1) << 14)
#define FIRST_FRAME UINT64_C(0x8000)
#define COUNTER_HZ UINT64_C(1000000000)
#define AUDIT_STEPS 500

static uint64_t steps = 20000;
static uint64_t seed = 1;

/* Instruction or data abort from EL0, translation fault, level 3. */
static uint64_t esr_of(unsigned access)
{
	return access == VM_EXEC ? UINT64_C(0x20) << 26 | 7
				 : UINT64_C(0x24) << 26 | (access == VM_WRITE ? 1u << 6 : 0) | 7;
}

static bool find(struct space *space, uint64_t at, unsigned access, pa_t *frame)
{
	return at / PAGE_BYTES < FAKE_PAGES && fake_access(&space->pmap, at, access, frame);
}

static bool look(struct space *space, uint64_t at, unsigned access, uint64_t *word)
{
	pa_t frame;

	if (!find(space, at, access, &frame)) {
		return false;
	}
	*word = page_word(frame);
	return true;
}

/* As a CPU: access, fault, access again. */
static enum fault_verdict access_as_cpu(struct space *space, uint64_t at, unsigned access,
					uint64_t *word)
{
	enum fault_verdict v = FAULT_RESOLVED;
	struct fault_info info;
	pa_t frame;

	for (unsigned tries = 0; !find(space, at, access, &frame); tries++) {
		v = vm_fault(space, va(at + 8), esr_of(access), &info);
		if (v != FAULT_RESOLVED) {
			return v;
		}
		assert_true(tries < 3); /* resolved three times, and faults */
	}
	if (access == VM_WRITE) {
		page_set_word(frame, *word);
	} else {
		*word = page_word(frame);
	}
	return v;
}

/* Sometimes memory, tables or the pinned heap fail for a while. */
static bool disturb(uint64_t random)
{
	const uint64_t which = random != 0 ? random % 6 : 5;
	const uint64_t after = random / 6;

	frame_fail_after(which == 0 ? after % 20 : UINT64_MAX);
	(void)heap_fail_after(which == 1 ? after % 3 : UINT64_MAX);
	fake_fail_after(which == 2 || which == 3 ? after % 10 : UINT64_MAX,
			which == 2 ? KERR_NO_MEMORY : KERR_BUSY);
	return which < 4;
}

/* One simulated CPU is as good as another. */
static void run(struct vm_model *m, unsigned turn, vm_model_fn *fn)
{
	(void)turn;
	fn(m);
}

static const struct vm_machine flat = { run, access_as_cpu, look, disturb };
static struct vm_model model = { .machine = &flat };

static void require(bool right)
{
	char text[400];

	if (!right) {
		vm_model_tell(&model, text, sizeof(text));
		fail_msg("%s", text);
	}
}

static void random_calls_agree_with_the_model(void **state)
{
	(void)state;
	require(vm_model_open(&model, seed));
	for (uint64_t n = 0; n < steps; n++) {
		require(vm_model_step(&model));
		if (n % AUDIT_STEPS == 0) {
			require(vm_model_audit(&model));
			assert_true(frame_audit());
		}
	}
	require(vm_model_audit(&model));
	printf("windows %llu, calls refused %llu, bad calls %llu, spares given back %llu\n",
	       (unsigned long long)fake_windows, (unsigned long long)model.refused,
	       (unsigned long long)model.bad, (unsigned long long)reserv_stats().broken);
	assert_true(fake_windows > 0 && model.refused > 0 && model.bad > 0);
	assert_true(reserv_stats().broken > 0);
	require(vm_model_close(&model));
	assert_int_equal(frame_stats().free, FRAMES);
	assert_true(frame_audit());
	assert_int_equal(reserv_stats().listed, 0);
}

static int boot(void **state)
{
	static uint64_t words[FRAMES];

	(void)state;
	sim_boot();
	sim_quiet(true);
	budget_init(COUNTER_HZ);
	frame_add_range(pa(FIRST_FRAME * PAGE_BYTES), FRAMES * PAGE_BYTES, 0, words);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_calls_agree_with_the_model),
	};

	if (argc > 2) {
		steps = strtoull(argv[1], nullptr, 0);
		seed = strtoull(argv[2], nullptr, 0);
	}
	printf("steps %llu seed %llu\n", (unsigned long long)steps, (unsigned long long)seed);
	return cmocka_run_group_tests(tests, boot, nullptr);
}
