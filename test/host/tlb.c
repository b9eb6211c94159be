/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/tlb.c - what the TLBs may hold, and the break-before-make automaton.
 *
 * THEORY   Any CPU may have cached any translation at any moment when the tables said it. So
 *          nothing is cached by chance: when a visible entry changes, what it said becomes a
 *          *stale* entry of every CPU, and stays until an invalidation that covers it, issued after
 *          its birth, is completed by a DSB of the CPU that issued it. An access may use it or not,
 *          as is worse. A table that is unlinked leaves one entry in the walk caches and one for
 *          each leaf under it; a leaf of a contiguous run may have been cached alone and as the
 *          run.
 * INVARIANTS, checked at each visible change
 *   BB1  A valid entry does not become another valid one, permissions and software bits apart.
 *   BB2  An entry does not become valid while some CPU may hold another translation of its range.
 *   BB3  A table that some walk cache may still reach does not change.
 *   and at each store of a window: R3, R4, PK1.
 */
#include <arch/feature.h>
#include <arch/pte.h>
#include <memmap.h>
#include <stdio.h>
#include <string.h>

#include "ipi/inval.h"
#include "ipi/park.h"
#include "pcpu/pcpu.h"
#include "test/host/sim_impl.h"

#define STALE_MAX 8192

/* Where a page of the pool hangs in the tree, as walkers see it. */
struct table_page {
	bool linked;
	uint64_t root; /* of a user space, 0: the kernel's */
	unsigned level;
	uint64_t va;
};

static struct table_page page[SIM_TABLE_PAGES];
static struct stale stale[STALE_MAX];
static unsigned stale_count;
static uint64_t newest_birth;
static uint64_t changing; /* the root above the entry that changes, as in struct stale */

/*
 * May some CPU use it yet? What a user space had under a number that is no more its own, nobody
 * can: user.c sees to it that the number is not loaded again before a flush (AS2).
 */
bool tlb_is_live(const struct stale *s)
{
	return s->cpus != 0 && (s->root == 0 || user_number_is(s->root, s->asid));
}

static uint64_t *table_ptr(uint64_t pte)
{
	return pool_ptr(pte & PTE_ADDR_MASK);
}

static struct table_page *page_of(const void *p)
{
	return &page[(pool_pa(p) - SIM_POOL_BASE) / PAGE_BYTES];
}

static unsigned index_of(const uint64_t *slot)
{
	return (unsigned)((uint64_t)(uintptr_t)slot % PAGE_BYTES / sizeof(*slot));
}

static bool is_table(uint64_t pte, unsigned level)
{
	return pte_is_table((pte_t){ pte }, level);
}

void tlb_reset(void)
{
	stale_count = 0;
	newest_birth = 0;
	for (unsigned i = 0; i < SIM_TABLE_PAGES; i++) {
		page[i].linked = false;
	}
}

/* The set-up is over: whatever happened in it is known everywhere. */
void tlb_settle(void)
{
	stale_count = 0;
	for (unsigned i = 0; i < SIM_CPUS; i++) {
		sim.cpu[i].early_count = 0;
		sim.cpu[i].op_count = 0;
	}
}

unsigned tlb_stale_count(void)
{
	return stale_count;
}

const struct stale *tlb_stale(unsigned i)
{
	return &stale[i];
}

bool tlb_is_linked(const uint64_t *slot)
{
	return pool_has(slot) && page_of(slot)->linked;
}

bool tlb_slot_va(const uint64_t *slot, uint64_t *va, unsigned *level)
{
	const struct table_page *t = page_of(slot);

	*level = t->level;
	*va = t->va + index_of(slot) * level_bytes(t->level);
	return t->linked;
}

/* A CPU comes out of reset with empty TLBs. */
void tlb_forget(struct sim_cpu *c)
{
	for (unsigned i = 0; i < stale_count; i++) {
		stale[i].cpus &= ~(UINT64_C(1) << sim_index(c));
	}
}

static void remember(struct stale s)
{
	if (sim.quiet != 0) {
		return;
	}
	if (stale_count == STALE_MAX) {
		sim_fail("the model is too small: more than %d stale entries", STALE_MAX);
	}
	s.born = newest_birth = sim.now;
	stale[stale_count++] = s;
}

