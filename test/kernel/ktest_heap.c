/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_heap.c - programs while the pinned heap has no page left.
 *
 * THEORY   While a CPU lets the heap grow, others may take what was left of it. Here the boot CPU
 *          takes every page first, and then runs a thread whose first store needs tables and what
 *          a page is written down in: it must never know.
 */
#include "arch/arm64/sysreg.h"
#include "pcpu/heap.h"
#include "test/kernel/ktest.h"
#include "test/kernel/stage.h"
#include "vm/space.h"

#define FRESH (3 * GIB) /* nothing is near: all tables of it are missing */

struct taken {
	struct taken *next;
};

static struct taken *take_all(void)
{
	struct taken *all = nullptr;

	for (struct taken *page = heap_alloc(1, 1, HEAP_ANY_NODE); page != nullptr;
	     page = heap_alloc(1, 1, HEAP_ANY_NODE)) {
		page->next = all;
		all = page;
	}
	return all;
}

static void give_all(struct taken *page)
{
	while (page != nullptr) {
		struct taken *next = page->next;

		heap_free(page, 1);
		page = next;
	}
}

/* Memory of the stage's task at FRESH, that nobody has touched. */
static bool map_fresh(void)
{
	struct memcharge *charge = &stage.task->charge;
	struct memory_object *object;
	va_t at;

	if (object_create(MEM_ANON, PAGE_BYTES, charge, nullptr, &object) != KERR_OK) {
		return false;
	}
	const struct space_request request = {
		.object = object,
		.at = FRESH,
		.bytes = PAGE_BYTES,
		.prot = VM_READ | VM_WRITE | VM_FIXED,
		.prot_max = VM_READ | VM_WRITE,
	};
	const enum kerr e = space_map(stage.task->space, &request, &at);

	object_unref(object);
	return e == KERR_OK;
}

/* A thread that stores to FRESH, and then ends by its UDF. */
static struct thread *cast_toucher(void)
{
	return stage_cast(stage.task, &(struct thread_start){ .pc = STUB(el0_spin_until),
							      .sp = WORD(GO),
							      .arg = FRESH,
							      .affinity = ME,
							      .priority = 1 });
}

static void a_fault_outlives_an_empty_heap(void)
{
	const struct heap_stats before = heap_stats();

	if (!stage_open()) {
		return;
	}
	struct thread *t = cast_toucher();

	EXPECT(map_fresh());
	struct taken *taken = take_all();

	EXPECT(heap_stats().pages_free <= HEAP_GROWTH_PAGES);
	EXPECT_EQ(thread_start(t, nullptr), KERR_OK);
	stage_play(stage_all_dead);
	EXPECT_EQ(ESR_EC(t->exit_reason), 0); /* by its UDF, not by the fault */
	EXPECT_EQ(heap_stats().blocks, before.blocks + 1);
	give_all(taken);
	stage_close();
}

/* What a limit refuses is no matter of the heap: it does not grow, and the thread is told. */
static void a_limit_is_no_reason_to_grow(void)
{
	const unsigned blocks = heap_stats().blocks;

	if (!stage_open()) {
		return;
	}
	struct thread *t = cast_toucher();

	EXPECT(map_fresh());
	const uint64_t limit = stage.task->charge.limit_bytes;

	stage.task->charge.limit_bytes = memcharge_used(&stage.task->charge);
	EXPECT_EQ(thread_start(t, nullptr), KERR_OK);
	stage_play(stage_all_dead);
	EXPECT_EQ(ESR_EC(t->exit_reason), ESR_EC_DABT_EL0);
	EXPECT_EQ(heap_stats().blocks, blocks);
	stage.task->charge.limit_bytes = limit;
	stage_close();
}

const struct ktest ktest_heap[] = {
	{ "a_fault_outlives_an_empty_heap", a_fault_outlives_an_empty_heap, 1 },
	{ "a_limit_is_no_reason_to_grow", a_limit_is_no_reason_to_grow, 1 },
	{ nullptr, nullptr, 0 },
};
