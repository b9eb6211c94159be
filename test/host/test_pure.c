/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_pure.c - descriptors, TLBI operands and ranges, against the fields that the Arm
 * ARM names, written here a second time and by number.
 */
#include <arch/pte.h>
#include <arch/tlbi_operand.h>
#include <memmap.h>
#include <stdlib.h>

#include "test/host/unit.h"
#include "vm/pmap_impl.h"

static uint64_t bits(uint64_t v, unsigned high, unsigned low)
{
	return v >> low & ((UINT64_C(2) << (high - low)) - 1);
}

/* D8.3.1, D8.3.2: the fields of a leaf, bit by bit. */
static void a_leaf_has_the_fields_of_the_manual(void **state)
{
	const pte_t page = pte_leaf(pa(0x0000123456789000), pmap_attr(&kernel_pmap, PMAP_WRITE), 3);
	const pte_t block = pte_leaf(pa(0x0000123456600000), pmap_attr(&kernel_pmap, PMAP_EXEC), 2);

	(void)state;
	assert_int_equal(bits(page.v, 1, 0), 3); /* page */
	assert_int_equal(bits(block.v, 1, 0), 1); /* block */
	assert_int_equal(bits(page.v, 47, 12), 0x123456789);
	assert_int_equal(bits(page.v, 4, 2), 0); /* AttrIndx: Normal */
	assert_int_equal(bits(page.v, 7, 6), 0); /* AP: EL1 read and write */
	assert_int_equal(bits(block.v, 7, 6), 2); /* AP: EL1 read only */
	assert_int_equal(bits(page.v, 9, 8), 3); /* inner shareable */
	assert_int_equal(bits(page.v, 10, 10), 1); /* AF */
	assert_int_equal(bits(page.v, 11, 11), 0); /* global */
	assert_int_equal(bits(page.v, 52, 52), 0); /* not contiguous */
	assert_int_equal(bits(page.v, 53, 53), 1); /* PXN */
	assert_int_equal(bits(block.v, 53, 53), 0);
	assert_int_equal(bits(page.v, 54, 54), 1); /* UXN */
	assert_int_equal(bits(block.v, 54, 54), 1);
}

static void memory_types_are_the_indices_of_mair(void **state)
{
	const unsigned device = (unsigned)bits(pmap_attr(&kernel_pmap, PMAP_DEVICE), 4, 2);
	const unsigned nocache = (unsigned)bits(pmap_attr(&kernel_pmap, PMAP_NOCACHE), 4, 2);

	(void)state;
	assert_int_equal(MAIR_VALUE >> (8 * device) & 0xff, 0x04); /* nGnRE */
	assert_int_equal(MAIR_VALUE >> (8 * nocache) & 0xff, 0x44);
	assert_int_equal(MAIR_VALUE & 0xff, 0xff); /* index 0: write-back */
}

static void levels_have_their_sizes_and_index_bits(void **state)
{
	static const uint64_t size[] = { UINT64_C(512) << 30, UINT64_C(1) << 30, UINT64_C(2) << 20,
					 4096 };
	static const unsigned low[] = { 39, 30, 21, 12 };

	(void)state;
	for (unsigned level = 0; level < 4; level++) {
		const uint64_t at = any(UINT64_MAX);

		assert_int_equal(level_bytes(level), size[level]);
		assert_int_equal(level_index(va(at), level), bits(at, low[level] + 8, low[level]));
	}
}

static void tables_leaves_and_invalid_entries_are_told_apart(void **state)
{
	(void)state;
	for (unsigned level = 0; level < 4; level++) {
		for (uint64_t type = 0; type < 4; type++) {
			const pte_t e = { (any(UINT64_MAX) & ~UINT64_C(3)) | type };

			assert_int_equal(pte_is_valid(e), (type & 1) != 0);
			assert_int_equal(pte_is_table(e, level), type == 3 && level < 3);
			assert_int_equal(pte_is_leaf(e, level),
					 (type & 1) != 0 && !(type == 3 && level < 3));
		}
	}
}

/* D8.16.1: which single bits may change in a valid entry without break-before-make. */
static void only_permissions_and_software_bits_change_in_place(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		const pte_t was = { (any(UINT64_MAX) & ~UINT64_C(3)) | 3 };
		const pte_t now = { was.v ^ (UINT64_C(1) << bit) };
		const bool allowed = bit == 6 || bit == 7 || bit == 53 || bit == 54 ||
				     (bit >= 55 && bit <= 58);

		assert_int_equal(pte_is_protect_change(was, now), allowed);
	}
}

