/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/fault.h - an access that the tables did not allow: judged by the regions, and resolved.
 *
 * THEORY   The regions are the truth, so a fault is a question: is the access allowed there? If so
 *          the tables learn it, with as much around it as costs nothing: 64 KiB of what has
 *          contents, a whole superpage where the memory lies so. If not, the verdict says why, and
 *          whoever called acts on it.
 *          A fault that finds the tables as they should be is no error: another CPU resolved it,
 *          or this one walked early (an Arm CPU may keep the fault of a walk that it made before
 *          the entry was stored). But if the same address faults so again and again, then a bit
 *          that we do not look at forbids the access, and repeating it would never end.
 */
#pragma once

#include <types.h>

#include "vm/space.h"

enum fault_verdict {
	FAULT_RESOLVED,    /* again */
	FAULT_WAIT_PAGER,  /* the pager was asked: again when it has answered */
	FAULT_BAD_ADDRESS, /* no region, or a guard */
	FAULT_BAD_ACCESS,  /* the region does not allow it, or the object was revoked */
	FAULT_NO_MEMORY,   /* no frame or table, or the charge is used up */
	FAULT_ALIGNMENT,
	FAULT_HARDWARE, /* external abort; a page that its pager failed to bring */
	FAULT_ENDLESS,  /* the tables allow it and the CPU does not, time after time */
};
const char *fault_verdict_name(enum fault_verdict verdict);

/* What ESR_EL1 says (Arm ARM D24.2.40: ISS of instruction and data aborts). Pure. */
enum fault_kind {
	FAULT_KIND_TRANSLATION,
	FAULT_KIND_ACCESS_FLAG,
	FAULT_KIND_PERMISSION,
	FAULT_KIND_ADDRESS_SIZE,
	FAULT_KIND_ALIGNMENT,
	FAULT_KIND_CONFLICT, /* two TLB entries for one address */
	FAULT_KIND_EXTERNAL, /* synchronous external abort or parity, of the access or the walk */
	FAULT_KIND_OTHER,
};
struct fault_class {
	enum fault_kind kind;
	unsigned access; /* VM_READ, VM_WRITE or VM_EXEC */
	unsigned level;
};
struct fault_class fault_classify(uint64_t esr);

struct fault_info {
	struct fault_class class;
	uint64_t offset; /* in the object, of the page; 0 without a region */
	void *pager;     /* WAIT_PAGER: as given to object_create_pager() */
	bool changed;    /* an entry was made or changed */
};

/*
 * Judge and resolve. On SP0, no lock held. `va`: FAR_EL1; `esr`: ESR_EL1 of an abort from EL0, or
 * of a user copy. FAULT_WAIT_PAGER: pager_ops.ready() tells when. *out is written always.
 */
enum fault_verdict vm_fault(struct space *space, va_t va, uint64_t esr, struct fault_info *out);

/* Judge and resolve for the kernel's own wish: make the page accessible now. */
enum fault_verdict fault_touch(struct space *space, va_t va, unsigned access);
