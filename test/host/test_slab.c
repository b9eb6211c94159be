/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_slab.c - small objects and who pays for them.
 */
#include <stdlib.h>
#include <string.h>

#include "pcpu/heap.h"
#include "pcpu/slab.h"
#include "test/host/unit.h"

#define HELD 300
#define OBJECT_BYTES 320

struct object {
	uint8_t bytes[OBJECT_BYTES];
};

static struct slab_class class = SLAB_CLASS("test", struct object);

static bool is_filled(const struct object *o, uint8_t with)
{
	for (unsigned i = 0; i < OBJECT_BYTES; i++) {
		if (o->bytes[i] != with) {
			return false;
		}
	}
	return true;
}

/* Random allocations and frees: every object is zeroed, nobody writes into another. */
static void objects_are_zeroed_and_do_not_overlap(void **state)
{
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	static struct object *held[HELD];
	const unsigned before = heap_stats().pages_free;
	uint64_t count = 0;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		const unsigned i = (unsigned)any(HELD);
		const uint8_t mark = (uint8_t)(i + 1);

		if (held[i] != nullptr) {
			assert_true(is_filled(held[i], mark));
			slab_free(&class, held[i], &charge);
			held[i] = nullptr;
			count--;
		} else {
			held[i] = slab_alloc(&class, &charge);
			assert_non_null(held[i]);
			assert_int_equal((uintptr_t)held[i] % SLAB_ALIGN, 0);
			assert_true(is_filled(held[i], 0));
			memset(held[i], mark, OBJECT_BYTES);
			count++;
		}
		assert_int_equal(class.objects, count);
		assert_int_equal(memcharge_used(&charge), count * class.bytes);
		assert_true(n % 500 != 0 || slab_audit(&class));
	}
	for (unsigned i = 0; i < HELD; i++) {
		if (held[i] != nullptr) {
			slab_free(&class, held[i], &charge);
			held[i] = nullptr;
		}
	}
	/* What the audit is for: an object, or a page, too many. */
	class.objects++;
	assert_false(slab_audit(&class));
	class.objects--;
	class.pages--;
	assert_false(slab_audit(&class));
	class.pages++;
	assert_int_equal(class.pages, 1); /* the last one stays */
	assert_int_equal(heap_stats().pages_free, before - 1);
	assert_int_equal(memcharge_used(&charge), 0);
	assert_true(slab_audit(&class));
}

static void a_charge_is_never_passed(void **state)
{
	struct memcharge charge = { .limit_bytes = 3 * class.bytes };
	struct object *held[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		held[i] = slab_alloc(&class, &charge);
		assert_non_null(held[i]);
	}
	assert_null(slab_alloc(&class, &charge));
	assert_int_equal(memcharge_used(&charge), charge.limit_bytes);
	slab_free(&class, held[1], &charge);
	held[1] = slab_alloc(&class, &charge);
	assert_non_null(held[1]);
	for (unsigned i = 0; i < 3; i++) {
		slab_free(&class, held[i], &charge);
	}
	assert_false(memcharge_take(&charge, UINT64_MAX)); /* no wrap */
	assert_int_equal(memcharge_used(&charge), 0);
	assert_true(memcharge_take(nullptr, UINT64_MAX));
}

static void without_a_page_nothing_is_charged(void **state)
{
	static struct slab_class other = SLAB_CLASS("other", struct object);
	struct memcharge charge = { .limit_bytes = UINT64_MAX };

	(void)state;
	heap_fail_after(0);
	assert_null(slab_alloc(&other, &charge));
	assert_int_equal(heap_fail_after(UINT64_MAX), 1);
	assert_int_equal(memcharge_used(&charge), 0);
	assert_int_equal(other.objects, 0);
	assert_int_equal(other.pages, 0);
}

static void the_audit_sees_a_wrong_count(void **state)
{
	static struct slab_class odd = SLAB_CLASS("odd", struct object);
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	void *first = slab_alloc(&odd, &charge);

	(void)state;
	assert_true(slab_audit(&odd));
	odd.objects++;
	assert_false(slab_audit(&odd));
	odd.objects--;
	odd.pages--;
	assert_false(slab_audit(&odd));
	odd.pages++;
	assert_true(slab_audit(&odd));
	slab_free(&odd, first, &charge);
}

/* Each word of a page's tag with another value in it, one at a time: see struct slab_page. */
static void the_audit_sees_a_broken_list(void **state)
{
	enum { CLASS, USED = 2, NEXT, PREV };
	static struct slab_class odd = SLAB_CLASS("odd", struct object);
	static void *held[2 * PAGE_BYTES / sizeof(struct object)];
	struct memcharge charge = { .limit_bytes = UINT64_MAX };
	const unsigned a_page = PAGE_BYTES / odd.bytes;

	(void)state;
	for (unsigned i = 0; i < 2 * a_page; i++) {
		held[i] = slab_alloc(&odd, &charge);
	}
	slab_free(&odd, held[0], &charge);
	slab_free(&odd, held[a_page], &charge);
	assert_int_equal(odd.pages, 2);
	assert_true(slab_audit(&odd));
	uint64_t *first = (uint64_t *)(void *)odd.avail;
	uint64_t *second = (uint64_t *)(uintptr_t)first[NEXT];
	const struct {
		uint64_t *word, value;
	} damage[] = {
		{ &first[CLASS], 0 },
		{ &second[CLASS], first[NEXT] },
		{ &first[USED], UINT64_MAX >> (64 - a_page) }, /* full, and has no place here */
		{ &second[USED], 0 },
		{ &second[PREV], 0 },
		{ &first[NEXT], 0 },
	};

	for (unsigned i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		const uint64_t good = *damage[i].word;

		*damage[i].word = damage[i].value;
		assert_false(slab_audit(&odd));
		*damage[i].word = good;
		assert_true(slab_audit(&odd));
	}
	for (unsigned i = 0; i < 2 * a_page; i++) {
		if (i % a_page != 0) {
			slab_free(&odd, held[i], &charge);
		}
	}
}

static void a_charge_knows_what_is_on_its_way_back(void **state)
{
	struct memcharge charge = { .limit_bytes = 2 };

	(void)state;
	assert_false(memcharge_is_returning(&charge));
	memcharge_return_begins(&charge);
	memcharge_return_begins(&charge);
	memcharge_return_ends(&charge);
	assert_true(memcharge_is_returning(&charge));
	memcharge_return_ends(&charge);
	assert_false(memcharge_is_returning(&charge));
	assert_true(memcharge_take(&charge, 1));
	assert_false(memcharge_take(&charge, 2));
	assert_false(memcharge_take(&charge, 3)); /* more than it may ever have */
	memcharge_give(&charge, 1);
	assert_int_equal(memcharge_used(&charge), 0);
}

static void the_kernel_is_not_limited(void **state)
{
	(void)state;
	assert_true(memcharge_take(nullptr, UINT64_MAX));
	memcharge_return_begins(nullptr);
	assert_false(memcharge_is_returning(nullptr));
	memcharge_return_ends(nullptr);
	memcharge_give(nullptr, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_charge_knows_what_is_on_its_way_back),
		cmocka_unit_test(the_kernel_is_not_limited),
		cmocka_unit_test(objects_are_zeroed_and_do_not_overlap),
		cmocka_unit_test(a_charge_is_never_passed),
		cmocka_unit_test(without_a_page_nothing_is_charged),
		cmocka_unit_test(the_audit_sees_a_wrong_count),
		cmocka_unit_test(the_audit_sees_a_broken_list),
	};

	return cmocka_run_group_tests(tests, unit_boot, nullptr);
}
