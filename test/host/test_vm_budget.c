/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_budget.c - what a task may take of the machine: windows, and others' time.
 *
 * The counter stands still but for what a test moves it on, so every figure is exact.
 */
#include <string.h>

#include "test/host/fake_pmap.h"
#include "test/host/sim_impl.h"
#include "test/host/vm_scene.h"
#include "vm/budget.h"

#define HZ UINT64_C(1000000)

/* A request that holds the others for so many ticks; false: it was refused. */
static bool request(struct window_budget *b, uint64_t ticks)
{
	const uint64_t since = budget_meter();

	if (budget_take(b, 1) != KERR_OK) {
		return false;
	}
	sim.now += ticks;
	pcpu_this()->held += ticks;
	budget_bill(b, since);
	return true;
}

static void tokens_come_back_at_their_rate(void **state)
{
	struct window_budget b = { 0 };
	unsigned taken = 0;

	(void)state;
	budget_set(HZ, 1000, 50);
	while (taken < 1000 && budget_take(&b, 1) == KERR_OK) {
		taken++;
	}
	assert_int_equal(taken, 50);
	assert_int_equal(b.refused, 1);
	sim.now += 3 * HZ / 1000;
	assert_int_equal(budget_take(&b, 4), KERR_BUSY);
	assert_int_equal(budget_take(&b, 3), KERR_OK);
	assert_int_equal(budget_take(&b, 1), KERR_BUSY);
	assert_false(budget_is_calm(&b));
	sim.now += 41 * HZ / 1000;
	assert_false(budget_is_calm(&b));
	sim.now += HZ / 1000;
	assert_true(budget_is_calm(&b));
	budget_set(0, 0, 0);
}

/* The rate of windows is far off: what is left is the time that they take. */
static void who_holds_the_others_pays_for_the_time(void **state)
{
	struct window_budget b = { 0 };

	(void)state;
	budget_init(HZ);
	sim.now += 10 * HZ;
	assert_true(request(&b, 2 * HZ));
	assert_true(b.paid_at == sim.now - 2 * HZ + 8 * HZ + 2 * HZ);
	assert_false(request(&b, 1));
	sim.now = b.paid_at - BUDGET_SECONDS * HZ - 1;
	assert_false(request(&b, 1));
	sim.now++;
	assert_true(request(&b, 1));
	assert_true(budget_is_calm(&b)); /* a debt of time is no reason to stay in pages */
	budget_set(0, 0, 0);
}

/*
 * BG1, whatever a window takes, from next to nothing to seconds: the next comes as soon as it may.
 */
static void no_task_has_more_than_its_share(void **state)
{
	(void)state;
	budget_init(HZ);
	for (uint64_t longest = 1; longest <= 4 * HZ; longest *= 3) {
		struct window_budget b = { 0 };
		const uint64_t start = sim.now;
		uint64_t held = 0;
		uint64_t last = 0;
		uint64_t done = 0;

		for (uint64_t i = 0; i < 20000; i++) {
			const uint64_t ticks = 1 + i * UINT64_C(0x9e3779b97f4a7c15) % longest;

			if (request(&b, ticks)) {
				held += ticks;
				last = ticks;
				done++;
			} else {
				sim.now += 1 + longest / 16;
			}
			assert_true((held - last) * BUDGET_SHARE <=
				    sim.now - start + BUDGET_SECONDS * HZ);
		}
		assert_true(done > 100);
		assert_true(done < 20000);
	}
	budget_set(0, 0, 0);
}

/* BG2: `count` tasks take turns, and each takes whatever it may. */
static void no_crowd_has_more(unsigned count, uint64_t longest)
{
	static struct window_budget b[100];
	static uint64_t last[100];
	const uint64_t start = sim.now;
	uint64_t held = 0;
	uint64_t lasts = 0;
	unsigned served = 0;

	memset(b, 0, sizeof(b));
	memset(last, 0, sizeof(last));
	for (uint64_t i = 0; i < 40000; i++) {
		const uint64_t ticks = 1 + i * UINT64_C(0x9e3779b97f4a7c15) % longest;
		const unsigned n = (unsigned)(i % count);

		if (request(&b[n], ticks)) {
			served += last[n] == 0 ? 1 : 0;
			held += ticks;
			lasts += ticks - last[n];
			last[n] = ticks;
		} else {
			sim.now += 1 + longest / 16;
		}
		assert_true((held - lasts) * BUDGET_SHARE <=
			    sim.now - start + count * BUDGET_SECONDS * HZ);
	}
	assert_int_equal(served, count);
	struct window_budget seldom = { 0 };

	assert_true(request(&seldom, 1)); /* who owes nothing is not refused, whatever others owe */
}

static void many_tasks_have_one_share(void **state)
{
	const unsigned counts[] = { 1, 2, 3, 10, 100 };

	(void)state;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (uint64_t longest = HZ / 1000; longest <= 4 * HZ; longest *= 8) {
			budget_init(HZ);
			no_crowd_has_more(counts[i], longest);
		}
	}
	budget_set(0, 0, 0);
}

/* A task in debt makes no secrets, and takes nothing apart; what needs no window goes on. */
static void who_owes_is_refused(void **state)
{
	struct memory_object *object = anon(2 * BLOCK_BYTES);
	struct memory_object *secret;

	(void)state;
	open_space();
	budget_init(HZ);
	assert_int_equal(map_at(object, 0, AT, 2 * BLOCK_BYTES, RW), KERR_OK);
	touch_all(AT, 2 * BLOCK_BYTES, VM_WRITE);
	budget_owe(&space->budget, HZ);
	assert_int_equal(object_create(MEM_SECRET, PAGE_BYTES, nullptr, &space->budget, &secret),
			 KERR_BUSY);
	assert_int_equal(space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES, VM_READ), KERR_BUSY);
	assert_int_equal(space_advise(space, va(AT), PAGE_BYTES, VM_SPLIT), KERR_BUSY);
	assert_int_equal(space_advise(space, va(AT), BLOCK_BYTES, VM_COLLAPSE), KERR_BUSY);
	assert_int_equal(space->budget.refused, 4);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	assert_int_equal(space_unmap(space, va(AT), BLOCK_BYTES), KERR_OK);
	sim.now += (BUDGET_SHARE - BUDGET_SECONDS) * HZ;
	assert_int_equal(space_advise(space, va(AT + BLOCK_BYTES), PAGE_BYTES, VM_SPLIT), KERR_OK);
	budget_set(0, 0, 0);
	object_unref(object);
	close_space();
}

/* The kernel is not limited, nor is anybody while there are no limits. */
static void no_budget_no_limit(void **state)
{
	struct window_budget b = { 0 };

	(void)state;
	budget_init(HZ);
	assert_int_equal(budget_take(nullptr, 1000000), KERR_OK);
	assert_true(budget_is_calm(nullptr));
	budget_set(0, 0, 0);
	for (unsigned i = 0; i < 10000; i++) {
		assert_true(request(&b, HZ));
	}
	assert_true(b.full_at == 0 && b.paid_at == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_come_back_at_their_rate),
		cmocka_unit_test(who_holds_the_others_pays_for_the_time),
		cmocka_unit_test(no_task_has_more_than_its_share),
		cmocka_unit_test(many_tasks_have_one_share),
		cmocka_unit_test(who_owes_is_refused),
		cmocka_unit_test(no_budget_no_limit),
	};

	return cmocka_run_group_tests(tests, vm_boot, nullptr);
}
