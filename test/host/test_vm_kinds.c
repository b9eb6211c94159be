/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_kinds.c - devices, secrets, the DMA pool, pagers.
 */
#include <arch/page.h>
#include <memmap.h>

#include "test/host/fake_pmap.h"
#include "test/host/vm_scene.h"

/* ---- physical memory ---- */

static void devices_are_mapped_with_what_fits(void **state)
{
	struct memory_object *object;
	const uint64_t base = UINT64_C(0x100000000);
	struct space_info info;
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(object_create_phys(pa(FIRST_FRAME * PAGE_BYTES), PAGE_BYTES, true, &charge,
					    &object),
			 KERR_RANGE);
	assert_int_equal(object_create_phys(pa(base + 1), PAGE_BYTES, true, &charge, &object),
			 KERR_INVALID);
	assert_int_equal(object_create_phys(pa(base), UINT64_MAX & ~(PAGE_BYTES - 1), true, &charge,
					    &object),
			 KERR_RANGE);
	assert_int_equal(object_create_phys(pa(base), 3 * BLOCK_BYTES, false, &charge, &object),
			 KERR_OK);
	assert_int_equal(map_at(object, PAGE_BYTES, AT + PAGE_BYTES, 2 * BLOCK_BYTES, RW), KERR_OK);
	assert_int_equal(fault(AT + BLOCK_BYTES + 5, VM_WRITE), FAULT_RESOLVED);
	assert_int_equal(fake_span(&space->pmap, AT + BLOCK_BYTES), BLOCK_BYTES);
	assert_int_equal(fault(AT + PAGE_BYTES, VM_WRITE), FAULT_RESOLVED);
	assert_int_equal(fake_span(&space->pmap, AT + PAGE_BYTES), PAGE_BYTES);
	assert_true(fake_access(&space->pmap, AT + PAGE_BYTES, VM_WRITE, &frame));
	assert_int_equal(frame.v, base + PAGE_BYTES);
	assert_int_equal(space_query(space, va(AT + PAGE_BYTES), &info), KERR_OK);
	assert_int_equal(info.physical.v, base + PAGE_BYTES);
	object_unref(object);
	close_space();
}

/* ---- secrets ---- */

static void secrets_leave_the_linear_map(void **state)
{
	struct memory_object *object;
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(
		object_create(MEM_SECRET, BLOCK_BYTES + 5 * PAGE_BYTES, &charge, nullptr, &object),
		KERR_OK);
	assert_int_equal(map_at(object, 0, AT, BLOCK_BYTES + 5 * PAGE_BYTES, RW), KERR_OK);
	assert_int_equal(fault(AT + 3 * PAGE_BYTES, VM_WRITE), FAULT_RESOLVED);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	assert_int_equal(fault(AT + BLOCK_BYTES, VM_WRITE), FAULT_RESOLVED);
	assert_true(fake_access(&space->pmap, AT, VM_WRITE, &frame));
	assert_false(fake_is_linear(frame));
	page_set_word(frame, 0x5ec2e7);
	assert_int_equal(space_advise(space, va(AT), PAGE_BYTES, VM_DONTNEED), KERR_UNSUPPORTED);
	object_unref(object);
	assert_int_equal(space_unmap(space, va(AT), 2 * BLOCK_BYTES), KERR_OK);
	assert_true(fake_is_linear(frame));
	assert_int_not_equal(page_word(frame), 0x5ec2e7);
	close_space();
}

/* ---- the DMA pool ---- */

static unsigned woken;

static void wake(struct dma_waiter *waiter)
{
	(void)waiter;
	woken++;
}

static void the_pool_joins_runs_and_wakes_who_waits(void **state)
{
	struct memory_object *object[4];
	struct dma_waiter w[3] = { { .bytes = 256 * PAGE_BYTES, .fn = wake },
				   { .bytes = PAGE_BYTES, .fn = wake },
				   { .bytes = PAGE_BYTES, .fn = wake } };

	(void)state;
	open_space();
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(
			object_create(MEM_DMA, 128 * PAGE_BYTES, &charge, nullptr, &object[i]),
			KERR_OK);
		assert_false(fake_is_linear(object[i]->base));
	}
	struct memory_object *none;

	assert_int_equal(object_create(MEM_DMA, PAGE_BYTES, &charge, nullptr, &none),
			 KERR_NO_MEMORY);
	assert_int_equal(dma_stats().free, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(dma_wait(&w[i]));
	}
	dma_wait_cancel(&w[1]);
	page_set_word(object[1]->base, 77);
	const pa_t was = object[1]->base;

	object_unref(object[1]);
	assert_int_equal(page_word(was), 0);
	assert_int_equal(woken, 0); /* the first wants more, and is not overtaken */
	object_unref(object[3]);
	assert_int_equal(dma_stats().runs_free, 2);
	assert_int_equal(woken, 1); /* 256 pages, and no promise for another */
	object_unref(object[2]);
	assert_int_equal(woken, 2);
	assert_int_equal(dma_stats().runs_free, 1);
	assert_int_equal(object_create(MEM_DMA, 300 * PAGE_BYTES, &charge, nullptr, &none),
			 KERR_OK);
	assert_int_equal(map_at(none, 0, AT, 300 * PAGE_BYTES, RW), KERR_OK);
	touch_all(AT, 300 * PAGE_BYTES, VM_WRITE);
	object_unref(none);
	object_unref(object[0]);
	close_space();
	assert_int_equal(dma_stats().free, dma_stats().bytes);
	assert_int_equal(dma_stats().runs_free, 1);
}

