/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench_growth.c - run=bench only=growth: does a page cost more where there are many?
 *
 * THEORY   The same is done to 1 MiB, 4 MiB and so on, to 4 GiB or as far as memory goes: every
 *          page touched, all protected, unmapped and freed, destroyed. What it takes is divided by
 *          the pages. Once as superpages come by themselves, once in 4 KiB leaves: then the task
 *          is not calm, so nothing is promoted. A page may cost no more than at the smaller size
 *          where it cost least, but for a tenth and an instruction: an object's index is deeper,
 *          and tables beyond the first pinned block are found by a search.
 *          The tables, regions and reservations of a space are what its charge has beyond the
 *          pages themselves. Frame states (8 bytes a frame) are there whatever is mapped.
 */
#include <arch/cpu.h>
#include <memmap.h>

#include "arch/arm64/timer.h"
#include "kern/grow.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "test/kernel/bench.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"

#define AT (8 * GIB)
#define LARGEST (4 * GIB)
#define VM_RW (VM_READ | VM_WRITE)
#define HUNDREDTHS 100

enum phase { TOUCH, PROTECT, UNMAP, DESTROY, PHASES };

/* What a page cost at the smaller sizes, at least. Hundredths. */
static uint64_t least[2][PHASES];

struct growth {
	uint64_t bytes;
	bool small;
	struct memcharge charge;
	struct space *space;
	uint64_t ticks[PHASES];
	uint64_t space_bytes; /* of a space that maps nothing */
	uint64_t more_bytes;  /* when all is mapped, without the pages */
};

/* A space with an object of so many bytes, which its region alone names; every page touched. */
static bool fill(struct growth *g, uint64_t *ticks)
{
	enum fault_verdict v = FAULT_RESOLVED;

	g->charge = (struct memcharge){ .limit_bytes = 2 * LARGEST };
	if (space_create(&g->charge, &g->space) != KERR_OK) {
		return false;
	}
	g->space_bytes = memcharge_used(&g->charge);
	user_enter(g->space);
	if (user_map_anon(g->space, AT, g->bytes, VM_RW) != KERR_OK) {
		return false;
	}
	g->space->budget.full_at = g->small ? UINT64_MAX / 2 : 0;
	const uint64_t start = counter_now();

	for (uint64_t off = 0; off < g->bytes && v == FAULT_RESOLVED; off += PAGE_BYTES) {
		v = fault_touch(g->space, va(AT + off), VM_WRITE);
		if (is_aligned(off, BLOCK_BYTES)) {
			(void)grow_pinned_if_low(); /* as at the end of a fault from EL0 */
		}
	}
	*ticks = counter_now() - start;
	g->more_bytes = memcharge_used(&g->charge) - g->space_bytes - g->bytes;
	return v == FAULT_RESOLVED;
}

static bool measure(struct growth *g)
{
	bool ok = fill(g, &g->ticks[TOUCH]);
	uint64_t start = counter_now();

	ok = ok && space_protect(g->space, va(AT), g->bytes, VM_READ) == KERR_OK;
	g->ticks[PROTECT] = counter_now() - start;
	start = counter_now();
	ok = ok && space_unmap(g->space, va(AT), g->bytes) == KERR_OK;
	g->ticks[UNMAP] = counter_now() - start;
	space_destroy(g->space);
	if (!ok || !fill(g, &start)) {
		return false;
	}
	start = counter_now();
	space_destroy(g->space);
	g->ticks[DESTROY] = counter_now() - start;
	return true;
}

/* False: it grew. */
static bool note(const struct growth *g, uint64_t per_tick, uint64_t cost[PHASES])
{
	const uint64_t pages = g->bytes / PAGE_BYTES;
	bool ok = true;

	for (unsigned p = 0; p < PHASES; p++) {
		uint64_t *const before = &least[g->small ? 1 : 0][p];

		cost[p] = g->ticks[p] * per_tick * HUNDREDTHS / pages;
		ok = ok && (*before == 0 || cost[p] <= *before * 11 / 10 + HUNDREDTHS);
		*before = *before == 0 || cost[p] < *before ? cost[p] : *before;
	}
	return ok;
}

#define WHOLE(x) ((unsigned long long)((x) / HUNDREDTHS))
#define PART(x) ((unsigned long long)((x) % HUNDREDTHS))

static bool one_size(uint64_t bytes, bool small, uint64_t per_tick)
{
	struct growth g = { .bytes = bytes, .small = small };
	uint64_t cost[PHASES];

	if (!measure(&g)) {
		kprintf("bench: failed name=growth mib=%llu\n", (unsigned long long)(bytes / MIB));
		return false;
	}
	const bool ok = note(&g, per_tick, cost);
	const uint64_t more = g.more_bytes * HUNDREDTHS / (bytes / PAGE_BYTES);

	kprintf("bench: growth mib=%llu leaves=%s touch=%llu.%02llu protect=%llu.%02llu "
		"unmap=%llu.%02llu destroy=%llu.%02llu bytes_per_page=%llu.%02llu space_bytes=%llu\n",
		(unsigned long long)(bytes / MIB), small ? "small" : "large", WHOLE(cost[TOUCH]),
		PART(cost[TOUCH]), WHOLE(cost[PROTECT]), PART(cost[PROTECT]), WHOLE(cost[UNMAP]),
		PART(cost[UNMAP]), WHOLE(cost[DESTROY]), PART(cost[DESTROY]), WHOLE(more),
		PART(more), (unsigned long long)g.space_bytes);
	if (!ok) {
		kprintf("bench: failed name=growth mib=%llu: a page costs more than at smaller sizes\n",
			(unsigned long long)(bytes / MIB));
	}
	return ok;
}

unsigned bench_growth(uint64_t per_tick)
{
	unsigned failed = 0;

	budget_init(arch_counter_hz());
	for (uint64_t bytes = MIB; bytes <= LARGEST; bytes *= 4) {
		/* What is left over is for tables and notes. */
		if (frame_stats().free * PAGE_BYTES < bytes + bytes / 16) {
			break;
		}
		failed += one_size(bytes, false, per_tick) ? 0 : 1;
		failed += one_size(bytes, true, per_tick) ? 0 : 1;
	}
	user_enter(nullptr);
	return failed;
}
