/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/inval.c - TLBI and DSB: what pays a debt.
 *
 * THEORY   A TLBI pays for a stale entry when (Arm ARM D8.17)
 *            - a DSB that covers stores stands between the break and the TLBI, on the CPU that
 *              broke or on the one that invalidates, in a domain as wide as the TLBI's;
 *            - it names the entry: address, ASID, level, and last-level-only for leaves alone;
 *            - it reaches the CPU that may hold the entry;
 *            - the CPU that issued it completes a DSB of loads and stores, as wide again.
 *          Nothing is taken as paid before that last DSB. One TLBI issued twice (the repeat that
 *          some errata ask for) pays once and does no harm.
 *          Level and granule hints are judged whether or not the CPU has FEAT_TTL: where it has
 *          not, the bits are RES0 and must be zero, which is the same rule.
 *
 * History  All TLBIs and DSBs go to rings, from which a violation is explained.
 */
#include <string.h>

#include "oracle.h"

#define TLBI_NO_TTL 0xff

/* How near a TLBI came to paying, the further down the nearer. */
enum miss { MISS_VA, MISS_ASID, MISS_LAST_LEVEL, MISS_LEVEL, MISS_LOCAL, MISS_ORDER, MISS_NOTHING };

static uint64_t sign_extend(uint64_t value, unsigned bit)
{
	return (uint64_t)((int64_t)(value << (63 - bit)) >> (63 - bit));
}

static void decode_va(struct tlbi *t, uint64_t operand)
{
	unsigned ttl = (unsigned)(operand >> 44) & 0xf;

	t->start = sign_extend((operand & ((1ull << 44) - 1)) << 12, 55);
	t->end = t->start + 4096;
	t->ttl = ttl >> 2 == 0 ? TLBI_NO_TTL : (uint8_t)(ttl & 3);
	t->bad_granule = ttl >> 2 > 1; /* a hint for 16 or 64 KiB */
}

static void decode_range(struct tlbi *t, uint64_t operand)
{
	unsigned scale = (unsigned)(operand >> 44) & 3;
	uint64_t pages = ((operand >> 39 & 0x1f) + 1) << (5 * scale + 1);
	unsigned ttl = (unsigned)(operand >> 37) & 3;

	t->start = sign_extend(operand & ((1ull << 37) - 1), 36) << 12;
	t->end = t->start + (pages << 12);
	t->ttl = ttl == 0 ? TLBI_NO_TTL : (uint8_t)ttl;
	t->bad_granule = (operand >> 46 & 3) != 1;
}

/* What SYS instruction is this TLBI? false: none that concerns the EL1&0 regime. */
static bool decode(struct tlbi *t, uint32_t insn, uint64_t operand)
{
	unsigned op1 = insn >> 16 & 7, crm = insn >> 8 & 0xf, op2 = insn >> 5 & 7;
	bool range = crm == 2 || crm == 5 || crm == 6;

	t->broadcast = crm == 1 || crm == 2 || crm == 3 || crm == 5;
	t->asid = (uint16_t)(operand >> 48);
	t->ttl = TLBI_NO_TTL;
	if (op1 == 4) { /* from EL2: ALLE1 and VMALLS12E1 reach EL1&0 */
		t->kind = TLBI_ALL;
		return (crm == 1 || crm == 3 || crm == 7) && (op2 == 4 || op2 == 6);
	}
	if (op1 != 0 || (!range && crm != 1 && crm != 3 && crm != 7)) {
		return false;
	}
	if (!range && op2 == 0) {
		t->kind = TLBI_ALL;
		return true;
	}
	if (!range && op2 == 2) {
		t->kind = TLBI_ASID;
		return true;
	}
	if (!(op2 & 1)) {
		return false;
	}
	t->kind = TLBI_VA;
	t->any_asid = op2 & 2;
	t->last_level = op2 & 4;
	if (range) {
		decode_range(t, operand);
	} else {
		decode_va(t, operand);
	}
	return true;
}

void inval_tlbi(unsigned cpu, uint32_t insn, uint64_t operand, const struct site *site)
{
	struct tlbi *t = &g.tlbi[g.tlbi_next % TLBI_RING];

	memset(t, 0, offsetof(struct tlbi, dsb));
	if (!decode(t, insn, operand)) {
		return;
	}
	t->seq = ++g.seq;
	t->site = site;
	t->cpu = (uint8_t)cpu;
	g.cpu[cpu].tlbi_seq = t->seq;
	for (unsigned i = 0; i < g.cpu_count; i++) {
		t->dsb[i] = t->broadcast ? g.cpu[i].dsb_broadcast : g.cpu[i].dsb_local;
	}
	if (g.tlbi_next - g.cpu[cpu].tlbi_first >= TLBI_RING) {
		g.cpu[cpu].tlbi_first = g.tlbi_next - TLBI_RING + 1;
	}
	g.tlbi_next++;
	g.n.tlbi++;
	atomic_fetch_add(&g.epoch, 1);
}

