/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/region.c - see vm/region.h.
 */
#include "vm/region.h"

#include <memmap.h>

#include "kern/assert.h"

static uint64_t gap_max(const struct avl_node *node)
{
	return node != nullptr ? region_of(node)->gap_max : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* RG3 from its children. */
static void sum_up(struct avl_node *node)
{
	struct region *r = region_of(node);

	r->gap_max = larger(r->gap, larger(gap_max(node->left), gap_max(node->right)));
}

void region_tree_init(struct region_tree *tree, uint64_t first, uint64_t end)
{
	*tree = (struct region_tree){ .by_address = { .sum_up = sum_up },
				      .first = first,
				      .end = end };
}

struct region *region_find(const struct region_tree *tree, uint64_t at)
{
	struct region *r = region_of(tree->by_address.root);

	while (r != nullptr && at - r->base >= r->size) {
		r = region_of(at < r->base ? r->node.left : r->node.right);
	}
	return r;
}

struct region *region_from(const struct region_tree *tree, uint64_t at)
{
	struct region *r = region_of(tree->by_address.root);
	struct region *best = nullptr;

	while (r != nullptr) {
		if (region_end(r) > at) {
			best = r;
			r = region_of(r->node.left);
		} else {
			r = region_of(r->node.right);
		}
	}
	return best;
}

struct region *region_next(const struct region *r)
{
	return region_of(avl_next(&r->node));
}

struct region *region_prev(const struct region *r)
{
	return region_of(avl_prev(&r->node));
}

/* RG3 of one region, after its own base or the end of the one before it moved. */
static void set_gap(struct region_tree *tree, struct region *r)
{
	const struct region *prev = region_prev(r);

	r->gap = r->base - (prev != nullptr ? region_end(prev) : tree->first);
	avl_retrace(&tree->by_address, &r->node);
}

static void set_gaps_around(struct region_tree *tree, struct region *r)
{
	struct region *next = region_next(r);

	set_gap(tree, r);
	if (next != nullptr) {
		set_gap(tree, next);
	}
}

void region_insert(struct region_tree *tree, struct region *r)
{
	struct region *at = region_of(tree->by_address.root);
	struct region *up = nullptr;
	bool left = false;

	while (at != nullptr) {
		up = at;
		KASSERT(!ranges_meet(r->base, r->size, up->base, up->size)); /* RG1 */
		left = r->base < up->base;
		at = region_of(left ? up->node.left : up->node.right);
	}
	avl_hang(&tree->by_address, up != nullptr ? &up->node : nullptr, left, &r->node);
	tree->count++;
	set_gaps_around(tree, r);
}

void region_remove(struct region_tree *tree, struct region *r)
{
	struct region *next = region_next(r);

	avl_retrace(&tree->by_address, avl_take_out(&tree->by_address, &r->node));
	tree->count--;
	if (next != nullptr) {
		set_gap(tree, next);
	}
}

void region_resize(struct region_tree *tree, struct region *r, uint64_t base, uint64_t size)
{
	r->base = base;
	r->size = size;
	set_gaps_around(tree, r);
}

/* The lowest gap of at least `bytes`: its first address. */
static bool lowest_gap(const struct region_tree *tree, uint64_t bytes, uint64_t *at)
{
	const struct avl_node *node = tree->by_address.root;
	const struct avl_node *last = nullptr;

	if (gap_max(node) < bytes) {
		while (node != nullptr) {
			last = node;
			node = node->right;
		}
		const uint64_t end = last != nullptr ? region_end(region_of(last)) : tree->first;

		if (tree->end - end < bytes) {
			return false;
		}
		*at = end;
		return true;
	}
	for (;;) {
		const struct region *r = region_of(node);

		if (gap_max(node->left) >= bytes) {
			node = node->left;
		} else if (r->gap >= bytes) {
			*at = r->base - r->gap;
			return true;
		} else {
			node = node->right;
		}
	}
}

bool region_place(const struct region_tree *tree, uint64_t size, uint64_t align, uint64_t skew,
		  uint64_t *base)
{
	uint64_t at;

	/* A gap that has room for the alignment at worst. */
	if (size <= tree->end - align && lowest_gap(tree, size + align - PAGE_BYTES, &at)) {
		*base = at + ((skew - at) & (align - 1));
		return true;
	}
	return lowest_gap(tree, size, base);
}

bool region_audit(const struct region_tree *tree)
{
	const struct avl_node *root = tree->by_address.root;
	const struct region *r = region_from(tree, 0);
	uint64_t before = tree->first;
	uint32_t count = 0;
	bool ok = root == nullptr || root->up == nullptr;

	for (; r != nullptr; r = region_next(r), count++) {
		const struct avl_node *n = &r->node;
		const uint64_t left = avl_height(n->left);
		const uint64_t right = avl_height(n->right);

		ok = ok && r->base >= before && r->size != 0 && region_end(r) <= tree->end;
		ok = ok && r->gap == r->base - before;
		ok = ok && left <= right + 1 && right <= left + 1;
		ok = ok && n->height == larger(left, right) + 1;
		ok = ok &&
		     r->gap_max == larger(r->gap, larger(gap_max(n->left), gap_max(n->right)));
		ok = ok && (n->left == nullptr || n->left->up == n);
		ok = ok && (n->right == nullptr || n->right->up == n);
		before = region_end(r);
	}
	return ok && count == tree->count;
}
