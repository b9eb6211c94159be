/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest.c - the runner of run=test, and what the tests share. See ktest.h.
 */
#include "test/kernel/ktest.h"

#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/cpu.h"
#include "kern/log.h"
#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/programs.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/pmap_audit.h"

/* Beyond what any board has, within 40 bits, and a multiple of every leaf. */
#define FAKE_PA pa(UINT64_C(0xc000000000))
#define FRESH_BYTES (32 * GIB)

static const struct ktest *const suites[] = {
	ktest_map,      ktest_size,      ktest_saved,  ktest_access,   ktest_pin,
	ktest_memory,   ktest_cpu,       ktest_record, ktest_user,     ktest_user_cpus,
	ktest_lifeboat, ktest_thread,    ktest_churn,  ktest_timerq,   ktest_budget,
	ktest_vm,       ktest_vm_object, ktest_heap,   ktest_vm_model,
};

static const char *current;
static bool failed;
static const char *skipped;

void ktest_fail(const char *file, int line, const char *fact)
{
	kprintf("FAIL %s %s:%d %s\n", current, file, line, fact);
	failed = true;
}

void ktest_fail_values(const char *file, int line, const char *fact, uint64_t is, uint64_t wanted)
{
	kprintf("FAIL %s %s:%d %s: is %#llx, wanted %#llx\n", current, file, line, fact,
		(unsigned long long)is, (unsigned long long)wanted);
	failed = true;
}

void ktest_skip(const char *reason)
{
	skipped = reason;
}

/* R10, PM2, W^X, whole runs: whatever the test did. The pinned heap may have grown by frames. */
static void look_after(struct frame_stats before, unsigned blocks)
{
	struct pmap_audit audit;
	const struct frame_stats now = frame_stats();
	const unsigned grown = heap_stats().blocks - blocks;

	EXPECT_EQ(now.free + grown * (BLOCK_BYTES / PAGE_BYTES), before.free);
	EXPECT_EQ(now.total, before.total);
	EXPECT(frame_audit());
	EXPECT(pmap_audit(&kernel_pmap, &audit));
	EXPECT_EQ(audit.wx, 0);
	EXPECT_EQ(audit.bad_notes, 0);
	EXPECT_EQ(audit.bad_runs, 0);
	EXPECT(pcpu_stacks_intact(pcpu_this()));
	EXPECT_EQ(this_cpu()->mask_depth, 0);
	EXPECT_EQ(this_cpu()->lock_count, 0);
}

static bool is_wanted(const char *name)
{
	return bootargs.only[0] == '\0' || strncmp(name, bootargs.only, strlen(bootargs.only)) == 0;
}

static unsigned cpus_here(void)
{
	return (unsigned)__builtin_popcountll(work_cpus()) + 1;
}

static void run_one(const struct ktest *test)
{
	const struct frame_stats before = frame_stats();
	const unsigned blocks = heap_stats().blocks;

	current = test->name;
	failed = false;
	skipped = nullptr;
	if (cpus_here() < test->least_cpus) {
		ktest_skip("too few CPUs");
		return;
	}
	test->run();
	look_after(before, blocks);
}

unsigned ktest_main(void)
{
	unsigned passed = 0;
	unsigned bad = 0;

	for (unsigned s = 0; s < array_len(suites); s++) {
		for (const struct ktest *test = suites[s]; test->name != nullptr; test++) {
			if (!is_wanted(test->name)) {
				continue;
			}
			run_one(test);
			if (failed) {
				bad++;
			} else if (skipped != nullptr) {
				kprintf("skip %s %s\n", test->name, skipped);
			} else {
				passed++;
				kprintf("ok %s\n", test->name);
			}
		}
	}
	kprintf("%u passed, %u failed\n", passed, bad);
	return bad != 0 || passed == 0 ? 1 : 0;
}

