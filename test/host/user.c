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

#define TAINTS_MAX 1024

struct taint {
	uint64_t root;
	uint64_t asid;
	uint64_t left; /* when it was unloaded; UINT64_MAX: it is loaded */
	unsigned cpu;
};

static struct taint taint[TAINTS_MAX];
static unsigned taint_count;

void user_reset(void)
{
	taint_count = 0;
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

static void check_load(const struct sim_cpu *c, uint64_t root, uint64_t asid)
{
	for (unsigned i = 0; i < sim.cpus; i++) {
		const struct sim_cpu *other = &sim.cpu[i];

		if (other == c || !other->user_runs || other->user_root == 0 ||
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