/* ---- pagers ---- */

struct pager {
	unsigned requests;
	unsigned readies;
	uint64_t offset;
	enum kerr answer;
};

static enum kerr on_request(void *arg, uint64_t offset, unsigned access)
{
	struct pager *p = arg;

	(void)access;
	p->requests++;
	p->offset = offset;
	return p->answer;
}

static void on_ready(void *arg, uint64_t offset)
{
	struct pager *p = arg;

	p->readies++;
	p->offset = offset;
}

static const struct pager_ops ops = { on_request, on_ready };

static enum kerr supply(struct memory_object *object, uint64_t offset, uint64_t word)
{
	pa_t frame;
	const enum kerr e = object_supply_frame(object, offset, &frame);

	if (e != KERR_OK) {
		return e;
	}
	page_set_word(frame, word);
	return object_supply(object, offset, frame);
}

static void a_pager_is_asked_once_and_its_answer_is_copied(void **state)
{
	struct pager p = { 0 };
	struct memory_object *object;
	uint64_t offset = 0;
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(object_create_pager(40 * PAGE_BYTES, &ops, &p, &charge, &object), KERR_OK);
	assert_int_equal(map_at(object, 0, AT, 40 * PAGE_BYTES, RW), KERR_OK);
	for (unsigned i = 0; i < 3; i++) { /* slow: nobody asks again */
		assert_int_equal(fault(AT + 2 * PAGE_BYTES, VM_READ), FAULT_WAIT_PAGER);
	}
	assert_int_equal(p.requests, 1);
	assert_int_equal(p.offset, 2 * PAGE_BYTES);
	assert_int_equal(supply(object, 2 * PAGE_BYTES, 42), KERR_OK);
	assert_int_equal(p.readies, 1);
	assert_int_equal(fault(AT + 2 * PAGE_BYTES, VM_READ), FAULT_RESOLVED);
	assert_true(fake_access(&space->pmap, AT + 2 * PAGE_BYTES, VM_READ, &frame));
	assert_int_equal(page_word(frame), 42);
	/* Clean: a write is seen. */
	assert_false(fake_access(&space->pmap, AT + 2 * PAGE_BYTES, VM_WRITE, &frame));
	assert_int_equal(object_clean(object, &offset, &frame), KERR_ABSENT);
	assert_int_equal(fault(AT + 2 * PAGE_BYTES, VM_WRITE), FAULT_RESOLVED);
	assert_true(fake_access(&space->pmap, AT + 2 * PAGE_BYTES, VM_WRITE, &frame));
	assert_int_equal(object_discard(object, 0, 40 * PAGE_BYTES), KERR_BUSY); /* dirty */
	assert_int_equal(fault(AT + 2 * PAGE_BYTES, VM_WRITE), FAULT_RESOLVED); /* unmapped by it */
	assert_true(fake_access(&space->pmap, AT + 2 * PAGE_BYTES, VM_WRITE, &frame));
	assert_int_equal(object_clean(object, &offset, &frame), KERR_OK);
	assert_int_equal(offset, 2 * PAGE_BYTES);
	assert_false(fake_access(&space->pmap, AT + 2 * PAGE_BYTES, VM_WRITE, &frame));
	assert_int_equal(object_clean(object, &offset, &frame), KERR_ABSENT);
	assert_int_equal(object_discard(object, 0, 40 * PAGE_BYTES), KERR_OK);
	assert_int_equal(fault(AT + 2 * PAGE_BYTES, VM_READ), FAULT_WAIT_PAGER);
	object_unref(object);
	close_space();
}

