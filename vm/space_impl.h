/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/space_impl.h - the tables of a space, as objects, spaces and faults change them.
 */
#pragma once

#include "vm/object_impl.h"
#include "vm/space.h"

/* Flags of a leaf that shows an object with these rights. */
unsigned tables_flags(const struct memory_object *object, unsigned prot);

/*
 * The next stretch of [*at, end), a part of a region, that may be mapped, by what its object has:
 * from *at, which moves on, to *to. False: there is none. Takes the object's lock; or has it.
 */
bool tables_next(const struct region *r, uint64_t *at, uint64_t end, uint64_t *to);
bool tables_next_locked(const struct region *r, uint64_t *at, uint64_t end, uint64_t *to);

/* The first border of a leaf, or of nothing, at or after an address; the last one not after it. */
uint64_t tables_border(struct space *space, uint64_t at);
uint64_t tables_border_before(struct space *space, uint64_t at);

/*
 * Make `at` the border of a leaf. BUSY: the budget is used up, or a CPU did not park; NO_MEMORY.
 * What is mapped stays mapped.
 */
enum kerr tables_split(struct space *space, uint64_t at);

/*
 * Take out what is mapped in a range, in steps that are bounded when no lock is held. Splits at the
 * ends if it must, so: split first where failure matters.
 */
enum kerr tables_remove(struct space *space, va_t at, uint64_t bytes);

/* Bring the tables of a range in line with its regions. No lock held. In steps. */
enum kerr tables_sync(struct space *space, uint64_t at, uint64_t end);

/* space_change.c */
/* Are all of [at, end) mapped? Space's lock. */
bool space_is_covered(const struct space *space, uint64_t at, uint64_t end);
/* Join regions around [at, end) that continue each other. Space's lock. */
void space_merge(struct space *space, uint64_t at, uint64_t end);
struct region *region_alloc(struct memcharge *charge);
void region_free(struct region *r, struct memcharge *charge);
