/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_memory.c - memory: objects, mappings, superpages.
 */
#include "user/test/test.h"

#include <stdlib.h>

#define RW (VM_READ | VM_WRITE)

static volatile uint64_t *word_at(uint64_t address)
{
	return (volatile uint64_t *)(uintptr_t)address;
}

static uint64_t leaf_at(uint64_t address)
{
	uint64_t leaf = 0, flags, offset, physical;

	EXPECT_OK(sys_mem_query(HANDLE_NONE, address, &leaf, &flags, &offset, &physical));
	return leaf;
}

static void memory_is_zero_at_first(void)
{
	const uint64_t at = map_memory(MEM_ANON, 64 * PAGE_BYTES, RW);

	for (uint64_t i = 0; i < 64 * PAGE_BYTES; i += 8) {
		if (*word_at(at + i) != 0) {
			EXPECT(false);
			break;
		}
	}
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 64 * PAGE_BYTES));
}

static void memory_is_shared_through_its_object(void)
{
	handle_t memory;
	uint64_t a, b;

	EXPECT_OK(sys_mem_create(MEM_ANON, 2 * PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, 2 * PAGE_BYTES, RW, &a));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, PAGE_BYTES, 0, PAGE_BYTES, VM_READ, &b));
	*word_at(a + PAGE_BYTES) = 0x123456;
	EXPECT_EQ(*word_at(b), 0x123456);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, a, 2 * PAGE_BYTES));
	EXPECT_EQ(*word_at(b), 0x123456);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, b, PAGE_BYTES));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, PAGE_BYTES, 0, PAGE_BYTES, VM_READ, &b));
	EXPECT_EQ(*word_at(b), 0x123456);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, b, PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

static void memory_rights_limit_mappings(void)
{
	handle_t memory, reader;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_handle_dup(memory, RIGHT_READ, HANDLE_NONE, &reader));
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, reader, 0, 0, PAGE_BYTES, RW, &at), KERR_DENIED);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, reader, 0, 0, PAGE_BYTES, VM_READ | VM_EXEC, &at),
		  KERR_DENIED);
	EXPECT_OK(sys_mem_map(HANDLE_NONE, reader, 0, 0, PAGE_BYTES, VM_READ, &at));
	EXPECT_EQ(sys_mem_protect(HANDLE_NONE, at, PAGE_BYTES, RW), KERR_DENIED);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
	EXPECT_OK(sys_handle_close(reader));
	EXPECT_OK(sys_handle_close(memory));
}

static void memory_writable_and_executable_is_refused(void)
{
	handle_t memory;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, RW | VM_EXEC, &at),
		  KERR_INVALID);
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, RW, &at));
	EXPECT_EQ(sys_mem_protect(HANDLE_NONE, at, PAGE_BYTES, RW | VM_EXEC), KERR_INVALID);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

static void memory_bad_ranges_are_refused(void)
{
	handle_t memory;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, 4 * PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, 0, 5 * PAGE_BYTES, RW, &at), KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, PAGE_BYTES, 0, 4 * PAGE_BYTES, RW, &at),
		  KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, UINT64_MAX - PAGE_BYTES + 1, 0, PAGE_BYTES, RW,
			      &at),
		  KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, 0, 0, RW, &at), KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 8, 0, PAGE_BYTES, RW, &at), KERR_INVALID);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, USER_END, PAGE_BYTES, RW | VM_FIXED, &at),
		  KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, LINEAR_BASE, PAGE_BYTES, RW | VM_FIXED, &at),
		  KERR_RANGE);
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, PAGE_BYTES, PAGE_BYTES, RW | VM_FIXED, &at),
		  KERR_RANGE);
	EXPECT_EQ(sys_mem_unmap(HANDLE_NONE, USER_END - PAGE_BYTES, 2 * PAGE_BYTES), KERR_RANGE);
	EXPECT_EQ(sys_mem_unmap(HANDLE_NONE, 0, UINT64_MAX - PAGE_BYTES + 1), KERR_RANGE);
	EXPECT_EQ(sys_mem_protect(HANDLE_NONE, PINNED_BASE, PAGE_BYTES, VM_READ), KERR_RANGE);
	EXPECT_OK(sys_handle_close(memory));
}

