/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/store.c - when a store is seen by others.
 *
 * THEORY   A store is in memory at once and its CPU sees it; what others may still see is written
 *          down: the *old* value, until the store drains. Stores of one CPU drain in any order, but
 *          stores to one address in program order, a releasing store after everything before it,
 *          and
 *          everything at a DSB or DMB. A walker, the CPU's own included, is another observer. A
 *          load
 *          that must not pass an earlier STLR (seq_cst) drains it first; LDAR and LDAPR are told
 *          apart
 *          by name, so that Dekker's pattern weakened to release and acquire fails.
 * NOT HERE Loads out of order, and plain C accesses, which always see the newest value:
 * docs/model.md.
 */
#include "test/host/sim_impl.h"

#include <string.h>

static unsigned pending; /* all CPUs */

void store_reset(void)
{
	pending = 0;
	for (unsigned i = 0; i < SIM_CPUS; i++) {
		sim.cpu[i].store_count = 0;
	}
}

/* The store at index i becomes visible. */
static void drain_at(struct sim_cpu *c, unsigned i)
{
	const struct pending_store s = c->store[i];

	c->store_count--;
	pending--;
	memmove(&c->store[i], &c->store[i + 1], (c->store_count - i) * sizeof(s));
	trace(EV_VISIBLE, (uint64_t)(uintptr_t)s.p, s.v);
	if (s.is_pte) {
		tlb_visible(s.p, s.old, s.v);
	}
}

void store_drain(struct sim_cpu *c)
{
	while (c->store_count > 0) {
		drain_at(c, 0);
	}
}

/* May store i become visible before those older than it? */
static bool may_drain(const struct sim_cpu *c, unsigned i)
{
	if (c->store[i].order >= SIM_RELEASE) {
		return i == 0;
	}
	for (unsigned k = 0; k < i; k++) {
		if (c->store[k].p == c->store[i].p) {
			return false;
		}
	}
	return true;
}

bool store_drain_one(void)
{
	if (pending == 0) {
		return false;
	}
	unsigned cpu = (unsigned)sim_chance(sim.cpus);

	while (sim.cpu[cpu].store_count == 0) {
		cpu = (cpu + 1) % SIM_CPUS;
	}
	struct sim_cpu *c = &sim.cpu[cpu];
	const unsigned i = (unsigned)sim_chance(c->store_count);

	drain_at(c, may_drain(c, i) ? i : 0);
	return true;
}

/* Every store to p, and what must come before it. */
static void drain_address(struct sim_cpu *c, const uint64_t *p)
{
	for (unsigned i = 0; i < c->store_count;) {
		if (c->store[i].p != p) {
			i++;
		} else if (c->store[i].order >= SIM_RELEASE) {
			for (unsigned n = i + 1; n > 0; n--) {
				drain_at(c, 0);
			}
			i = 0;
		} else {
			drain_at(c, i);
		}
	}
}

static void drain_others(const uint64_t *p)
{
	for (unsigned i = 0; pending > 0 && i < sim.cpus; i++) {
		if (&sim.cpu[i] != sim.current) {
			drain_address(&sim.cpu[i], p);
		}
	}
}

static bool find_old(const struct sim_cpu *c, const uint64_t *p, uint64_t *old)
{
	for (unsigned i = 0; i < c->store_count; i++) {
		if (c->store[i].p == p) {
			*old = c->store[i].old;
			return true;
		}
	}
	return false;
}

uint64_t store_visible(const uint64_t *p)
{
	uint64_t v = *p;

	for (unsigned i = 0; pending > 0 && i < sim.cpus; i++) {
		if (find_old(&sim.cpu[i], p, &v)) {
			break;
		}
	}
	return v;
}

/* What this CPU reads: its own stores, and others' when they are visible. */
static uint64_t read_here(const uint64_t *p)
{
	uint64_t v = *p;

	for (unsigned i = 0; pending > 0 && i < sim.cpus; i++) {
		if (&sim.cpu[i] != sim.current && find_old(&sim.cpu[i], p, &v)) {
			break;
		}
	}
	return v;
}

