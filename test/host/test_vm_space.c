/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_space.c - address spaces, objects and faults beside a flat model.
 *
 * THEORY   The model says for each page of each space which page of which object it shows and what
 *          may be done there, and for each page of each object what it holds. A random sequence of
 *          calls and accesses is played to both. After each step the same must be true of both; at
 *          the end everything is given back, to the last frame and the last byte charged.
 *          With an argument: so many steps, from that seed.
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
#include "vm/fault.h"
#include "vm/frame.h"
#include "vm/space_impl.h"

#define FRAMES (UINT64_C(1) << 14)
#define FIRST_FRAME UINT64_C(0x8000)
#define SPACES 3u
#define OBJECTS 5u
#define PAGES 4096u         /* of a space, from BASE on */
#define BASE (8 * BLOCK_BYTES) /* leaves room before and behind */
#define OBJECT_PAGES 1600u

struct model_page {
	int object; /* -1: nothing, OBJECTS: a guard */
	uint32_t page;
	uint8_t prot;
	uint8_t max;
};

struct model_object {
	struct memory_object *object;
	uint32_t pages;
	uint64_t word[OBJECT_PAGES];
};

static struct space *space[SPACES];
static struct model_page model[SPACES][PAGES];
static struct model_object objects[OBJECTS];
static struct memcharge charge;
static uint64_t steps = 20000;
static uint64_t seed = 1;
static uint64_t refused; /* calls that failed because a failure was injected */

static uint64_t any(uint64_t bound)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * UINT64_C(0x2545f4914f6cdd1d) % bound;
}

static va_t address(uint64_t page)
{
	return va(BASE + page * PAGE_BYTES);
}

/* ---- accesses ---- */

static uint64_t esr_of(unsigned access)
{
	/* Instruction or data abort from EL0, translation fault, level 3. */
	return access == VM_EXEC ? UINT64_C(0x20) << 26 | 7
				 : UINT64_C(0x24) << 26 | (access == VM_WRITE ? 1u << 6 : 0) | 7;
}

static bool allowed(const struct model_page *m, unsigned access)
{
	if (m->object < 0 || m->object == (int)OBJECTS) {
		return false;
	}
	return access == VM_READ ? m->prot != 0 : (m->prot & access) != 0;
}

/* As a CPU: access, fault, access again. The frame; false: refused, as the model says. */
static bool access_page(unsigned s, uint64_t page, unsigned access, pa_t *frame)
{
	const struct model_page *m = &model[s][page];
	struct fault_info info;

	for (unsigned tries = 0; tries < 3; tries++) {
		if (fake_access(&space[s]->pmap, address(page).v, access, frame)) {
			assert_true(allowed(m, access)); /* SP1 */
			return true;
		}
		const enum fault_verdict v =
			vm_fault(space[s], va(address(page).v + 8), esr_of(access), &info);

		if (v == FAULT_NO_MEMORY) {
			return false;
		}
		if (v != FAULT_RESOLVED) {
			assert_false(allowed(m, access));
			assert_int_equal(v, m->object < 0 || m->object == (int)OBJECTS
						    ? FAULT_BAD_ADDRESS
						    : FAULT_BAD_ACCESS);
			return false;
		}
		assert_true(allowed(m, access));
	}
	fail_msg("resolved three times, and faults");
	return false;
}

static void step_access(void)
{
	static const unsigned kinds[] = { VM_READ, VM_READ, VM_WRITE, VM_WRITE, VM_EXEC };
	const unsigned s = (unsigned)any(SPACES);
	const unsigned access = kinds[any(5)];
	uint64_t page = any(PAGES);
	uint64_t n = 1;
	pa_t frame;

	/* Often a stretch, so that reservations fill and superpages come. */
	if (any(3) == 0) {
		n = any(2) == 0 ? 700 : 40;
		page &= n == 700 ? ~UINT64_C(511) : ~UINT64_C(15);
	}
	for (; n > 0 && page < PAGES; n--, page++) {
		const struct model_page *m = &model[s][page];

		if (access_page(s, page, access, &frame)) {
			uint64_t *word = &objects[m->object].word[m->page];

			assert_int_equal(page_word(frame), *word);
			if (access == VM_WRITE) {
				*word = any(UINT64_MAX);
				page_set_word(frame, *word);
			}
		}
	}
}

