/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/judge.c - was this store to a translation table allowed?
 *
 * THEORY   From Arm ARM D8.16.1 (break-before-make) and D8.17 (TLB maintenance). An entry that a
 *          TLB may hold leaves a debt when it stops being true: a copy of it may live on, at each
 *          place of table_places(). A make is right when every copy that clashes with it is gone.
 *          Breaking a table entry orphans all that hangs below: each leaf may be cached on its
 *          own, and until the walk caches forget the table, it must not gain other entries.
 *
 * INVARIANTS
 *   J1  A debt has at least one place, and each place at least one CPU.
 *   J2  An entry has at most one debt; a later break of it replaces an earlier one.
 *   J3  debt->ghost holds a count on that table, so a table that a stale walk can reach is known.
 */
#include <stdlib.h>

#include "oracle.h"

struct store {
	struct table *table;
	const struct site *site;
	const struct place *place;
	uint64_t old, new;
	unsigned cpu, index, place_count;
};

static bool hardware_af(unsigned cpu)
{
	return g.cpu[cpu].tcr >> 39 & 1; /* TCR_EL1.HA */
}

static uint64_t store_va(const struct store *st)
{
	return st->place_count > 0 ? st->place[0].va : 0;
}

/* Do all debts of the table agree on the address of entry 0? Then a TLBI finds them by index. */
static void debt_place(struct table *table, unsigned index, const struct debt *debt)
{
	uint64_t offset = (uint64_t)index << level_shift(table->level);

	if (table->debt_count == 0) {
		table->debt_va = debt->place[0].va - offset;
		table->debt_uniform = true;
	}
	for (unsigned i = 0; i < debt->place_count; i++) {
		table->debt_uniform &= debt->place[i].va - offset == table->debt_va;
	}
}

static void debt_add(struct table *table, unsigned index, uint64_t old, const struct store *cause,
		     uint64_t offset)
{
	struct debt *before = table->debt != NULL ? table->debt[index] : NULL;
	unsigned kept = before != NULL && before->orphaned ? before->place_count : 0;
	struct debt *debt;

	if (table->debt == NULL) {
		table->debt = calloc(ENTRIES, sizeof(*table->debt));
	}
	debt = calloc(1, sizeof(*debt) + (cause->place_count + kept) * sizeof(debt->place[0]));
	if (table->debt == NULL || debt == NULL) {
		abort();
	}
	for (unsigned i = 0; i < kept; i++) { /* lost through another table before: still owed */
		debt->place[cause->place_count + i] = before->place[i];
	}
	table->busy++;
	if (before != NULL) {
		debt_drop(table, index);
	}
	table->busy--;
	debt->old = old;
	debt->seq = g.seq;
	debt->site = cause->site;
	debt->cpu = (uint8_t)cause->cpu;
	debt->orphaned = table != cause->table;
	debt->ghost = table_child(table, old);
	if (debt->ghost != NULL) {
		debt->ghost->ghosts++;
	}
	debt->place_count = cause->place_count + kept;
	for (unsigned i = 0; i < cause->place_count; i++) {
		debt->place[i] = cause->place[i];
		debt->place[i].va += offset;
	}
	table->debt[index] = debt;
	debt_place(table, index, debt);
	if (table->debt_count++ == 0) {
		table->dirty_prev = NULL;
		table->dirty_next = g.dirty;
		if (g.dirty != NULL) {
			g.dirty->dirty_prev = table;
		}
		g.dirty = table;
	}
}

/* Forget a debt. The table itself may be forgotten with it. */
void debt_drop(struct table *table, unsigned index)
{
	struct debt *debt = table->debt[index];

	table->debt[index] = NULL;
	if (--table->debt_count == 0) {
		*(table->dirty_prev != NULL ? &table->dirty_prev->dirty_next : &g.dirty) =
			table->dirty_next;
		if (table->dirty_next != NULL) {
			table->dirty_next->dirty_prev = table->dirty_prev;
		}
	}
	if (debt->ghost != NULL) {
		debt->ghost->ghosts--;
		table_put(debt->ghost);
	}
	free(debt);
	table_put(table);
}

static struct debt *debt_of(const struct table *table, unsigned index)
{
	return table->debt != NULL ? table->debt[index] : NULL;
}