static void memory_fixed_does_not_replace(void)
{
	const uint64_t at = map_memory(MEM_ANON, 4 * PAGE_BYTES, RW);
	handle_t memory;
	uint64_t other;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_EQ(sys_mem_map(HANDLE_NONE, memory, 0, at + PAGE_BYTES, PAGE_BYTES, RW | VM_FIXED,
			      &other),
		  KERR_EXISTS);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at + PAGE_BYTES, PAGE_BYTES));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, at + PAGE_BYTES, PAGE_BYTES, RW | VM_FIXED,
			      &other));
	EXPECT_EQ(other, at + PAGE_BYTES);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 4 * PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

/* A re-mapped address must show the new memory at once. */
static void memory_remapped_address_shows_the_new(void)
{
	const uint64_t at = map_memory(MEM_ANON, PAGE_BYTES, RW);
	handle_t memory;
	uint64_t mapped;

	for (uint64_t i = 1; i <= 20; i++) {
		*word_at(at) = i;
		EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
		EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
		EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, at, PAGE_BYTES, RW | VM_FIXED,
				      &mapped));
		EXPECT_OK(sys_handle_close(memory));
		EXPECT_EQ(*word_at(at), 0);
	}
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

/* Deletion unmaps: nobody reaches the memory of an object that was revoked. */
static void memory_revoked_is_unmapped(void)
{
	struct catcher c;
	handle_t memory;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, RW, &at));
	*word_at(at) = 1;
	catcher_begin(&c, EXC_SKIP, nullptr);
	EXPECT_OK(sys_handle_revoke(memory));
	*word_at(at) = 2;
	catcher_end(&c);
	EXPECT_EQ(c.count, 1);
	EXPECT_EQ(c.last.word[EXC_WORD_ADDRESS], at);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

/* ---- what one CPU changes, another one sees ---- */

static struct {
	volatile uint64_t *word;
	volatile uint64_t copy; /* of what the other thread reads, all the time */
	_Atomic(bool) over;
} watch;

/* On the last CPU; on the first if there is only one. */
static void watch_word(void *argument)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_C(1) << *(uint64_t *)argument));
	while (!watch.over) {
		watch.copy = *watch.word;
	}
}

static void count_in_word(void *argument)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_C(1) << *(uint64_t *)argument));
	while (!watch.over) {
		*watch.word = *watch.word + 1;
	}
}

static void fix_await_mapping(const struct ipc_message *m)
{
	const uint64_t until = in_time();
	uint64_t leaf, flags, offset, physical;
	enum kerr e;

	do {
		e = sys_mem_query(HANDLE_NONE, m->word[EXC_WORD_ADDRESS], &leaf, &flags, &offset,
				  &physical);
	} while (e == KERR_ABSENT && time_now_ns() < until);
	EXPECT_OK(e);
}

/* The word is mapped elsewhere by remapping one page under the other thread's feet. */
static void memory_remapped_is_seen_by_other_cpus(void)
{
	uint64_t last_cpu = cpus_online() - 1, at, mapped;
	handle_t memory;

	EXPECT_OK(sys_mem_create(MEM_ANON, 8 * PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, 8 * PAGE_BYTES, RW, &at));
	for (uint64_t i = 0; i < 8; i++) {
		*word_at(at + i * PAGE_BYTES) = 100 + i;
	}
	watch.word = word_at(at);
	watch.over = false;
	watch.copy = 0;
	struct catcher c;
	catcher_begin(&c, EXC_RESUME, fix_await_mapping); /* between the two calls */
	struct thread *const t = start_thread(watch_word, &last_cpu, PRIORITY_DEFAULT - 2);
	for (uint64_t i = 0; i < 8; i++) {
		EXPECT(await_equal(&watch.copy, 100 + i));
		if (i < 7) {
			EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
			EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, (i + 1) * PAGE_BYTES, at,
					      PAGE_BYTES, RW | VM_FIXED, &mapped));
		}
	}
	watch.over = true;
	thread_join(t);
	catcher_end(&c);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 8 * PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