/* ---- calls ---- */

static void paint(unsigned s, uint64_t page, uint64_t pages, struct model_page with)
{
	for (uint64_t i = 0; i < pages; i++) {
		model[s][page + i] = with;
		with.page++;
	}
}

static bool model_is_free(unsigned s, uint64_t page, uint64_t pages)
{
	for (uint64_t i = page; i < page + pages; i++) {
		if (model[s][i].object >= 0) {
			return false;
		}
	}
	return true;
}

/* A range of the model's pages, long ones and short ones. */
static void any_range(unsigned one_in, uint64_t *page, uint64_t *pages)
{
	*page = any(PAGES);
	*pages = 1 + any(any(one_in) == 0 ? 1400 : 40);
	if (*pages > PAGES - *page) {
		*pages = PAGES - *page;
	}
}

static unsigned any_prot(void)
{
	static const unsigned prots[] = { VM_READ, VM_READ | VM_WRITE, VM_READ | VM_WRITE,
					  VM_READ | VM_EXEC, 0 };

	return prots[any(5)];
}

static void step_map(void)
{
	const unsigned s = (unsigned)any(SPACES);
	const int o = any(12) == 0 ? (int)OBJECTS : (int)any(OBJECTS);
	const bool guard = o == (int)OBJECTS;
	const unsigned prot = guard ? 0 : any_prot();
	const unsigned max = any(3) == 0 ? prot : VM_READ | VM_WRITE | VM_EXEC;
	uint64_t page;
	uint64_t pages;
	uint64_t offset = 0;
	va_t out = va(1);

	any_range(2, &page, &pages);
	if (!guard) {
		const uint64_t limit = objects[o].pages;

		pages = pages < limit ? pages : limit;
		/* Often so that superpages fit. */
		offset = any(4) == 0 ? any(limit - pages + 1)
				     : (page % 512 < limit - pages ? page % 512 : limit - pages);
	}
	const struct space_request q = {
		.object = guard ? nullptr : objects[o].object,
		.offset = offset * PAGE_BYTES,
		.at = address(page).v,
		.bytes = pages * PAGE_BYTES,
		.prot = prot | VM_FIXED | (guard ? VM_GUARD : 0),
		.prot_max = max,
	};
	const bool free = model_is_free(s, page, pages);
	const enum kerr e = space_map(space[s], &q, &out);

	if (e == KERR_NO_MEMORY) {
		refused++;
		assert_int_equal(out.v, 1);
		return;
	}
	assert_int_equal(e, free ? KERR_OK : KERR_EXISTS);
	if (free) {
		assert_int_equal(out.v, q.at);
		paint(s, page, pages,
		      (struct model_page){ o, (uint32_t)offset, (uint8_t)prot, (uint8_t)max });
	}
}

static void step_unmap(void)
{
	const unsigned s = (unsigned)any(SPACES);
	uint64_t page;
	uint64_t pages;

	any_range(20, &page, &pages);
	const enum kerr e = space_unmap(space[s], address(page), pages * PAGE_BYTES);

	if (e != KERR_OK) {
		assert_true(e == KERR_NO_MEMORY || e == KERR_BUSY);
		refused++;
		return;
	}
	for (uint64_t i = page; i < page + pages; i++) {
		model[s][i] = (struct model_page){ .object = -1 };
	}
	for (uint64_t i = page; i < page + pages; i++) {
		assert_int_equal(fake_span(&space[s]->pmap, address(i).v), 0);
	}
}

/* What protecting a range should say. */
static enum kerr model_protect(unsigned s, uint64_t page, uint64_t pages, unsigned prot)
{
	for (uint64_t i = page; i < page + pages; i++) {
		const struct model_page *m = &model[s][i];

		if (m->object < 0 || m->object == (int)OBJECTS) {
			return KERR_ABSENT;
		}
		if ((prot & ~(unsigned)m->max) != 0) {
			return KERR_DENIED;
		}
	}
	return KERR_OK;
}

