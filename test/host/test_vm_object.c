/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_object.c - anonymous memory, each way to fail, each verdict.
 */
#include <arch/page.h>
#include <memmap.h>
#include <stdlib.h>

#include "pcpu/heap.h"
#include "test/host/fake_pmap.h"
#include "test/host/vm_scene.h"
#include "vm/frame.h"

/* ---- superpages ---- */

static void touching_every_page_makes_a_superpage(void **state)
{
	struct memory_object *object = anon(2 * BLOCK_BYTES);

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 2 * BLOCK_BYTES, RW), KERR_OK);
	object_unref(object); /* the region names it */
	touch_all(AT, 15 * PAGE_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), PAGE_BYTES);
	touch_all(AT, 16 * PAGE_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), 16 * PAGE_BYTES);
	touch_all(AT, BLOCK_BYTES - PAGE_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), 16 * PAGE_BYTES);
	touch_all(AT, BLOCK_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	assert_int_equal(object_resident(object), BLOCK_BYTES);
	close_space();
}

/* A second mapping of a full block takes one fault; of 16 pages, one. */
static void what_is_populated_is_mapped_at_once(void **state)
{
	struct memory_object *object = anon(BLOCK_BYTES + 32 * PAGE_BYTES);
	const uint64_t again = AT + 4 * BLOCK_BYTES;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, BLOCK_BYTES + 32 * PAGE_BYTES, RW), KERR_OK);
	touch_all(AT, BLOCK_BYTES + 20 * PAGE_BYTES, VM_WRITE);
	assert_int_equal(map_at(object, 0, again, BLOCK_BYTES + 32 * PAGE_BYTES, RW), KERR_OK);
	assert_int_equal(fault(again + 5 * PAGE_BYTES, VM_READ), FAULT_RESOLVED);
	assert_int_equal(fake_span(&space->pmap, again), BLOCK_BYTES);
	assert_int_equal(fault(again + BLOCK_BYTES, VM_READ), FAULT_RESOLVED);
	assert_int_equal(fake_span(&space->pmap, again + BLOCK_BYTES), 16 * PAGE_BYTES);
	/* Four of the last sixteen are populated: those four. */
	assert_int_equal(fault(again + BLOCK_BYTES + 17 * PAGE_BYTES, VM_READ), FAULT_RESOLVED);
	assert_int_equal(fake_leaves(&space->pmap), 2 * (512 + 20));
	object_unref(object);
	close_space();
}

/* The memory is a block, the addresses are 64 KiB off: no superpage shows it. */
static void a_block_out_of_step_is_entered_by_pieces(void **state)
{
	const uint64_t off = 16 * PAGE_BYTES;
	const uint64_t page = 20 * PAGE_BYTES;
	struct memory_object *object = anon(2 * BLOCK_BYTES);
	pa_t right;
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 2 * BLOCK_BYTES, RW), KERR_OK);
	touch_all(AT, 2 * BLOCK_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	assert_true(fake_access(&space->pmap, AT + off + page, VM_READ, &right));
	assert_int_equal(space_unmap(space, va(AT), 2 * BLOCK_BYTES), KERR_OK);
	assert_int_equal(map_at(object, off, AT, 2 * BLOCK_BYTES - off, RW), KERR_OK);
	assert_int_equal(fault(AT + page, VM_READ), FAULT_RESOLVED);
	assert_true(fake_access(&space->pmap, AT + page, VM_READ, &frame));
	assert_true(frame.v == right.v);
	assert_true(fake_span(&space->pmap, AT + page) < BLOCK_BYTES);
	object_unref(object);
	close_space();
}

