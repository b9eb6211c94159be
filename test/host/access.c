/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/access.c - an access through a mapping: what it may meet, and what must not happen.
 *
 * The walk reads visible entries; stale leaves and walk-cache entries of this CPU are further
 * answers, of which the architecture may take any; so does the model, by looking at all of them.
 */
#include <arch/barrier.h>
#include <arch/feature.h>
#include <arch/pte.h>
#include <memmap.h>

#include "ipi/inval.h"
#include "ipi/park.h"
#include "test/host/sim_impl.h"
#include "vm/pmap.h"
#include "vm/pmap_user.h"

struct leaf {
	bool valid;
	uint64_t pa; /* of the byte */
	uint64_t pte;
	uint64_t size;
};

/*
 * 16 entries that carry Contiguous, alike and in a row, or the run is misprogrammed. Without a
 * park, others may look while a window breaks or makes them; without a break (FEAT_BBM level 2),
 * while some of them carry it, or are writable, and others not yet.
 */
static bool run_is_whole(const uint64_t *slot, unsigned level)
{
	const uint64_t *first = (const uint64_t *)align_down((uint64_t)(uintptr_t)slot,
							     CONT_ENTRIES * sizeof(*slot));
	const uint64_t e = store_visible(slot) - (uint64_t)(slot - first) * level_bytes(level);

	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		const uint64_t other = store_visible(&first[i]);
		const uint64_t differs = (other ^ (e + i * level_bytes(level))) & ~PTE_AF;
		const bool in_window = (inval_mode() == BBM_RETRY && (other & PTE_VALID) == 0) ||
				       (inval_mode() == BBM_BBML2 &&
					(differs & ~(PTE_CONT | PTE_PROTECT_MASK)) == 0);

		if (differs != 0 && !in_window) {
			return false;
		}
	}
	return true;
}

static struct leaf walk_from(const uint64_t *table, unsigned level, uint64_t at)
{
	for (;; level++) {
		const uint64_t *slot = &table[level_index(va(at), level)];
		const uint64_t e = store_visible(slot);

		if ((e & PTE_VALID) == 0) {
			return (struct leaf){ .valid = false };
		}
		if (pte_is_table((pte_t){ e }, level)) {
			table = pool_ptr(e & PTE_ADDR_MASK);
			continue;
		}
		if ((e & PTE_CONT) != 0 && !run_is_whole(slot, level)) {
			sim_fail("the contiguous run at %#llx is not whole",
				 (unsigned long long)at);
		}
		const uint64_t bytes = level_bytes(level);

		/* Address bits below the size of a block are not looked at (D8.3.1). */
		return (struct leaf){ .valid = true,
				      .pa = align_down(e & PTE_ADDR_MASK, bytes) + at % bytes,
				      .pte = e,
				      .size = (e & PTE_CONT) != 0 ? bytes * CONT_ENTRIES : bytes };
	}
}

static struct leaf stale_leaf(const struct stale *s, uint64_t at)
{
	if (s->table) {
		return walk_from(pool_ptr(s->pte & PTE_ADDR_MASK), s->level + 1, at);
	}
	const uint64_t base = align_down(s->pte & PTE_ADDR_MASK, level_bytes(s->level));

	return (struct leaf){
		.valid = true, .pa = base + (at - s->va), .pte = s->pte, .size = s->size
	};
}

/* A page of a run that was cached alone agrees with the run. */
static bool agree(const struct leaf *a, const struct leaf *b)
{
	return a->pa == b->pa &&
	       ((a->pte ^ b->pte) & (PTE_CONT | PTE_ATTR_MASK | PTE_SH_MASK)) == 0 &&
	       (a->size == b->size || (a->pte & PTE_CONT) != 0);
}

static void add_stale(struct sim_view *v, const struct leaf *walk, const struct stale *s,
		      uint64_t at)
{
	const struct leaf l = stale_leaf(s, at);

	if (!l.valid) {
		v->fault = v->fault ||
			   s->table; /* through a walk cache, to an entry that is gone */
		return;
	}
	if (walk->valid && !agree(walk, &l)) {
		v->conflict = true;
		v->other = l.pa;
	}
	if (!walk->valid) {
		v->pa = l.pa;
	}
	v->any = true;
	v->writable = v->writable && (l.pte & PTE_AP_RO) == 0;
}