static bool asid_fits(const struct tlbi *t, const struct place *p, bool leaf, uint64_t old)
{
	if (leaf && !(old & PTE_NG)) {
		return t->kind == TLBI_VA; /* global: by address whatever the ASID, by ASID never */
	}
	return p->half == 0 && t->asid == p->asid;
}

/* How near does t come to removing debt's entry from the TLB of `holder`? */
static enum miss miss(const struct tlbi *t, unsigned level, const struct debt *debt,
		      const struct place *p, unsigned holder)
{
	bool leaf = pte_kind(debt->old, level) == KIND_LEAF;

	if (t->kind == TLBI_VA && t->start - p->va >= level_size(level) &&
	    p->va - t->start >= t->end - t->start) {
		return MISS_VA;
	}
	if (t->kind != TLBI_ALL && !t->any_asid && !asid_fits(t, p, leaf, debt->old)) {
		return MISS_ASID;
	}
	if (t->kind == TLBI_VA && t->last_level && !leaf) {
		return MISS_LAST_LEVEL;
	}
	if (t->kind == TLBI_VA &&
	    (t->bad_granule ||
	     (t->ttl != TLBI_NO_TTL && (leaf ? t->ttl != level : t->ttl <= level)))) {
		return MISS_LEVEL;
	}
	if (!t->broadcast && t->cpu != holder) {
		return MISS_LOCAL;
	}
	return t->dsb[debt->cpu] > debt->seq || t->dsb[t->cpu] > debt->seq ? MISS_NOTHING
									   : MISS_ORDER;
}

/* Apply a completed TLBI to one entry's debt. */
static void pay(const struct tlbi *t, struct table *table, unsigned index)
{
	struct debt *debt = table->debt[index];
	uint64_t left = 0;

	for (unsigned i = 0; i < debt->place_count; i++) {
		struct place *p = &debt->place[i];

		if (p->cpus != 0 && miss(t, table->level, debt, p, t->cpu) == MISS_NOTHING) {
			p->cpus &= t->broadcast ? 0 : ~(1ull << t->cpu);
		}
		left |= p->cpus;
	}
	if (left == 0) {
		debt_drop(table, index);
	}
}

static void pay_table(const struct tlbi *t, struct table *table)
{
	unsigned shift = level_shift(table->level);
	unsigned i = 0, end = ENTRIES;

	if (t->kind == TLBI_VA && table->debt_uniform) {
		uint64_t size = level_size(table->level) << 9;

		if (t->start - table->debt_va < size) {
			uint64_t last = (t->end - 1 - table->debt_va) >> shift;

			i = (unsigned)((t->start - table->debt_va) >> shift);
			end = last < ENTRIES ? (unsigned)last + 1 : ENTRIES;
		} else if (table->debt_va - t->start >= t->end - t->start) {
			return;
		}
	}
	for (; i < end && table->debt_count > 0; i++) {
		if (table->debt[i] != NULL && t->seq > table->debt[i]->seq) {
			pay(t, table, i);
		}
	}
}

/* TLBs that hold nothing of a space any more: those reached that do not run it. */
static void pay_spaces(const struct tlbi *t)
{
	bool changed = false;

	for (struct space *s = g.spaces; s != NULL; s = s->next) {
		uint64_t reach = t->broadcast ? ~0ull : 1ull << t->cpu;

		if (t->kind == TLBI_ALL ||
		    (t->kind == TLBI_ASID && s->half == 0 && s->asid == t->asid)) {
			s->may_cache &= ~reach | s->current;
			changed |= s->may_cache == 0;
		}
		if (t->kind == TLBI_ALL) {
			s->global &= ~reach | s->current;
		}
	}
	if (changed) {
		tables_collect();
	}
}

static void complete(const struct tlbi *t)
{
	struct table *next;

	for (struct table *table = g.dirty; table != NULL; table = next) {
		next = table->dirty_next;
		if (next != NULL) {
			next->busy++;
		}
		table->busy++;
		pay_table(t, table);
		table->busy--;
		table_put(table);
		if (next != NULL) {
			next->busy--;
		}
	}
	if (t->kind != TLBI_VA) {
		pay_spaces(t);
	}
}