static void spares_are_given_back_oldest_first(void **state)
{
	struct memory_object *object = anon(8 * BLOCK_BYTES);
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 8 * BLOCK_BYTES, RW), KERR_OK);
	for (unsigned i = 0; i < 3; i++) {
		touch_all(AT + i * BLOCK_BYTES, PAGE_BYTES, VM_WRITE);
		assert_true(fake_access(&space->pmap, AT + i * BLOCK_BYTES, VM_WRITE, &frame));
		page_set_word(frame, 1000 + i);
	}
	touch_all(AT + PAGE_BYTES, PAGE_BYTES, VM_WRITE); /* the first is the newest now */
	const uint64_t free = frame_stats().free;

	assert_true(reserv_reclaim());
	assert_int_equal(frame_stats().free, free + 511);
	spin_lock(&object->lock);
	assert_int_equal(object_index_get(object, 1)->spare, 0);
	assert_int_equal(object_index_get(object, 0)->spare, 510);
	assert_int_equal(object_index_get(object, 2)->spare, 511);
	spin_unlock(&object->lock);
	for (unsigned i = 0; i < 3; i++) { /* nothing moved */
		assert_true(fake_access(&space->pmap, AT + i * BLOCK_BYTES, VM_WRITE, &frame));
		assert_int_equal(page_word(frame), 1000 + i);
	}
	/* What is touched in a broken one still works, in pieces. */
	touch_all(AT + BLOCK_BYTES, BLOCK_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT + BLOCK_BYTES + 32 * PAGE_BYTES),
			 16 * PAGE_BYTES);
	object_unref(object);
	close_space();
}

static void under_pressure_every_frame_can_be_used(void **state)
{
	const uint64_t bytes = 24 * BLOCK_BYTES;
	struct memory_object *object = anon(bytes);
	uint64_t page = 0;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, bytes, RW), KERR_OK);
	/* One page in each 2 MiB: every block is set aside. Then all the others, until the end. */
	for (uint64_t off = 0; off < bytes; off += BLOCK_BYTES) {
		assert_int_equal(fault(AT + off, VM_WRITE), FAULT_RESOLVED);
	}
	enum fault_verdict v = FAULT_RESOLVED;

	for (; v == FAULT_RESOLVED && page < bytes / PAGE_BYTES; page++) {
		v = fault(AT + page * PAGE_BYTES, VM_WRITE);
	}
	assert_int_equal(v, FAULT_NO_MEMORY);
	assert_int_equal(frame_stats().free, 0);
	assert_int_equal(reserv_stats().listed, 0);
	object_unref(object);
	close_space();
}

static void collapse_makes_a_block_of_pieces(void **state)
{
	struct memory_object *object = anon(BLOCK_BYTES);
	pa_t frame;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, BLOCK_BYTES, RW), KERR_OK);
	touch_all(AT, PAGE_BYTES, VM_WRITE);
	assert_true(reserv_reclaim());
	touch_all(AT, BLOCK_BYTES - 3 * PAGE_BYTES, VM_WRITE);
	for (uint64_t off = 0; off < BLOCK_BYTES - 3 * PAGE_BYTES; off += PAGE_BYTES) {
		assert_true(fake_access(&space->pmap, AT + off, VM_WRITE, &frame));
		page_set_word(frame, off + 1);
	}
	assert_int_equal(space_advise(space, va(AT), BLOCK_BYTES, VM_COLLAPSE), KERR_OK);
	touch_all(AT, BLOCK_BYTES, VM_WRITE);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	for (uint64_t off = 0; off < BLOCK_BYTES; off += PAGE_BYTES) {
		assert_true(fake_access(&space->pmap, AT + off, VM_WRITE, &frame));
		assert_int_equal(page_word(frame),
				 off < BLOCK_BYTES - 3 * PAGE_BYTES ? off + 1 : 0);
	}
	/* Once more: it lies well already, and stays mapped. */
	assert_int_equal(space_advise(space, va(AT), BLOCK_BYTES, VM_COLLAPSE), KERR_OK);
	assert_int_equal(fake_span(&space->pmap, AT), BLOCK_BYTES);
	object_unref(object);
	close_space();
}

/* ---- the budget ---- */

