/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_vm_object.c - secrets, pagers, the DMA pool, physical memory; by access.
 */
#include <arch/page.h>
#include <memmap.h>

#include "arch/arm64/cpu.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"

#define AT (2 * GIB)
#define VM_RW (VM_READ | VM_WRITE)

static struct memcharge charge;
static struct space *space;

static bool open_space(void)
{
	charge = (struct memcharge){ .limit_bytes = GIB };
	if (space_create(&charge, &space) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a space can be made");
		return false;
	}
	user_enter(space);
	return true;
}

static void close_space(void)
{
	EXPECT(space_audit(space));
	space_destroy(space);
	EXPECT_EQ(memcharge_used(&charge), 0);
}

/* The frame behind an address of the space. */
static pa_t frame_at(uint64_t at)
{
	uint64_t bytes;
	pte_t leaf;

	return pmap_user_query(&space->pmap, va(at), &leaf, &bytes)
		       ? pa(pte_pa(leaf).v + at % level_bytes(bytes >= BLOCK_BYTES ? 2 : 3))
		       : pa(0);
}

static va_t linear(pa_t frame)
{
	return va(LINEAR_BASE + frame.v);
}

static void secrets_are_not_in_the_linear_map(void)
{
	struct memory_object *object;
	uint64_t value;

	REQUIRE(open_space());
	REQUIRE(object_create(MEM_SECRET, BLOCK_BYTES + 3 * PAGE_BYTES, &charge, nullptr,
			      &object) == KERR_OK);
	EXPECT_EQ(user_map(space, object, 0, AT, BLOCK_BYTES + 3 * PAGE_BYTES, VM_RW), KERR_OK);
	object_unref(object);
	EXPECT(user_fill(space, AT, BLOCK_BYTES + 3 * PAGE_BYTES, 0x5ec2e7));
	EXPECT_EQ(user_leaf(space, AT), BLOCK_BYTES);
	const pa_t block = frame_at(AT);
	const pa_t page = frame_at(AT + BLOCK_BYTES);

	for (uint64_t off = 0; off < BLOCK_BYTES; off += PAGE_BYTES) {
		EXPECT(!can_read(va(linear(block).v + off)));
	}
	EXPECT(!can_read(linear(page)));
	EXPECT_EQ(space_unmap(space, va(AT), 2 * BLOCK_BYTES), KERR_OK);
	/* Back, as large as before, and zero. */
	EXPECT(bytes_at(linear(block)) >= BLOCK_BYTES);
	for (uint64_t off = 0; off < BLOCK_BYTES; off += PAGE_BYTES) {
		value = 1;
		EXPECT(probe_read(va(linear(block).v + off), &value));
		EXPECT_EQ(value, 0);
	}
	EXPECT(can_read(linear(page)));
	EXPECT_EQ(user_read(space, AT, &value), FAULT_BAD_ADDRESS);
	close_space();
}

static void the_pool_is_not_cached_and_comes_back_zero(void)
{
	const struct dma_stats before = dma_stats();
	struct memory_object *object;
	struct space_info info;
	uint64_t bytes;
	pte_t leaf;

	if (before.bytes == 0) {
		ktest_skip("no DMA pool on so little memory");
		return;
	}
	REQUIRE(open_space());
	for (unsigned round = 0; round < 2; round++) {
		REQUIRE(object_create(MEM_DMA, RUN64_BYTES, &charge, nullptr, &object) == KERR_OK);
		EXPECT_EQ(dma_stats().free, before.free - RUN64_BYTES);
		EXPECT_EQ(user_map(space, object, 0, AT, RUN64_BYTES, VM_RW), KERR_OK);
		EXPECT(user_holds(space, AT, PAGE_BYTES, 0));
		REQUIRE(space_query(space, va(AT), &info) == KERR_OK);
		EXPECT(info.physical.v != 0 && !can_read(linear(info.physical)));
		REQUIRE(pmap_user_query(&space->pmap, va(AT), &leaf, &bytes));
		EXPECT_EQ((leaf.v & PTE_ATTR_MASK) >> PTE_ATTR_SHIFT, MAIR_NOCACHE);
		EXPECT_EQ(pte_pa(leaf).v, info.physical.v);
		EXPECT(user_fill(space, AT, RUN64_BYTES, 77));
		EXPECT_EQ(space_unmap(space, va(AT), RUN64_BYTES), KERR_OK);
		object_unref(object);
		EXPECT_EQ(dma_stats().free, before.free);
		EXPECT_EQ(dma_stats().runs_free, before.runs_free);
	}
	close_space();
}