static void a_neighbour_follows_if_nothing_but_the_address_differs(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		const pte_t left = pte_leaf(pa(0x40000000), pmap_attr(&kernel_pmap, PMAP_WRITE), 3);
		pte_t right = pte_leaf(pa(0x40001000), pmap_attr(&kernel_pmap, PMAP_WRITE), 3);

		assert_true(pte_follows(left, right, 3));
		right.v ^= UINT64_C(1) << bit;
		/* AF and Contiguous are apart; bit 1 of a page makes it no leaf of another kind. */
		assert_int_equal(pte_follows(left, right, 3), bit == 10 || bit == 52);
	}
}

/* C5.5: VA[55:12] in 43:0, TTL in 47:44, ASID in 63:48. */
static void an_operand_of_a_kernel_address_has_no_ttl_and_no_asid(void **state)
{
	static const uint64_t base[] = { LINEAR_BASE, PINNED_BASE, KMAP_BASE, DEVICE_BASE,
					 IMAGE_BASE };

	(void)state;
	for (unsigned n = 0; n < 1000; n++) {
		const uint64_t at = base[n % 5] + (any(UINT64_MAX) & 0xffffffffff);
		const uint64_t operand = tlbi_operand_va(va(at));

		assert_int_equal(bits(operand, 63, 48), 0);
		assert_int_equal(bits(operand, 47, 44), 0);
		assert_int_equal(bits(operand, 43, 0), bits(at, 55, 12));
	}
}

/* C5.5, TLBI RVAAE1IS: what the operand covers, decoded by the manual's formula. */
static void a_range_operand_covers_its_range_and_little_more(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		const uint64_t at = KMAP_BASE + (any(UINT64_MAX) & 0xffffffff000);
		const uint64_t pages = 2 + any(UINT64_MAX) % ((UINT64_C(1) << (1 + n % 21)) - 1);
		const uint64_t operand = tlbi_operand_range(va(at), pages);
		const unsigned scale = (unsigned)bits(operand, 45, 44);
		const uint64_t unit = UINT64_C(1) << (5 * scale + 1);
		const uint64_t covered = (bits(operand, 43, 39) + 1) * unit;

		assert_int_equal(bits(operand, 36, 0), bits(at, 48, 12));
		assert_int_equal(bits(operand, 38, 37), 0); /* TTL: any level */
		assert_int_equal(bits(operand, 47, 46), 1); /* TG: 4 KiB */
		assert_int_equal(bits(operand, 63, 48), 0); /* ASID */
		assert_true(covered >= pages);
		assert_true(covered - pages < unit);
	}
}

/* Against the definition, on small numbers, and where 64 bits end. */
static void ranges_meet_when_they_share_an_element(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < 10000; n++) {
		const uint64_t a = n % 10, as = n / 10 % 10, b = n / 100 % 10, bs = n / 1000;
		bool share = false;

		for (uint64_t i = a; i < a + as; i++) {
			share = share || (i >= b && i < b + bs);
		}
		if (as > 0 && bs > 0) {
			assert_int_equal(ranges_meet(a, as, b, bs), share);
			assert_int_equal(
				ranges_meet(UINT64_MAX - 19 + a, as, UINT64_MAX - 19 + b, bs),
				share);
		}
	}
	assert_true(ranges_meet(UINT64_MAX, 1, 0, UINT64_MAX) == false);
	assert_true(ranges_meet(UINT64_MAX - 4095, 4096, UINT64_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_has_the_fields_of_the_manual),
		cmocka_unit_test(memory_types_are_the_indices_of_mair),
		cmocka_unit_test(levels_have_their_sizes_and_index_bits),
		cmocka_unit_test(tables_leaves_and_invalid_entries_are_told_apart),
		cmocka_unit_test(only_permissions_and_software_bits_change_in_place),
		cmocka_unit_test(a_neighbour_follows_if_nothing_but_the_address_differs),
		cmocka_unit_test(an_operand_of_a_kernel_address_has_no_ttl_and_no_asid),
		cmocka_unit_test(a_range_operand_covers_its_range_and_little_more),
		cmocka_unit_test(ranges_meet_when_they_share_an_element),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