static void toggling_is_limited_and_stays_small(void **state)
{
	struct memory_object *object = anon(8 * BLOCK_BYTES);
	enum kerr e = KERR_OK;
	uint64_t done = 0;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 8 * BLOCK_BYTES, RW), KERR_OK);
	touch_all(AT, 8 * BLOCK_BYTES, VM_WRITE);
	budget_set(1000000, 1, 20);
	const uint64_t windows = fake_windows;

	for (; e == KERR_OK && done < 200; done++) {
		e = space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES,
				  done % 2 == 0 ? VM_READ : RW);
	}
	/* It is put together again while the task is calm, and no more when it is not. */
	assert_int_equal(e, KERR_OK);
	assert_true(fake_windows - windows < 30);
	/* Taking other superpages apart takes a token each. */
	budget_set(1000000, 1, 4);
	space->budget = (struct window_budget){ 0 };
	for (done = 0; done < 7 && e == KERR_OK; done++) {
		e = space_unmap(space, va(AT + (1 + done) * BLOCK_BYTES + 5 * PAGE_BYTES),
				PAGE_BYTES);
	}
	assert_int_equal(e, KERR_BUSY);
	assert_int_equal(done, 5);
	budget_set(0, 0, 0);
	object_unref(object);
	close_space();
}

static void an_empty_budget_refuses_and_changes_nothing(void **state)
{
	struct memory_object *object = anon(2 * BLOCK_BYTES);

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 2 * BLOCK_BYTES, RW), KERR_OK);
	touch_all(AT, 2 * BLOCK_BYTES, VM_WRITE);
	budget_set(1000000, 1, 0);
	assert_int_equal(space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES, VM_READ), KERR_BUSY);
	assert_int_equal(fake_span(&space->pmap, AT + BLOCK_BYTES), BLOCK_BYTES);
	assert_int_equal(space->budget.refused, 1);
	assert_int_equal(space_unmap(space, va(AT + PAGE_BYTES), BLOCK_BYTES), KERR_BUSY);
	/* What needs no window is free. */
	assert_int_equal(space_protect(space, va(AT), BLOCK_BYTES, VM_READ), KERR_OK);
	assert_int_equal(space_unmap(space, va(AT), BLOCK_BYTES), KERR_OK);
	budget_set(0, 0, 0);
	object_unref(object);
	close_space();
}

/* ---- faults ---- */

static void verdicts_say_why(void **state)
{
	struct memory_object *object = anon(4 * PAGE_BYTES);
	struct fault_info info;
	const struct space_request guard = { .at = AT + 8 * PAGE_BYTES,
					     .bytes = PAGE_BYTES,
					     .prot = VM_FIXED | VM_GUARD };
	va_t out;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 4 * PAGE_BYTES, VM_READ), KERR_OK);
	assert_int_equal(space_map(space, &guard, &out), KERR_OK);
	assert_int_equal(fault(AT, VM_READ), FAULT_RESOLVED);
	assert_int_equal(fault(AT, VM_WRITE), FAULT_BAD_ACCESS);
	assert_int_equal(fault(AT, VM_EXEC), FAULT_BAD_ACCESS);
	assert_int_equal(fault(AT + 4 * PAGE_BYTES, VM_READ), FAULT_BAD_ADDRESS);
	assert_int_equal(fault(AT + 8 * PAGE_BYTES, VM_READ), FAULT_BAD_ADDRESS);
	assert_int_equal(fault(0, VM_READ), FAULT_BAD_ADDRESS);
	assert_int_equal(fault(UINT64_MAX, VM_READ), FAULT_BAD_ADDRESS);
	/* Alignment, external abort, address size; permission at level 3 is judged as usual. */
	const uint64_t data = UINT64_C(0x24) << 26;

	assert_int_equal(vm_fault(space, va(AT), data | 0x21, &info), FAULT_ALIGNMENT);
	assert_int_equal(vm_fault(space, va(AT), data | 0x10, &info), FAULT_HARDWARE);
	assert_int_equal(vm_fault(space, va(AT), data | 0x14, &info), FAULT_HARDWARE);
	assert_int_equal(vm_fault(space, va(AT), data | 0x01, &info), FAULT_BAD_ADDRESS);
	assert_int_equal(vm_fault(space, va(AT), data | 0x30, &info), FAULT_RESOLVED);
	assert_int_equal(vm_fault(space, va(AT), data | 1u << 6 | 0x0f, &info), FAULT_BAD_ACCESS);
	/* Cache maintenance reports a write, and needs none. */
	assert_int_equal(vm_fault(space, va(AT), data | 1u << 8 | 1u << 6 | 0x07, &info),
			 FAULT_RESOLVED);
	object_unref(object);
	close_space();
}

