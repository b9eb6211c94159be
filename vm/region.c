/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/region.c - see vm/region.h. No recursion: the stack depth of the kernel is a number.
 */
#include "vm/region.h"

#include <memmap.h>

#include "kern/assert.h"

static unsigned height(const struct region *r)
{
	return r != nullptr ? r->height : 0;
}

static uint64_t gap_max(const struct region *r)
{
	return r != nullptr ? r->gap_max : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* From its children: height and largest gap. */
static void update(struct region *r)
{
	const unsigned left = height(r->left);
	const unsigned right = height(r->right);

	r->height = (uint8_t)((left > right ? left : right) + 1);
	r->gap_max = larger(r->gap, larger(gap_max(r->left), gap_max(r->right)));
}

/* Where a node hangs: its parent's pointer, or the root. */
static struct region **link_of(struct region_tree *tree, const struct region *r)
{
	if (r->up == nullptr) {
		return &tree->root;
	}
	return r->up->left == r ? &r->up->left : &r->up->right;
}

static void hang(struct region **link, struct region *r, struct region *up)
{
	*link = r;
	if (r != nullptr) {
		r->up = up;
	}
}

/* r's right child takes its place. */
static struct region *rotate_left(struct region_tree *tree, struct region *r)
{
	struct region *top = r->right;

	hang(link_of(tree, r), top, r->up);
	hang(&r->right, top->left, r);
	hang(&top->left, r, top);
	update(r);
	update(top);
	return top;
}

static struct region *rotate_right(struct region_tree *tree, struct region *r)
{
	struct region *top = r->left;

	hang(link_of(tree, r), top, r->up);
	hang(&r->left, top->right, r);
	hang(&top->right, r, top);
	update(r);
	update(top);
	return top;
}

/* RG2 again at one node; returns what stands in its place. */
static struct region *balance(struct region_tree *tree, struct region *r)
{
	struct region *left = r->left;
	struct region *right = r->right;

	if (left != nullptr && left->height > height(right) + 1) {
		if (height(left->left) < height(left->right)) {
			rotate_left(tree, left);
		}
		return rotate_right(tree, r);
	}
	if (right != nullptr && right->height > height(left) + 1) {
		if (height(right->right) < height(right->left)) {
			rotate_right(tree, right);
		}
		return rotate_left(tree, r);
	}
	return r;
}

/* RG2 and RG3 from a node up to the root. */
static void retrace(struct region_tree *tree, struct region *r)
{
	while (r != nullptr) {
		update(r);
		r = balance(tree, r)->up;
	}
}

void region_tree_init(struct region_tree *tree, uint64_t first, uint64_t end)
{
	*tree = (struct region_tree){ .first = first, .end = end };
}

struct region *region_find(const struct region_tree *tree, uint64_t at)
{
	struct region *r = tree->root;

	while (r != nullptr && at - r->base >= r->size) {
		r = at < r->base ? r->left : r->right;
	}
	return r;
}

struct region *region_from(const struct region_tree *tree, uint64_t at)
{
	struct region *r = tree->root;
	struct region *best = nullptr;

	while (r != nullptr) {
		if (region_end(r) > at) {
			best = r;
			r = r->left;
		} else {
			r = r->right;
		}
	}
	return best;
}

struct region *region_next(const struct region *r)
{
	if (r->right != nullptr) {
		struct region *next = r->right;

		while (next->left != nullptr) {
			next = next->left;
		}
		return next;
	}
	while (r->up != nullptr && r->up->right == r) {
		r = r->up;
	}
	return r->up;
}

struct region *region_prev(const struct region *r)
{
	if (r->left != nullptr) {
		struct region *prev = r->left;

		while (prev->right != nullptr) {
			prev = prev->right;
		}
		return prev;
	}
	while (r->up != nullptr && r->up->left == r) {
		r = r->up;
	}
	return r->up;
}

/* RG3 of one region, after its own base or the end of the one before it moved. */
static void set_gap(struct region_tree *tree, struct region *r)
{
	const struct region *prev = region_prev(r);

	r->gap = r->base - (prev != nullptr ? region_end(prev) : tree->first);
	retrace(tree, r);
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
	struct region **link = &tree->root;
	struct region *up = nullptr;

	while (*link != nullptr) {
		up = *link;
		KASSERT(!ranges_meet(r->base, r->size, up->base, up->size)); /* RG1 */
		link = r->base < up->base ? &up->left : &up->right;
	}
	r->left = nullptr;
	r->right = nullptr;
	hang(link, r, up);
	tree->count++;
	set_gaps_around(tree, r);
}

/* Put the region that follows in r's place: it has no left child. Returns where heights changed. */
static struct region *replace_by_next(struct region_tree *tree, struct region *r)
{
	struct region *next = region_next(r);
	struct region *changed = next;

	if (next->up != r) {
		changed = next->up;
		hang(&next->up->left, next->right, next->up);
		hang(&next->right, r->right, next);
	}
	hang(&next->left, r->left, next);
	hang(link_of(tree, r), next, r->up);
	return changed;
}

void region_remove(struct region_tree *tree, struct region *r)
{
	struct region *next = region_next(r);
	struct region *changed = r->up;

	if (r->left != nullptr && r->right != nullptr) {
		changed = replace_by_next(tree, r);
	} else {
		hang(link_of(tree, r), r->left != nullptr ? r->left : r->right, r->up);
	}
	tree->count--;
	retrace(tree, changed);
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
	const struct region *r = tree->root;
	const struct region *last = nullptr;

	if (gap_max(r) < bytes) {
		while (r != nullptr) {
			last = r;
			r = r->right;
		}
		const uint64_t end = last != nullptr ? region_end(last) : tree->first;

		if (tree->end - end < bytes) {
			return false;
		}
		*at = end;
		return true;
	}
	for (;;) {
		if (gap_max(r->left) >= bytes) {
			r = r->left;
		} else if (r->gap >= bytes) {
			*at = r->base - r->gap;
			return true;
		} else {
			r = r->right;
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
	const struct region *r = region_from(tree, 0);
	uint64_t before = tree->first;
	uint32_t count = 0;
	bool ok = tree->root == nullptr || tree->root->up == nullptr;

	for (; r != nullptr; r = region_next(r), count++) {
		const unsigned left = height(r->left);
		const unsigned right = height(r->right);

		ok = ok && r->base >= before && r->size != 0 && region_end(r) <= tree->end;
		ok = ok && r->gap == r->base - before;
		ok = ok && left <= right + 1 && right <= left + 1;
		ok = ok && r->height == (left > right ? left : right) + 1;
		ok = ok &&
		     r->gap_max == larger(r->gap, larger(gap_max(r->left), gap_max(r->right)));
		ok = ok && (r->left == nullptr || r->left->up == r);
		ok = ok && (r->right == nullptr || r->right->up == r);
		before = region_end(r);
	}
	return ok && count == tree->count;
}
