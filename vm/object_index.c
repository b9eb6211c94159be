/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/object_index.c - the reservations of an object, by number.
 *
 * THEORY   A radix tree of 64-way nodes, as high as the object's length asks for: none for 2 MiB,
 *          one level for 128 MiB, two for 8 GiB. Each node has a word that tells which slots are
 *          taken, so "the next one" skips what is empty, and a node that became empty goes back.
 *          The cost of a look-up depends on the length of the object, never on what is in it.
 * LOCKING  The object's lock.
 */
#include "pcpu/slab.h"
#include "vm/object_impl.h"

#define NODE_BITS 6
#define NODE_SLOTS 64u
#define HEIGHT_MAX 5

struct index_node {
	uint64_t taken; /* a bit for each slot that is not empty */
	void *child[NODE_SLOTS];
};

static struct slab_class node_class = SLAB_CLASS("objindex", struct index_node);

uint8_t object_index_height(uint64_t bytes)
{
	const uint64_t last = (bytes - 1) / BLOCK_BYTES;
	uint8_t height = 0;

	while (last >> (NODE_BITS * height) != 0) {
		height++;
	}
	KASSERT(height <= HEIGHT_MAX);
	return height;
}

static unsigned slot_of(uint64_t index, unsigned level)
{
	return (unsigned)(index >> (NODE_BITS * level)) & (NODE_SLOTS - 1);
}

struct reserv *object_index_get(const struct memory_object *object, uint64_t index)
{
	void *at = object->index;

	for (unsigned level = object->index_height; level-- > 0 && at != nullptr;) {
		at = ((struct index_node *)at)->child[slot_of(index, level)];
	}
	return at;
}

/* Put something into a slot of a node, or into the root. */
static void put(struct memory_object *object, struct index_node *node, unsigned slot, void *what)
{
	if (node == nullptr) {
		object->index = what;
		return;
	}
	node->child[slot] = what;
	if (what != nullptr) {
		node->taken |= UINT64_C(1) << slot;
	} else {
		node->taken &= ~(UINT64_C(1) << slot);
	}
}

/* The nodes on the way to an index, from the root down; those that are missing: nullptr. */
static void find_path(const struct memory_object *object, uint64_t index,
		      struct index_node *path[HEIGHT_MAX])
{
	void *at = object->index;

	for (unsigned level = object->index_height; level-- > 0;) {
		path[level] = at;
		at = at != nullptr ? path[level]->child[slot_of(index, level)] : nullptr;
	}
}

/* Take empty nodes on the way to an index out, from the lowest up. */
static void prune(struct memory_object *object, uint64_t index, struct index_node *path[HEIGHT_MAX])
{
	const unsigned height = object->index_height;

	for (unsigned level = 0; level < height; level++) {
		struct index_node *up = level + 1 < height ? path[level + 1] : nullptr;

		if (path[level] == nullptr) {
			continue;
		}
		if (path[level]->taken != 0) {
			return;
		}
		put(object, up, slot_of(index, level + 1), nullptr);
		slab_free(&node_class, path[level], object->charge);
	}
}

enum kerr object_index_set(struct memory_object *object, uint64_t index, struct reserv *rv)
{
	const unsigned height = object->index_height;
	struct index_node *path[HEIGHT_MAX];
	struct index_node *up = nullptr;

	find_path(object, index, path);
	for (unsigned level = height; level-- > 0; up = path[level]) {
		if (path[level] != nullptr) {
			continue;
		}
		path[level] = slab_alloc(&node_class, object->charge);
		if (path[level] == nullptr) {
			prune(object, index, path);
			return KERR_NO_MEMORY;
		}
		put(object, up, slot_of(index, level + 1), path[level]);
	}
	put(object, up, slot_of(index, 0), rv);
	return KERR_OK;
}

void object_index_clear(struct memory_object *object, uint64_t index)
{
	struct index_node *path[HEIGHT_MAX];

	find_path(object, index, path);
	put(object, object->index_height > 0 ? path[0] : nullptr, slot_of(index, 0), nullptr);
	prune(object, index, path);
}

/* The first slot of a node, from `slot` on, that is taken; NODE_SLOTS: none. */
static unsigned next_taken(const struct index_node *node, unsigned slot)
{
	const uint64_t from = node->taken & (UINT64_MAX << slot);

	return from != 0 ? (unsigned)__builtin_ctzll(from) : NODE_SLOTS;
}

/* The lowest reservation below a slot. Nodes are never empty. */
static struct reserv *lowest(void *at, unsigned levels)
{
	while (levels-- > 0) {
		const struct index_node *node = at;

		at = node->child[next_taken(node, 0)];
	}
	return at;
}

struct reserv *object_index_from(const struct memory_object *object, uint64_t index)
{
	struct index_node *path[HEIGHT_MAX];
	const unsigned height = object->index_height;

	if (index >> (NODE_BITS * height) != 0) {
		return nullptr; /* no slot has such a number: its low bits would be another's */
	}
	if (height == 0) {
		return object->index;
	}
	find_path(object, index, path);
	/* Up to the first node that has something further on. */
	for (unsigned level = 0; level < height; level++) {
		const unsigned from = slot_of(index, level) + (level > 0 ? 1 : 0);

		if (path[level] == nullptr || from == NODE_SLOTS) {
			continue;
		}
		const unsigned slot = next_taken(path[level], from);

		if (slot != NODE_SLOTS) {
			return lowest(path[level]->child[slot], level);
		}
	}
	return nullptr;
}
