/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/region.h - the regions of an address space, by address.
 *
 * THEORY   A tree by address (kern/avl.h): a look-up among 65,536 regions takes 23 steps at worst,
 *          and no choice of addresses makes it worse. Each node also knows the free bytes before
 *          it, and the largest such gap below it, so "the lowest place for n bytes" is one descent.
 * INVARIANTS
 *   RG1  Regions do not meet; left < node < right.
 *   RG2  The tree is balanced (AV1).
 *   RG3  gap = bytes between the region before and this one; gap_max = the largest gap in the
 *        subtree.                                                     (region_audit)
 * LOCKING  The space's.
 */
#pragma once

#include <types.h>

#include "kern/avl.h"

struct memory_object;
struct space;

/* [l] the space's lock, but for the links of the object's list: [o] the object's lock */
struct region {
	struct avl_node node; /* first */
	uint64_t base;    /* page-aligned */
	uint64_t size;    /* bytes */
	uint64_t gap;     /* RG3 */
	uint64_t gap_max; /* RG3 */
	uint64_t offset;  /* of base in the object */
	struct memory_object *object; /* [c] nullptr: a guard */
	struct space *space;          /* [c] */
	struct region *object_next;   /* [o] */
	struct region *object_prev;   /* [o] */
	uint32_t epoch;               /* [o] see object_unmap_pages() */
	uint16_t prot;                /* VM_READ, VM_WRITE, VM_EXEC */
	uint16_t prot_max;            /* what prot may become */
	bool dying;                   /* being unmapped: in the tree, but no longer there */
};

struct region_tree {
	struct avl_tree by_address;
	uint64_t first; /* [c] addresses that it manages: [first, end) */
	uint64_t end;   /* [c] */
	uint32_t count;
};

/* The region of a node, nullptr for none. */
static inline struct region *region_of(const struct avl_node *node)
{
	return (struct region *)(uintptr_t)node;
}

void region_tree_init(struct region_tree *tree, uint64_t first, uint64_t end);

static inline uint64_t region_end(const struct region *r)
{
	return r->base + r->size;
}

/* The region that holds an address; nullptr. */
struct region *region_find(const struct region_tree *tree, uint64_t at);
/* The first region that ends after an address; nullptr. */
struct region *region_from(const struct region_tree *tree, uint64_t at);
struct region *region_next(const struct region *r);
struct region *region_prev(const struct region *r);

/* Pre: base and size are set, and meet no region (RG1). */
void region_insert(struct region_tree *tree, struct region *r);
void region_remove(struct region_tree *tree, struct region *r);

/* Move the borders of a region. Pre: it meets no other, and stays between its neighbours. */
void region_resize(struct region_tree *tree, struct region *r, uint64_t base, uint64_t size);

/*
 * The base for `size` bytes with base % align == skew in the lowest gap that has room for it
 * wherever the gap begins; without such a gap the lowest free page from which `size` bytes fit.
 * False: no gap is as large. Pre: align is a power of two >= 4096.
 */
bool region_place(const struct region_tree *tree, uint64_t size, uint64_t align, uint64_t skew,
		  uint64_t *base);

/* RG1 to RG3 by a scan. */
bool region_audit(const struct region_tree *tree);
