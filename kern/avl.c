/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/avl.c - see kern/avl.h. No recursion: the stack depth of the kernel is a number.
 */
#include "kern/avl.h"

/* From its children. */
static void update(const struct avl_tree *tree, struct avl_node *node)
{
	const uint64_t left = avl_height(node->left);
	const uint64_t right = avl_height(node->right);

	node->height = (left > right ? left : right) + 1;
	tree->sum_up(node);
}

/* Where a node hangs: its parent's pointer, or the root. */
static struct avl_node **link_of(struct avl_tree *tree, const struct avl_node *node)
{
	if (node->up == nullptr) {
		return &tree->root;
	}
	return node->up->left == node ? &node->up->left : &node->up->right;
}

static void hang(struct avl_node **link, struct avl_node *node, struct avl_node *up)
{
	*link = node;
	if (node != nullptr) {
		node->up = up;
	}
}

/* node's right child takes its place. */
static struct avl_node *rotate_left(struct avl_tree *tree, struct avl_node *node)
{
	struct avl_node *top = node->right;

	hang(link_of(tree, node), top, node->up);
	hang(&node->right, top->left, node);
	hang(&top->left, node, top);
	update(tree, node);
	update(tree, top);
	return top;
}

static struct avl_node *rotate_right(struct avl_tree *tree, struct avl_node *node)
{
	struct avl_node *top = node->left;

	hang(link_of(tree, node), top, node->up);
	hang(&node->left, top->right, node);
	hang(&top->right, node, top);
	update(tree, node);
	update(tree, top);
	return top;
}

/* AV1 again at one node; returns what stands in its place. */
static struct avl_node *balance(struct avl_tree *tree, struct avl_node *node)
{
	struct avl_node *left = node->left;
	struct avl_node *right = node->right;

	if (left != nullptr && left->height > avl_height(right) + 1) {
		if (avl_height(left->left) < avl_height(left->right)) {
			rotate_left(tree, left);
		}
		return rotate_right(tree, node);
	}
	if (right != nullptr && right->height > avl_height(left) + 1) {
		if (avl_height(right->right) < avl_height(right->left)) {
			rotate_right(tree, right);
		}
		return rotate_left(tree, node);
	}
	return node;
}

void avl_retrace(struct avl_tree *tree, struct avl_node *node)
{
	while (node != nullptr) {
		update(tree, node);
		node = balance(tree, node)->up;
	}
}

void avl_hang(struct avl_tree *tree, struct avl_node *up, bool left, struct avl_node *node)
{
	node->left = nullptr;
	node->right = nullptr;
	hang(up == nullptr ? &tree->root : left ? &up->left : &up->right, node, up);
}

struct avl_node *avl_next(const struct avl_node *node)
{
	if (node->right != nullptr) {
		struct avl_node *next = node->right;

		while (next->left != nullptr) {
			next = next->left;
		}
		return next;
	}
	while (node->up != nullptr && node->up->right == node) {
		node = node->up;
	}
	return node->up;
}

struct avl_node *avl_prev(const struct avl_node *node)
{
	if (node->left != nullptr) {
		struct avl_node *prev = node->left;

		while (prev->right != nullptr) {
			prev = prev->right;
		}
		return prev;
	}
	while (node->up != nullptr && node->up->left == node) {
		node = node->up;
	}
	return node->up;
}

/* Put the node that follows in node's place: it has no left child. Where heights changed. */
static struct avl_node *replace_by_next(struct avl_tree *tree, struct avl_node *node)
{
	struct avl_node *next = avl_next(node);
	struct avl_node *changed = next;

	if (next->up != node) {
		changed = next->up;
		hang(&next->up->left, next->right, next->up);
		hang(&next->right, node->right, next);
	}
	hang(&next->left, node->left, next);
	hang(link_of(tree, node), next, node->up);
	return changed;
}

struct avl_node *avl_take_out(struct avl_tree *tree, struct avl_node *node)
{
	struct avl_node *up = node->up;

	if (node->left != nullptr && node->right != nullptr) {
		return replace_by_next(tree, node);
	}
	hang(link_of(tree, node), node->left != nullptr ? node->left : node->right, up);
	return up;
}