static void a_fault_that_never_ends_is_told(void **state)
{
	struct memory_object *object = anon(4 * PAGE_BYTES);
	unsigned tries = 0;

	(void)state;
	open_space();
	assert_int_equal(map_at(object, 0, AT, 4 * PAGE_BYTES, RW), KERR_OK);
	assert_int_equal(fault(AT, VM_READ), FAULT_RESOLVED);
	while (fault(AT, VM_READ) == FAULT_RESOLVED) {
		assert_true(++tries < 1000);
	}
	assert_true(tries > 10);
	/* Another page in between: it is not the same fault again. */
	for (tries = 0; tries < 200; tries++) {
		assert_int_equal(fault(AT + (tries % 2) * PAGE_BYTES, VM_READ), FAULT_RESOLVED);
	}
	object_unref(object);
	close_space();
}

/* ---- failures ---- */

enum failing { FAIL_FRAMES, FAIL_TABLES, FAIL_PARK, FAIL_CHARGE, FAIL_HEAP, FAIL_KINDS };

static void arm(enum failing what, uint64_t after)
{
	frame_fail_after(what == FAIL_FRAMES ? after : UINT64_MAX);
	(void)heap_fail_after(what == FAIL_HEAP ? after : UINT64_MAX);
	charge.limit_bytes = what == FAIL_CHARGE ? memcharge_used(&charge) + after * 64
						 : UINT64_MAX / 2;
	fake_fail_after(what == FAIL_TABLES || what == FAIL_PARK ? after : UINT64_MAX,
			what == FAIL_PARK ? KERR_BUSY : KERR_NO_MEMORY);
}

/* A life of a space; true: every step succeeded. Each that failed left what was there. */
static bool live(void)
{
	struct memory_object *object;
	struct memory_object *secret;
	struct space_info info;
	bool all = true;

	if (object_create(MEM_ANON, 3 * BLOCK_BYTES, &charge, nullptr, &object) != KERR_OK) {
		return false;
	}
	if (object_create(MEM_SECRET, BLOCK_BYTES + PAGE_BYTES, &charge, nullptr, &secret) ==
	    KERR_OK) {
		object_unref(secret);
	} else {
		all = false;
	}
	if (map_at(object, 0, AT, 3 * BLOCK_BYTES, RW) != KERR_OK) {
		object_unref(object);
		return false;
	}
	for (uint64_t off = 0; off < BLOCK_BYTES; off += PAGE_BYTES) {
		const enum fault_verdict v = fault(AT + off, VM_WRITE);

		assert_true(v == FAULT_RESOLVED || v == FAULT_NO_MEMORY);
		all = all && v == FAULT_RESOLVED;
	}
	if (space_protect(space, va(AT + 7 * PAGE_BYTES), PAGE_BYTES, VM_READ) != KERR_OK) {
		all = false;
		assert_int_equal(space_query(space, va(AT + 7 * PAGE_BYTES), &info), KERR_OK);
		assert_int_equal(info.prot, RW);
		assert_int_equal(info.bytes, 3 * BLOCK_BYTES); /* no region was split */
	}
	if (space_unmap(space, va(AT + 90 * PAGE_BYTES), BLOCK_BYTES) != KERR_OK) {
		all = false;
		assert_int_equal(space_query(space, va(AT + 90 * PAGE_BYTES), &info), KERR_OK);
		assert_int_equal(fault(AT + 600 * PAGE_BYTES, VM_READ) == FAULT_BAD_ADDRESS, false);
	}
	all = space_advise(space, va(AT), 20 * PAGE_BYTES, VM_DONTNEED) == KERR_OK && all;
	all = space_advise(space, va(AT), 20 * PAGE_BYTES, VM_COLLAPSE) == KERR_OK && all;
	assert_true(space_audit(space));
	object_unref(object);
	return all;
}

static void every_failure_leaves_what_was_there(void **state)
{
	(void)state;
	for (enum failing what = 0; what < FAIL_KINDS; what++) {
		uint64_t after = 0;
		bool all = false;

		/* Every N at first, then every few. */
		for (; !all; after += 1 + after / 32) {
			open_space();
			arm(what, after);
			all = live();
			close_space();
			assert_true(after < 1000000);
		}
		/* It did fail at first; of the pinned heap classes keep a page each. */
		assert_true(after > 1 || what == FAIL_HEAP);
	}
}