static void fix_writable_again(const struct ipc_message *m)
{
	EXPECT_OK(protect(m->word[EXC_WORD_ADDRESS], PAGE_BYTES, RW));
}

static void memory_protected_is_seen_by_other_cpus(void)
{
	uint64_t last_cpu = cpus_online() - 1;
	struct catcher c;

	watch.word = word_at(map_memory(MEM_ANON, PAGE_BYTES, RW));
	watch.over = false;
	catcher_begin(&c, EXC_RESUME, fix_writable_again);
	struct thread *const t = start_thread(count_in_word, &last_cpu, PRIORITY_DEFAULT - 2);
	for (unsigned i = 0; i < 8; i++) {
		EXPECT(await_change(watch.word, *watch.word));
		const volatile uint64_t *const caught = &c.count;
		const uint64_t before = *caught;
		EXPECT_OK(protect((uint64_t)(uintptr_t)watch.word, PAGE_BYTES, VM_READ));
		EXPECT(await_change(caught, before));
	}
	watch.over = true;
	thread_join(t);
	catcher_end(&c);
	EXPECT_EQ(c.count, 8);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, (uint64_t)(uintptr_t)watch.word, PAGE_BYTES));
}

static void touched_memory_becomes_superpages(void)
{
	const uint64_t at = map_memory(MEM_ANON, 4 * BLOCK_BYTES, RW);
	const uint64_t block = align_up(at, BLOCK_BYTES);

	EXPECT(is_aligned(at, BLOCK_BYTES)); /* the kernel's own choice of address */
	for (uint64_t offset = 0; offset < BLOCK_BYTES; offset += PAGE_BYTES) {
		*word_at(block + offset) = offset + 1;
	}
	EXPECT_EQ(leaf_at(block), BLOCK_BYTES);
	for (uint64_t offset = 0; offset < 0x10000; offset += PAGE_BYTES) {
		*word_at(block + BLOCK_BYTES + offset) = offset + 1;
	}
	EXPECT_EQ(leaf_at(block + BLOCK_BYTES), 0x10000);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 4 * BLOCK_BYTES));
}

static void protected_page_splits_and_joins_again(void)
{
	const uint64_t at = map_memory(MEM_ANON, 2 * BLOCK_BYTES, RW);
	const uint64_t block = align_up(at, BLOCK_BYTES), page = block + 37 * PAGE_BYTES;

	for (uint64_t offset = 0; offset < BLOCK_BYTES; offset += 8) {
		*word_at(block + offset) = offset ^ 0x5a5a;
	}
	EXPECT_EQ(leaf_at(block), BLOCK_BYTES);
	EXPECT_OK(protect(page, PAGE_BYTES, VM_READ));
	EXPECT_EQ(leaf_at(page), PAGE_BYTES);
	EXPECT(leaf_at(block) < BLOCK_BYTES);
	*word_at(page + PAGE_BYTES) = 1;
	*word_at(page + PAGE_BYTES) = (38 * PAGE_BYTES) ^ 0x5a5a;
	EXPECT_OK(protect(page, PAGE_BYTES, RW));
	for (uint64_t offset = 0; offset < BLOCK_BYTES; offset += 8) {
		if (*word_at(block + offset) != (offset ^ 0x5a5a)) {
			EXPECT_EQ(*word_at(block + offset), offset ^ 0x5a5a);
			break;
		}
	}
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 2 * BLOCK_BYTES));
}

static void advice_dontneed_gives_zeroes(void)
{
	const uint64_t at = map_memory(MEM_ANON, 2 * PAGE_BYTES, RW);

	*word_at(at) = 1;
	*word_at(at + PAGE_BYTES) = 2;
	EXPECT_OK(sys_mem_advise(HANDLE_NONE, at, PAGE_BYTES, VM_DONTNEED));
	EXPECT_EQ(*word_at(at), 0);
	EXPECT_EQ(*word_at(at + PAGE_BYTES), 2);
	EXPECT_EQ(sys_mem_advise(HANDLE_NONE, at, PAGE_BYTES, 0), KERR_INVALID);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 2 * PAGE_BYTES));
}

