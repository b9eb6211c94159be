/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_step.c - long operations let who is more urgent in between (R8).
 *
 * THEORY   A thread does something long again and again, on the CPU where this one wakes up every
 *          now and then. What is half done can be seen there only by who came in between: on one
 *          CPU, if the operation is cut into steps. How often one looks does not matter, for one
 *          look is enough, and there are far more than that in the rounds that are made.
 */
#include "user/test/test.h"

#define RW (VM_READ | VM_WRITE)
#define ROUNDS 100
#define LOOK_NS (MS / 20)
#define AT UINT64_C(0x600000000000)

struct work {
	void (*prepare)(struct work *w);
	void (*run)(struct work *w);
	bool (*is_half_done)(struct work *w);
	_Atomic(bool) seen, over;
	handle_t memory;
	uint64_t at;
	_Atomic(uint64_t) used; /* bytes, after the preparation */
};

static void work_long(void *argument)
{
	struct work *const w = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	for (unsigned round = 0; !w->seen && round < ROUNDS; round++) {
		w->prepare(w);
		w->run(w);
	}
	w->over = true;
}

static void look_in_between(struct work *w)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	struct thread *const t = start_thread(work_long, w, PRIORITY_DEFAULT - 4);

	while (!w->seen && !w->over) {
		EXPECT_OK(time_sleep_ns(LOOK_NS));
		w->seen = w->is_half_done(w);
	}
	thread_join(t);
	EXPECT(w->seen);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* ---- many regions ---- */

#define GUARDS 512

static uint64_t guard_at(unsigned i)
{
	return AT + 2 * i * PAGE_BYTES; /* with a hole between them: no two become one */
}

static void map_guards(struct work *w)
{
	uint64_t at;

	(void)w;
	for (unsigned i = 0; i < GUARDS; i++) {
		EXPECT_OK(sys_mem_map(HANDLE_NONE, HANDLE_NONE, 0, guard_at(i), PAGE_BYTES,
				      VM_GUARD | VM_FIXED, &at));
	}
}

static void unmap_guards(struct work *w)
{
	(void)w;
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, AT, 2 * GUARDS * PAGE_BYTES));
}

static bool is_mapped(uint64_t at)
{
	uint64_t leaf, flags, offset, physical;

	return sys_mem_query(HANDLE_NONE, at, &leaf, &flags, &offset, &physical) == KERR_OK;
}

/* They are mapped from the first on, so this is no moment of that. */
static bool are_half_unmapped(struct work *w)
{
	(void)w;
	return !is_mapped(guard_at(0)) && is_mapped(guard_at(GUARDS - 1));
}

static void unmapping_many_regions_lets_the_urgent_in(void)
{
	struct work w = { .prepare = map_guards,
			  .run = unmap_guards,
			  .is_half_done = are_half_unmapped };

	look_in_between(&w);
}

/* ---- much memory ---- */

#define STRETCHES 128
#define STRETCH_BYTES (2 * MIB)

static uint64_t used_bytes(void)
{
	uint64_t limit, used, threads, handles;

	EXPECT_OK(sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles));
	return used;
}

static void touch_much(struct work *w)
{
	w->at = map_memory(MEM_ANON, STRETCHES * STRETCH_BYTES, RW);
	for (unsigned i = 0; i < STRETCHES; i++) {
		*(volatile uint64_t *)(uintptr_t)(w->at + i * STRETCH_BYTES) = i;
	}
	w->used = used_bytes();
}

/* What it showed is its last user's, and comes back in the steps of whoever makes calls. */
static void unmap_much(struct work *w)
{
	const uint64_t used = w->used, until = in_time();

	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, w->at, STRETCHES * STRETCH_BYTES));
	while (used_bytes() > used - STRETCHES * PAGE_BYTES && time_now_ns() < until) {
	}
	w->used = 0;
}

static bool is_half_back(struct work *w)
{
	const uint64_t full = w->used, now = used_bytes();

	/* Half of the pages and more, but not yet all of the tables. */
	return full != 0 && now < full - 16 * PAGE_BYTES && now > full - STRETCHES * PAGE_BYTES;
}

static void memory_unmapped_last_comes_back_in_steps(void)
{
	struct work w = { .prepare = touch_much, .run = unmap_much, .is_half_done = is_half_back };

	look_in_between(&w);
}

/* ---- shown in many places ---- */

#define PLACES 256

static uint64_t place_at(unsigned i)
{
	return AT + 2 * i * PAGE_BYTES;
}

static uint64_t leaf_at(uint64_t at)
{
	uint64_t leaf = 0, flags, offset, physical;

	(void)sys_mem_query(HANDLE_NONE, at, &leaf, &flags, &offset, &physical);
	return leaf;
}

static void show_everywhere(struct work *w)
{
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &w->memory));
	for (unsigned i = 0; i < PLACES; i++) {
		EXPECT_OK(sys_mem_map(HANDLE_NONE, w->memory, 0, place_at(i), PAGE_BYTES,
				      RW | VM_FIXED, &at));
		*(volatile uint64_t *)(uintptr_t)at = i;
	}
}

/* When the call returns it is nowhere, and a second revocation comes too late. */
static void revoke_everywhere(struct work *w)
{
	EXPECT_OK(sys_handle_revoke(w->memory));
	for (unsigned i = PLACES; i-- > 0;) { /* the last ones are still to come, if any is */
		EXPECT_EQ(leaf_at(place_at(i)), 0);
	}
	EXPECT_EQ(sys_handle_revoke(w->memory), KERR_DEAD);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, AT, 2 * PLACES * PAGE_BYTES));
	EXPECT_OK(sys_handle_close(w->memory));
}

/* Who touches the last has touched the first; only a revocation takes one of them alone. */
static bool is_half_revoked(struct work *w)
{
	const bool last = leaf_at(place_at(PLACES - 1)) != 0;

	(void)w;
	return last && is_mapped(place_at(0)) && leaf_at(place_at(0)) == 0;
}

static void revoking_memory_lets_the_urgent_in(void)
{
	struct work w = { .prepare = show_everywhere,
			  .run = revoke_everywhere,
			  .is_half_done = is_half_revoked };

	look_in_between(&w);
}

const struct test tests_step[] = {
	TEST(unmapping_many_regions_lets_the_urgent_in),
	TEST(memory_unmapped_last_comes_back_in_steps),
	TEST(revoking_memory_lets_the_urgent_in),
	TEST_END,
};