static void a_lying_pager_gains_nothing(void **state)
{
	struct pager p = { 0 };
	struct memory_object *object;

	(void)state;
	open_space();
	assert_int_equal(object_create_pager(4 * PAGE_BYTES, &ops, &p, &charge, &object), KERR_OK);
	assert_int_equal(supply(object, 4 * PAGE_BYTES, 1), KERR_RANGE);
	assert_int_equal(supply(object, 17, 1), KERR_INVALID);
	assert_int_equal(supply(object, 0, 1), KERR_OK); /* unasked: read ahead */
	assert_int_equal(supply(object, 0, 2), KERR_EXISTS);
	assert_int_equal(object_supply_fail(object, 0), KERR_EXISTS);
	assert_int_equal(object_supply_fail(object, 4 * PAGE_BYTES), KERR_RANGE);
	assert_int_equal(object_resident(object), PAGE_BYTES);
	object_unref(object);
	close_space();
}

static void a_dead_pager_fails_who_waits(void **state)
{
	struct pager p = { 0 };
	struct memory_object *object;

	(void)state;
	open_space();
	assert_int_equal(object_create_pager(BLOCK_BYTES, &ops, &p, &charge, &object), KERR_OK);
	assert_int_equal(map_at(object, 0, AT, BLOCK_BYTES, RW), KERR_OK);
	assert_int_equal(fault(AT, VM_READ), FAULT_WAIT_PAGER);
	assert_int_equal(object_supply_fail(object, 0), KERR_OK);
	assert_int_equal(p.readies, 1);
	assert_int_equal(fault(AT, VM_READ), FAULT_HARDWARE);
	assert_int_equal(fault(AT + PAGE_BYTES, VM_READ), FAULT_WAIT_PAGER);
	assert_int_equal(fault(AT + 9 * PAGE_BYTES, VM_READ), FAULT_WAIT_PAGER);
	object_pager_gone(object);
	assert_int_equal(p.readies, 3);
	assert_int_equal(fault(AT + PAGE_BYTES, VM_READ), FAULT_HARDWARE);
	assert_int_equal(supply(object, PAGE_BYTES, 1), KERR_DEAD);
	p.answer = KERR_DEAD;
	object_unref(object);
	close_space();
}

/* The tables of what is not populated are not even looked at: there are none here. */
static void protecting_terabytes_costs_what_is_populated(void **state)
{
	const uint64_t bytes = UINT64_C(1) << 45;
	const uint64_t middle = AT + 5 * BLOCK_BYTES;
	struct memory_object *object;
	pa_t frame;

	(void)state;
	open_space();
	object = anon(bytes);
	assert_int_equal(map_at(object, 0, AT, bytes, RW), KERR_OK);
	touch_all(middle, 3 * PAGE_BYTES, VM_WRITE);
	assert_int_equal(space_protect(space, va(AT), bytes, VM_READ), KERR_OK);
	assert_false(fake_access(&space->pmap, middle, VM_WRITE, &frame));
	assert_true(fake_access(&space->pmap, middle + 2 * PAGE_BYTES, VM_READ, &frame));
	assert_int_equal(space_protect(space, va(AT), bytes, 0), KERR_OK);
	assert_false(fake_access(&space->pmap, middle + 2 * PAGE_BYTES, VM_READ, &frame));
	assert_int_equal(space_unmap(space, va(AT), bytes), KERR_OK);
	object_unref(object);
	close_space();
}

/* 64 blocks fill the one node of the index: behind the last there is no first. */
static void a_dead_pager_ends_with_the_last_page(void **state)
{
	const uint64_t bytes = 64 * BLOCK_BYTES;
	struct pager p = { 0 };
	struct memory_object *object;

	(void)state;
	open_space();
	assert_int_equal(object_create_pager(bytes, &ops, &p, &charge, &object), KERR_OK);
	assert_int_equal(map_at(object, 0, AT, bytes, RW), KERR_OK);
	assert_int_equal(fault(AT + bytes - PAGE_BYTES, VM_READ), FAULT_WAIT_PAGER);
	assert_non_null(object_index_from(object, 63));
	assert_null(object_index_from(object, 64));
	object_pager_gone(object);
	assert_int_equal(p.readies, 1);
	assert_int_equal(fault(AT + bytes - PAGE_BYTES, VM_READ), FAULT_HARDWARE);
	object_unref(object);
	close_space();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_mapped_with_what_fits),
		cmocka_unit_test(secrets_leave_the_linear_map),
		cmocka_unit_test(the_pool_joins_runs_and_wakes_who_waits),
		cmocka_unit_test(a_pager_is_asked_once_and_its_answer_is_copied),
		cmocka_unit_test(a_lying_pager_gains_nothing),
		cmocka_unit_test(a_dead_pager_fails_who_waits),
		cmocka_unit_test(a_dead_pager_ends_with_the_last_page),
		cmocka_unit_test(protecting_terabytes_costs_what_is_populated),
	};

	return cmocka_run_group_tests(tests, vm_boot, nullptr);
}