/* 1 GiB of a device in one entry; a part that does not fit it in smaller ones. */
static void physical_memory_is_mapped_as_large_as_it_fits(void)
{
	const uint64_t base = UINT64_C(0xc000000000);
	struct memory_object *object;

	REQUIRE(open_space());
	REQUIRE(object_create_phys(pa(base), 2 * GIB, false, &charge, &object) == KERR_OK);
	EXPECT_EQ(user_map(space, object, 0, AT, 2 * GIB, VM_RW), KERR_OK);
	EXPECT_EQ(fault_touch(space, va(AT + 5 * MIB), VM_WRITE), FAULT_RESOLVED);
	EXPECT_EQ(user_leaf(space, AT), GIB);
	EXPECT_EQ(user_map(space, object, PAGE_BYTES, 3 * AT, GIB, VM_READ), KERR_OK);
	EXPECT_EQ(fault_touch(space, va(3 * AT + 5 * MIB), VM_READ), FAULT_RESOLVED);
	EXPECT_EQ(user_leaf(space, 3 * AT + 5 * MIB), PAGE_BYTES);
	/* Memory that the kernel gives out cannot be had by its address. */
	pa_t frame;

	REQUIRE(frame_alloc(0, 0, &frame) == KERR_OK);
	struct memory_object *none;

	EXPECT_EQ(object_create_phys(frame, PAGE_BYTES, true, &charge, &none), KERR_RANGE);
	frame_free(frame, 0);
	object_unref(object);
	close_space();
}

/* A revocation takes the entry as it is, though no table can be had to take it apart. */
static void a_gigabyte_in_one_entry_is_revoked_without_memory(void)
{
	const uint64_t base = UINT64_C(0xc000000000);
	const uint64_t skew = 6 * MIB; /* the object begins in the middle of a GiB */
	struct memory_object *object;

	REQUIRE(open_space());
	REQUIRE(object_create_phys(pa(base + skew), 2 * GIB - skew, false, &charge, &object) ==
		KERR_OK);
	EXPECT_EQ(user_map(space, object, 0, AT + skew, 2 * GIB - skew, VM_RW), KERR_OK);
	EXPECT_EQ(fault_touch(space, va(AT + skew), VM_WRITE), FAULT_RESOLVED);
	EXPECT_EQ(fault_touch(space, va(AT + GIB + 5 * MIB), VM_WRITE), FAULT_RESOLVED);
	EXPECT_EQ(user_leaf(space, AT + GIB), GIB);
	heap_fail_after(0);
	EXPECT_EQ(object_unmap_all(object), KERR_OK);
	EXPECT_EQ(heap_fail_after(UINT64_MAX), 0);
	EXPECT_EQ(user_leaf(space, AT + skew), 0);
	EXPECT_EQ(user_leaf(space, AT + GIB), 0);
	EXPECT_EQ(fault_touch(space, va(AT + GIB), VM_WRITE), FAULT_BAD_ACCESS);
	object_unref(object);
	close_space();
}

/* ---- a pager in the kernel ---- */

struct test_pager {
	uint64_t asked[8];
	unsigned count;
	unsigned readies;
};

static enum kerr on_request(void *arg, uint64_t offset, unsigned access)
{
	struct test_pager *p = arg;

	(void)access;
	if (p->count == sizeof(p->asked) / sizeof(p->asked[0])) {
		return KERR_DEAD;
	}
	p->asked[p->count++] = offset;
	return KERR_OK;
}

static void on_ready(void *arg, uint64_t offset)
{
	(void)offset;
	((struct test_pager *)arg)->readies++;
}

static const struct pager_ops pager_ops = { on_request, on_ready };

static enum kerr supply(struct memory_object *object, uint64_t offset, uint64_t word)
{
	pa_t frame;
	const enum kerr e = object_supply_frame(object, offset, &frame);

	if (e != KERR_OK) {
		return e;
	}
	arch_frame_zero(frame);
	*(uint64_t *)(uintptr_t)linear(frame).v = word;
	return object_supply(object, offset, frame);
}

