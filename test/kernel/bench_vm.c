/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench_vm.c - what memory costs a program, from the fault to the end of its space. See
 * bench_cases.c for the rules. The figures below it, of tables alone, are bench_user.c's.
 *
 * The space runs on this CPU. Budget and hysteresis are off: they would show the limit.
 */
#include <compiler.h>
#include <memmap.h>

#include "arch/arm64/timer.h"
#include "kern/lock.h"
#include "test/kernel/bench.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"

#define AT (8 * GIB)
#define BIG (64 * MIB)
#define PAGES(bytes) ((bytes) / PAGE_BYTES)
#define VM_RW (VM_READ | VM_WRITE)

static struct space *space;
static struct memory_object *object;
static uint64_t next; /* page to be touched */

static bool touch(uint64_t pages)
{
	for (; pages > 0; pages--, next++) {
		if (fault_touch(space, va(AT + next * PAGE_BYTES), VM_WRITE) != FAULT_RESOLVED) {
			return false;
		}
	}
	return true;
}

/* A space with an untouched object of so many bytes at AT. */
static bool fresh(uint64_t bytes)
{
	if (space != nullptr) {
		space_destroy(space);
		space = nullptr;
	}
	if (object != nullptr) {
		object_unref(object);
		object = nullptr;
	}
	next = 0;
	if (space_create(nullptr, &space) != KERR_OK) {
		return false;
	}
	user_enter(space);
	return object_create(MEM_ANON, bytes, nullptr, nullptr, &object) == KERR_OK &&
	       user_map(space, object, 0, AT, bytes, VM_RW) == KERR_OK;
}

static bool vm_open(void)
{
	budget_set(0, 0, 0);
	return true;
}

static void vm_close(void)
{
	if (space != nullptr) {
		space_destroy(space);
		space = nullptr;
	}
	if (object != nullptr) {
		object_unref(object);
		object = nullptr;
	}
	user_enter(nullptr);
	budget_init(arch_counter_hz());
}

static uint64_t vm_leaf(void)
{
	return user_leaf(space, AT);
}

/* ---- states ---- */

static bool one_touched(void)
{
	return fresh(BLOCK_BYTES) && touch(1);
}

static bool all_but_one_touched(void)
{
	return fresh(BLOCK_BYTES) && touch(511);
}

static bool superpage(void)
{
	return fresh(BLOCK_BYTES) && touch(512);
}

static bool superpage_with_a_hole(void)
{
	return superpage() &&
	       space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES, VM_READ) == KERR_OK;
}

/* 4 KiB leaves: the budget is empty, so nothing is promoted. */
static bool small_pages(uint64_t bytes)
{
	if (!fresh(bytes)) {
		return false;
	}
	budget_set(arch_counter_hz(), 1, 1);
	space->budget.full_at = UINT64_MAX / 2;
	const bool ok = touch(PAGES(bytes));

	space->budget.full_at = 0;
	budget_set(0, 0, 0);
	return ok;
}

static bool small_2m(void)
{
	return small_pages(BLOCK_BYTES);
}

static bool small_1m(void)
{
	return small_pages(MIB);
}

static bool small_16m(void)
{
	return small_pages(16 * MIB);
}

static bool small_64m(void)
{
	return small_pages(BIG);
}

static bool large_64m(void)
{
	return fresh(BIG) && touch(PAGES(BIG));
}

/* The object has contents; this space has not seen them yet. */
static bool map_again(void)
{
	next = 0;
	return space_unmap(space, va(AT), BLOCK_BYTES) == KERR_OK &&
	       user_map(space, object, 0, AT, BLOCK_BYTES, VM_RW) == KERR_OK;
}

static bool full_object(void)
{
	return superpage() && map_again();
}

static bool eight_pages_of_object(void)
{
	return fresh(BLOCK_BYTES) && touch(8) && map_again();
}

static bool sixteen_pages_of_object(void)
{
	return fresh(BLOCK_BYTES) && touch(16) && map_again();
}

static struct memory_object *secret;

static void forget_secret(void)
{
	if (secret != nullptr) {
		object_unref(secret);
		secret = nullptr;
	}
}