static void step_protect(void)
{
	const unsigned s = (unsigned)any(SPACES);
	const unsigned prot = any_prot();
	uint64_t page;
	uint64_t pages;

	any_range(20, &page, &pages);
	const enum kerr want = model_protect(s, page, pages, prot);
	const enum kerr e = space_protect(space[s], address(page), pages * PAGE_BYTES, prot);

	if (e == KERR_INVALID) {
		return; /* too many regions */
	}
	if (e != want) {
		assert_true(e == KERR_NO_MEMORY || e == KERR_BUSY);
		refused++;
		return;
	}
	for (uint64_t i = page; e == KERR_OK && i < page + pages; i++) {
		model[s][i].prot = (uint8_t)prot;
	}
}

static void step_advise(void)
{
	static const enum memory_advice advices[] = { VM_COLLAPSE, VM_SPLIT, VM_WILLNEED,
						      VM_DONTNEED, VM_DONTNEED };
	const unsigned s = (unsigned)any(SPACES);
	const enum memory_advice advice = advices[any(5)];
	uint64_t page;
	uint64_t pages;

	any_range(20, &page, &pages);
	/* DONTNEED does one piece after another: only within one the model knows what it did. */
	pages = advice == VM_DONTNEED ? 1 : pages;
	const struct model_page m = model[s][page];
	const enum kerr e = space_advise(space[s], address(page), pages * PAGE_BYTES, advice);

	if (advice == VM_DONTNEED && m.object >= 0 && m.object < (int)OBJECTS) {
		assert_true(e == KERR_OK || e == KERR_DENIED || e == KERR_BUSY ||
			    e == KERR_NO_MEMORY);
		assert_true((e == KERR_DENIED) == ((m.max & VM_WRITE) == 0));
		if (e == KERR_OK) {
			objects[m.object].word[m.page] = 0;
		}
	}
}

static void make_object(unsigned o)
{
	objects[o].pages = 1 + (uint32_t)any(any(2) == 0 ? 40 : OBJECT_PAGES);
	if (any(3) == 0) {
		objects[o].pages = 1024; /* two superpages */
	}
	memset(objects[o].word, 0, sizeof(objects[o].word));
	while (object_create(MEM_ANON, objects[o].pages * PAGE_BYTES, &charge, nullptr,
			     &objects[o].object) != KERR_OK) {
		fake_fail_after(UINT64_MAX, KERR_OK);
		frame_fail_after(UINT64_MAX);
		heap_fail_after(UINT64_MAX);
	}
}

/* The object is named by its regions alone from now on, or by none; or it is revoked. */
static void step_replace_object(void)
{
	const unsigned o = (unsigned)any(OBJECTS);

	if (object_unmap_all(objects[o].object) != KERR_OK) {
		refused++;
		/* Revoked, and some of it still mapped: once more. */
		fake_fail_after(UINT64_MAX, KERR_OK);
		assert_int_equal(object_unmap_all(objects[o].object), KERR_OK);
	}
	for (unsigned s = 0; s < SPACES; s++) {
		for (uint64_t i = 0; i < PAGES; i++) {
			if (model[s][i].object == (int)o) {
				assert_int_equal(fake_span(&space[s]->pmap, address(i).v), 0);
				/* Its regions stay, and every access faults: unmap them. */
				pa_t frame;
				struct fault_info info;

				assert_false(fake_access(&space[s]->pmap, address(i).v, VM_READ,
							 &frame));
				assert_int_equal(
					vm_fault(space[s], address(i), esr_of(VM_READ), &info),
					FAULT_BAD_ACCESS);
				while (space_unmap(space[s], address(i), PAGE_BYTES) != KERR_OK) {
					frame_fail_after(UINT64_MAX);
					heap_fail_after(UINT64_MAX);
					fake_fail_after(UINT64_MAX, KERR_OK);
				}
				model[s][i].object = -1;
			}
		}
	}
	object_unref(objects[o].object);
	make_object(o);
}

