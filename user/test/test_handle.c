/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_handle.c - handles: what they name, what they allow, and their end.
 */
#include "user/test/test.h"

static void handle_closed_is_refused(void)
{
	handle_t event;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_handle_close(event));
	EXPECT_EQ(sys_event_signal(event, 1), KERR_HANDLE);
	EXPECT_EQ(sys_handle_close(event), KERR_HANDLE);
}

static void handle_reused_slot_is_another_handle(void)
{
	handle_t first, second;

	for (unsigned i = 0; i < 300; i++) {
		EXPECT_OK(sys_event_create(&first));
		EXPECT_OK(sys_handle_close(first));
		EXPECT_OK(sys_event_create(&second));
		EXPECT(first != second);
		EXPECT_EQ(sys_event_signal(first, 1), KERR_HANDLE);
		EXPECT_OK(sys_handle_close(second));
	}
}

static void handle_numbers_that_are_none_are_refused(void)
{
	static const handle_t none[] = { 0, 1, 0xffff, 0x12340000, 0xffffffff, 0x7fff0001 };

	for (unsigned i = 0; i < sizeof none / sizeof none[0]; i++) {
		EXPECT_EQ(sys_event_signal(none[i], 1), KERR_HANDLE);
		EXPECT_EQ(sys_handle_close(none[i]), KERR_HANDLE);
	}
}

static void handle_of_another_type_is_refused(void)
{
	handle_t event;
	uint64_t address;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, event, 0, 0, PAGE_BYTES, VM_READ, &address),
		  KERR_HANDLE);
	EXPECT_EQ(sys_thread_stop(event), KERR_HANDLE);
	EXPECT_EQ(sys_timer_set(event, 0), KERR_HANDLE);
	EXPECT_OK(sys_handle_close(event));
}

static void handle_dup_never_adds_rights(void)
{
	handle_t event, waiter, other;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_handle_dup(event, RIGHT_READ | RIGHT_DUPLICATE, HANDLE_NONE, &waiter));
	EXPECT_EQ(sys_event_signal(waiter, 1), KERR_DENIED);
	EXPECT_EQ(sys_handle_dup(waiter, RIGHT_READ | RIGHT_WRITE, HANDLE_NONE, &other),
		  KERR_DENIED);
	EXPECT_OK(sys_event_signal(event, 2));
	EXPECT_OK(sys_event_wait(waiter, 2, DEADLINE_POLL, &bits));
	EXPECT_EQ(bits, 2);
	EXPECT_OK(sys_handle_dup(waiter, RIGHT_READ, HANDLE_NONE, &other));
	EXPECT_EQ(sys_handle_dup(other, RIGHT_READ, HANDLE_NONE, &other), KERR_DENIED);
	EXPECT_OK(sys_handle_close(other));
	EXPECT_OK(sys_handle_close(waiter));
	EXPECT_OK(sys_handle_close(event));
}

static void handle_info_tells_type_rights_badge(void)
{
	handle_t endpoint, badged;
	uint64_t type, rights, badge;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_endpoint_badge(endpoint, 0x1234567890abcdef, &badged));
	EXPECT_OK(sys_handle_info(badged, &type, &rights, &badge));
	EXPECT_EQ(type, KOBJ_ENDPOINT);
	EXPECT_EQ(rights & (RIGHT_SEND | RIGHT_RECEIVE), RIGHT_SEND);
	EXPECT_EQ(badge, 0x1234567890abcdef);
	EXPECT_OK(sys_handle_close(badged));
	EXPECT_OK(sys_handle_close(endpoint));
}

static void handle_revoke_voids_every_handle(void)
{
	handle_t event, other;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_handle_dup(event, RIGHT_READ | RIGHT_WRITE, HANDLE_NONE, &other));
	EXPECT_EQ(sys_handle_revoke(other), KERR_DENIED);
	EXPECT_OK(sys_handle_revoke(event));
	EXPECT_EQ(sys_event_signal(other, 1), KERR_DEAD);
	EXPECT_EQ(sys_event_wait(other, 1, DEADLINE_POLL, &bits), KERR_DEAD);
	EXPECT_OK(sys_handle_close(other));
	EXPECT_OK(sys_handle_close(event));
}

static void handle_reserved_rights_are_refused(void)
{
	handle_t event, other;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_EQ(sys_handle_dup(event, 0x100, HANDLE_NONE, &other), KERR_INVALID);
	EXPECT_OK(sys_handle_close(event));
}

const struct test tests_handle[] = {
	TEST(handle_closed_is_refused),
	TEST(handle_reused_slot_is_another_handle),
	TEST(handle_numbers_that_are_none_are_refused),
	TEST(handle_of_another_type_is_refused),
	TEST(handle_dup_never_adds_rights),
	TEST(handle_info_tells_type_rights_badge),
	TEST(handle_revoke_voids_every_handle),
	TEST(handle_reserved_rights_are_refused),
	TEST_END,
};