struct sim_view sim_view(va_t at)
{
	const struct sim_cpu *c = sim.current;
	const bool user = at.v < USER_END;
	const uint64_t root = user ? c->user_root : 0;
	const uint64_t *table = user ? user_root_of(c) : &kernel_pmap.root->v;
	const struct leaf walk = table != nullptr ? walk_from(table, 0, at.v)
						  : (struct leaf){ .valid = false };
	struct sim_view v = { .fault = !walk.valid, .any = walk.valid, .pa = walk.pa };

	v.writable = !walk.valid || (walk.pte & PTE_AP_RO) == 0;
	for (unsigned i = 0; i < tlb_stale_count(); i++) {
		const struct stale *s = tlb_stale(i);

		if ((s->cpus >> sim_index(c) & 1) != 0 && at.v - s->va < s->size &&
		    s->root == root && (root == 0 || s->asid == c->user_asid)) {
			add_stale(&v, &walk, s, at.v);
		}
	}
	for (unsigned i = 0; i < c->early_count && !v.fault; i++) {
		v.fault = v.early = c->early[i].root == root &&
				    at.v - c->early[i].va < c->early[i].size;
	}
	return v;
}

bool arch_translate_read(va_t at, pa_t *out)
{
	const struct sim_view v = sim_view(at);

	if (v.fault) {
		return false;
	}
	*out = pa(v.pa);
	return true;
}

/* kern/trap.c, fault_is_transient(): true when the access is to be repeated. */
static bool fault_is_transient(va_t at)
{
	struct sim_cpu *c = sim.current;
	const bool masked = c->masked;
	bool good;

	sim_sync(c);
	c->spx = true;
	c->masked = true;
	for (;;) {
		const uint64_t gen = park_generation();
		pa_t out;

		while (park_window() != 0) {
			ipi_poll();
			sim_wfe();
		}
		isb();
		good = arch_translate_read(at, &out);
		if (good || park_generation() == gen) {
			break;
		}
	}
	c->spx = false;
	c->masked = masked;
	sim_sync(c);
	return good;
}

/*
 * The same for user memory, as vm_fault() finds it: the tables have the entry that the access
 * needs, once nobody changes them (their lock). The space of this CPU stays: it names it.
 */
static bool user_fault_is_transient(va_t at)
{
	struct sim_cpu *c = sim.current;
	struct pmap *space = user_space_of(c);
	pte_t e;
	uint64_t bytes;

	sim_sync(c);
	const bool good = space != nullptr && pmap_user_query(space, at, &e, &bytes);

	sim_sync(c);
	return good;
}

static void check_view(const struct sim_view *v, va_t at, pa_t expected)
{
	const bool bbml2 = inval_mode() == BBM_BBML2;

	if (v->conflict && !(bbml2 && v->pa == v->other)) {
		sim_fail(
			"TLB conflict: %#llx is %#llx by the tables and %#llx by an entry of another size or "
			"address",
			(unsigned long long)at.v, (unsigned long long)v->pa,
			(unsigned long long)v->other);
	}
	if (v->pa != expected.v) {
		sim_fail("stale translation: %#llx leads to %#llx, not %#llx",
			 (unsigned long long)at.v, (unsigned long long)v->pa,
			 (unsigned long long)expected.v);
	}
}

/* TCR_EL1.HA: the walker sets the access flag of a user leaf, atomically, at any access. */
static void set_access_flag(va_t at)
{
	uint64_t *table = (uint64_t *)(uintptr_t)user_root_of(sim.current);

	for (unsigned level = 0; table != nullptr; level++) {
		uint64_t *slot = &table[level_index(at, level)];

		if (*slot != store_visible(slot) || (*slot & PTE_VALID) == 0) {
			return; /* not what the walker sees: a later access will */
		}
		if (!pte_is_table((pte_t){ *slot }, level)) {
			*slot |= PTE_AF;
			return;
		}
		table = pool_ptr(*slot & PTE_ADDR_MASK);
	}
}

/*
 * The kernel has just read this entry: now and then a CPU that runs the space walks it, for an
 * access or for none (Arm ARM D8.5.2: a speculative walk may set the flag too).
 */