/* Everything below `table` has just lost its way up: each entry of it owes what its root owes. */
static void orphan(struct table *table, const struct store *cause, uint64_t offset)
{
	bool ha = hardware_af(cause->cpu);

	table->busy++;
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t at = offset + ((uint64_t)i << level_shift(table->level));
		struct table *child = table_child(table, table->value[i]);

		if (pte_cacheable(table->value[i], table->level, ha)) {
			debt_add(table, i, table->value[i], cause, at);
		} else if (debt_of(table, i) != NULL) {
			table->debt[i]->orphaned = true;
		}
		if (child != NULL) {
			orphan(child, cause, at);
		}
	}
	table->busy--;
}

/* The table hangs where it hung before: what did not change meanwhile is true again. */
static void restore(struct table *table)
{
	table->busy++;
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct debt *debt = debt_of(table, i);
		struct table *child = table_child(table, table->value[i]);

		if (debt != NULL) {
			debt->orphaned = false;
			if (pte_compatible(debt->old, table->value[i], table->level)) {
				debt_drop(table, i);
			}
		}
		if (child != NULL) {
			restore(child);
		}
	}
	table->busy--;
}

static bool overlaps(const struct debt *debt, unsigned level, const struct store *st)
{
	uint64_t size = level_size(st->table->level);

	for (unsigned i = 0; i < debt->place_count; i++) {
		const struct place *a = &debt->place[i];

		for (unsigned j = 0; j < st->place_count; j++) {
			const struct place *b = &st->place[j];

			if (a->cpus != 0 && a->half == b->half && a->root == b->root &&
			    (a->va - b->va < size || b->va - a->va < level_size(level))) {
				return true;
			}
		}
	}
	return false;
}

/* FEAT_BBM: may a stale leaf of a smaller size stay cached beside the block that is being made? */
static bool size_only(const struct debt *debt, unsigned level, const struct store *st)
{
	unsigned shift = level_shift(level);
	uint64_t inside = debt->place[0].va & (level_size(st->table->level) - 1);

	if (pte_kind(st->new, st->table->level) != KIND_LEAF || g.bbm == 0 ||
	    (g.bbm == 1 && !(st->new &PTE_NT))) {
		return false;
	}
	return pte_kind(debt->old, level) == KIND_TABLE ||
	       pte_run_consistent(debt->old, (unsigned)(inside >> shift),
				  pte_oa(st->new, st->table->level) |
					  (st->new & ~PTE_OA & ~PTE_TYPE) |
					  (level == 3 ? PTE_TYPE : 0),
				  0, level, 2);
}

/* Pay off, by decree, what is cached through tables that hung below the entry being made. */
static void settle_orphans(const struct store *st, bool report)
{
	struct table *next;

	for (struct table *t = g.dirty; t != NULL; t = next) {
		next = t->dirty_next;
		if (next != NULL) {
			next->busy++; /* stays while we drop debts of t */
		}
		t->busy++;
		for (unsigned i = 0; t->level > st->table->level && i < ENTRIES; i++) {
			struct debt *debt = debt_of(t, i);

			if (debt == NULL || !debt->orphaned || !overlaps(debt, t->level, st) ||
			    size_only(debt, t->level, st)) {
				continue;
			}
			if (report) {
				report_violation(RULE_STALE_CHILD, st->cpu, st->site,
						 debt->place[0].va, debt->old, st->new, t, debt);
				report = false;
			}
			debt_drop(t, i);
		}
		t->busy--;
		table_put(t);
		if (next != NULL) {
			next->busy--;
		}
	}
}

static bool may_replace(uint64_t old, uint64_t new, const struct table *table)
{
	struct table *child = table_child(table, new);

	if (child == NULL) {
		child = table_child(table, old);
	}
	return pte_compatible(old, new, table->level) ||
	       pte_bbm_allows(old, new, table->level, g.bbm, child != NULL ? child->value[0] : 0);
}

static void check_run(const struct store *st)
{
	const struct table *t = st->table;
	unsigned first = st->index & ~(RUN_ENTRIES - 1);

	for (unsigned j = first; j < first + RUN_ENTRIES; j++) {
		const struct debt *debt = debt_of(t, j);
		uint64_t value = t->value[j];

		if (j == st->index) {
			continue;
		}
		if (pte_cont(value, t->level) &&
		    !pte_run_consistent(st->new, st->index, value, j, t->level, g.bbm)) {
			report_violation(RULE_CONTIGUOUS, st->cpu, st->site, store_va(st), value,
					 st->new, t, NULL);
			return;
		}
		if (debt != NULL && pte_cont(debt->old, t->level) &&
		    !pte_run_consistent(st->new, st->index, debt->old, j, t->level, g.bbm)) {
			report_violation(RULE_CONTIGUOUS, st->cpu, st->site, store_va(st),
					 debt->old, st->new, t, debt);
			return;
		}
	}
}