/* Earlier STLRs, and what they wait for. */
static void drain_seq_cst(struct sim_cpu *c)
{
	unsigned count = 0;

	for (unsigned i = 0; i < c->store_count; i++) {
		if (c->store[i].order == SIM_SEQ_CST) {
			count = i + 1;
		}
	}
	while (count-- > 0) {
		drain_at(c, 0);
	}
}

static void put(uint64_t *p, uint64_t v, enum sim_order order, bool is_pte)
{
	struct sim_cpu *c = sim.current;

	drain_others(p);
	const uint64_t old = *p;

	*p = v;
	if (sim.quiet != 0 || sim.config.ordered_stores) {
		store_drain(c); /* nothing is pending then: a store is visible in its order */
		if (is_pte) {
			tlb_visible(p, old, v);
		}
		return;
	}
	if (c->store_count == SIM_STORES) {
		drain_at(c, 0);
	}
	c->store[c->store_count++] = (struct pending_store){
		.p = p, .old = old, .v = v, .order = order, .is_pte = is_pte
	};
	pending++;
}

uint64_t sim_load(const uint64_t *p, enum sim_order order)
{
	sim_step(true);
	if (order == SIM_SEQ_CST) {
		drain_seq_cst(sim.current);
	}
	const uint64_t v = read_here(p);

	trace(EV_LOAD, (uint64_t)(uintptr_t)p, v);
	return v;
}

void sim_store(uint64_t *p, uint64_t v, enum sim_order order)
{
	sim_step(true);
	trace(EV_STORE, (uint64_t)(uintptr_t)p, v);
	put(p, v, order, false);
}

bool sim_cas(uint64_t *p, uint64_t expected, uint64_t v)
{
	sim_step(true);
	drain_others(p);
	drain_address(sim.current, p);
	const bool equal = *p == expected;

	if (equal) {
		*p = v;
	}
	trace(EV_CAS, (uint64_t)(uintptr_t)p, equal ? v : *p);
	if (equal && sim.current->in_window) {
		sim_fail("R4: an atomic exchange inside the window");
	}
	return equal;
}

uint64_t sim_fetch_add(uint64_t *p, uint64_t v)
{
	sim_step(true);
	drain_others(p);
	drain_address(sim.current, p);
	const uint64_t old = *p;

	*p = old + v;
	return old;
}

void sim_barrier(enum sim_barrier barrier)
{
	struct sim_cpu *c = sim.current;

	sim_step(true);
	trace(EV_BARRIER, barrier, 0);
	/*
	 * The invalidations that are under way complete first: what becomes visible only now may
	 * have been cached in its old form after them.
	 */
	if (barrier == SIM_DSB_ISH) {
		tlb_complete(c, false);
	} else if (barrier == SIM_DSB_NSH) {
		tlb_complete(c, true);
	}
	store_drain(c);
}

uint64_t sim_pte_load(const uint64_t *slot)
{
	if (tlb_is_linked(slot)) {
		sim_step(false);
	}
	const uint64_t v = read_here(slot);

	sim_walk_early((uint64_t *)(uintptr_t)slot);
	return v;
}

static void put_pte(uint64_t *slot, uint64_t v)
{
	if (tlb_is_linked(slot)) {
		trace(EV_PTE, (uint64_t)(uintptr_t)slot, v);
	}
	if (!pool_has(slot)) {
		sim_fail("R2: an entry is stored outside of table memory");
	}
	if (sim.quiet == 0) {
		tlb_check_program_store(slot, v);
	}
	put(slot, v, SIM_RELAXED, true);
}

void sim_pte_store(uint64_t *slot, uint64_t v)
{
	if (tlb_is_linked(slot)) {
		sim_step(true);
	}
	put_pte(slot, v);
}

bool sim_pte_exchange(uint64_t *slot, uint64_t expected, uint64_t v)
{
	sim_step(true);
	drain_others(slot);
	drain_address(sim.current, slot);
	if (*slot != expected) {
		return false;
	}
	put_pte(slot, v);
	return true;
}