/* Of the kernel's map by every CPU; of a user's by those that may have filled from it. */
static void remember_everywhere(struct stale s)
{
	if (changing == 0) {
		s.cpus = (UINT64_C(1) << sim.cpus) - 1;
		remember(s);
		return;
	}
	s.root = changing;
	for (unsigned i = 0; user_filler(changing, &i, &s.asid, &s.cpus); i++) {
		remember(s);
	}
}

static void remember_leaf(uint64_t va, uint64_t pte, unsigned level, bool permission)
{
	const uint64_t bytes = level_bytes(level);
	const uint64_t span = bytes * CONT_ENTRIES;

	remember_everywhere((struct stale){
		.va = va, .size = bytes, .pte = pte, .level = level, .permission = permission });
	if ((pte & PTE_CONT) != 0) {
		const uint64_t first = align_down(va, span);

		remember_everywhere((struct stale){ .va = first,
						    .size = span,
						    .pte = pte - (va - first),
						    .level = level,
						    .permission = permission });
	}
}

static void remember_table(uint64_t va, uint64_t pte, unsigned level)
{
	const uint64_t *table = table_ptr(pte);
	const uint64_t bytes = level_bytes(level + 1);

	remember_everywhere((struct stale){
		.va = va, .size = level_bytes(level), .pte = pte, .level = level, .table = true });
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		const uint64_t e = store_visible(&table[i]);

		if (is_table(e, level + 1)) {
			remember_table(va + i * bytes, e, level + 1);
		} else if ((e & PTE_VALID) != 0) {
			remember_leaf(va + i * bytes, e, level + 1, false);
		}
	}
}

static void link_tree(uint64_t va, uint64_t pte, unsigned level, bool linked)
{
	uint64_t *table = table_ptr(pte);
	struct table_page *t = page_of(table);

	*t = (struct table_page){ linked, changing, level + 1, va };
	for (unsigned i = 0; i < PT_ENTRIES && level < 2; i++) {
		const uint64_t e = store_visible(&table[i]);

		if (is_table(e, level + 1)) {
			link_tree(va + i * level_bytes(level + 1), e, level + 1, linked);
		}
	}
}

/* Any CPU may have walked it just before, and may take the fault until it synchronises. */
static void remember_invalid(uint64_t va, uint64_t size)
{
	for (unsigned i = 0; i < sim.cpus && sim.quiet == 0; i++) {
		struct sim_cpu *c = &sim.cpu[i];
		struct va_range *last = &c->early[c->early_count == 0 ? 0 : c->early_count - 1];

		if (changing != 0 && c->user_root != changing) {
			continue;
		}
		if (c->early_count > 0 && last->va + last->size == va && last->root == changing) {
			last->size += size;
		} else if (c->early_count < SIM_EARLY) {
			c->early[c->early_count++] = (struct va_range){ changing, va, size };
		}
	}
}

/* Do the old and the new entry translate the range alike, size apart? */
static bool same_memory(uint64_t old, uint64_t v, unsigned level)
{
	const uint64_t leaf = is_table(old, level) ? v : old;
	const uint64_t other = is_table(old, level) ? old : v;
	uint64_t first = other;

	if (is_table(other, level)) {
		first = store_visible(table_ptr(other));
	}
	const uint64_t ignore = PTE_CONT | PTE_TABLE | PTE_AF;

	return ((leaf ^ first) & ~ignore) == 0;
}

static void check_refill(uint64_t va, uint64_t v, unsigned level)
{
	const uint64_t size = level_bytes(level);

	for (unsigned i = 0; i < stale_count; i++) {
		const struct stale *s = &stale[i];
		const bool same = !s->table && !is_table(v, level) && s->level == level &&
				  s->pte == v && s->size == size;

		if (tlb_is_live(s) && s->root == changing && !same &&
		    ranges_meet(va, size, s->va, s->size)) {
			sim_fail(
				"BB2: %#llx becomes valid again while CPUs %#llx may hold the old entry at "
				"%#llx (%llu KiB%s)",
				(unsigned long long)va, (unsigned long long)s->cpus,
				(unsigned long long)s->va, (unsigned long long)(s->size / KIB),
				s->table ? ", table" : "");
		}
	}
}

static void check_frozen(const uint64_t *slot)
{
	const uint64_t base = pool_pa(slot) & PTE_ADDR_MASK;

	for (unsigned i = 0; i < stale_count; i++) {
		if (stale[i].table && tlb_is_live(&stale[i]) &&
		    (stale[i].pte & PTE_ADDR_MASK) == base) {
			sim_fail(
				"BB3: the table of %#llx changes while CPUs %#llx may still walk it",
				(unsigned long long)stale[i].va, (unsigned long long)stale[i].cpus);
		}
	}
}