static bool no_secret(void)
{
	forget_secret();
	return fresh(BLOCK_BYTES);
}

static bool a_secret(void)
{
	return no_secret() &&
	       object_create(MEM_SECRET, BLOCK_BYTES, nullptr, nullptr, &secret) == KERR_OK;
}

/* ---- calls ---- */

static enum kerr verdict(enum fault_verdict v)
{
	return v == FAULT_RESOLVED ? KERR_OK : KERR_FAULT;
}

/* As the CPU reports it: data abort from EL0, write, translation fault at level 3. */
static enum kerr take_fault(void)
{
	struct fault_info info;

	return verdict(vm_fault(space, va(AT + next * PAGE_BYTES + 8), 0x92000047, &info));
}

static enum kerr restrict_page(void)
{
	return space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES, VM_READ);
}

static enum kerr restore_page(void)
{
	return space_protect(space, va(AT + PAGE_BYTES), PAGE_BYTES, VM_RW);
}

static enum kerr restrict_all(void)
{
	return space_protect(space, va(AT), BLOCK_BYTES, VM_READ);
}

static enum kerr unmap_all(void)
{
	struct memory_object *mine = object;

	object = nullptr; /* the region names it alone: its frames go too */
	object_unref(mine);
	return space_unmap(space, va(AT), 4 * GIB);
}

static enum kerr destroy(void)
{
	struct memory_object *mine = object;
	struct space *gone = space;

	object = nullptr;
	space = nullptr;
	object_unref(mine);
	space_destroy(gone);
	return KERR_OK;
}

static enum kerr make_secret(void)
{
	return object_create(MEM_SECRET, BLOCK_BYTES, nullptr, nullptr, &secret);
}

static enum kerr drop_secret(void)
{
	forget_secret();
	return KERR_OK;
}

static enum kerr map_call(void)
{
	return user_map(space, object, 0, AT + GIB, BLOCK_BYTES, VM_RW);
}

#define CALL BENCH_CALL, BENCH_BUSY, 1
#define EACH(bytes) BENCH_CALL, BENCH_BUSY, PAGES(bytes)

/* name, metric and others, units, goal, more per CPU, least CPUs, from, call, leaf afterwards */
static const struct bench_case cases[] = {
	{ "first_touch_4k", CALL, 700, 0, 1, one_touched, take_fault, 0 },
	{ "last_touch_2m", CALL, 1100, 60, 1, all_but_one_touched, take_fault, BLOCK_BYTES },
	{ "fault_around_8_pages", CALL, 0, 0, 1, eight_pages_of_object, take_fault, 0 },
	{ "fault_around_16_pages", CALL, 0, 0, 1, sixteen_pages_of_object, take_fault, 0 },
	{ "fault_block_2m", CALL, 0, 0, 1, full_object, take_fault, BLOCK_BYTES },
	{ "space_map", CALL, 0, 0, 1, one_touched, map_call, 0 },
	{ "space_protect_one_of_2m", CALL, 0, 0, 1, superpage, restrict_page, 0 },
	{ "space_repromote_2m", CALL, 0, 0, 1, superpage_with_a_hole, restore_page, BLOCK_BYTES },
	{ "space_protect_512", CALL, 0, 0, 1, small_2m, restrict_all, 0 },
	{ "space_unmap_1m_per_page", EACH(MIB), 4, 0, 1, small_1m, unmap_all, 0 },
	{ "space_unmap_16m_per_page", EACH(16 * MIB), 4, 0, 1, small_16m, unmap_all, 0 },
	{ "space_unmap_64m_per_page", EACH(BIG), 4, 0, 1, small_64m, unmap_all, 0 },
	{ "space_destroy_64m", CALL, 60000, 0, 1, small_64m, destroy, 0 },
	{ "space_destroy_64m_promoted", CALL, 60000, 0, 1, large_64m, destroy, 0 },
	{ "secret_2m", CALL, 0, 0, 1, no_secret, make_secret, 0 },
	{ "secret_2m_back", CALL, 0, 0, 1, a_secret, drop_secret, 0 },
};

const struct bench_suite bench_vm = { cases, array_len(cases), vm_open, vm_close, vm_leaf };
