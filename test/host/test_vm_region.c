/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_vm_region.c - the region tree beside a flat array of pages.
 */
#include <memmap.h>
#include <stdlib.h>

#include "test/host/unit.h"
#include "vm/region.h"

#define PAGES 4096u
#define FIRST UINT64_C(0x10000)
#define REGIONS 1200u

static struct region pool[REGIONS];
static bool in_tree[REGIONS];
static int owner[PAGES]; /* region number + 1, 0: free */
static struct region_tree tree;

static uint64_t address(uint64_t page)
{
	return FIRST + page * PAGE_BYTES;
}

static void paint(const struct region *r, int with)
{
	const uint64_t first = (r->base - FIRST) / PAGE_BYTES;

	for (uint64_t p = first; p < first + r->size / PAGE_BYTES; p++) {
		owner[p] = with;
	}
}

static bool is_free(uint64_t first, uint64_t pages)
{
	for (uint64_t p = first; p < first + pages; p++) {
		if (p >= PAGES || owner[p] != 0) {
			return false;
		}
	}
	return true;
}

static void step_insert(unsigned i)
{
	const uint64_t first = any(PAGES);
	const uint64_t pages = 1 + any(6);

	if (in_tree[i] || !is_free(first, pages)) {
		return;
	}
	pool[i].base = address(first);
	pool[i].size = pages * PAGE_BYTES;
	region_insert(&tree, &pool[i]);
	in_tree[i] = true;
	paint(&pool[i], (int)i + 1);
}

static void step_remove(unsigned i)
{
	if (in_tree[i]) {
		region_remove(&tree, &pool[i]);
		in_tree[i] = false;
		paint(&pool[i], 0);
	}
}

/* Grow or shrink at either end, as the neighbours allow. */
static void step_resize(unsigned i)
{
	struct region *r = &pool[i];

	if (!in_tree[i]) {
		return;
	}
	paint(r, 0);
	const uint64_t first = (r->base - FIRST) / PAGE_BYTES;
	const uint64_t pages = r->size / PAGE_BYTES;
	const uint64_t at = first + any(3) - (first > 0 ? 1 : 0);
	const uint64_t size = 1 + any(pages + 2);

	if (at < first + pages && at + size > first && is_free(at, size)) {
		region_resize(&tree, r, address(at), size * PAGE_BYTES);
	}
	paint(r, (int)i + 1);
}

/* The lowest place by looking at every page. */
static bool flat_place(uint64_t pages, uint64_t *first)
{
	for (uint64_t p = 0; p + pages <= PAGES; p++) {
		if (is_free(p, pages)) {
			*first = p;
			return true;
		}
	}
	return false;
}

static void check_lookups(void)
{
	const uint64_t page = any(PAGES);
	struct region *r = region_find(&tree, address(page) + any(PAGE_BYTES));

	assert_int_equal(r != nullptr ? r - pool + 1 : 0, owner[page]);
	uint64_t next = page;

	while (next < PAGES && owner[next] == 0) {
		next++;
	}
	r = region_from(&tree, address(page));
	assert_int_equal(r != nullptr ? r - pool + 1 : 0, next < PAGES ? owner[next] : 0);
}

static void check_place(void)
{
	const uint64_t pages = 1 + any(40);
	const uint64_t align = PAGE_BYTES << any(5);
	const uint64_t skew = any(align / PAGE_BYTES) * PAGE_BYTES;
	uint64_t first = 0;
	uint64_t base = 1;

	const bool fits = flat_place(pages, &first);

	assert_int_equal(region_place(&tree, pages * PAGE_BYTES, PAGE_BYTES, 0, &base), fits);
	assert_int_equal(base, fits ? address(first) : 1);
	if (fits) {
		assert_true(region_place(&tree, pages * PAGE_BYTES, align, skew, &base));
		assert_true(is_free((base - FIRST) / PAGE_BYTES, pages));
		if (flat_place(pages + align / PAGE_BYTES - 1, &first)) {
			assert_int_equal(base % align, skew);
		}
	}
}

static void the_tree_agrees_with_a_flat_array(void **state)
{
	(void)state;
	region_tree_init(&tree, FIRST, address(PAGES));
	for (unsigned n = 0; n < 60000; n++) {
		const unsigned i = (unsigned)any(REGIONS);
		const uint64_t what = any(10);

		if (what < (n / 10000 % 2 == 0 ? 6u : 3u)) {
			step_insert(i);
		} else if (what < 8) {
			step_remove(i);
		} else {
			step_resize(i);
		}
		check_lookups();
		if (n % 100 == 0) {
			check_place();
			assert_true(region_audit(&tree));
		}
	}
}

/* Ascending addresses make a list of a tree that does not balance. */
static void the_height_is_logarithmic(void **state)
{
	(void)state;
	region_tree_init(&tree, FIRST, address(PAGES));
	for (unsigned i = 0; i < 1024; i++) {
		pool[i] = (struct region){ .base = address(2 * i), .size = PAGE_BYTES };
		region_insert(&tree, &pool[i]);
	}
	assert_true(region_audit(&tree));
	assert_true(tree.by_address.root->height <= 11); /* perfect but for one */
	uint64_t base;

	assert_true(region_place(&tree, PAGE_BYTES, PAGE_BYTES, 0, &base));
	assert_int_equal(base, address(1));
	assert_true(region_place(&tree, 2 * PAGE_BYTES, PAGE_BYTES, 0, &base));
	assert_int_equal(base, address(2047)); /* behind the last */
	assert_false(region_place(&tree, PAGES * PAGE_BYTES, PAGE_BYTES, 0, &base));
	assert_false(region_place(&tree, UINT64_MAX & ~(PAGE_BYTES - 1), BLOCK_BYTES, 0, &base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_agrees_with_a_flat_array),
		cmocka_unit_test(the_height_is_logarithmic),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
