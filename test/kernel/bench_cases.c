/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench_cases.c - the benchmarks: each a state and the one call that leaves it.
 *
 * THEORY   A figure is a public call of vm/pmap.h (or ipi/park.h), its lock and checks included,
 *          and never an inner function: a caller cannot pay less. Promotion is "beyond the last
 *          fault": the region is populated, the call finds it uniform and changes its size.
 *          Every sample starts from the same prepared state, and the leaf that it leaves is
 *          looked at, so that a call that did nothing cannot pass for a fast one.
 */
#include "test/kernel/bench.h"

#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>

#include "ipi/inval.h"
#include "ipi/park.h"
#include "kern/lock.h"
#include "pcpu/recorder.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap_impl.h"

#define RUN64 (16 * PAGE_BYTES)
#define RUN32 (16 * BLOCK_BYTES)
#define ARENA_ORDER 13 /* 32 MiB */

static va_t at;
static pa_t memory;

static bool arena_open(void)
{
	if (frame_alloc(ARENA_ORDER, 0, &memory) != KERR_OK) {
		return false;
	}
	if (kmap_reserve(RUN32, RUN32, &at) != KERR_OK) {
		frame_free(memory, ARENA_ORDER);
		return false;
	}
	return true;
}

static bool unmap_all(void)
{
	return pmap_unmap(&kernel_pmap, at, RUN32) == KERR_OK;
}

static void arena_close(void)
{
	if (unmap_all()) {
		kmap_release(at, RUN32);
		frame_free(memory, ARENA_ORDER);
	}
}

static uint64_t leaf_bytes(void)
{
	pte_t e;
	uint64_t bytes;

	return pmap_query(at, &e, &bytes) ? bytes : 0;
}

/* ---- states ---- */

static bool map_fresh(uint64_t size, unsigned flags)
{
	return unmap_all() &&
	       pmap_map(&kernel_pmap, at, memory, size, PMAP_WRITE | flags) == KERR_OK;
}

static bool promoted(uint64_t bytes)
{
	return pmap_promote(&kernel_pmap, at, PAGE_BYTES) == KERR_OK && leaf_bytes() == bytes;
}

static bool sixteen_pages(void)
{
	return map_fresh(RUN64, PMAP_PAGES | PMAP_NO_PROMOTE);
}

static bool full_table(void)
{
	return map_fresh(BLOCK_BYTES, PMAP_PAGES | PMAP_NO_PROMOTE);
}

static bool full_table_va(void)
{
	inval_set_kind(INVAL_VA);
	return full_table();
}

static bool full_table_range(void)
{
	inval_set_kind(INVAL_RANGE);
	return full_table();
}

static bool full_table_all(void)
{
	inval_set_kind(INVAL_ALL);
	return full_table();
}

static bool sixteen_blocks(void)
{
	return map_fresh(RUN32, PMAP_NO_PROMOTE);
}

static bool promoted_64k(void)
{
	return sixteen_pages() && promoted(RUN64);
}

/* The saved table is true: it maps what the block maps. */
static bool promoted_2m(void)
{
	return full_table() && promoted(BLOCK_BYTES);
}

static bool promoted_2m_stale(void)
{
	return promoted_2m() &&
	       pmap_protect(&kernel_pmap, at, BLOCK_BYTES, PMAP_READ | PMAP_NO_PROMOTE) == KERR_OK;
}

/* The saved table was filled with 64 KiB runs: the one that is wanted next has to be loosened. */
static bool promoted_2m_runs(void)
{
	const va_t other = va(at.v + RUN64);

	return promoted_2m_stale() &&
	       pmap_demote(&kernel_pmap, other, PAGE_BYTES, RUN64) == KERR_OK &&
	       leaf_bytes() == RUN64 && promoted(BLOCK_BYTES);
}

static bool promoted_32m(void)
{
	return sixteen_blocks() && promoted(RUN32);
}

static bool page_restricted(void)
{
	return promoted_2m() && pmap_protect(&kernel_pmap, at, PAGE_BYTES, PMAP_READ) == KERR_OK;
}