static void valid_to_valid(uint64_t va, uint64_t old, uint64_t v, unsigned level)
{
	const bool tables = is_table(old, level) || is_table(v, level);

	if (!tables && pte_is_protect_change((pte_t){ old | PTE_AF }, (pte_t){ v | PTE_AF })) {
		remember_leaf(va, old, level, true);
		return;
	}
	if (sim.quiet == 0 && (inval_mode() != BBM_BBML2 || !same_memory(old, v, level))) {
		sim_fail(
			"BB1: the valid entry of %#llx at level %u is replaced by another (%#llx -> %#llx)",
			(unsigned long long)va, level, (unsigned long long)old,
			(unsigned long long)v);
	}
	if (is_table(old, level)) {
		link_tree(va, old, level, false);
		remember_table(va, old, level);
	} else {
		remember_leaf(va, old, level, false);
	}
	if (is_table(v, level)) {
		link_tree(va, v, level, true);
	}
}

void tlb_visible(uint64_t *slot, uint64_t old, uint64_t v)
{
	uint64_t va;
	unsigned level;

	if (!tlb_slot_va(slot, &va, &level)) {
		check_frozen(slot);
		return;
	}
	if (old == v) {
		return;
	}
	changing = page_of(slot)->root;
	if ((old & PTE_VALID) != 0 && (v & PTE_VALID) != 0) {
		valid_to_valid(va, old, v, level);
	} else if ((old & PTE_VALID) != 0) {
		if (is_table(old, level)) {
			link_tree(va, old, level, false);
			remember_table(va, old, level);
		} else {
			remember_leaf(va, old, level, false);
		}
	} else if ((v & PTE_VALID) != 0) {
		if (sim.quiet == 0) {
			check_refill(va, v, level);
		}
		if (is_table(v, level)) {
			link_tree(va, v, level, true);
		}
		remember_invalid(va, level_bytes(level));
	}
}

/* A root is linked from nowhere. */
static void link_from(const uint64_t *table, uint64_t root, uint64_t base, bool linked)
{
	changing = root;
	*page_of(table) =
		(struct table_page){ .linked = linked, .root = root, .level = 0, .va = base };
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		if (is_table(table[i], 0)) {
			link_tree(base + i * level_bytes(0), table[i], 0, linked);
		}
	}
}

void tlb_link_root(const void *root)
{
	link_from(root, 0, LINEAR_BASE, true);
}

void tlb_link_space(const void *root, bool linked)
{
	const uint64_t id = pool_pa(root);
	unsigned kept = 0;

	link_from(root, id, 0, linked);
	for (unsigned i = 0; i < stale_count && !linked; i++) {
		if (stale[i].root != id) {
			stale[kept++] = stale[i];
		}
	}
	stale_count = linked ? stale_count : kept;
}

/* ---- the stores of a window, in program order ---- */
/* Could this CPU touch what the window breaks? Its own word says so, and its registers. */
static bool is_concerned(unsigned cpu)
{
	const struct mailbox *m = mailbox_of(cpu);

	if (changing != 0) {
		return user_runs_here(&sim.cpu[cpu], changing, m->space);
	}
	return (park_online() >> cpu & 1) != 0 && m->door == DOOR_KERNEL;
}

static void check_parked(uint64_t va)
{
	const uint64_t gen = changing != 0 ? user_window(changing) : park_window();

	for (unsigned i = 0; i < sim.cpus; i++) {
		const struct mailbox *m = mailbox_of(i);

		if (&sim.cpu[i] == sim.current || !is_concerned(i)) {
			continue;
		}
		if (sim.cpu[i].spx && !sim.cpu[i].in_irq) {
			/* stands in the door, or waits for the token: pinned memory only */
			continue;
		}
		if (m->ack != gen || m->release >= gen) {
			sim_fail(
				"PK1: %#llx is broken while cpu%u is past the door and not parked for %llu",
				(unsigned long long)va, i, (unsigned long long)gen);
		}
	}
}