static void step_reclaim(void)
{
	(void)reserv_reclaim();
}

/* Sometimes memory, tables or the pinned heap fail for a while. */
static void step_failures(void)
{
	const uint64_t which = any(6);

	frame_fail_after(which == 0 ? any(20) : UINT64_MAX);
	(void)heap_fail_after(which == 1 ? any(3) : UINT64_MAX);
	fake_fail_after(which == 2 || which == 3 ? any(10) : UINT64_MAX,
			which == 2 ? KERR_NO_MEMORY : KERR_BUSY);
}

static void audit(void)
{
	for (unsigned s = 0; s < SPACES; s++) {
		assert_true(space_audit(space[s]));
		for (uint64_t i = 0; i < PAGES; i += 7) {
			struct space_info info;
			const struct model_page *m = &model[s][i];
			const enum kerr e = space_query(space[s], address(i), &info);

			assert_int_equal(e, m->object < 0 ? KERR_ABSENT : KERR_OK);
			if (e == KERR_OK && m->object < (int)OBJECTS) {
				assert_int_equal(info.prot, m->prot);
				assert_int_equal(info.offset, m->page * PAGE_BYTES);
			}
		}
	}
	for (unsigned o = 0; o < OBJECTS; o++) {
		struct memory_object *object = objects[o].object;
		uint64_t resident = 0;

		spin_lock(&object->lock);
		for (const struct reserv *rv = object_index_from(object, 0); rv != nullptr;
		     rv = object_index_from(object, rv->index + 1)) {
			assert_true(reserv_audit(rv));
			resident += rv->count;
		}
		assert_int_equal(resident, object->resident);
		spin_unlock(&object->lock);
	}
	assert_true(frame_audit());
}

static void step(void)
{
	static void (*const what[])(void) = {
		step_access, step_access, step_access,  step_access,  step_map,    step_map,
		step_map,    step_unmap,  step_protect, step_protect, step_advise, step_failures,
	};

	if (any(30) == 0) {
		step_reclaim();
	}
	if (any(400) == 0) {
		step_replace_object();
		return;
	}
	what[any(sizeof(what) / sizeof(what[0]))]();
}

static void open_world(void)
{
	charge = (struct memcharge){ .limit_bytes = UINT64_MAX / 2 };
	for (unsigned s = 0; s < SPACES; s++) {
		assert_int_equal(space_create(&charge, &space[s]), KERR_OK);
		for (uint64_t i = 0; i < PAGES; i++) {
			model[s][i] = (struct model_page){ .object = -1 };
		}
	}
	for (unsigned o = 0; o < OBJECTS; o++) {
		make_object(o);
	}
}

/* The spaces go with everything in them; the objects last. */
static void close_world(void)
{
	frame_fail_after(UINT64_MAX);
	(void)heap_fail_after(UINT64_MAX);
	fake_fail_after(UINT64_MAX, KERR_OK);
	for (unsigned s = 0; s < SPACES; s++) {
		space_destroy(space[s]);
	}
	for (unsigned o = 0; o < OBJECTS; o++) {
		object_unref(objects[o].object);
	}
	assert_int_equal(memcharge_used(&charge), 0);
	assert_int_equal(frame_stats().free, FRAMES);
	assert_true(frame_audit());
	assert_int_equal(reserv_stats().listed, 0);
}

static void random_calls_agree_with_the_model(void **state)
{
	(void)state;
	open_world();
	for (uint64_t n = 0; n < steps; n++) {
		step();
		if (n % 500 == 0) {
			audit();
		}
	}
	audit();
	printf("windows %llu, calls refused %llu, spares given back %llu\n",
	       (unsigned long long)fake_windows, (unsigned long long)refused,
	       (unsigned long long)reserv_stats().broken);
	assert_true(fake_windows > 0 && refused > 0 && reserv_stats().broken > 0);
	close_world();
}

static int boot(void **state)
{
	static uint64_t words[FRAMES];

	(void)state;
	sim_boot();
	sim_quiet(true);
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
