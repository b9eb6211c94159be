/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_size.c - workloads that change sizes under load.
 */
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/cpu.h"
#include "ipi/inval.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/stress.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/memory.h"
#include "vm/pmap.h"

#define BLOCK_PAGES (BLOCK_BYTES / PAGE_BYTES)

static va_t page_at(va_t base, uint64_t page)
{
	return va(base.v + page * PAGE_BYTES);
}

/* The order of a fill: forward, reverse, or a permutation. */
static uint64_t nth_page(unsigned order, uint64_t n, uint64_t odd, uint64_t offset)
{
	switch (order) {
	case 0:
		return n;
	case 1:
		return BLOCK_PAGES - 1 - n;
	default:
		return (n * odd + offset) % BLOCK_PAGES; /* odd: a permutation of 512 */
	}
}

/* A range of the kernel map with frames of its own, nothing mapped. */
static bool bare_block(va_t *at, pa_t *frames)
{
	const bool has_frames = frame_alloc(9, 0, frames) == KERR_OK;

	if (has_frames && kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, at) == KERR_OK) {
		return true;
	}
	stress_fail(__FILE__, __LINE__, "memory for a block");
	if (has_frames) {
		frame_free(*frames, 9);
	}
	return false;
}

static void drop_block(va_t at, pa_t frames)
{
	CHECK(pmap_unmap(&kernel_pmap, at, BLOCK_BYTES) == KERR_OK);
	kmap_release(at, BLOCK_BYTES);
	frame_free(frames, 9);
}

/* Promotes exactly at the last page, whatever the order. */
void work_fill(void)
{
	const unsigned order = (unsigned)(stress.cycles % 3);
	const uint64_t odd = stress_random() | 1;
	const uint64_t offset = stress_below(BLOCK_PAGES);
	pa_t frames;
	va_t at;

	load_start(&stress.main, LOAD_ALL);
	if (!bare_block(&at, &frames)) {
		return;
	}
	const uint64_t before = pcpu_this()->counter[CTR_promote_2m];

	for (uint64_t n = 0; n < BLOCK_PAGES; n++) {
		const uint64_t page = nth_page(order, n, odd, offset);

		CHECK(pcpu_this()->counter[CTR_promote_2m] == before);
		CHECK(pmap_map(&kernel_pmap, page_at(at, page), pa(frames.v + page * PAGE_BYTES),
			       PAGE_BYTES, PMAP_WRITE) == KERR_OK);
		*(volatile uint64_t *)(uintptr_t)(page_at(at, page).v) = page;
	}
	CHECK(pcpu_this()->counter[CTR_promote_2m] == before + 1);
	CHECK(stress_leaf(at) >= BLOCK_BYTES);
	for (uint64_t page = 0; page < BLOCK_PAGES; page++) {
		stress.corruptions +=
			*(volatile uint64_t *)(uintptr_t)(page_at(at, page).v) != page ? 1 : 0;
	}
	drop_block(at, frames);
	uint64_t value;

	CHECK(!probe_read(page_at(at, stress_below(BLOCK_PAGES)),
			  &value)); /* by access, not by walking */
}

