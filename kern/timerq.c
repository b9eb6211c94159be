/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/timerq.c - see kern/timerq.h.
 *
 * INVARIANTS
 *   TQ1  No node is due before its parent.
 *   TQ2  A node's rank is 1 more than its right child's, which is no more than its left child's; no
 *        child's is 0. So there are at least 2^r - 1 nodes under one of rank r, and the way to the
 *        right is no longer than log2 of their number.
 *   TQ3  A node's `cpu` is not 0 exactly while it is in that CPU's heap; the lock is held.
 */
#include "kern/timerq.h"

#include <arch/atomic.h>
#include <arch/cpu.h>
#include <compiler.h>

#include "kern/assert.h"
#include "kern/irq.h"
#include "kern/lock.h"

struct timerq {
	cacheline_aligned struct spinlock lock;
	struct timerq_node *root; /* [l] */
	uint64_t first;           /* [l] its deadline; 0: none, so that .bss is right */
};

static struct timerq queues[MAX_CPUS] = {
	[0 ... MAX_CPUS - 1] = { .lock = SPINLOCK("timerq", LOCK_TIMERQ) },
};

static uint64_t rank_of(const struct timerq_node *node)
{
	return node != nullptr ? node->rank : 0;
}

/* Right is the shorter way out. True: the rank is what it was, so those above are right too. */
static bool settle(struct timerq_node *node)
{
	if (rank_of(node->left) < rank_of(node->right)) {
		struct timerq_node *swap = node->left;

		node->left = node->right;
		node->right = swap;
	}
	const uint64_t rank = rank_of(node->right) + 1;
	const bool same = rank == node->rank;

	node->rank = rank;
	return same;
}

/* Two heaps become one: their ways to the right do, then what is on it is settled, upwards. */
static struct timerq_node *meld(struct timerq_node *a, struct timerq_node *b)
{
	struct timerq_node top = { 0 }; /* its right child is the root */
	struct timerq_node *above = &top;

	while (a != nullptr && b != nullptr) {
		if (b->deadline < a->deadline) {
			struct timerq_node *swap = a;

			a = b;
			b = swap;
		}
		above->right = a;
		a->parent = above;
		above = a;
		a = a->right;
	}
	above->right = a != nullptr ? a : b;
	if (above->right != nullptr) {
		above->right->parent = above;
	}
	for (; above != &top; above = above->parent) {
		(void)settle(above);
	}
	if (top.right != nullptr) {
		top.right->parent = nullptr;
	}
	return top.right;
}

/* What is below a node takes its place. */
static void take_out(struct timerq *q, struct timerq_node *node)
{
	/* TQ2: without a left child it has none. */
	struct timerq_node *below = node->left != nullptr ? meld(node->left, node->right) : nullptr;
	struct timerq_node *parent = node->parent;

	if (parent == nullptr) {
		q->root = below;
	} else if (parent->left == node) {
		parent->left = below;
	} else {
		parent->right = below;
	}
	if (below != nullptr) {
		below->parent = parent;
	}
	while (parent != nullptr && !settle(parent)) {
		parent = parent->parent;
	}
	q->first = q->root != nullptr ? q->root->deadline : 0;
	node->left = nullptr;
	node->right = nullptr;
	node->parent = nullptr;
	store_release(&node->cpu, 0);
}

static void add(struct timerq *q, struct timerq_node *node, uint64_t deadline,
		void (*fn)(struct timerq_node *))
{
	KASSERT(load_relaxed(&node->cpu) == 0);
	node->deadline = deadline != 0 ? deadline : 1;
	node->fn = fn;
	node->rank = 1;
	q->root = q->root != nullptr ? meld(q->root, node) : node;
	q->first = q->root->deadline;
	store_release(&node->cpu, (uint64_t)cpu_number() + 1);
	irq_timer_no_later(node->deadline);
}

void timerq_add(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *))
{
	struct timerq *q = &queues[cpu_number()];

	spin_lock(&q->lock);
	add(q, node, deadline, fn);
	spin_unlock(&q->lock);
}

bool timerq_cancel(struct timerq_node *node)
{
	const uint64_t cpu = load_acquire(&node->cpu);

	if (cpu == 0) {
		return false;
	}
	struct timerq *q = &queues[cpu - 1];

	spin_lock(&q->lock);
	const bool mine = load_relaxed(&node->cpu) == cpu;

	if (mine) {
		take_out(q, node);
	}
	spin_unlock(&q->lock);
	return mine;
}

uint64_t timerq_first(void)
{
	const uint64_t first = load_relaxed(&queues[cpu_number()].first);

	return first != 0 ? first : UINT64_MAX;
}

struct timerq_node *timerq_try_due(void) __attribute__((no_thread_safety_analysis))
{
	struct timerq *q = &queues[cpu_number()];

	if (!spin_try_bare(&q->lock)) {
		return nullptr;
	}
	if (q->root != nullptr && q->root->deadline <= counter_now()) {
		return q->root;
	}
	spin_unlock_bare(&q->lock);
	return nullptr;
}

void timerq_take_unlock(struct timerq_node *due) __attribute__((no_thread_safety_analysis))
{
	struct timerq *q = &queues[cpu_number()];

	take_out(q, due);
	irq_timer_spent(q->first != 0 ? q->first : UINT64_MAX);
	spin_unlock_bare(&q->lock);
}

void timerq_leave(void) __attribute__((no_thread_safety_analysis))
{
	spin_unlock_bare(&queues[cpu_number()].lock);
}

bool timerq_try_enter(void)
{
	return spin_try_bare(&queues[cpu_number()].lock);
}

void timerq_add_held(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *))
{
	add(&queues[cpu_number()], node, deadline, fn);
}

void timerq_cancel_held(struct timerq_node *node)
{
	const uint64_t cpu = load_relaxed(&node->cpu);

	if (cpu != 0) {
		KASSERT(cpu == (uint64_t)cpu_number() + 1);
		take_out(&queues[cpu_number()], node);
	}
}

void timerq_run(void)
{
	struct timerq *q = &queues[cpu_number()];

	if (timerq_first() > counter_now()) {
		return;
	}
	const bool bare = spin_lock_spx(&q->lock);
	struct timerq_node *node = q->root;

	if (node != nullptr && node->deadline <= counter_now()) {
		take_out(q, node);
	} else {
		node = nullptr;
	}
	spin_unlock_spx(&q->lock, bare);
	if (node != nullptr) {
		node->fn(node);
	}
}
