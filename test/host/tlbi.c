/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/tlbi.c - TLBI instructions, from their operands. Each waits for the DSB that completes
 * it (tlb.c).
 */
#include <arch/feature.h>
#include <arch/tlbi_operand.h>

#include "test/host/sim_impl.h"

static void decode_va(struct tlbi_op *op, uint64_t operand)
{
	op->first = operand & SIM_VA_PAGES;
	op->pages = 1;
	/* TTL: 0b01xx is level xx of the 4 KiB granule, 0b00xx any, the rest other granules. */
	const unsigned ttl = (unsigned)(operand >> 44 & 0xf);

	if (ttl >= 4) {
		op->ttl = ttl < 8 ? ttl : UINT32_MAX;
	}
}

static void decode_range(struct tlbi_op *op, uint64_t operand)
{
	const uint64_t base = operand & TLBI_RANGE_BASE_MASK;
	const uint64_t sign = base >> 36 != 0 ? SIM_VA_PAGES & ~TLBI_RANGE_BASE_MASK : 0;
	const unsigned scale = (unsigned)(operand >> 44 & 3);
	const unsigned ttl = (unsigned)(operand >> 37 & 3);

	op->first = base | sign;
	op->pages = ((operand >> 39 & 0x1f) + 1) << (5 * scale + 1);
	op->ttl = ttl == 0 ? 0 : ttl + 4;
	if ((operand >> 46 & 3) != 1) {
		op->pages = 0; /* another granule: nothing of ours */
	}
}

/* A page after another, with no entry born in between, is one invalidation of both. */
static bool continues(struct sim_cpu *c, const struct tlbi_op *op)
{
	const bool by_page = op->kind == SIM_TLBI_VA || op->kind == SIM_TLBI_VA_ASID ||
			     op->kind == SIM_TLBI_VA_LOCAL || op->kind == SIM_TLBI_VA_LAST;

	if (!by_page || c->op_count == 0) {
		return false;
	}
	struct tlbi_op *last = &c->op[c->op_count - 1];

	if (last->kind != op->kind || last->asid != op->asid || last->ttl != op->ttl ||
	    last->first + last->pages != op->first || tlb_has_younger(last->time)) {
		return false;
	}
	last->pages++;
	return true;
}

void sim_tlbi(enum sim_tlbi kind, uint64_t operand)
{
	struct sim_cpu *c = sim.current;
	struct tlbi_op op = { .kind = kind, .pages = 0 };

	sim_step(true);
	trace(EV_TLBI, kind, operand);
	if (sim.quiet != 0) {
		return;
	}
	op.time = sim.now++; /* whatever is born from here on is later */
	op.asid = operand >> TLBI_ASID_SHIFT;
	if (kind == SIM_TLBI_RANGE || kind == SIM_TLBI_RANGE_ASID) {
		if (!cpu_features.tlb_range) {
			sim_fail("TLBI by range on a CPU that has none");
		}
		decode_range(&op, operand);
	} else {
		decode_va(&op, operand);
	}
	if (c->op_count == SIM_TLBI_OPS) {
		sim_fail("the model is too small: more than %d invalidations before a DSB",
			 SIM_TLBI_OPS);
	}
	if (!continues(c, &op)) {
		c->op[c->op_count++] = op;
	}
}
