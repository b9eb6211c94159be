/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/region.c - ranges of the kernel's map beside a flat array of what they must be.
 */
#include <memmap.h>

#include "test/host/scenario.h"
#include "vm/pmap.h"

void region_map(struct region *r, va_t base, pa_t pa, uint64_t step, unsigned count, unsigned flags)
{
	*r = (struct region){ .base = base, .pa = pa, .step = step, .count = count };
	if (pmap_map(&kernel_pmap, base, pa, step * count, flags) != KERR_OK) {
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

/* One access by this CPU to anything that is mapped now. */
void region_touch(struct region *r)
{
	const unsigned i = (unsigned)sim_random(r->count);
	const uint64_t off = i * r->step + sim_random(r->step / 8) * 8;

	sim_point();
	if (r->mapped[i] && !r->in_flux[i]) {
		sim_access(va(r->base.v + off), pa(r->pa.v + off), r->writable[i] && sim_random(2) == 0);
	}
}

static void check_element(const struct region *r, unsigned i)
{
	const va_t at = va(r->base.v + i * r->step);
	pte_t e;
	uint64_t bytes;
	pa_t out;

	if (!r->mapped[i]) {
		if (pmap_extract(at, &out)) {
			sim_fail("pmap_extract() finds %#llx, which is not mapped", (unsigned long long)at.v);
		}
		return;
	}
	if (!pmap_extract(at, &out) || out.v != r->pa.v + i * r->step) {
		sim_fail("pmap_extract() does not find what %#llx is mapped to", (unsigned long long)at.v);
	}
	if (!pmap_query(at, &e, &bytes) || ((e.v & PTE_AP_RO) == 0) != r->writable[i]) {
		sim_fail("the entry of %#llx does not allow what it shall", (unsigned long long)at.v);
	}
}

/* The flat model against the tables, element by element; nobody else runs. */
void region_check(struct region *r)
{
	sim_quiet(true);
	for (unsigned i = 0; i < r->count; i++) {
		if (!r->in_flux[i]) {
			check_element(r, i);
		}
	}
	sim_quiet(false);
}
