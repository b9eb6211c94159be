/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/mem_object.h - memory objects as programs hold them: a handle's object around vm/object.h.
 *
 * THEORY   The memory lives as long as a handle or a region needs it; the object here only as long
 *          as handles do. So what a pager's pages need (its endpoint, its word) is not here but in
 *          a record of its own, which the memory keeps until its end.
 *          A page that its pager must bring is asked for by the thread that touched it: the thread
 *          calls the pager's endpoint, as with an exception, and tries again when it is answered.
 *          So a pager that is slow holds up whoever waits for it and nobody else, one that lies is
 *          asked again, and one that is gone is an exception.
 */
#pragma once

#include "kern/object.h"
#include "vm/object.h"

struct endpoint;
struct task;
struct thread;

struct mem_object {
	struct kobj obj;
	struct memory_object *memory; /* [c] referenced */
};

struct mem_request {
	enum memory_kind kind;
	uint64_t bytes;
	uint64_t base;          /* MEM_PHYS: page-aligned physical address */
	bool cached;            /* MEM_PHYS: memory, not a device */
	struct endpoint *pager; /* MEM_PAGER: who brings the pages */
	uint64_t word;          /* MEM_PAGER: in each request */
};

/*
 * New memory, paid for by the task, for as long as it exists. Pre: the task was looked up in this
 * stay, and was not dying then. Errors: as object_create() and its kin; NO_MEMORY also when the
 * pager, or the task, is at its end.
 */
enum kerr mem_object_create(struct task *task, const struct mem_request *request,
			    struct mem_object **out);

/*
 * self faulted on a page of `pager` (fault_info.pager): call its endpoint in self's name. False: it
 * is gone, and its pages will not come.
 */
bool pager_ask(struct thread *self, void *pager, uint64_t offset, unsigned access);
