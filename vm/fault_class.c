/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/fault_class.c - what an ESR says of an abort. See vm/fault.h.
 *
 * Arm ARM D24.2.40, "ISS encoding for an exception from a Data Abort" and "... an Instruction
 * Abort": fault status code in 5:0, WnR in 6, CM in 8.
 */
#include "vm/fault.h"

#define EC_SHIFT 26
#define EC_MASK 0x3f
#define EC_INSTRUCTION_LOWER 0x20
#define EC_INSTRUCTION_SAME 0x21
#define EC_PC_ALIGNMENT 0x22
#define EC_DATA_LOWER 0x24
#define EC_DATA_SAME 0x25
#define EC_SP_ALIGNMENT 0x26

#define ISS_WNR (UINT64_C(1) << 6)
#define ISS_CM (UINT64_C(1) << 8) /* cache maintenance: WnR is 1, but nothing is written */

static enum fault_kind kind_of(unsigned code)
{
	switch (code >> 2) {
	case 0x0: /* 0b0000LL */
		return FAULT_KIND_ADDRESS_SIZE;
	case 0x1: /* 0b0001LL */
		return FAULT_KIND_TRANSLATION;
	case 0x2: /* 0b0010LL */
		return FAULT_KIND_ACCESS_FLAG;
	case 0x3: /* 0b0011LL */
		return FAULT_KIND_PERMISSION;
	case 0x5: /* 0b0101LL, on a walk */
	case 0x7: /* 0b0111LL, parity on a walk */
		return FAULT_KIND_EXTERNAL;
	default:
		break;
	}
	switch (code) {
	case 0x10:
	case 0x18: /* parity or ECC */
		return FAULT_KIND_EXTERNAL;
	case 0x21:
		return FAULT_KIND_ALIGNMENT;
	case 0x30:
		return FAULT_KIND_CONFLICT;
	default:
		return FAULT_KIND_OTHER;
	}
}

struct fault_class fault_classify(uint64_t esr)
{
	const unsigned ec = (unsigned)(esr >> EC_SHIFT) & EC_MASK;
	const unsigned code = (unsigned)esr & 0x3f;
	struct fault_class c = { .kind = FAULT_KIND_OTHER, .access = VM_READ };

	switch (ec) {
	case EC_INSTRUCTION_LOWER:
	case EC_INSTRUCTION_SAME:
		c.access = VM_EXEC;
		break;
	case EC_DATA_LOWER:
	case EC_DATA_SAME:
		c.access = (esr & ISS_WNR) != 0 && (esr & ISS_CM) == 0 ? VM_WRITE : VM_READ;
		break;
	case EC_PC_ALIGNMENT:
		c.access = VM_EXEC;
		c.kind = FAULT_KIND_ALIGNMENT;
		return c;
	case EC_SP_ALIGNMENT:
		c.kind = FAULT_KIND_ALIGNMENT;
		return c;
	default:
		return c;
	}
	c.kind = kind_of(code);
	c.level = code & 3;
	return c;
}
