/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/user.c - TTBR0 of the simulated CPUs: which space each runs, and under which numbers
 * its TLB may hold entries of which space.
 *
 * THEORY   A CPU may fill its TLB from the root that it has loaded at any moment. So a number is
 *          *tainted* by a root on a CPU from the load of the two, and stays so until an
 *          invalidation, issued after they were unloaded, is complete. What is loaded cannot be
 *          cleaned: it comes back.
 * INVARIANTS, checked at each load (vm/asid.h)
 *   AS1  No other CPU runs another root under this number.
 *   AS2  On this CPU the number is not tainted by another root.
 *   AS3  No other CPU runs this root under another number.
 *   A CPU that is on its way to another space runs none (sim_user_leaves()).
 */
#include "test/host/sim_impl.h"

#include "pcpu/pcpu.h"
#include "vm/asid.h"
#include "vm/pmap.h"

#define TAINTS_MAX 1024
#define SPACES_MAX 32

struct taint {
	uint64_t root;
	uint64_t asid;
	uint64_t left; /* when it was unloaded; UINT64_MAX: it is loaded */
	unsigned cpu;
};

static struct taint taint[TAINTS_MAX];
static unsigned taint_count;
static struct pmap *space[SPACES_MAX]; /* those that there are */
static unsigned space_count;

void user_reset(void)
{
	taint_count = 0;
	space_count = 0;
	for (unsigned i = 0; i < SIM_CPUS; i++) {
		sim.cpu[i].user_root = 0;
		sim.cpu[i].user_asid = 0;
	}
}

static struct taint *find(unsigned cpu, uint64_t root, uint64_t asid)
{
	for (unsigned i = 0; i < taint_count; i++) {
		if (taint[i].cpu == cpu && taint[i].root == root && taint[i].asid == asid) {
			return &taint[i];
		}
	}
	return nullptr;
}

static struct pmap *space_of(uint64_t root)
{
	for (unsigned i = 0; i < space_count; i++) {
		if (pool_pa(space[i]->root) == root) {
			return space[i];
		}
	}
	return nullptr;
}

/* Not on its way to another space, as its own word says, or in a test its scenario. */
static bool still_runs(const struct sim_cpu *c)
{
	return space_of(c->user_root) != nullptr
		       ? user_runs_here(c, c->user_root, mailbox_of(sim_index(c))->space)
		       : c->user_runs;
}

static void check_load(const struct sim_cpu *c, uint64_t root, uint64_t asid)
{
	for (unsigned i = 0; i < sim.cpus; i++) {
		const struct sim_cpu *other = &sim.cpu[i];

		if (other == c || !still_runs(other) || other->user_root == 0 ||
		    (other->user_asid == asid) == (other->user_root == root)) {
			continue;
		}
		if (other->user_asid == asid) {
			sim_fail("AS1: number %llu is loaded for two spaces, by cpu%u and cpu%u",
				 (unsigned long long)asid, sim_index(c), i);
		}
		sim_fail("AS3: a space runs under the numbers %llu and %llu",
			 (unsigned long long)asid, (unsigned long long)other->user_asid);
	}
	for (unsigned i = 0; i < taint_count; i++) {
		if (taint[i].cpu == sim_index(c) && taint[i].asid == asid &&
		    taint[i].root != root) {
			sim_fail(
				"AS2: cpu%u loads number %llu, under which its TLB may hold another space",
				sim_index(c), (unsigned long long)asid);
		}
	}
}

static void add(unsigned cpu, uint64_t root, uint64_t asid)
{
	struct taint *t = find(cpu, root, asid);

	if (t == nullptr) {
		if (taint_count == TAINTS_MAX) {
			sim_fail("the model is too small: more than %d numbers in TLBs",
				 TAINTS_MAX);
		}
		t = &taint[taint_count++];
	}
	*t = (struct taint){ .root = root, .asid = asid, .left = UINT64_MAX, .cpu = cpu };
}