/* Note what this CPU made, so that its own use of it can be judged (strict=use). */
static void fresh_add(const struct store *st)
{
	struct cpu *cpu = &g.cpu[st->cpu];

	if (!g.strict_use || pte_kind(st->new, st->table->level) != KIND_LEAF) {
		return;
	}
	cpu->fresh[cpu->fresh_count % FRESH_MAX] = (struct fresh){
		.va = store_va(st),
		.size = level_size(st->table->level),
		.pte = st->new,
		.site = st->site,
	};
	cpu->fresh_count += cpu->fresh_count < FRESH_MAX;
}

void judge_use(unsigned index, uint64_t va, const struct site *site)
{
	struct cpu *cpu = &g.cpu[index];

	for (unsigned i = 0; i < cpu->fresh_count; i++) {
		const struct fresh *f = &cpu->fresh[i];

		if (va - f->va < f->size) {
			report_violation(RULE_USE_BEFORE_SYNC, index, site, va, 0, f->pte, NULL,
					 NULL);
			cpu->fresh[i] = cpu->fresh[--cpu->fresh_count];
			return;
		}
	}
}

static struct broken *broken_find(struct cpu *cpu, uint64_t slot)
{
	for (unsigned i = 0; i < BROKEN_MAX; i++) {
		if (cpu->broken[i].slot == slot) {
			return &cpu->broken[i];
		}
	}
	return NULL;
}

/* Of a page that is a table of two levels, an entry is one all the same. */
static void broken_add(const struct store *st)
{
	struct cpu *cpu = &g.cpu[st->cpu];
	uint64_t slot = st->table->pa + st->index * 8;
	struct broken *b = broken_find(cpu, slot);

	if (b == NULL) {
		b = &cpu->broken[cpu->broken_next++ % BROKEN_MAX];
	}
	*b = (struct broken){ slot, g.seq };
}

/* Counted in cold spaces too: the kernel that breaks cannot know what TLBs hold. */
static void count_pair(const struct store *st)
{
	struct cpu *cpu = &g.cpu[st->cpu];
	struct broken *b = broken_find(cpu, st->table->pa + st->index * 8);

	if (b != NULL && cpu->tlbi_seq > b->seq) {
		b->slot = 0;
		g.n.pairs++;
	}
}

/* An entry that no TLB could hold becomes one that a TLB may hold. */
static void judge_make(const struct store *st)
{
	struct table *t = st->table;
	struct debt *debt = debt_of(t, st->index);
	bool wrong = false;

	if (debt != NULL) {
		wrong = !may_replace(debt->old, st->new, t);
		if (wrong) {
			report_violation(RULE_COUNT, st->cpu, st->site, debt->place[0].va,
					 debt->old, st->new, t, debt);
		}
		debt_drop(t, st->index);
		if (!wrong && table_child(t, st->new) != NULL) {
			restore(table_child(t, st->new));
		}
	}
	if (st->place_count == 0) {
		return;
	}
	settle_orphans(st, !wrong);
	if (t->level > 0 && !wrong) {
		check_run(st);
	}
	fresh_add(st);
}

static void check_protected(const struct store *st)
{
	uint64_t size = level_size(st->table->level);

	for (unsigned i = 0; i < st->place_count; i++) {
		for (unsigned p = 0; p < g.protect_count; p++) {
			if (st->place[i].va - g.protect[p].base < g.protect[p].size ||
			    g.protect[p].base - st->place[i].va < size) {
				report_violation(RULE_PROTECTED, st->cpu, st->site, st->place[i].va,
						 st->old, st->new, st->table, NULL);
				return;
			}
		}
	}
}

/* An entry that a TLB may hold goes away, or gives way to one that may stand beside it. */
static void leave_debts(const struct store *st)
{
	struct table *child = table_child(st->table, st->old);

	if (st->place_count == 0) {
		return;
	}
	check_protected(st);
	if (child != NULL) {
		orphan(child, st, 0);
	}
	debt_add(st->table, st->index, st->old, st, 0);
}