void sim_walk_early(uint64_t *slot)
{
	uint64_t at;
	unsigned level;

	if (!cpu_features.hafdbs || sim.quiet != 0 || sim.current->spx || !tlb_is_linked(slot) ||
	    !tlb_slot_va(slot, &at, &level) || at >= USER_END || *slot != store_visible(slot)) {
		return;
	}
	/* By the time, not by a choice: the schedule stays what it was. */
	if (pte_is_leaf((pte_t){ *slot }, level) &&
	    sim.now * UINT64_C(0x9e3779b97f4a7c15) >> 61 == 0) {
		*slot |= PTE_AF;
	}
}

/* UA1: what the walker has set stays set, where a leaf becomes a leaf. */
void access_flag_is_kept(const uint64_t *slot, uint64_t va, uint64_t v, unsigned level)
{
	const struct sim_cpu *c = sim.current;

	if (!c->spx && (*slot & PTE_VALID) != 0 && (v & PTE_VALID) != 0 &&
	    !pte_is_table((pte_t){ *slot }, level) && (*slot & ~v & PTE_AF) != 0) {
		sim_fail("UA1: the access flag of %#llx is lost", (unsigned long long)va);
	}
	/* Only in mode park does nobody set it during the window. */
	for (unsigned i = 0; inval_mode() == BBM_PARK && i < CONT_ENTRIES; i++) {
		if (c->accessed[i] == slot && !pte_is_table((pte_t){ v }, level) &&
		    (v & PTE_AF) == 0) {
			sim_fail("UA1: a window loses the access flag of %#llx",
				 (unsigned long long)va);
		}
	}
}

bool sim_access(va_t at, pa_t expected, bool write)
{
	if (sim.current->spx) {
		sim_fail("an access to unpinned memory on SPx");
	}
	for (unsigned tries = 0;; tries++) {
		const struct sim_view v = sim_view(at);

		sim.result->accesses++;
		trace(EV_ACCESS, at.v, v.pa);
		if (!v.fault) {
			check_view(&v, at, expected);
			if (at.v < USER_END && cpu_features.hafdbs) {
				set_access_flag(at);
			}
			return !write || v.writable;
		}
		if (inval_mode() != BBM_RETRY) {
			sim_fail("%s fault: %#llx on a CPU that may touch it",
				 v.early ? "early" : "translation", (unsigned long long)at.v);
		}
		if (v.any && sim_chance(2) == 0) {
			return true; /* a cached entry, or an older walk, was used */
		}
		sim.result->retried++;
		if (at.v < USER_END ? !user_fault_is_transient(at) : !fault_is_transient(at)) {
			return false;
		}
		if (tries == 1000) {
			sim_fail("livelock: %#llx faults again and again",
				 (unsigned long long)at.v);
		}
	}
}

bool sim_lookup(const struct pmap *pmap, va_t at, uint64_t *pte, uint64_t *out)
{
	const uint64_t *table = &pmap->root->v;

	for (unsigned level = 0;; level++) {
		const uint64_t e = table[level_index(at, level)];

		if ((e & PTE_VALID) == 0) {
			return false;
		}
		if (!pte_is_table((pte_t){ e }, level)) {
			*pte = e;
			*out = align_down(e & PTE_ADDR_MASK, level_bytes(level)) +
			       at.v % level_bytes(level);
			return true;
		}
		table = pool_ptr(e & PTE_ADDR_MASK);
	}
}

void sim_must_be_clean(const struct pmap *pmap, va_t start, uint64_t size)
{
	const uint64_t root = pmap->user ? pool_pa(pmap->root) : 0;

	for (unsigned i = 0; i < tlb_stale_count(); i++) {
		const struct stale *s = tlb_stale(i);

		if (tlb_is_live(s) && s->root == root &&
		    ranges_meet(start.v, size, s->va, s->size)) {
			sim_fail(
				"owed invalidation: CPUs %#llx may still use the old entry of %#llx (%llu KiB)",
				(unsigned long long)s->cpus, (unsigned long long)s->va,
				(unsigned long long)(s->size / KIB));
		}
	}
}

void sim_must_be_unmapped(const struct pmap *pmap, va_t start, uint64_t size, uint64_t step)
{
	sim_must_be_clean(pmap, start, size);
	for (uint64_t off = 0; off < size; off += step) {
		if (walk_from(&pmap->root->v, 0, start.v + off).valid) {
			sim_fail("%#llx is still mapped", (unsigned long long)(start.v + off));
		}
	}
}