void sim_user_root(uint64_t root, uint64_t asid)
{
	struct sim_cpu *c = sim.current;

	sim_step(true);
	trace(EV_USER, root, asid);
	if (root != 0 && asid == 0) {
		sim_fail("number 0 is loaded for a space");
	}
	struct taint *old = find(sim_index(c), c->user_root, c->user_asid);

	if (old != nullptr) {
		old->left = sim.now++;
	}
	c->user_runs = true;
	c->user_root = root;
	c->user_asid = asid;
	if (root != 0) {
		check_load(c, root, asid);
		add(sim_index(c), root, asid);
	}
}

void sim_user_leaves(void)
{
	sim.current->user_runs = false;
}

void user_complete(const struct sim_cpu *c, const struct tlbi_op *op)
{
	const bool local = op->kind == SIM_TLBI_ALL_LOCAL;
	unsigned kept = 0;

	if (!local && op->kind != SIM_TLBI_ALL && op->kind != SIM_TLBI_ASID) {
		return;
	}
	for (unsigned i = 0; i < taint_count; i++) {
		const struct taint *t = &taint[i];
		const bool mine = (!local || t->cpu == sim_index(c)) &&
				  (op->kind != SIM_TLBI_ASID || t->asid == op->asid);

		if (!mine || t->left >= op->time) {
			taint[kept++] = *t;
		}
	}
	taint_count = kept;
}

bool sim_is_tainted(uint64_t root, uint64_t asid)
{
	for (unsigned i = 0; i < taint_count; i++) {
		if (taint[i].root == root && taint[i].asid == asid) {
			return true;
		}
	}
	return false;
}

/* ---- spaces, for the TLB and the windows --------------------------------------------------- */
void sim_space_add(struct pmap *pmap)
{
	if (space_count == SPACES_MAX) {
		sim_fail("the model is too small: more than %d spaces", SPACES_MAX);
	}
	space[space_count++] = pmap;
	tlb_link_space(pmap->root, true);
}

void sim_space_remove(const struct pmap *pmap)
{
	const uint64_t root = pool_pa(pmap->root);

	for (unsigned i = 0; i < sim.cpus; i++) {
		if (sim.cpu[i].alive && sim.cpu[i].user_root == root) {
			sim_fail("UM2: cpu%u has the root of a retired space loaded", i);
		}
	}
	for (unsigned i = 0; i < taint_count; i++) {
		if (taint[i].root == root && user_number_is(root, taint[i].asid)) {
			sim_fail("owed invalidation: cpu%u may use the TLB of a retired space",
				 taint[i].cpu);
		}
	}
	for (unsigned i = 0; i < space_count; i++) {
		if (space[i] == pmap) {
			space[i] = space[--space_count];
		}
	}
	tlb_link_space(pmap->root, false);
}

bool user_number_is(uint64_t root, uint64_t asid)
{
	const struct pmap *p = space_of(root);

	return p != nullptr && asid_number(p->space.asid) == asid;
}

uint64_t user_window(uint64_t root)
{
	const struct pmap *p = space_of(root);

	return p != nullptr ? p->space.window : 0;
}

/* A CPU that has named another space already makes no access to the one in its TTBR0 (UM1). */
bool user_runs_here(const struct sim_cpu *c, uint64_t root, uint64_t named)
{
	const struct pmap *p = space_of(root);

	return c->alive && c->user_root == root && p != nullptr &&
	       named == (uint64_t)(uintptr_t)&p->space;
}

/* From *i on: a number under which CPUs may have filled from this root, and which CPUs. */
bool user_filler(uint64_t root, unsigned *i, uint64_t *asid, uint64_t *cpus)
{
	while (*i < taint_count && taint[*i].root != root) {
		++*i;
	}
	if (*i == taint_count) {
		return false;
	}
	*asid = taint[*i].asid;
	*cpus = UINT64_C(1) << taint[*i].cpu;
	return true;
}

struct pmap *user_space_of(const struct sim_cpu *c)
{
	return space_of(c->user_root);
}

const void *user_root_of(const struct sim_cpu *c)
{
	const struct pmap *p = space_of(c->user_root);

	return p != nullptr ? p->root : nullptr;
}
