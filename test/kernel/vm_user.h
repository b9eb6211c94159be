/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/vm_user.h - address spaces as a program would use them, from the kernel's tests.
 *
 * THEORY   A test has no thread in EL0. It activates a space on its CPU and accesses it by the
 *          kernel's user copies, which the CPU judges as it would an access from EL0; what they
 *          report goes to vm_fault(), as the kernel does for a call, and the copy begins anew.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "vm/fault.h"
#include "vm/space.h"

/* Run a space on this CPU; nullptr: none. */
void user_enter(struct space *space);

/*
 * Access 8 bytes of the space that this CPU runs, until it works or the verdict is final.
 */
enum fault_verdict user_read(struct space *space, uint64_t at, uint64_t *value);
enum fault_verdict user_write(struct space *space, uint64_t at, uint64_t value);

/* The first word of each page of a range: is it, or make it, `salt` + the page's number? */
bool user_fill(struct space *space, uint64_t at, uint64_t bytes, uint64_t salt);
bool user_holds(struct space *space, uint64_t at, uint64_t bytes, uint64_t salt);

/* Bytes of the leaf at an address; 0: none. */
uint64_t user_leaf(struct space *space, uint64_t at);

/* Map an object at an address, all rights allowed later. */
enum kerr user_map(struct space *space, struct memory_object *object, uint64_t offset, uint64_t at,
		   uint64_t bytes, unsigned prot);
/* Make an anonymous object and map all of it; the region alone names it. */
enum kerr user_map_anon(struct space *space, uint64_t at, uint64_t bytes, unsigned prot);