static void pages_come_from_a_pager(void)
{
	static struct test_pager p;
	struct memory_object *object;
	uint64_t offset = 0;
	uint64_t value = 0;
	pa_t frame;

	p = (struct test_pager){ 0 };
	REQUIRE(open_space());
	REQUIRE(object_create_pager(BLOCK_BYTES, &pager_ops, &p, &charge, &object) == KERR_OK);
	EXPECT_EQ(user_map(space, object, 0, AT, BLOCK_BYTES, VM_RW), KERR_OK);
	EXPECT_EQ(user_read(space, AT + 3 * PAGE_BYTES, &value), FAULT_WAIT_PAGER);
	EXPECT_EQ(user_read(space, AT + 3 * PAGE_BYTES, &value), FAULT_WAIT_PAGER);
	EXPECT_EQ(p.count, 1);
	EXPECT_EQ(p.asked[0], 3 * PAGE_BYTES);
	EXPECT_EQ(supply(object, 3 * PAGE_BYTES, 4711), KERR_OK);
	EXPECT_EQ(p.readies, 1);
	EXPECT_EQ(user_read(space, AT + 3 * PAGE_BYTES, &value), FAULT_RESOLVED);
	EXPECT_EQ(value, 4711);
	EXPECT_EQ(supply(object, 3 * PAGE_BYTES, 1), KERR_EXISTS);
	EXPECT_EQ(object_clean(object, &offset, &frame), KERR_ABSENT);
	EXPECT_EQ(user_write(space, AT + 3 * PAGE_BYTES, 4712), FAULT_RESOLVED);
	EXPECT_EQ(object_clean(object, &offset, &frame), KERR_OK);
	EXPECT_EQ(offset, 3 * PAGE_BYTES);
	EXPECT_EQ(*(uint64_t *)(uintptr_t)linear(frame).v, 4712);
	EXPECT_EQ(object_clean(object, &offset, &frame), KERR_ABSENT);
	EXPECT_EQ(user_write(space, AT + 3 * PAGE_BYTES, 4713), FAULT_RESOLVED);
	EXPECT_EQ(object_clean(object, &offset, &frame), KERR_OK); /* seen again */
	/* Dead. */
	EXPECT_EQ(user_read(space, AT, &value), FAULT_WAIT_PAGER);
	object_pager_gone(object);
	EXPECT_EQ(p.readies, 2);
	EXPECT_EQ(user_read(space, AT, &value), FAULT_HARDWARE);
	EXPECT_EQ(user_read(space, AT + 3 * PAGE_BYTES, &value), FAULT_RESOLVED);
	EXPECT_EQ(value, 4713);
	object_unref(object);
	close_space();
}

static void collapse_and_discard_by_access(void)
{
	REQUIRE(open_space());
	EXPECT_EQ(user_map_anon(space, AT, BLOCK_BYTES, VM_RW), KERR_OK);
	EXPECT(user_fill(space, AT, BLOCK_BYTES - PAGE_BYTES, 5));
	EXPECT(user_leaf(space, AT) < BLOCK_BYTES);
	EXPECT_EQ(space_advise(space, va(AT), BLOCK_BYTES, VM_WILLNEED), KERR_OK);
	EXPECT_EQ(user_leaf(space, AT), BLOCK_BYTES);
	EXPECT_EQ(space_advise(space, va(AT), BLOCK_BYTES, VM_SPLIT), KERR_OK);
	EXPECT_EQ(user_leaf(space, AT), PAGE_BYTES);
	EXPECT_EQ(space_advise(space, va(AT + RUN64_BYTES), RUN64_BYTES, VM_DONTNEED), KERR_OK);
	EXPECT_EQ(user_leaf(space, AT + RUN64_BYTES), 0);
	EXPECT(user_holds(space, AT, RUN64_BYTES, 5));
	for (uint64_t off = RUN64_BYTES; off < 2 * RUN64_BYTES; off += PAGE_BYTES) {
		uint64_t value = 1;

		EXPECT_EQ(user_read(space, AT + off, &value), FAULT_RESOLVED);
		EXPECT_EQ(value, 0);
	}
	EXPECT(user_holds(space, AT + 2 * RUN64_BYTES, BLOCK_BYTES - 2 * RUN64_BYTES - PAGE_BYTES,
			  5 + 32));
	EXPECT_EQ(space_advise(space, va(AT), BLOCK_BYTES, VM_COLLAPSE), KERR_OK);
	EXPECT(user_holds(space, AT, RUN64_BYTES, 5));
	close_space();
}

const struct ktest ktest_vm_object[] = {
	{ "secrets_are_not_in_the_linear_map", secrets_are_not_in_the_linear_map, 1 },
	{ "the_pool_is_not_cached_and_comes_back_zero", the_pool_is_not_cached_and_comes_back_zero,
	  1 },
	{ "physical_memory_is_mapped_as_large_as_it_fits",
	  physical_memory_is_mapped_as_large_as_it_fits, 1 },
	{ "a_gigabyte_in_one_entry_is_revoked_without_memory",
	  a_gigabyte_in_one_entry_is_revoked_without_memory, 1 },
	{ "pages_come_from_a_pager", pages_come_from_a_pager, 1 },
	{ "collapse_and_discard_by_access", collapse_and_discard_by_access, 1 },
	{ nullptr, nullptr, 0 },
};
