/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_handle.c - grace periods, objects and handles.
 */
#include <stdlib.h>

#include "ipi/park.h"
#include "kern/handle.h"
#include "kern/object.h"
#include "kern/reclaim.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/slab.h"
#include "test/host/unit.h"

#define CPUS 3

struct thing {
	struct kobj obj;
	unsigned steps; /* its end takes so many */
};

static struct slab_class class = SLAB_CLASS("things", struct thing);
static unsigned ended;
static unsigned revoked;
static unsigned revoke_steps = 1; /* that a revocation takes */

static enum kobj_end end_thing(struct kobj *obj)
{
	struct thing *t = (struct thing *)obj;

	if (t->steps-- > 1) {
		return END_MORE;
	}
	ended++;
	slab_free(&class, t, obj->payer);
	return END_GONE;
}

static bool revoke_thing(struct kobj *obj)
{
	assert_true(kobj_is_dead(obj));
	return ++revoked == revoke_steps;
}

static const struct kobj_ops thing_ops = { .type = KOBJ_EVENT,
					   .revoke = revoke_thing,
					   .end = end_thing };

static struct thing *make(struct memcharge *payer, unsigned steps)
{
	struct thing *t = slab_alloc(&class, payer);

	assert_non_null(t);
	kobj_init(&t->obj, &thing_ops, payer);
	t->steps = steps;
	return t;
}

static void pass(unsigned cpu)
{
	pcpu_of(cpu)->quiet += 2;
}

/* Let everything that is deferred run. */
static void settle(void)
{
	for (unsigned n = 0; reclaim_pending(); n++) {
		assert_true(n < 1000);
		for (unsigned cpu = 0; cpu < CPUS; cpu++) {
			pass(cpu);
		}
		reclaim_poll(4);
	}
}

static bool count_call(struct reclaim_node *node)
{
	(void)node;
	ended++;
	return true;
}

static void a_grace_period_waits_for_every_cpu(void **state)
{
	struct reclaim_node node;

	(void)state;
	ended = 0;
	reclaim_defer(&node, count_call);
	assert_true(reclaim_pending());
	reclaim_poll(4); /* begins it */
	pass(0);
	reclaim_poll(4);
	pass(2);
	reclaim_poll(4);
	assert_int_equal(ended, 0); /* CPU 1 may still look */
	pass(1);
	reclaim_poll(4);
	assert_int_equal(ended, 1);
	assert_false(reclaim_pending());
}

static void a_sleeping_cpu_is_not_waited_for(void **state)
{
	struct reclaim_node node;

	(void)state;
	ended = 0;
	pcpu_of(1)->quiet++; /* asleep */
	reclaim_defer(&node, count_call);
	reclaim_poll(4);
	pass(0);
	pass(2);
	reclaim_poll(4);
	assert_int_equal(ended, 1);
	pcpu_of(1)->quiet++;
}

/* What is deferred while a grace period runs does not profit from the part that is over. */
static void a_late_comer_waits_for_the_next(void **state)
{
	struct reclaim_node first;
	struct reclaim_node second;

	(void)state;
	ended = 0;
	reclaim_defer(&first, count_call);
	reclaim_poll(4);
	pass(0);
	pass(1);
	reclaim_defer(&second, count_call);
	pass(2);
	reclaim_poll(4);
	assert_int_equal(ended, 1);
	pass(1);
	pass(2);
	reclaim_poll(4);
	assert_int_equal(ended, 1); /* not CPU 0 */
	pass(0);
	reclaim_poll(4);
	assert_int_equal(ended, 2);
}

/* Another CPU polls while this one is in the middle of it. */
static bool poll_meanwhile(struct reclaim_node *node)
{
	const unsigned before = ended;

	(void)node;
	reclaim_poll(4);
	assert_int_equal(ended, before);
	return true;
}