static void a_charge_limits_a_space(void **state)
{
	struct memory_object *object;
	enum fault_verdict v = FAULT_RESOLVED;
	uint64_t page = 0;

	(void)state;
	open_space();
	object = anon(BLOCK_BYTES);
	assert_int_equal(map_at(object, 0, AT, BLOCK_BYTES, RW), KERR_OK);
	charge.limit_bytes = memcharge_used(&charge) + 64 * KIB;
	for (; v == FAULT_RESOLVED; page++) {
		v = fault(AT + page * PAGE_BYTES, VM_WRITE);
	}
	assert_int_equal(v, FAULT_NO_MEMORY);
	assert_true(page > 10 && page <= 17);
	assert_true(memcharge_used(&charge) <= charge.limit_bytes);
	object_unref(object);
	close_space();
}

static void malformed_requests_are_refused(void **state)
{
	struct memory_object *object = anon(4 * PAGE_BYTES);
	struct memory_object *none;
	va_t out = va(3);

	(void)state;
	open_space();
	const struct {
		struct space_request q;
		enum kerr e;
	} bad[] = {
		{ { object, 1, AT, PAGE_BYTES, VM_READ, ALL }, KERR_INVALID },
		{ { object, 0, AT + 1, PAGE_BYTES, VM_READ, ALL }, KERR_INVALID },
		{ { object, 0, AT, 17, VM_READ, ALL }, KERR_INVALID },
		{ { object, 0, AT, PAGE_BYTES, VM_WRITE | VM_EXEC, ALL }, KERR_INVALID },
		{ { object, 0, AT, PAGE_BYTES, VM_GUARD, ALL }, KERR_INVALID },
		{ { nullptr, 0, AT, PAGE_BYTES, VM_READ, ALL }, KERR_INVALID },
		{ { object, 0, AT, PAGE_BYTES, 0x20, ALL }, KERR_INVALID },
		{ { object, 0, AT, 0, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, 0, PAGE_BYTES, VM_READ | VM_FIXED, ALL }, KERR_RANGE },
		{ { object, 0, USER_END, PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, LINEAR_BASE, PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, USER_END - PAGE_BYTES, 2 * PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, AT, 5 * PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, 4 * PAGE_BYTES, AT, PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, UINT64_MAX - 4095, AT, PAGE_BYTES, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, AT, UINT64_MAX - 4095, VM_READ, ALL }, KERR_RANGE },
		{ { object, 0, AT, PAGE_BYTES, VM_WRITE, VM_READ }, KERR_DENIED },
	};

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(space_map(space, &bad[i].q, &out), bad[i].e);
	}
	assert_int_equal(out.v, 3);
	assert_int_equal(space->tree.count, 0);
	assert_int_equal(space_unmap(space, va(AT + 1), PAGE_BYTES), KERR_INVALID);
	assert_int_equal(space_unmap(space, va(AT), 0), KERR_RANGE);
	assert_int_equal(space_unmap(space, va(LINEAR_BASE), PAGE_BYTES), KERR_RANGE);
	assert_int_equal(space_protect(space, va(AT), PAGE_BYTES, VM_READ), KERR_ABSENT);
	assert_int_equal(space_protect(space, va(AT), PAGE_BYTES, ALL), KERR_INVALID);
	assert_int_equal(space_advise(space, va(AT), PAGE_BYTES, VM_SPLIT), KERR_ABSENT);
	assert_int_equal(space_advise(space, va(AT), PAGE_BYTES, 9), KERR_INVALID);
	assert_int_equal(object_create(MEM_ANON, 0, &charge, nullptr, &none), KERR_RANGE);
	assert_int_equal(object_create(MEM_ANON, 5, &charge, nullptr, &none), KERR_INVALID);
	assert_int_equal(
		object_create(MEM_ANON, OBJECT_BYTES_MAX + PAGE_BYTES, &charge, nullptr, &none),
		KERR_RANGE);
	assert_int_equal(object_create(MEM_PHYS, PAGE_BYTES, &charge, nullptr, &none),
			 KERR_INVALID);
	object_unref(object);
	close_space();
}

