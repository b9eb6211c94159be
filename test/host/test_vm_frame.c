/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_frame.c - single frames and the caches of the CPUs.
 */
#include <arch/page.h>
#include <memmap.h>
#include <stdlib.h>

#include "test/host/sim_impl.h"
#include "test/host/unit.h"
#include "vm/frame.h"

#define FRAMES 2048u /* four blocks of 2^9: a cached frame breaks one of them */
#define FIRST_FRAME UINT64_C(0x40000)

static uint8_t owned[FRAMES];

static void run_on(unsigned cpu)
{
	sim.current = &sim.cpu[cpu];
}

static void own(pa_t frame, bool take)
{
	const uint64_t i = frame.v / PAGE_BYTES - FIRST_FRAME;

	assert_true(i < FRAMES);
	assert_int_equal(owned[i], take ? 0 : 1);
	owned[i] = take ? 1 : 0;
}

/* Random owners on two CPUs: one owner each, and whatever is cached is counted as free. */
static void single_frames_have_one_owner(void **state)
{
	static pa_t held[FRAMES];
	uint64_t count = 0;

	(void)state;
	for (unsigned n = 0; n < 40000; n++) {
		run_on((unsigned)any(2));
		/* Mostly growing, then mostly shrinking: the caches run empty, and full. */
		const bool grow = any(10) < (n / 4000 % 2 == 0 ? 7u : 3u);

		if (grow && count < FRAMES) {
			assert_int_equal(frame_alloc_one(0, &held[count]), KERR_OK);
			own(held[count++], true);
		} else if (count > 0) {
			const uint64_t i = any(count);

			own(held[i], false);
			frame_free_one(held[i]);
			held[i] = held[--count];
		}
		assert_int_equal(frame_stats().free, FRAMES - count);
		if (n % 1000 == 0) {
			assert_true(frame_audit());
		}
	}
	while (count > 0) {
		own(held[--count], false);
		frame_free_one(held[count]);
	}
	assert_int_equal(frame_stats().free, FRAMES);
	assert_true(frame_stats().cached > 0);
}

/* The last frame is found, in whichever cache it is; then there is none. */
static void frames_in_caches_of_others_are_found(void **state)
{
	static pa_t held[FRAMES];
	pa_t none = pa(5);

	(void)state;
	run_on(1);
	assert_int_equal(frame_alloc_one(0, &held[0]), KERR_OK);
	frame_free_one(held[0]);
	assert_true(frame_stats().cached > 0);
	run_on(0);
	for (unsigned i = 0; i < FRAMES; i++) {
		assert_int_equal(frame_alloc_one(0, &held[i]), KERR_OK);
	}
	assert_int_equal(frame_alloc_one(0, &none), KERR_NO_MEMORY);
	assert_int_equal(none.v, 5);
	assert_int_equal(frame_stats().free, 0);
	for (unsigned i = 0; i < FRAMES; i++) {
		frame_free_one(held[i]);
	}
	run_on(1); /* whose cache was emptied behind its back */
	assert_int_equal(frame_alloc_one(0, &held[0]), KERR_OK);
	frame_free_one(held[0]);
	assert_true(frame_audit());
	run_on(0);
}

static void blocks_are_found_again_behind_cached_frames(void **state)
{
	pa_t one;
	pa_t block;

	(void)state;
	assert_int_equal(frame_alloc_one(0, &one), KERR_OK);
	frame_free_one(one);
	assert_true(frame_stats().cached > 0);
	/* Every block of 2^9 that the range has: the last of them needs what the cache keeps. */
	pa_t held[FRAMES / 512];
	unsigned count = 0;

	while (frame_alloc(9, 0, &block) == KERR_OK) {
		held[count++] = block;
	}
	assert_int_equal(frame_stats().cached, 0);
	assert_int_equal(count, FRAMES / 512);
	while (count > 0) {
		frame_free(held[--count], 9);
	}
	assert_true(frame_audit());
}

static void a_freed_frame_carries_a_pattern(void **state)
{
	pa_t one;
	pa_t again;

	(void)state;
	assert_int_equal(frame_alloc_one(0, &one), KERR_OK);
	frame_zero(one, PAGE_BYTES);
	assert_int_equal(page_word(one), 0);
	frame_free_one(one);
	assert_int_not_equal(page_word(one), 0);
	assert_int_equal(frame_alloc_one(0, &again), KERR_OK);
	assert_int_equal(again.v, one.v); /* the last one freed: it is in the data cache */
	frame_free_one(again);
}

static void single_frames_fail_on_demand(void **state)
{
	pa_t one;
	pa_t two;

	(void)state;
	frame_fail_after(1);
	assert_int_equal(frame_alloc_one(0, &one), KERR_OK);
	assert_int_equal(frame_alloc_one(0, &two), KERR_NO_MEMORY);
	frame_fail_after(UINT64_MAX);
	frame_free_one(one);
	assert_int_equal(frame_stats().free, FRAMES);
}

static int boot(void **state)
{
	static uint64_t words[FRAMES];

	(void)state;
	sim_boot();
	frame_add_range(pa(FIRST_FRAME * PAGE_BYTES), FRAMES * PAGE_BYTES, 0, words);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_frames_have_one_owner),
		cmocka_unit_test(frames_in_caches_of_others_are_found),
		cmocka_unit_test(blocks_are_found_again_behind_cached_frames),
		cmocka_unit_test(a_freed_frame_carries_a_pattern),
		cmocka_unit_test(single_frames_fail_on_demand),
	};

	return cmocka_run_group_tests(tests, boot, nullptr);
}
