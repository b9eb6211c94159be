/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_timerq.c - the heap of what is due, with many in it.
 *
 * All deadlines are an hour away, so nothing runs; what is first is seen by timerq_first().
 */
#include <arch/atomic.h>
#include <arch/cpu.h>

#include "arch/arm64/timer.h"
#include "kern/timerq.h"
#include "test/kernel/ktest.h"

#define NODES 512u
#define PRIME 7919u
#define HOUR 3600u
#define STEPS_MAX 10u /* log2 of NODES + 1 */

static struct timerq_node nodes[NODES];

static void never(struct timerq_node *node)
{
	(void)node;
}

static bool is_in(const struct timerq_node *node)
{
	return load_acquire(&node->cpu) != 0;
}

/* TQ1, TQ2 at one node. */
static bool is_right(const struct timerq_node *n)
{
	const uint64_t left = n->left != nullptr ? n->left->rank : 0;
	const uint64_t right = n->right != nullptr ? n->right->rank : 0;

	return (n->parent == nullptr || n->parent->deadline <= n->deadline) && right <= left &&
	       n->rank == right + 1 && n->rank <= STEPS_MAX;
}

/* Of those that are in: is what timerq_first() says the least, and every node right? */
static bool all_is_right(void)
{
	uint64_t least = UINT64_MAX;
	bool right = true;

	for (unsigned i = 0; i < NODES; i++) {
		if (is_in(&nodes[i])) {
			least = nodes[i].deadline < least ? nodes[i].deadline : least;
			right = right && is_right(&nodes[i]);
		}
	}
	return right && timerq_first() == least;
}

static void add_all(uint64_t from, unsigned factor)
{
	for (unsigned i = 0; i < NODES; i++) {
		timerq_add(&nodes[i], from + i * factor % NODES, never);
	}
}

/* R8: what programs set many of is found and taken out in a few steps, in whatever order. */
static void many_deadlines_make_a_shallow_heap(void)
{
	static const unsigned orders[] = { 1, PRIME, NODES - 1 }; /* rising, mixed, falling */
	const uint64_t from = counter_now() + HOUR * arch_counter_hz();

	const uint64_t others = timerq_first();

	REQUIRE(others > from + NODES);
	for (unsigned order = 0; order < sizeof(orders) / sizeof(orders[0]); order++) {
		bool right = true;

		add_all(from, orders[order]);
		for (unsigned i = 0; i < NODES; i++) {
			right = right && (i % 16 != 0 || all_is_right());
			EXPECT(timerq_cancel(&nodes[i * (PRIME + 2) % NODES]));
		}
		EXPECT(right);
		EXPECT_EQ(timerq_first(), others);
	}
}

const struct ktest ktest_timerq[] = {
	{ "many_deadlines_make_a_shallow_heap", many_deadlines_make_a_shallow_heap, 1 },
	{ nullptr, nullptr, 0 },
};