static bool nothing(void)
{
	return true;
}

/* ---- calls ---- */

static enum kerr promote(void)
{
	return pmap_promote(&kernel_pmap, at, PAGE_BYTES);
}

static enum kerr promote_forced(void)
{
	const enum kerr e = pmap_promote(&kernel_pmap, at, PAGE_BYTES);

	inval_set_kind(INVAL_AUTO);
	return e;
}

static enum kerr demote_to_4k(void)
{
	return pmap_demote(&kernel_pmap, at, PAGE_BYTES, PAGE_BYTES);
}

static enum kerr demote_to_2m(void)
{
	return pmap_demote(&kernel_pmap, at, PAGE_BYTES, BLOCK_BYTES);
}

static enum kerr restrict_page(void)
{
	return pmap_protect(&kernel_pmap, at, PAGE_BYTES, PMAP_READ);
}

static enum kerr restore_page(void)
{
	return pmap_protect(&kernel_pmap, at, PAGE_BYTES, PMAP_WRITE);
}

static enum kerr restrict_pages(void)
{
	return pmap_protect(&kernel_pmap, at, BLOCK_BYTES, PMAP_READ | PMAP_NO_PROMOTE);
}

static enum kerr unmap_pages(void)
{
	return pmap_unmap(&kernel_pmap, at, BLOCK_BYTES);
}

static enum kerr unmap_block(void)
{
	return pmap_unmap(&kernel_pmap, at, BLOCK_BYTES);
}

static enum kerr extract(void)
{
	pa_t out;

	return pmap_extract(at, &out) && out.v == memory.v ? KERR_OK : KERR_ABSENT;
}

/* 16 pages, no two of them neighbours, move to the memory of the page beside them. */
static enum kerr move_sixteen(void)
{
	struct pmap_change change[INVAL_MAX];

	spin_lock(&kernel_pmap.lock);
	for (unsigned i = 0; i < INVAL_MAX; i++) {
		const va_t page = va(at.v + 2 * i * PAGE_BYTES);
		const struct walk w = pmap_walk(&kernel_pmap, page);

		change[i] = (struct pmap_change){
			w.slot, page, w.level, w.entry, { w.entry.v ^ PAGE_BYTES }
		};
	}
	const enum kerr e = pmap_update_batch(&kernel_pmap, change, INVAL_MAX);

	spin_unlock(&kernel_pmap.lock);
	return e;
}

/* On SPx: everyone stops, nothing is done, everyone goes on. */
static uint64_t park_and_release(void *arg)
{
	struct park *p = arg;

	irq_mask();
	token_acquire();
	const enum kerr e = park_begin(p);

	if (e == KERR_OK) {
		park_end(p);
	}
	token_release();
	irq_unmask();
	return e;
}

static enum kerr park_roundtrip(void)
{
	struct park p = { 0 };

	return (enum kerr)arch_call_on_spx(park_and_release, &p);
}

static uint64_t out_and_in(void *unused)
{
	(void)unused;
	door_leave(DOOR_IDLE);
	door_enter();
	return KERR_OK;
}

/* Both sides of the door, and the way to the stack where it is passed. */
static enum kerr pass_door(void)
{
	return (enum kerr)arch_call_on_spx(out_and_in, nullptr);
}

/* A record, without what it takes to have its two values at hand. */
static enum kerr write_record(void)
{
	rec(REC_MARK, 0, 0);
	return KERR_OK;
}

static noinline keeps_registers void open_and_close(const struct inval_batch *batch)
{
	__asm__ volatile("" ::"r"(batch) : "memory");
}

enum kerr bench_empty_window(void)
{
	static const struct inval_windows windows = { { [INVAL_VA] = { open_and_close } } };
	struct inval_batch batch;
	pte_t nothing_changes = { 0 };

	inval_begin(&batch, nullptr, 0);
	struct inval_span *span = inval_add(&batch, 1);