static void one_cpu_at_a_time_reclaims(void **state)
{
	struct reclaim_node first;
	struct reclaim_node second;

	(void)state;
	ended = 0;
	reclaim_defer(&first, poll_meanwhile);
	reclaim_defer(&second, count_call);
	settle(); /* who found it taken is not needed for what is left */
	assert_int_equal(ended, 1);
}

static void the_last_reference_ends_an_object_in_steps(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 5);

	(void)state;
	ended = 0;
	assert_true(kobj_get(&t->obj));
	kobj_put(&t->obj);
	assert_false(reclaim_pending());
	kobj_put(&t->obj);
	assert_false(kobj_get(&t->obj)); /* too late */
	settle();
	assert_int_equal(ended, 1);
	assert_int_equal(memcharge_used(&charge), 0);
}

static void revocation_happens_once_and_shows_at_once(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 1);
	struct handle_table table;
	struct handle_view view;
	handle_t h = HANDLE_NONE;

	(void)state;
	handle_table_init(&table, &charge);
	revoked = 0;
	assert_int_equal(handle_new(&table, &t->obj, 3, 0, &h), KERR_OK);
	kobj_revoke(&t->obj);
	kobj_revoke(&t->obj);
	assert_int_equal(revoked, 1);
	assert_int_equal(handle_get(&table, h, KOBJ_EVENT, 1, &view), KERR_DEAD);
	kobj_put(&t->obj);
	assert_int_equal(handle_close(&table, h), KERR_OK);
	settle();
	assert_true(handle_table_end(&table, 10));
	assert_int_equal(memcharge_used(&charge), 0);
}

/* Who revoked may be gone, and the last handle closed: the rest is done, then the object ends. */
static void a_long_revocation_goes_on_by_itself(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 1);

	(void)state;
	revoked = ended = 0;
	revoke_steps = 5;
	kobj_revoke(&t->obj);
	assert_int_equal(revoked, 1);
	kobj_put(&t->obj);
	settle();
	assert_int_equal(revoked, 5);
	assert_int_equal(ended, 1);
	assert_int_equal(memcharge_used(&charge), 0);
	revoke_steps = 1;
}

static void a_look_up_checks_type_rights_and_generation(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 1);
	struct handle_table table;
	struct handle_view view = { 0 };
	handle_t h = HANDLE_NONE;
	handle_t again = HANDLE_NONE;

	(void)state;
	handle_table_init(&table, &charge);
	assert_int_equal(handle_get(&table, 0x10000, KOBJ_EVENT, 0, &view), KERR_HANDLE);
	assert_int_equal(handle_new(&table, &t->obj, 0x05, 77, &h), KERR_OK);
	kobj_put(&t->obj);
	assert_int_equal(handle_get(&table, h, KOBJ_EVENT, 0x05, &view), KERR_OK);
	assert_ptr_equal(view.obj, &t->obj);
	assert_int_equal(view.badge, 77);
	assert_int_equal(view.rights, 0x05);
	assert_int_equal(handle_get(&table, h, KOBJ_NONE, 0x01, &view), KERR_OK);
	assert_int_equal(handle_get(&table, h, KOBJ_TASK, 0x01, &view), KERR_HANDLE);
	assert_int_equal(handle_get(&table, h, KOBJ_EVENT, 0x02, &view), KERR_DENIED);
	assert_int_equal(handle_get(&table, h, KOBJ_EVENT, 0x03, &view), KERR_DENIED);
	assert_int_equal(handle_get(&table, h + 0x10000, KOBJ_EVENT, 1, &view), KERR_HANDLE);
	assert_int_equal(handle_get(&table, h + 1, KOBJ_EVENT, 1, &view), KERR_HANDLE);
	assert_int_equal(handle_get(&table, 0, KOBJ_NONE, 0, &view), KERR_HANDLE);
	assert_int_equal(handle_get(&table, UINT32_MAX, KOBJ_NONE, 0, &view), KERR_HANDLE);

	assert_int_equal(handle_new(&table, &t->obj, 0x05, 1, &again), KERR_OK);
	assert_int_equal(handle_close(&table, h), KERR_OK);
	assert_int_equal(handle_close(&table, h), KERR_HANDLE);
	assert_int_equal(handle_get(&table, h, KOBJ_EVENT, 1, &view), KERR_HANDLE);
	assert_int_equal(handle_get(&table, again, KOBJ_EVENT, 1, &view), KERR_OK);
	assert_int_equal(handle_close(&table, again), KERR_OK);
	settle();
	assert_true(handle_table_end(&table, 10));
	assert_int_equal(memcharge_used(&charge), 0);
}