bool area_open(struct ktest_area *area, unsigned order)
{
	const uint64_t bytes = PAGE_BYTES << order;
	const uint64_t size = bytes < BLOCK_BYTES ? BLOCK_BYTES : bytes;

	*area = (struct ktest_area){ .size = bytes, .order = order };
	if (frame_alloc(order, 0, &area->pa) != KERR_OK) {
		ktest_skip("no contiguous memory of that size");
		return false;
	}
	area->has_frames = true;
	if (kmap_reserve(size, size, &area->va) != KERR_OK) {
		frame_free(area->pa, order);
		ktest_fail(__FILE__, __LINE__, "the kernel map has room");
		return false;
	}
	return true;
}

/* Beyond what area_open() is given, because kmap_reserve() gives the lowest that is free. */
static bool fresh_addresses(uint64_t size, va_t *out)
{
	static va_t base;
	static uint64_t used;
	va_t first;

	if (base.v == 0) {
		if (kmap_reserve(FRESH_BYTES, FRESH_BYTES, &first) != KERR_OK) {
			return false;
		}
		if (kmap_reserve(FRESH_BYTES, FRESH_BYTES, &base) == KERR_OK) {
			kmap_release(first, FRESH_BYTES);
		} else {
			base = first; /* the lower half is in use already: pcpu=scattered */
		}
	}
	if (size > FRESH_BYTES - used) {
		return false;
	}
	*out = va(base.v + used);
	used += size;
	return true;
}

bool area_open_fake(struct ktest_area *area, uint64_t size)
{
	*area = (struct ktest_area){ .size = size, .pa = FAKE_PA };
	if (!is_aligned(size, GIB) || !fresh_addresses(size, &area->va)) {
		ktest_fail(__FILE__, __LINE__, "there are fresh addresses");
		return false;
	}
	return true;
}

void area_close(struct ktest_area *area)
{
	EXPECT(unmap(area->va, area->size));
	if (area->has_frames) {
		kmap_release(area->va, area->size < BLOCK_BYTES ? BLOCK_BYTES : area->size);
		frame_free(area->pa, area->order);
	}
}

uint64_t bytes_at(va_t at)
{
	pte_t e;
	uint64_t bytes;

	return pmap_query(at, &e, &bytes) ? bytes : 0;
}

bool map(va_t at, pa_t out, uint64_t size, unsigned flags)
{
	return pmap_map(&kernel_pmap, at, out, size, flags) == KERR_OK;
}

bool unmap(va_t at, uint64_t size)
{
	return pmap_unmap(&kernel_pmap, at, size) == KERR_OK;
}

bool protect(va_t at, uint64_t size, unsigned flags)
{
	return pmap_protect(&kernel_pmap, at, size, flags) == KERR_OK;
}

bool demote(va_t at, uint64_t size, uint64_t bytes)
{
	return pmap_demote(&kernel_pmap, at, size, bytes) == KERR_OK;
}

bool promote(va_t at, uint64_t size)
{
	return pmap_promote(&kernel_pmap, at, size) == KERR_OK;
}

/* First and last word of a page: the one tells the page, the other that it is whole. */
static uint64_t word(uint64_t offset, uint64_t salt)
{
	return (offset ^ salt) * UINT64_C(0x9e3779b97f4a7c15) + salt;
}

void fill(va_t at, uint64_t size, uint64_t salt)
{
	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		EXPECT(probe_write(va(at.v + off), word(off, salt)));
		EXPECT(probe_write(va(at.v + off + PAGE_BYTES - 8), word(off + 1, salt)));
	}
}

bool holds(va_t at, uint64_t size, uint64_t salt)
{
	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		uint64_t first;
		uint64_t last;

		if (!probe_read(va(at.v + off), &first) ||
		    !probe_read(va(at.v + off + PAGE_BYTES - 8), &last) ||
		    first != word(off, salt) || last != word(off + 1, salt)) {
			return false;
		}
	}
	return true;
}

bool can_read(va_t at)
{
	uint64_t value;

	return probe_read(at, &value);
}

bool can_write(va_t at)
{
	uint64_t value;

	return probe_read(at, &value) && probe_write(at, value);
}

bool maps_in_order(va_t at, pa_t out, uint64_t size)
{
	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		pa_t found;

		if (!pmap_extract(va(at.v + off + 8), &found) || found.v != out.v + off + 8) {
			return false;
		}
	}
	return true;
}
