/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_user.c - user spaces, seen through the copies that judge as EL0 would.
 */
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "kern/usercopy.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"

static struct user_fault last_fault(void)
{
	return pcpu_this()->user_fault;
}

/* Nothing is mapped below the kernel's half of a CPU without a space. */
static void a_copy_without_a_space_is_a_fault(void)
{
	uint64_t word = 7;

	EXPECT_EQ(copy_from_user(&word, va(USER_BASE + 8), sizeof(word)), KERR_FAULT);
	EXPECT_EQ(last_fault().va, USER_BASE + 8);
	EXPECT(last_fault().esr != 0);
	EXPECT_EQ(last_fault().copied, 0);
	EXPECT_EQ(word, 7);
	EXPECT_EQ(copy_to_user(va(USER_END - 1), &word, 1), KERR_FAULT);
	EXPECT_EQ(last_fault().va, USER_END - 1);
	EXPECT_EQ(copy_from_user(&word, va(USER_BASE), 0), KERR_OK);
}

/* Addresses that no user space has are refused before anything is accessed. */
static void a_copy_outside_user_space_is_refused(void)
{
	static const struct {
		uint64_t at;
		uint64_t bytes;
	} bad[] = {
		{ 0, 1 },
		{ USER_BASE - 1, 1 },
		{ USER_END - 1, 2 },
		{ USER_END, 1 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 7, 16 },
		{ USER_BASE, UINT64_MAX },
		{ USER_BASE, UINT64_MAX - USER_BASE + 1 },
		{ LINEAR_BASE, 8 },
		{ IMAGE_BASE, 8 },
		{ UINT64_C(1) << 56 | USER_BASE, 8 }, /* a tag: there is no top-byte-ignore */
	};
	char buffer[16] = "unchanged";

	for (unsigned i = 0; i < array_len(bad); i++) {
		EXPECT_EQ(copy_from_user(buffer, va(bad[i].at), bad[i].bytes), KERR_FAULT);
		EXPECT_EQ(last_fault().esr, 0);
		EXPECT_EQ(copy_to_user(va(bad[i].at), buffer, bad[i].bytes), KERR_FAULT);
		EXPECT_EQ(last_fault().esr, 0);
	}
	EXPECT(strcmp(buffer, "unchanged") == 0);
}

const struct ktest ktest_user[] = {
	{ "a_copy_without_a_space_is_a_fault", a_copy_without_a_space_is_a_fault, 1 },
	{ "a_copy_outside_user_space_is_refused", a_copy_outside_user_space_is_refused, 1 },
	{ nullptr, nullptr, 0 },
};