static void advice_willneed_populates(void)
{
	const uint64_t at = map_memory(MEM_ANON, 16 * PAGE_BYTES, RW);

	EXPECT_EQ(leaf_at(at), 0);
	EXPECT_OK(sys_mem_advise(HANDLE_NONE, at, 16 * PAGE_BYTES, VM_WILLNEED));
	EXPECT(leaf_at(at + 15 * PAGE_BYTES) >= PAGE_BYTES);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 16 * PAGE_BYTES));
}

#define TERABYTES (UINT64_C(16) << 40)

static volatile uint64_t begun;

static void advise_in_vain(uint64_t at)
{
	begun = 1;
	for (;;) {
		(void)sys_mem_advise(HANDLE_NONE, at, TERABYTES, VM_WILLNEED);
	}
}

/* No page of it may be touched, so none comes, and there are more of them than any time lasts. */
static void long_advice_can_be_stopped(void)
{
	const uint64_t at = map_memory(MEM_ANON, TERABYTES, 0);

	begun = 0;
	const handle_t t = start_bare(advise_in_vain, at);
	EXPECT(await_change(&begun, 0));
	EXPECT_OK(sys_thread_stop(t));
	await_state(t, THREAD_IS_STOPPED);
	end_bare(t);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, TERABYTES));
}

static void secret_memory_works_like_any(void)
{
	const uint64_t at = map_memory(MEM_SECRET, 4 * PAGE_BYTES, RW);

	for (uint64_t i = 0; i < 4; i++) {
		EXPECT_EQ(*word_at(at + i * PAGE_BYTES), 0);
		*word_at(at + i * PAGE_BYTES) = i + 9;
	}
	for (uint64_t i = 0; i < 4; i++) {
		EXPECT_EQ(*word_at(at + i * PAGE_BYTES), i + 9);
	}
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 4 * PAGE_BYTES));
}

static void query_of_nothing_is_absent(void)
{
	uint64_t leaf, flags, offset, physical;

	EXPECT_EQ(sys_mem_query(HANDLE_NONE, UINT64_C(0x7f0000000000), &leaf, &flags, &offset,
				&physical),
		  KERR_ABSENT);
	EXPECT_EQ(sys_mem_query(HANDLE_NONE, LINEAR_BASE, &leaf, &flags, &offset, &physical),
		  KERR_RANGE);
}

static void malloc_gives_memory_that_promotes(void)
{
	char *const p = malloc(8 * MIB);
	const uint64_t block = align_up((uint64_t)(uintptr_t)p, BLOCK_BYTES);

	EXPECT(p != nullptr);
	if (p != nullptr) {
		memset(p, 0x6b, 8 * MIB);
		EXPECT_EQ(leaf_at(block), BLOCK_BYTES);
		EXPECT_EQ(p[8 * MIB - 1], 0x6b);
		free(p);
	}
	void *volatile too_much = malloc(UINT64_C(1) << 60); /* volatile: it is really asked for */
	EXPECT(too_much == nullptr);
	free(too_much);
}

const struct test tests_memory[] = {
	TEST(memory_is_zero_at_first),
	TEST(memory_is_shared_through_its_object),
	TEST(memory_rights_limit_mappings),
	TEST(memory_writable_and_executable_is_refused),
	TEST(memory_bad_ranges_are_refused),
	TEST(memory_fixed_does_not_replace),
	TEST(memory_remapped_address_shows_the_new),
	TEST(memory_revoked_is_unmapped),
	TEST(memory_remapped_is_seen_by_other_cpus),
	TEST(memory_protected_is_seen_by_other_cpus),
	TEST(touched_memory_becomes_superpages),
	TEST(protected_page_splits_and_joins_again),
	TEST(advice_dontneed_gives_zeroes),
	TEST(advice_willneed_populates),
	TEST(long_advice_can_be_stopped),
	TEST(secret_memory_works_like_any),
	TEST(query_of_nothing_is_absent),
	TEST(malloc_gives_memory_that_promotes),
	TEST_END,
};