/* crm is the instruction's option field: domain in bits 3:2, kind of access in bits 1:0. */
void inval_dsb(unsigned index, unsigned crm, bool nxs, const struct site *site)
{
	struct cpu *cpu = &g.cpu[index];
	struct dsb *d = &g.dsb[g.dsb_next++ % DSB_RING];
	unsigned domain = crm >> 2, access = nxs ? 3 : crm & 3;
	bool wide = domain != 1; /* not NSH: inner, outer or full system */

	*d = (struct dsb){
		.seq = ++g.seq,
		.site = site,
		.cpu = (uint8_t)index,
		.crm = (uint8_t)crm,
		.orders_local = access >= 2,
		.orders_broadcast = access >= 2 && wide,
		.completes_local = access == 3,
		.completes_broadcast = access == 3 && wide,
	};
	g.n.dsb++;
	if (d->orders_local) {
		cpu->dsb_local = d->seq;
		for (unsigned i = 0; i < cpu->fresh_count; i++) {
			cpu->fresh[i].dsb |= d->orders_broadcast;
		}
	}
	if (d->orders_broadcast) {
		cpu->dsb_broadcast = d->seq;
	}
	for (uint64_t i = cpu->tlbi_first; d->completes_local && i < g.tlbi_next; i++) {
		struct tlbi *t = &g.tlbi[i % TLBI_RING];

		if (t->cpu == index && !t->done &&
		    (t->broadcast ? d->completes_broadcast : d->completes_local)) {
			t->done = true;
			complete(t);
		}
	}
	if (d->completes_broadcast) {
		cpu->tlbi_first = g.tlbi_next;
	}
}

/* A context synchronisation event: what this CPU made and stored to memory, it may now use. */
void inval_isb(unsigned index)
{
	struct cpu *cpu = &g.cpu[index];
	unsigned kept = 0;

	for (unsigned i = 0; i < cpu->fresh_count; i++) {
		if (!cpu->fresh[i].dsb) {
			cpu->fresh[kept++] = cpu->fresh[i];
		}
	}
	cpu->fresh_count = kept;
}

/* The DSB after t that its issuer, or failing that somebody, executed; ours says which. */
static const struct dsb *dsb_after(const struct tlbi *t, bool *ours)
{
	const struct dsb *other = NULL;
	uint64_t first = g.dsb_next > DSB_RING ? g.dsb_next - DSB_RING : 0;

	for (uint64_t i = first; i < g.dsb_next; i++) {
		const struct dsb *d = &g.dsb[i % DSB_RING];

		if (d->seq > t->seq && d->cpu == t->cpu) {
			*ours = true;
			return d;
		}
		if (d->seq > t->seq && d->completes_broadcast) {
			other = d;
		}
	}
	*ours = false;
	return other;
}

static enum miss nearest(const struct table *table, const struct debt *debt,
			 const struct tlbi **best)
{
	uint64_t first = g.tlbi_next > TLBI_RING ? g.tlbi_next - TLBI_RING : 0;
	enum miss near = MISS_VA;

	*best = NULL;
	for (uint64_t n = first; n < g.tlbi_next; n++) {
		const struct tlbi *t = &g.tlbi[n % TLBI_RING];

		for (unsigned i = 0; t->seq > debt->seq && i < debt->place_count; i++) {
			const struct place *p = &debt->place[i];
			enum miss m;

			if (p->cpus == 0) {
				continue;
			}
			m = miss(t, table->level, debt, p, (unsigned)__builtin_ctzll(p->cpus));
			if (*best == NULL || m >= near) {
				*best = t;
				near = m;
			}
		}
	}
	return near;
}

/* Why is this debt still unpaid? */
enum rule inval_diagnose(const struct table *table, const struct debt *debt,
			 const struct tlbi **tlbi, const struct dsb **dsb)
{
	static const enum rule rule[] = {
		[MISS_VA] = RULE_WRONG_VA,           [MISS_ASID] = RULE_WRONG_ASID,
		[MISS_LAST_LEVEL] = RULE_LAST_LEVEL, [MISS_LEVEL] = RULE_WRONG_LEVEL,
		[MISS_LOCAL] = RULE_LOCAL_TLBI,      [MISS_ORDER] = RULE_NO_DSB_BEFORE,
	};
	enum miss near = nearest(table, debt, tlbi);
	bool ours;

	*dsb = NULL;
	if (*tlbi == NULL) {
		return RULE_NO_TLBI;
	}
	if (near != MISS_NOTHING) {
		return rule[near];
	}
	*dsb = dsb_after(*tlbi, &ours);
	if (*dsb == NULL) {
		return RULE_NO_DSB_AFTER;
	}
	return ours ? RULE_WEAK_DSB : RULE_WRONG_CPU_DSB;
}