/* One entry that differs keeps a block from being promoted; mended, it is. */
void work_mismatch(void)
{
	static const unsigned odd_flags[] = { PMAP_READ, PMAP_EXEC, PMAP_WRITE | PMAP_NOCACHE,
					      PMAP_WRITE | PMAP_SW1 };
	const unsigned kind = (unsigned)(stress.cycles % 6);
	const uint64_t odd = stress_below(BLOCK_PAGES);
	pa_t frames;
	va_t at;

	load_start(&stress.main, LOAD_ALL);
	if (!bare_block(&at, &frames)) {
		return;
	}
	const uint64_t before = pcpu_this()->counter[CTR_promote_2m];
	const uint64_t declined = pcpu_this()->counter[CTR_promote_declined];
	const va_t there = page_at(at, odd);
	const pa_t right = pa(frames.v + odd * PAGE_BYTES);

	if (odd > 0) {
		CHECK(pmap_map(&kernel_pmap, at, frames, odd * PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	}
	if (odd < BLOCK_PAGES - 1) {
		CHECK(pmap_map(&kernel_pmap, page_at(at, odd + 1), pa(right.v + PAGE_BYTES),
			       (BLOCK_PAGES - 1 - odd) * PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	}
	if (kind < 4) {
		CHECK(pmap_map(&kernel_pmap, there, right, PAGE_BYTES, odd_flags[kind]) == KERR_OK);
	} else if (kind == 4) { /* an address off by one page */
		CHECK(pmap_map(&kernel_pmap, there, pa(right.v ^ PAGE_BYTES), PAGE_BYTES,
			       PMAP_WRITE) == KERR_OK);
	} /* 5: a hole */
	CHECK(pmap_promote(&kernel_pmap, at, BLOCK_BYTES) == KERR_OK);
	CHECK(pcpu_this()->counter[CTR_promote_2m] == before);
	CHECK(pcpu_this()->counter[CTR_promote_declined] > declined);
	CHECK(stress_leaf(there) == (kind == 5 ? 0 : PAGE_BYTES));
	if (kind < 5) {
		CHECK(pmap_unmap(&kernel_pmap, there, PAGE_BYTES) == KERR_OK);
	}
	CHECK(pmap_map(&kernel_pmap, there, right, PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	CHECK(pcpu_this()->counter[CTR_promote_2m] == before + 1);
	drop_block(at, frames);
}

/* One page out and back: what is read-only is read-only by access, its neighbours are not. */
void work_protect(void)
{
	const uint64_t page = stress_below(BLOCK_PAGES);
	const va_t there = page_at(stress.main.rw, page);
	const uint64_t *word = (const uint64_t *)(uintptr_t)(there.v + 8);
	const va_t neighbour = page_at(stress.main.rw, page ^ 1);

	load_start(&stress.main, LOAD_READ | LOAD_EXEC);
	CHECK(pmap_protect(&kernel_pmap, there, PAGE_BYTES, PMAP_READ) == KERR_OK);
	CHECK(stress_leaf(there) == PAGE_BYTES);
	CHECK(!probe_write(va((uint64_t)(uintptr_t)word), 1));
	CHECK(probe_write(va(neighbour.v + 8), 2));
	if (stress_below(4) == 0) {
		CHECK(pmap_protect(&kernel_pmap, stress.main.rw, BLOCK_BYTES, PMAP_READ) ==
		      KERR_OK);
		CHECK(stress_leaf(there) >= BLOCK_BYTES);
		CHECK(!probe_write(va(neighbour.v + 8), 3));
		CHECK(pmap_protect(&kernel_pmap, stress.main.rw, BLOCK_BYTES, PMAP_WRITE) ==
		      KERR_OK);
	} else {
		CHECK(pmap_protect(&kernel_pmap, there, PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	}
	CHECK(stress_leaf(there) >= BLOCK_BYTES);
	CHECK(probe_write(va((uint64_t)(uintptr_t)word), 4));
	if (load_was_busy(&stress.main)) {
		stress.busy++;
	}
}

/* Others read, write, count and execute in the very block, through both aliases; both change. */
void work_storm(void)
{
	load_start(&stress.main, LOAD_ALL);
	change_block(&stress.main, stress_below(2) == 0 ? stress.main.rw : stress.main.rx);
	if (memory_scattered_block().v != 0 && inval_mode() == BBM_NAIVE && stress_below(4) == 0) {
		change_block(&stress.main,
			     memory_scattered_block()); /* the disease: the slices lie in it */
	}
}

/* The same in a storm of timer and software interrupts. */
void work_irq(void)
{
	load_start(&stress.main, LOAD_ALL | LOAD_TIMER);
	if (load_cpus() != 0 && stress_below(4) == 0) {
		arch_ipi_send(SGI_STORM, load_cpus());
	}
	change_block(&stress.main, stress_below(2) == 0 ? stress.main.rw : stress.main.rx);
}

/* Address look-ups without a lock, all the while. */
void work_extract(void)
{
	pa_t out;

	load_start(&stress.main, LOAD_EXTRACT | LOAD_READ);
	change_block(&stress.main, stress.main.rw);
	const uint64_t offset = stress_below(BLOCK_BYTES);

	CHECK(pmap_extract(va(stress.main.rw.v + offset), &out));
	CHECK(out.v == stress.main.pa.v + offset);
}

/*
 * Change a block, then execute it; write new code through one alias, execute it through the other.
 */
void work_exec(void)
{
	const uint64_t page = stress_below(BLOCK_PAGES);
	const va_t code = va(stress.main.rx.v + page * PAGE_BYTES + ARENA_CODE);
	uint64_t value = 0;

	load_start(&stress.main, LOAD_EXEC);
	CHECK(pmap_demote(&kernel_pmap, page_at(stress.main.rx, page), PAGE_BYTES, PAGE_BYTES) ==
	      KERR_OK);
	CHECK(probe_call(code, &value) && value == page);
	CHECK(pmap_promote(&kernel_pmap, page_at(stress.main.rx, page), PAGE_BYTES) == KERR_OK);
	CHECK(probe_call(code, &value) && value == page);
	CHECK(!probe_call(va(stress.main.rw.v + page * PAGE_BYTES + ARENA_CODE), &value)); /* W^X */
	CHECK(!probe_write(va(stress.main.rx.v + page * PAGE_BYTES + 8), 1));
}

struct self_args {
	va_t page;
};

static uint64_t self_change(void *arg)
{
	const struct self_args *s = arg; /* in the block that changes */
	const va_t page = s->page;
	uint64_t failed = 0;

	failed += pmap_demote(&kernel_pmap, page, PAGE_BYTES, PAGE_BYTES) != KERR_OK ? 1 : 0;
	failed += s->page.v != page.v ? 1 : 0;
	failed += pmap_promote(&kernel_pmap, page, PAGE_BYTES) != KERR_OK ? 1 : 0;
	return failed;
}

/* The caller's code and data lie in the block; the window's own are pinned. */
void work_self(void)
{
	extern char stress_stub[], stress_stub_end[];
	const uint64_t page = stress_below(BLOCK_PAGES);
	const uint64_t offset = page * PAGE_BYTES + ARENA_CODE + 64;
	char *code = (char *)(uintptr_t)(stress.main.rw.v + offset);
	struct self_args *args = (struct self_args *)(uintptr_t)(stress.main.rw.v + offset + 512);

	load_start(&stress.main, LOAD_ALL);
	memcpy(code, stress_stub, (size_t)(stress_stub_end - stress_stub));
	for (char *line = code; line < code + 128; line += 4) {
		__asm__ volatile("dc cvau, %0" ::"r"(line) : "memory");
	}
	dsb_ish();
	__asm__ volatile("ic ialluis" ::: "memory");
	dsb_ish();
	isb();
	args->page = page_at(stress_below(2) == 0 ? stress.main.rw : stress.main.rx, page);
	uint64_t (*stub)(uint64_t (*)(void *), void *) =
		(uint64_t (*)(uint64_t (*)(void *), void *))(stress.main.rx.v + offset);

	CHECK(stub(self_change, args) == 0x1000);
}

/* 32 MiB and 64 KiB runs, and changes of a part of them. */
void work_contig(void)
{
	const uint64_t page = stress_below(BLOCK_PAGES);
	const va_t small = page_at(stress.main.rw, page);
	const uint64_t run = 16 * PAGE_BYTES;

	load_start(stress.big.size != 0 ? &stress.big : &stress.main, LOAD_READ | LOAD_EXEC);
	/* One page that differs keeps the block apart; another group of 16 becomes a run. */
	CHECK(pmap_protect(&kernel_pmap, small, PAGE_BYTES, PMAP_READ) == KERR_OK);
	const va_t other = page_at(stress.main.rw, (page + 16) % BLOCK_PAGES);

	CHECK(pmap_promote(&kernel_pmap, other, PAGE_BYTES) == KERR_OK);
	CHECK(stress_leaf(other) == run);
	CHECK(pmap_protect(&kernel_pmap, other, PAGE_BYTES, PMAP_READ) ==
	      KERR_OK); /* a part of a run */
	CHECK(stress_leaf(other) == PAGE_BYTES);
	CHECK(!probe_write(va(other.v + 8), 1));
	CHECK(probe_write(
		va(align_down(other.v, run) + (other.v % run == 0 ? run - PAGE_BYTES : 0) + 8), 1));
	CHECK(pmap_protect(&kernel_pmap, other, PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	CHECK(stress_leaf(other) == run);
	CHECK(pmap_protect(&kernel_pmap, small, PAGE_BYTES, PMAP_WRITE) == KERR_OK);
	CHECK(stress_leaf(small) >= BLOCK_BYTES);
	if (stress.big.size == 0) {
		return;
	}
	const va_t block = va(stress.big.rw.v + stress_below(16) * BLOCK_BYTES);

	CHECK(stress_leaf(block) == 16 * BLOCK_BYTES);
	CHECK(pmap_protect(&kernel_pmap, block, BLOCK_BYTES, PMAP_READ) == KERR_OK);
	CHECK(stress_leaf(block) == BLOCK_BYTES);
	CHECK(!probe_write(va(block.v + 8), 1));
	CHECK(pmap_protect(&kernel_pmap, block, BLOCK_BYTES, PMAP_WRITE) == KERR_OK);
	CHECK(stress_leaf(block) == 16 * BLOCK_BYTES);
	const va_t deep = page_at(block, page);

	CHECK(pmap_demote(&kernel_pmap, deep, PAGE_BYTES, PAGE_BYTES) ==
	      KERR_OK); /* run, block, page */
	CHECK(stress_leaf(deep) == PAGE_BYTES);
	CHECK(pmap_promote(&kernel_pmap, deep, PAGE_BYTES) == KERR_OK);
	CHECK(stress_leaf(deep) == 16 * BLOCK_BYTES);
	if (load_was_busy(&stress.big)) {
		stress.busy++;
	}
}
