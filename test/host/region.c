/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/region.c - ranges of the kernel's map beside a flat array of what they must be.
 */
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <memmap.h>

#include "test/host/scenario.h"
#include "kern/lock.h"
#include "vm/pmap_user.h"

void region_map(struct region *r, struct pmap *pmap, va_t base, pa_t pa, uint64_t step,
		unsigned count, unsigned flags)
{
	*r = (struct region){ .pmap = pmap, .base = base, .pa = pa, .step = step, .count = count };
	if (pmap_map(pmap, base, pa, step * count, flags) != KERR_OK) {
		sim_fail("the set-up does not map");
	}
	for (unsigned i = 0; i < count; i++) {
		r->mapped[i] = true;
		r->writable[i] = (flags & PMAP_WRITE) != 0;
	}
}

struct region *region_of(unsigned cpu)
{
	return &scene.region[cpu < scene.regions ? cpu : 0];
}

/*
 * Whoever learns that something was mapped synchronises before it touches it: on a CPU without
 * FEAT_ETS an earlier walk may have latched a fault that is taken only now.
 */
static void learn(void)
{
	const unsigned cpu = cpu_number();

	while (scene.learned[cpu] != scene.mapped_epoch) {
		scene.learned[cpu] = scene.mapped_epoch;
		isb();
	}
}

/* A user region is touched by a CPU that runs its space, as the scheduler would make it do. */
static void run_space_of(const struct region *r)
{
	if (r->pmap->user) {
		irq_mask();
		pmap_activate(r->pmap);
		irq_unmask();
	}
}

/* One access by this CPU to anything that is mapped now. */
void region_touch(struct region *r)
{
	const unsigned i = (unsigned)sim_random(r->count);
	const uint64_t off = i * r->step + sim_random(r->step / 8) * 8;

	run_space_of(r);
	sim_point();
	learn();
	if (r->mapped[i] && !r->in_flux[i] && !r->dead) {
		const uint64_t changes = r->fluxes + r->narrowings;
		const bool write = r->writable[i] && sim_random(2) == 0;

		if (!sim_access(va(r->base.v + off), pa(r->pa.v + off), write) && !r->dead &&
		    r->fluxes + r->narrowings == changes) {
			sim_fail("%#llx may not be %s, or its fault is not taken for transient",
				 (unsigned long long)(r->base.v + off), write ? "written" : "read");
		}
	}
}

/* The entry of an element, by the newest stores. */
static void check_element(const struct region *r, unsigned i)
{
	const va_t at = va(r->base.v + i * r->step);
	uint64_t pte;
	uint64_t out;

	if (sim_lookup(r->pmap, at, &pte, &out) != r->mapped[i]) {
		sim_fail("%#llx is %smapped", (unsigned long long)at.v, r->mapped[i] ? "not " : "");
	}
	if (r->mapped[i] && out != r->pa.v + i * r->step) {
		sim_fail("%#llx is mapped to %#llx", (unsigned long long)at.v,
			 (unsigned long long)out);
	}
	if (r->mapped[i] && ((pte & PTE_AP_RO) == 0) != r->writable[i]) {
		sim_fail("the entry of %#llx does not allow what it shall",
			 (unsigned long long)at.v);
	}
}

/* The same by the kernel's own look-ups, which others may disturb. */
static void ask_kernel(const struct region *r, unsigned i)
{
	const va_t at = va(r->base.v + i * r->step);
	pte_t e;
	uint64_t bytes;
	pa_t out;

	if (!r->pmap->user && (pmap_extract(at, &out) != r->mapped[i] ||
			       (r->mapped[i] && out.v != r->pa.v + i * r->step))) {
		sim_fail("pmap_extract() is wrong about %#llx", (unsigned long long)at.v);
	}
	if ((r->pmap->user ? pmap_user_query(r->pmap, at, &e, &bytes)
			   : pmap_query(at, &e, &bytes)) != r->mapped[i] ||
	    (r->mapped[i] && ((e.v & PTE_AP_RO) == 0) != r->writable[i])) {
		sim_fail("pmap_query() is wrong about %#llx", (unsigned long long)at.v);
	}
}

/* The flat model against the tables; only the owner may ask. */
void region_check(struct region *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		if (!r->in_flux[i]) {
			check_element(r, i);
		}
	}
	for (unsigned n = 0; n < 3; n++) {
		const unsigned i = (unsigned)sim_random(r->count);

		if (!r->in_flux[i]) {
			ask_kernel(r, i);
		}
	}
}
