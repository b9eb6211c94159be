/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/slab.h - small kernel objects in pinned memory.
 *
 * THEORY   A class cuts pages of the pinned heap into objects of one size. What a page holds is
 *          written in its heap tag, not in the page: a bitmap of the objects in use, so that a
 *          second free is seen at once and no list runs through freed memory. A page with a free
 *          object is on its class's list; a page that became empty goes back to the heap, except
 *          the last one, so that one object that comes and goes does not drag a page with it.
 * INVARIANTS
 *   SL1  A page is on its class's list exactly if it has a free object.
 *   SL2  objects = the bits that are set, over all pages of the class. (slab_audit)
 * LOCKING  The class's own lock, rank LOCK_SLAB; the heap's inside.
 * FAILURE  nullptr; nothing changed, nothing charged.
 */
#pragma once

#include <types.h>

#include "kern/lock.h"
#include "pcpu/memcharge.h"

struct slab_page;

struct slab_class {
	struct spinlock lock;
	const char *name;
	uint32_t bytes;          /* [c] of one object: a multiple of 64, at most 4096 */
	uint32_t pages;          /* [l] */
	uint64_t objects;        /* [l] in use */
	struct slab_page *avail; /* [l] pages with a free object */
};

#define SLAB_ALIGN 64
#define SLAB_ROUND(size) (((size) + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN)

/* A class for objects of `type`, aligned to a cache line. */
#define SLAB_CLASS(class_name, type)                       \
	{                                                  \
		.lock = SPINLOCK((class_name), LOCK_SLAB), \
		.name = (class_name),                      \
		.bytes = SLAB_ROUND(sizeof(type)),         \
	}

/* A zeroed object, paid for by `charge`. */
void *slab_alloc(struct slab_class *class, struct memcharge *charge);

/* Free it, and give its bytes back to `charge`: the one that paid. */
void slab_free(struct slab_class *class, void *object, struct memcharge *charge);

/* SL1 and SL2 hold. O(pages of the class that have room). */
bool slab_audit(struct slab_class *class);
