/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/timerq.c - see kern/timerq.h.
 *
 * INVARIANTS
 *   TQ1  No node is due before its parent.
 *   TQ2  A node's `cpu` is not 0 exactly while it is in that CPU's heap; the lock is held.
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

/* Two heaps become one: the later root is the first child of the earlier. */
static struct timerq_node *meld(struct timerq_node *a, struct timerq_node *b)
{
	if (a == nullptr || b == nullptr) {
		return a != nullptr ? a : b;
	}
	if (b->deadline < a->deadline) {
		struct timerq_node *swap = a;

		a = b;
		b = swap;
	}
	b->before = a;
	b->sibling = a->child;
	if (a->child != nullptr) {
		a->child->before = b;
	}
	a->child = b;
	return a;
}

/* The children of a root that goes become one heap: in pairs, then all, both passes in loops. */
static struct timerq_node *meld_children(struct timerq_node *child)
{
	struct timerq_node *pairs = nullptr;
	struct timerq_node *heap = nullptr;

	while (child != nullptr) {
		struct timerq_node *a = child;
		struct timerq_node *b = a->sibling;

		child = b != nullptr ? b->sibling : nullptr;
		a->sibling = nullptr;
		if (b != nullptr) {
			b->sibling = nullptr;
		}
		a = meld(a, b);
		a->sibling = pairs;
		pairs = a;
	}
	while (pairs != nullptr) {
		struct timerq_node *next = pairs->sibling;

		pairs->sibling = nullptr;
		heap = meld(heap, pairs);
		pairs = next;
	}
	return heap;
}

static void take_out(struct timerq *q, struct timerq_node *node)
{
	struct timerq_node *below = meld_children(node->child);

	if (node == q->root) {
		q->root = below;
	} else {
		if (node->before->child == node) {
			node->before->child = node->sibling;
		} else {
			node->before->sibling = node->sibling;
		}
		if (node->sibling != nullptr) {
			node->sibling->before = node->before;
		}
		q->root = meld(q->root, below);
	}
	if (q->root != nullptr) {
		q->root->before = nullptr;
		q->root->sibling = nullptr;
	}
	q->first = q->root != nullptr ? q->root->deadline : 0;
	node->child = nullptr;
	node->sibling = nullptr;
	node->before = nullptr;
	store_release(&node->cpu, 0);
}

void timerq_add(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *))
{
	struct timerq *q = &queues[cpu_number()];

	KASSERT(load_relaxed(&node->cpu) == 0);
	spin_lock(&q->lock);
	node->deadline = deadline != 0 ? deadline : 1;
	node->fn = fn;
	q->root = meld(q->root, node);
	q->first = q->root->deadline;
	store_release(&node->cpu, (uint64_t)cpu_number() + 1);
	irq_timer_no_later(node->deadline);
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

void timerq_run(void)
{
	struct timerq *q = &queues[cpu_number()];

	for (unsigned n = 0; n < TIMERQ_AT_ONCE && timerq_first() <= counter_now(); n++) {
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
}
