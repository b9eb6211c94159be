/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/vm_user.c - see vm_user.h.
 */
#include "test/kernel/vm_user.h"

#include <memmap.h>

#include "kern/lock.h"
#include "kern/usercopy.h"
#include "pcpu/pcpu.h"

void user_enter(struct space *space)
{
	irq_mask();
	pmap_activate(space != nullptr ? &space->pmap : nullptr);
	irq_unmask();
}

static enum fault_verdict judge(struct space *space)
{
	const struct user_fault fault = pcpu_this()->user_fault;
	struct fault_info info;

	if (fault.esr == 0) {
		return FAULT_BAD_ADDRESS;
	}
	return vm_fault(space, va(fault.va), fault.esr, &info);
}

enum fault_verdict user_read(struct space *space, uint64_t at, uint64_t *value)
{
	enum fault_verdict v = FAULT_RESOLVED;

	while (v == FAULT_RESOLVED && copy_from_user(value, va(at), sizeof(*value)) != KERR_OK) {
		v = judge(space);
	}
	return v;
}

enum fault_verdict user_write(struct space *space, uint64_t at, uint64_t value)
{
	enum fault_verdict v = FAULT_RESOLVED;

	while (v == FAULT_RESOLVED && copy_to_user(va(at), &value, sizeof(value)) != KERR_OK) {
		v = judge(space);
	}
	return v;
}

bool user_fill(struct space *space, uint64_t at, uint64_t bytes, uint64_t salt)
{
	for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
		if (user_write(space, at + off, salt + off / PAGE_BYTES) != FAULT_RESOLVED) {
			return false;
		}
	}
	return true;
}

bool user_holds(struct space *space, uint64_t at, uint64_t bytes, uint64_t salt)
{
	for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
		uint64_t value;

		if (user_read(space, at + off, &value) != FAULT_RESOLVED ||
		    value != salt + off / PAGE_BYTES) {
			return false;
		}
	}
	return true;
}

uint64_t user_leaf(struct space *space, uint64_t at)
{
	uint64_t bytes;
	pte_t leaf;

	return pmap_user_query(&space->pmap, va(at), &leaf, &bytes) ? bytes : 0;
}

enum kerr user_map(struct space *space, struct memory_object *object, uint64_t offset, uint64_t at,
		   uint64_t bytes, unsigned prot)
{
	const struct space_request q = { .object = object,
					 .offset = offset,
					 .at = at,
					 .bytes = bytes,
					 .prot = prot | VM_FIXED,
					 .prot_max = VM_PROT_MASK };
	va_t out;

	return space_map(space, &q, &out);
}

enum kerr user_map_anon(struct space *space, uint64_t at, uint64_t bytes, unsigned prot)
{
	struct memory_object *object;
	enum kerr e = object_create(MEM_ANON, bytes, space->charge, nullptr, &object);

	if (e == KERR_OK) {
		e = user_map(space, object, 0, at, bytes, prot);
		object_unref(object);
	}
	return e;
}
