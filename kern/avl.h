/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/avl.h - trees in which the order is the owner's, and each node may sum up what is below it.
 *
 * THEORY   An AVL tree: its height is at most 1.44 log2(n + 2), whatever the order in which nodes
 *          come and go; a tree that is balanced by chance, or by luck of the order, would let a
 *          task choose. Nodes are intrusive and pinned: nothing is allocated to insert one. Who
 *          owns the tree finds the place of a new node, and has each node say something of its
 *          subtree: the largest gap, the bits that are waited for. So "the first node that .." is
 *          one descent.
 * INVARIANTS
 *   AV1  Heights of siblings differ by one at most.
 *   AV2  What a node says of its subtree follows from itself and its children.
 * LOCKING  The owner's.
 */
#pragma once

#include <types.h>

struct avl_node {
	struct avl_node *left, *right, *up;
	uint64_t height; /* of a leaf 1 */
};

struct avl_tree {
	struct avl_node *root;
	void (*sum_up)(struct avl_node *node); /* [c] AV2 for one node, its children being right */
};

/* Hang a node below `up`, where nothing is (nullptr: an empty tree). avl_retrace() must follow. */
void avl_hang(struct avl_tree *tree, struct avl_node *up, bool left, struct avl_node *node);

/* AV1 and AV2 again, from a node up to the root; nullptr: there is nothing to do. */
void avl_retrace(struct avl_tree *tree, struct avl_node *node);

/* Take a node out. Returns where avl_retrace() must begin. */
struct avl_node *avl_take_out(struct avl_tree *tree, struct avl_node *node);

/* In order; nullptr: there is none. */
struct avl_node *avl_next(const struct avl_node *node);
struct avl_node *avl_prev(const struct avl_node *node);

static inline uint64_t avl_height(const struct avl_node *node)
{
	return node != nullptr ? node->height : 0;
}
