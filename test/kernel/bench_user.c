/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench_user.c - what changes of user spaces cost. See bench_cases.c for the rules.
 *
 * The space runs on this CPU, and the memory of 64 MiB is nobody's: it is mapped, not accessed.
 */
#include <compiler.h>
#include <memmap.h>

#include "kern/usercopy.h"
#include "pcpu/pcpu.h"
#include "test/kernel/bench.h"
#include "vm/frame.h"
#include "vm/pmap_user.h"

#define AT (4 * GIB)
#define FAR_MEMORY pa(UINT64_C(0xc000000000))
#define ORDER_2M 9
#define BIG (64 * MIB)
#define PAGES(bytes) ((bytes) / PAGE_BYTES)

/* Pinned. */
static struct pmap space;
static struct pmap other;
static pa_t memory;
static uint8_t buffer[PAGE_BYTES];

static void run_space(struct pmap *pmap)
{
	irq_mask();
	pmap_activate(pmap);
	irq_unmask();
}

static bool space_open(struct pmap *pmap)
{
	return pmap_user_init(pmap, nullptr) == KERR_OK;
}

static bool user_open(void)
{
	return frame_alloc(ORDER_2M, 0, &memory) == KERR_OK && space_open(&space) &&
	       space_open(&other);
}

static void user_close(void)
{
	pmap_user_destroy(&space);
	pmap_user_destroy(&other);
	frame_free(memory, ORDER_2M);
}

static uint64_t user_leaf(void)
{
	pte_t e;
	uint64_t bytes;

	return pmap_user_query(&space, va(AT), &e, &bytes) ? bytes : 0;
}

/* ---- states ---- */
static bool fresh(void)
{
	pmap_user_destroy(&space);
	if (!space_open(&space)) {
		return false;
	}
	run_space(&space);
	return true;
}

static bool full_table(void)
{
	return fresh() && pmap_map(&space, va(AT), memory, BLOCK_BYTES,
				   PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE) == KERR_OK;
}

static bool promoted(void)
{
	return full_table() && pmap_promote(&space, va(AT), PAGE_BYTES) == KERR_OK &&
	       user_leaf() == BLOCK_BYTES;
}

static bool page_restricted(void)
{
	return promoted() && pmap_protect(&space, va(AT), PAGE_BYTES, PMAP_READ) == KERR_OK;
}

static bool big_pages(void)
{
	return fresh() && pmap_map(&space, va(AT), FAR_MEMORY, BIG,
				   PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE) == KERR_OK;
}

static bool big_promoted(void)
{
	return big_pages() && pmap_promote(&space, va(AT), BIG) == KERR_OK &&
	       user_leaf() == 16 * BLOCK_BYTES;
}

/* Both have their numbers, and each has run. */
static bool other_runs(void)
{
	run_space(&space);
	run_space(&other);
	return true;
}

/* ---- calls ---- */
static enum kerr promote(void)
{
	return pmap_promote(&space, va(AT), PAGE_BYTES);
}

static enum kerr restrict_page(void)
{
	return pmap_protect(&space, va(AT), PAGE_BYTES, PMAP_READ);
}

static enum kerr restore_page(void)
{
	return pmap_protect(&space, va(AT), PAGE_BYTES, PMAP_WRITE);
}

static enum kerr restrict_pages(void)
{
	return pmap_protect(&space, va(AT), BLOCK_BYTES, PMAP_READ | PMAP_NO_PROMOTE);
}

static enum kerr unmap_big(void)
{
	return pmap_unmap(&space, va(AT), BIG);
}

static enum kerr destroy(void)
{
	pmap_user_destroy(&space);
	return space_open(&space) ? KERR_OK : KERR_NO_MEMORY;
}

static enum kerr map_page(void)
{
	return pmap_map(&space, va(AT + BLOCK_BYTES - PAGE_BYTES), FAR_MEMORY, PAGE_BYTES,
			PMAP_WRITE);
}

static bool table_with_room(void)
{
	return fresh() && pmap_map(&space, va(AT), memory, PAGE_BYTES, PMAP_WRITE) == KERR_OK;
}

static enum kerr activate(void)
{
	run_space(&space);
	return KERR_OK;
}

static enum kerr copy_page(void)
{
	return copy_from_user(buffer, va(AT), sizeof(buffer));
}

#define CALL BENCH_CALL, BENCH_IDLE, 1
#define EACH_PAGE BENCH_CALL, BENCH_IDLE, PAGES(BIG)

/* name, metric and others, goal, more per CPU, least CPUs, from, call, leaf afterwards */
static const struct bench_case cases[] = {
	{ "promote_user_2m", CALL, 400, 60, 1, full_table, promote, BLOCK_BYTES },
	{ "protect_one_of_2m", CALL, 900, 60, 1, promoted, restrict_page, PAGE_BYTES },
	{ "repromote_user_2m", CALL, 900, 60, 1, page_restricted, restore_page, BLOCK_BYTES },
	{ "protect_512", CALL, 3000, 0, 1, full_table, restrict_pages, PAGE_BYTES },
	{ "unmap_per_page", EACH_PAGE, 4, 0, 1, big_pages, unmap_big, 0 },
	{ "unmap_per_page_promoted", EACH_PAGE, 4, 0, 1, big_promoted, unmap_big, 0 },
	{ "destroy_64m", CALL, 60000, 0, 1, big_pages, destroy, 0 },
	{ "destroy_64m_promoted", CALL, 60000, 0, 1, big_promoted, destroy, 0 },
	{ "map_user_4k", CALL, 0, 0, 1, table_with_room, map_page, 0 },
	{ "switch_space", CALL, 0, 0, 1, other_runs, activate, 0 },
	{ "copy_from_user_4k", CALL, 0, 0, 1, promoted, copy_page, BLOCK_BYTES },
};

const struct bench_suite bench_user = {
	cases, array_len(cases), user_open, user_close, user_leaf,
};