/* A slot is not used again while a CPU may still be reading it; then it has a new generation. */
static void a_closed_slot_rests_for_a_grace_period(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 1);
	struct handle_table table;
	handle_t h[HANDLE_PAGE_SLOTS];
	handle_t more = HANDLE_NONE;

	(void)state;
	handle_table_init(&table, &charge);
	charge.limit_bytes = memcharge_used(&charge) + PAGE_BYTES; /* one page of slots */
	for (unsigned i = 0; i < HANDLE_PAGE_SLOTS; i++) {
		assert_int_equal(handle_new(&table, &t->obj, 1, i, &h[i]), KERR_OK);
	}
	assert_int_equal(handle_new(&table, &t->obj, 1, 0, &more), KERR_NO_MEMORY);
	assert_int_equal(handle_close(&table, h[5]), KERR_OK);
	assert_int_equal(handle_close(&table, h[6]), KERR_OK);
	assert_int_equal(handle_new(&table, &t->obj, 1, 0, &more), KERR_NO_MEMORY);
	settle();
	assert_int_equal(handle_new(&table, &t->obj, 1, 0, &more), KERR_OK);
	assert_true((more & UINT16_MAX) == (h[5] & UINT16_MAX) ||
		    (more & UINT16_MAX) == (h[6] & UINT16_MAX));
	assert_int_equal(more >> 16, 2);
	assert_int_equal(handle_count(&table), HANDLE_PAGE_SLOTS - 1);
	while (!handle_table_end(&table, 10)) {
		settle();
	}
	kobj_put(&t->obj);
	settle();
	assert_int_equal(memcharge_used(&charge), 0);
	assert_int_equal(class.objects, 0);
}

static void a_table_holds_its_maximum_and_no_more(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	struct thing *t = make(&charge, 1);
	struct handle_table table;
	handle_t h = HANDLE_NONE;

	(void)state;
	handle_table_init(&table, &charge);
	for (unsigned i = 0; i < HANDLE_MAX; i++) {
		assert_int_equal(handle_new(&table, &t->obj, 1, i, &h), KERR_OK);
	}
	assert_int_equal(handle_new(&table, &t->obj, 1, 0, &h), KERR_NO_MEMORY);
	assert_int_equal(t->obj.refs, HANDLE_MAX + 1);
	while (!handle_table_end(&table, 100)) {
	}
	assert_int_equal(t->obj.refs, 1);
	kobj_put(&t->obj);
	settle();
	assert_int_equal(memcharge_used(&charge), 0);
}

static int boot(void **state)
{
	(void)unit_boot(state);
	token_acquire();
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		pcpu_of(cpu)->quiet = 0;
		park_set_online(cpu, true);
	}
	token_release();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_grace_period_waits_for_every_cpu),
		cmocka_unit_test(a_sleeping_cpu_is_not_waited_for),
		cmocka_unit_test(a_late_comer_waits_for_the_next),
		cmocka_unit_test(one_cpu_at_a_time_reclaims),
		cmocka_unit_test(the_last_reference_ends_an_object_in_steps),
		cmocka_unit_test(revocation_happens_once_and_shows_at_once),
		cmocka_unit_test(a_long_revocation_goes_on_by_itself),
		cmocka_unit_test(a_look_up_checks_type_rights_and_generation),
		cmocka_unit_test(a_closed_slot_rests_for_a_grace_period),
		cmocka_unit_test(a_table_holds_its_maximum_and_no_more),
	};

	return cmocka_run_group_tests(tests, boot, nullptr);
}