	*span = (struct inval_span){ .va = at, .size = BLOCK_BYTES, .operands = 1 };
	span->pa = memory;
	span->tag = 0;
	batch.entry[0] = (struct inval_entry){ .slot = &nothing_changes };
	irq_mask(); /* as under the tables' lock */
	const enum kerr e = inval_flush(&batch, &windows);

	irq_unmask();
	return e;
}

#define CALL BENCH_CALL, BENCH_BUSY, 1
#define IDLE BENCH_CALL, BENCH_IDLE, 1
#define WINDOW BENCH_WINDOW, BENCH_BUSY, 1

/* name, metric and others, goal, more per CPU, least CPUs, from, call, leaf afterwards */
static const struct bench_case cases[] = {
	{ "promote_64k", CALL, 0, 0, 1, sixteen_pages, promote, RUN64 },
	{ "promote_2m", CALL, 400, 60, 1, full_table, promote, BLOCK_BYTES },
	{ "promote_2m_tlbi_va", CALL, 0, 0, 1, full_table_va, promote_forced, BLOCK_BYTES },
	{ "promote_2m_tlbi_range", CALL, 0, 0, 1, full_table_range, promote_forced, BLOCK_BYTES },
	{ "promote_2m_tlbi_all", CALL, 0, 0, 1, full_table_all, promote_forced, BLOCK_BYTES },
	{ "promote_2m_idle", IDLE, 400, 60, 2, full_table, promote, BLOCK_BYTES },
	{ "promote_32m", CALL, 0, 0, 1, sixteen_blocks, promote, RUN32 },
	{ "demote_64k", CALL, 0, 0, 1, promoted_64k, demote_to_4k, PAGE_BYTES },
	{ "demote_2m", CALL, 400, 60, 1, promoted_2m, demote_to_4k, PAGE_BYTES },
	{ "demote_2m_idle", IDLE, 400, 60, 2, promoted_2m, demote_to_4k, PAGE_BYTES },
	{ "demote_2m_stale", CALL, 1500, 60, 1, promoted_2m_stale, demote_to_4k, PAGE_BYTES },
	{ "demote_2m_runs", CALL, 400, 60, 1, promoted_2m_runs, demote_to_4k, PAGE_BYTES },
	{ "demote_32m", CALL, 0, 0, 1, promoted_32m, demote_to_2m, BLOCK_BYTES },
	{ "protect_page_2m", CALL, 900, 60, 1, promoted_2m, restrict_page, PAGE_BYTES },
	{ "repromote_2m", CALL, 900, 60, 1, page_restricted, restore_page, BLOCK_BYTES },
	{ "protect_512_pages", CALL, 3000, 0, 1, full_table, restrict_pages, PAGE_BYTES },
	{ "unmap_512_pages", CALL, 512 * 4, 0, 1, full_table, unmap_pages, 0 },
	{ "unmap_2m", CALL, 0, 0, 1, promoted_2m, unmap_block, 0 },
	{ "extract_2m", CALL, 0, 0, 1, promoted_2m, extract, BLOCK_BYTES },
	{ "window_1", WINDOW, 24, 0, 1, promoted_2m, demote_to_4k, PAGE_BYTES },
	{ "window_1_promote", WINDOW, 24, 0, 1, full_table, promote, BLOCK_BYTES },
	{ "window_16", WINDOW, 24 + 15 * 6, 0, 1, full_table, move_sixteen, PAGE_BYTES },
	{ "window_contig", WINDOW, 24 + 15 * 6, 0, 1, sixteen_pages, promote, RUN64 },
	{ "record", CALL, 12, 0, 1, nothing, write_record, 0 },
	{ "door_entry", CALL, 0, 0, 1, nothing, pass_door, 0 },
	{ "park_roundtrip", CALL, 0, 0, 2, nothing, park_roundtrip, 0 },
	{ "park_roundtrip_idle", IDLE, 0, 0, 2, nothing, park_roundtrip, 0 },
};

const struct bench_suite bench_kernel = {
	cases, array_len(cases), arena_open, arena_close, leaf_bytes,
};