/* An object as long as the user half, touched here and there. */
static void long_objects_cost_what_is_touched(void **state)
{
	struct memory_object *object;
	uint64_t count = 0;

	(void)state;
	open_space();
	object = anon(OBJECT_BYTES_MAX);
	static const uint64_t pages[] = {
		0, 511, 512, UINT64_C(1) << 16, (UINT64_C(1) << 24) + 3, (UINT64_C(1) << 35) - 1
	};

	for (unsigned i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		struct reserv *rv = nullptr;

		spin_lock(&object->lock);
		assert_int_equal(object_populate(object, pages[i], &rv), KERR_OK);
		assert_ptr_equal(object_index_get(object, pages[i] / 512), rv);
		spin_unlock(&object->lock);
	}
	spin_lock(&object->lock);
	for (const struct reserv *rv = object_index_from(object, 0); rv != nullptr;
	     rv = object_index_from(object, rv->index + 1)) {
		count++;
	}
	spin_unlock(&object->lock);
	assert_int_equal(count, 5);
	assert_true(memcharge_used(&charge) < 64 * KIB);
	object_unref(object);
	close_space();
}

static void note_end(void *arg)
{
	++*(unsigned *)arg;
}

/* Reservations of one page each, in pieces: what a step gives back is bounded by pages. */
static struct memory_object *apart(unsigned reservs, unsigned pages)
{
	struct memory_object *object = anon(64 * BLOCK_BYTES);

	for (unsigned i = 0; i < reservs; i++) {
		struct reserv *rv = nullptr;

		spin_lock(&object->lock);
		for (unsigned p = 0; p < pages; p++) {
			assert_int_equal(object_populate(object, i * RESERV_PAGES + p, &rv),
					 KERR_OK);
		}
		while (reserv_shrink(rv)) {
		}
		spin_unlock(&object->lock);
	}
	return object;
}

static unsigned end_in_steps(struct memory_object *object, uint64_t pages_a_step)
{
	uint64_t left = object_resident(object);
	unsigned steps = 1;

	while (!object_end(object)) {
		const uint64_t now = object_resident(object);

		assert_in_range(left - now, PAGE_BYTES, pages_a_step * PAGE_BYTES);
		left = now;
		steps++;
	}
	return steps;
}

/* The last user begins the end of an object, which goes in steps; nobody before does. */
static void the_last_user_gives_it_back_in_steps(void **state)
{
	struct memory_object *object;
	unsigned ends = 0;

	(void)state;
	open_space();
	object = apart(3, RESERV_PAGES);
	object_on_end(object, note_end, &ends);
	object_ref(object);
	object_unref(object);
	assert_int_equal(ends, 0);
	assert_int_equal(object_resident(object), 3 * BLOCK_BYTES);
	object_unref(object);
	assert_int_equal(ends, 1);
	assert_int_equal(end_in_steps(object, 8 * RESERV_PAGES), 1); /* three blocks */

	object = apart(4, RESERV_PAGES - 1);
	object_on_end(object, note_end, &ends);
	object_unref(object);
	/* 32 groups each, and what they leave */
	assert_int_equal(end_in_steps(object, 8 * RESERV_RUN), 4 * 32 / 8 + 1);
	assert_int_equal(ends, 2);
	close_space();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touching_every_page_makes_a_superpage),
		cmocka_unit_test(what_is_populated_is_mapped_at_once),
		cmocka_unit_test(a_block_out_of_step_is_entered_by_pieces),
		cmocka_unit_test(spares_are_given_back_oldest_first),
		cmocka_unit_test(under_pressure_every_frame_can_be_used),
		cmocka_unit_test(collapse_makes_a_block_of_pieces),
		cmocka_unit_test(toggling_is_limited_and_stays_small),
		cmocka_unit_test(an_empty_budget_refuses_and_changes_nothing),
		cmocka_unit_test(verdicts_say_why),
		cmocka_unit_test(a_fault_that_never_ends_is_told),
		cmocka_unit_test(every_failure_leaves_what_was_there),
		cmocka_unit_test(a_charge_limits_a_space),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(long_objects_cost_what_is_touched),
		cmocka_unit_test(the_last_user_gives_it_back_in_steps),
	};

	return cmocka_run_group_tests(tests, vm_boot, nullptr);
}