static void begin_break(struct sim_cpu *c, const uint64_t *slot, uint64_t va, unsigned level)
{
	const uint64_t old = *slot;
	const uint64_t size = level_bytes(level);

	if (!c->masked) {
		sim_fail("R4: %#llx is broken with interrupts open", (unsigned long long)va);
	}
	if (boot_is_pinned(va, size) ||
	    (!is_table(old, level) && boot_is_pinned(PINNED_BASE + (old & PTE_ADDR_MASK), size))) {
		sim_fail("R3: pinned memory at %#llx is broken", (unsigned long long)va);
	}
	if (inval_mode() == BBM_PARK) {
		sim.quiet++;
		check_parked(va);
		sim.quiet--;
	}
	c->accessed[c->broken % CONT_ENTRIES] =
		!is_table(old, level) && (old & PTE_AF) != 0 ? slot : nullptr;
	if (c->broken++ == 0) {
		c->in_window = true;
		c->lock_count = c->base->lock_count;
		c->records = pcpu_of(sim_index(c))->recorder_next;
		sim.result->windows++;
	}
}

static void end_break(struct sim_cpu *c)
{
	if (--c->broken > 0) {
		return;
	}
	memset(c->accessed, 0, sizeof(c->accessed));
	c->in_window = false;
	if (c->lock_count != c->base->lock_count) {
		sim_fail("R4: a lock is taken or given back inside the window");
	}
	if (c->records != pcpu_of(sim_index(c))->recorder_next) {
		sim_fail("R4: a record is written inside the window");
	}
}

void tlb_check_program_store(const uint64_t *slot, uint64_t v)
{
	struct sim_cpu *c = sim.current;
	uint64_t va;
	unsigned level;

	if (!tlb_slot_va(slot, &va, &level)) {
		return;
	}
	access_flag_is_kept(slot, va, v, level);
	if (!c->spx) {
		return;
	}
	changing = page_of(slot)->root;
	if ((*slot & PTE_VALID) != 0 && (v & PTE_VALID) == 0) {
		begin_break(c, slot, va, level);
	} else if ((*slot & PTE_VALID) == 0 && (v & PTE_VALID) != 0 && c->in_window) {
		end_break(c);
	} else if ((*slot & PTE_VALID) != 0 && boot_is_pinned(va, level_bytes(level))) {
		sim_fail("R3: the entry of pinned memory at %#llx changes", (unsigned long long)va);
	}
}

/* ---- invalidation ---- */
bool tlb_has_younger(uint64_t time)
{
	return newest_birth > time;
}

static bool covers(const struct tlbi_op *op, const struct stale *s)
{
	if (s->born > op->time) {
		return false;
	}
	if (op->kind == SIM_TLBI_ALL || op->kind == SIM_TLBI_ALL_LOCAL) {
		return true;
	}
	if (op->kind == SIM_TLBI_ASID) {
		return s->root != 0 && s->asid == op->asid; /* kernel entries are global */
	}
	if ((op->kind == SIM_TLBI_VA_ASID || op->kind == SIM_TLBI_RANGE_ASID) && s->root != 0 &&
	    s->asid != op->asid) {
		return false;
	}
	if (op->kind == SIM_TLBI_VA_LAST && s->table) {
		return false;
	}
	if (op->ttl != 0 && op->ttl != s->level + 4) {
		return false;
	}
	return op->pages != 0 &&
	       ranges_meet(op->first, op->pages, s->va >> 12 & SIM_VA_PAGES, s->size >> 12);
}

void tlb_complete(struct sim_cpu *c, bool local_only)
{
	unsigned kept = 0;
	unsigned live = 0;

	for (unsigned n = 0; n < c->op_count; n++) {
		const struct tlbi_op *op = &c->op[n];
		const bool local = op->kind == SIM_TLBI_ALL_LOCAL || op->kind == SIM_TLBI_VA_LOCAL;

		if (local_only && !local) {
			c->op[kept++] = *op; /* DSB NSH waits for this CPU only */
			continue;
		}
		user_complete(c, op);
		for (unsigned i = 0; i < stale_count; i++) {
			if (covers(op, &stale[i])) {
				stale[i].cpus &= local ? ~(UINT64_C(1) << sim_index(c)) : 0;
			}
		}
	}
	c->op_count = kept;
	for (unsigned i = 0; i < stale_count; i++) {
		if (stale[i].cpus != 0) {
			if (live != i) {
				stale[live] = stale[i];
			}
			live++;
		}
	}
	stale_count = live;
}
