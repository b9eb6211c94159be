/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/frame_cache.c - single frames, per CPU. See vm/frame.h.
 *
 * THEORY   A cache is a stack of slots. Its CPU alone fills slots; anybody may empty one, by
 *          exchanging it for zero, so a frame is given out once, whoever comes first. That is how
 *          memory which other CPUs keep is found again when it runs short, without a lock and
 *          without asking them: the owner then meets an empty slot and goes on to the next.
 * INVARIANTS
 *   FC1  Slots from `top` on are empty; only their CPU stores a frame, at `top`.
 *   FC2  A frame in a slot is CACHED, and in no other slot.          (frame_audit)
 * LOCKING  None; the buddy's lock when a cache is empty or full.
 */
#include <arch/atomic.h>
#include <arch/cpu.h>
#include <arch/page.h>
#include <compiler.h>
#include <memmap.h>

#include "kern/assert.h"
#include "vm/frame_impl.h"

#define SLOTS 32u
#define POISONED UINT64_C(1) /* beside the address: the first line holds the pattern */
#define POISON UINT64_C(0xdeadf4a3edeadf4a)

/* [p] its CPU  [a] anybody, by exchange */
struct frame_cache {
	cacheline_aligned uint64_t slot[SLOTS]; /* [a] address | POISONED; 0: empty */
	uint64_t top;      /* [p] */
};

static struct frame_cache caches[MAX_CPUS];

static uint64_t poison(pa_t frame)
{
	if (PERCH_DEBUG) {
		arch_frame_mark(frame, POISON);
		return frame.v | POISONED;
	}
	return frame.v;
}

static pa_t unpoison(uint64_t slot)
{
	const pa_t frame = pa(slot & ~POISONED);

	if ((slot & POISONED) != 0 && !arch_frame_is_marked(frame, POISON)) {
		panic("frame: %#llx was written after it was freed", (unsigned long long)frame.v);
	}
	return frame;
}

/* The newest frame; 0: none. */
static uint64_t pop(struct frame_cache *c)
{
	while (c->top > 0) {
		const uint64_t slot = swap_acq_rel(&c->slot[--c->top], 0);

		if (slot != 0) {
			return slot;
		}
	}
	return 0;
}

/* FC1: the slot at `top` is empty, and nobody else writes it. */
static void push(struct frame_cache *c, uint64_t slot)
{
	KASSERT(c->top < SLOTS);
	store_release(&c->slot[c->top++],
		      slot); /* the frame's state before it; pairs with a swap */
}

static void give_back(uint64_t slot)
{
	const pa_t frame = unpoison(slot);

	frame_turn(frame, CACHED, OWNED);
	frame_free(frame, 0);
}

/* A frame that any CPU keeps; 0: none does. */
static uint64_t steal(void)
{
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		for (unsigned i = 0; i < SLOTS; i++) {
			uint64_t *slot = &caches[cpu].slot[i];

			if (load_relaxed(slot) != 0) {
				const uint64_t was = swap_acq_rel(slot, 0);

				if (was != 0) {
					return was;
				}
			}
		}
	}
	return 0;
}

bool frame_caches_drain(void)
{
	bool found = false;

	for (uint64_t slot = steal(); slot != 0; slot = steal()) {
		give_back(slot);
		found = true;
	}
	return found;
}

uint64_t frame_caches_count(void)
{
	uint64_t frames = 0;

	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		for (unsigned i = 0; i < SLOTS; i++) {
			frames += load_relaxed(&caches[cpu].slot[i]) != 0 ? 1 : 0;
		}
	}
	return frames;
}

/* One frame to use, the others of its run into the cache, the lowest on top. */
static uint64_t refill(struct frame_cache *c, uint32_t node)
{
	pa_t first;
	const unsigned count = frame_take_cached(node, &first);

	for (unsigned i = count; i > 1; i--) {
		push(c, first.v + (i - 1) * PAGE_BYTES);
	}
	return count > 0 ? first.v : steal();
}

enum kerr frame_alloc_one(uint32_t node, pa_t *out)
{
	const struct cpubase *cpu = this_cpu();
	struct frame_cache *c = &caches[cpu->cpu];

	if (unlikely(node != cpu->node || frame_may_fail())) {
		return frame_alloc(0, node, out);
	}
	uint64_t slot = pop(c);

	if (unlikely(slot == 0)) {
		slot = refill(c, node);
		if (slot == 0) {
			return KERR_NO_MEMORY;
		}
	}
	*out = unpoison(slot);
	frame_turn(*out, CACHED, OWNED);
	return KERR_OK;
}

void frame_free_one(pa_t frame)
{
	const struct cpubase *cpu = this_cpu();
	struct frame_cache *c = &caches[cpu->cpu];

	if (frame_turn(frame, OWNED, CACHED) != cpu->node) {
		frame_turn(frame, CACHED, OWNED);
		frame_free(frame, 0);
		return;
	}
	for (unsigned i = 0; c->top == SLOTS && i < FRAME_RUN; i++) {
		const uint64_t slot = swap_acq_rel(&c->slot[SLOTS - 1 - i], 0);

		if (slot != 0) {
			give_back(slot);
		}
	}
	if (c->top == SLOTS) {
		c->top -= FRAME_RUN;
	}
	push(c, poison(frame));
}

void frame_zero(pa_t base, uint64_t bytes)
{
	for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
		arch_frame_zero(pa(base.v + off));
	}
}