static void judge_break(const struct store *st)
{
	leave_debts(st);
	broken_add(st);
	g.n.breaks += st->place_count > 0;
}

static void judge_change(const struct store *st)
{
	const struct table *t = st->table;

	g.n.changes++;
	if (pte_compatible(st->old, st->new, t->level)) {
		bool hidden = !pte_cacheable(st->new, t->level, hardware_af(st->cpu));
		bool lost_global = pte_kind(st->old, t->level) == KIND_LEAF &&
				   (PTE_NG & ~st->old & st->new);

		if (st->place_count > 0 && (hidden || lost_global)) {
			debt_add(st->table, st->index, st->old, st, 0); /* the old one lives on */
		}
	} else if (st->place_count == 0) {
		g.n.free_changes++;
	} else if (may_replace(st->old, st->new, t)) {
		leave_debts(st);
	} else {
		report_violation(RULE_NO_BREAK, st->cpu, st->site, store_va(st), st->old, st->new,
				 t, NULL);
		check_protected(st);
	}
}

/* A stale walk can still come through this table: it may lose entries, never gain or swap any. */
static void check_frozen(const struct store *st)
{
	struct table *t = st->table;
	struct debt *own = debt_of(t, st->index);
	uint64_t at = (uint64_t)st->index << level_shift(t->level);

	if (t->ghosts == 0 || pte_kind(st->new, t->level) == KIND_INVALID ||
	    pte_compatible(st->old, st->new, t->level) ||
	    (own != NULL && pte_compatible(own->old, st->new, t->level))) {
		return;
	}
	for (struct table *p = g.dirty; p != NULL; p = p->dirty_next) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			struct debt *debt = debt_of(p, i);

			if (debt != NULL && debt->ghost == t) {
				report_violation(RULE_FROZEN_CHILD, st->cpu, st->site,
						 debt->place[0].va + at, st->old, st->new, p, debt);
				debt_drop(p, i);
				return;
			}
		}
	}
}

void judge_store(unsigned cpu, struct table *table, unsigned index, uint64_t pte,
		 const struct site *site)
{
	struct place place[PATHS_MAX];
	struct store st = {
		.table = table,
		.site = site,
		.place = place,
		.old = table->value[index],
		.new = pte,
		.cpu = cpu,
		.index = index,
	};
	unsigned level = table->level;
	bool was = pte_cacheable(st.old, level, hardware_af(cpu));
	bool is = pte_kind(pte, level) != KIND_INVALID;

	if (st.old == pte) {
		return;
	}
	g.seq++;
	g.n.entries++;
	table->busy++;
	st.place_count = table_places(table, index, place);
	check_frozen(&st);
	if (was && !is) {
		judge_break(&st);
	} else if (was && is) {
		table_link(table, index, pte); /* so that the new child is known */
		judge_change(&st);
		table_unlink(table, index, pte);
	}
	table_link(table, index, pte);
	table_unlink(table, index, st.old);
	table->value[index] = pte;
	table->used += (unsigned)is - (pte_kind(st.old, level) != KIND_INVALID);
	if (is && !was) {
		judge_make(&st);
		if (pte_kind(st.old, level) == KIND_INVALID) {
			g.n.makes += st.place_count > 0;
			count_pair(&st);
		}
	}
	if (table->roots > 0 && table_empty(table)) {
		tables_collect();
	}
	table->busy--;
	table_put(table);
}

/* May this CPU hold entries of `s` that the MMU would use for `space`, which has others? */
static bool may_serve(const struct space *s, const struct space *space, uint64_t bit)
{
	if (s->half != 0 || s->root == space->root || table_empty(s->table)) {
		return false;
	}
	if (s->asid == space->asid && (s->may_cache & bit)) {
		return true;
	}
	return (s->global & bit) && s->level == space->level && s->first == space->first &&
	       table_global_apart(s->table, space->table);
}

/* A CPU loads a root. */
void judge_activate(unsigned cpu, const struct space *space, const struct site *site)
{
	uint64_t bit = 1ull << cpu;

	if (space->half != 0 || table_empty(space->table)) {
		return;
	}
	for (struct space *s = g.spaces; s != NULL; s = s->next) {
		if (may_serve(s, space, bit)) {
			report_violation(RULE_ASID_REUSE, cpu, site, (uint64_t)space->asid, s->root,
					 space->root, NULL, NULL);
			s->may_cache &= ~bit;
			s->global &= ~bit;
		}
	}
}
