/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/frame.c - see vm/frame.h.
 *
 * A state word: order in 5:0, kind in 7:6, next in 35:8, previous in 63:36; links are frame
 * numbers + 1 within the range, 0 is the end of a list. Only the first frame of a block has a
 * kind other than INNER. The words of single frames that a CPU's cache holds change without the
 * lock, between OWNED and CACHED: who looks for a buddy sees one or the other, and neither is FREE.
 */
#include "vm/frame.h"

#include <arch/atomic.h>
#include <memmap.h>

#include "kern/assert.h"
#include "kern/lock.h"
#include "vm/frame_impl.h"

#define FRAME_RANGES 64

struct frame_range {
	uint64_t base; /* frame number of the first */
	uint64_t count;
	uint32_t node;
	uint64_t *state;
	uint64_t free; /* frames */
	uint64_t head[FRAME_ORDER_MAX + 1]; /* link */
};

/* What a frame costs for as long as the machine runs. */
static_assert(sizeof(*((struct frame_range *)nullptr)->state) <= 8, "8 bytes a frame");

struct spinlock frame_lock = SPINLOCK("frame", LOCK_FRAME);
static struct frame_range ranges[FRAME_RANGES];
static unsigned range_count;
static uint64_t fail_budget = UINT64_MAX; /* written under the lock, read without (frame_impl.h) */

#define LINK_MASK ((UINT64_C(1) << 28) - 1)

static uint64_t pack(enum frame_kind kind, unsigned order, uint64_t next, uint64_t prev)
{
	return order | (uint64_t)kind << 6 | next << 8 | prev << 36;
}

static enum frame_kind kind_of(uint64_t s)
{
	return (enum frame_kind)(s >> 6 & 3);
}

static unsigned order_of(uint64_t s)
{
	return (unsigned)s & 0x3f;
}

static uint64_t next_of(uint64_t s)
{
	return s >> 8 & LINK_MASK;
}

static uint64_t prev_of(uint64_t s)
{
	return s >> 36 & LINK_MASK;
}

static void push(struct frame_range *r, uint64_t i, unsigned order)
{
	const uint64_t head = r->head[order];

	if (head != 0) {
		const uint64_t s = r->state[head - 1];

		r->state[head - 1] = pack(FREE, order, next_of(s), i + 1);
	}
	r->state[i] = pack(FREE, order, head, 0);
	r->head[order] = i + 1;
}

static void take_out(struct frame_range *r, uint64_t i)
{
	const uint64_t s = r->state[i];
	const unsigned order = order_of(s);
	const uint64_t next = next_of(s);
	const uint64_t prev = prev_of(s);

	KASSERT(kind_of(s) == FREE);
	if (prev != 0) {
		r->state[prev - 1] = pack(FREE, order, next, prev_of(r->state[prev - 1]));
	} else {
		r->head[order] = next;
	}
	if (next != 0) {
		r->state[next - 1] = pack(FREE, order, next_of(r->state[next - 1]), prev);
	}
	r->state[i] = 0;
}

/* Join with free buddies, as far as the range goes; buddies are aligned by frame number. */
static void insert(struct frame_range *r, uint64_t i, unsigned order)
{
	while (order < FRAME_ORDER_MAX) {
		const uint64_t buddy = ((r->base + i) ^ (UINT64_C(1) << order)) - r->base;

		if (buddy >= r->count) {
			break;
		}
		const uint64_t s = load_relaxed(&r->state[buddy]); /* its owner may write it now */

		if (kind_of(s) != FREE || order_of(s) != order) {
			break;
		}
		take_out(r, buddy);
		i = buddy < i ? buddy : i;
		order++;
	}
	push(r, i, order);
}

void frame_add_range(pa_t base, uint64_t size, uint32_t node, uint64_t *state)
{
	KASSERT(range_count < FRAME_RANGES);
	struct frame_range *r = &ranges[range_count++];

	*r = (struct frame_range){ .base = base.v / PAGE_BYTES,
				   .count = size / PAGE_BYTES,
				   .node = node,
				   .state = state };
	KASSERT(r->count < LINK_MASK);
	for (uint64_t i = 0; i < r->count;) {
		unsigned order = FRAME_ORDER_MAX;

		while (!is_aligned(r->base + i, UINT64_C(1) << order) ||
		       i + (UINT64_C(1) << order) > r->count) {
			order--;
		}
		push(r, i, order);
		i += UINT64_C(1) << order;
	}
	r->free = r->count;
}

static bool take(struct frame_range *r, unsigned order, pa_t *out)
{
	unsigned from = order;

	while (from <= FRAME_ORDER_MAX && r->head[from] == 0) {
		from++;
	}
	if (from > FRAME_ORDER_MAX) {
		return false;
	}
	const uint64_t i = r->head[from] - 1;

	take_out(r, i);
	while (from > order) {
		from--;
		push(r, i + (UINT64_C(1) << from), from);
	}
	r->state[i] = pack(OWNED, order, 0, 0);
	r->free -= UINT64_C(1) << order;
	*out = pa((r->base + i) * PAGE_BYTES);
	return true;
}

/* From `node` if it has some, else from any. */
static struct frame_range *take_near(unsigned order, uint32_t node, pa_t *out)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < range_count; i++) {
			if ((ranges[i].node == node) == (pass == 0) &&
			    take(&ranges[i], order, out)) {
				return &ranges[i];
			}
		}
	}
	return nullptr;
}

enum kerr frame_alloc(unsigned order, uint32_t node, pa_t *out)
{
	bool found = false;

	KASSERT(order <= FRAME_ORDER_MAX);
	spin_lock(&frame_lock);
	const bool allowed = fail_budget > 0;

	if (allowed) {
		store_relaxed(&fail_budget, fail_budget - (fail_budget != UINT64_MAX ? 1 : 0));
		found = take_near(order, node, out) != nullptr;
	}
	spin_unlock(&frame_lock);
	if (allowed && !found && frame_caches_drain()) {
		spin_lock(&frame_lock);
		found = take_near(order, node, out) != nullptr;
		spin_unlock(&frame_lock);
	}
	return found ? KERR_OK : KERR_NO_MEMORY;
}

bool frame_may_fail(void)
{
	return load_relaxed(&fail_budget) != UINT64_MAX;
}

unsigned frame_take_cached(uint32_t node, pa_t *first)
{
	unsigned order = FRAME_RUN_ORDER;

	spin_lock(&frame_lock);
	struct frame_range *r = take_near(order, node, first);

	if (r == nullptr) {
		order = 0;
		r = take_near(order, node, first);
	}
	for (unsigned i = 0; r != nullptr && i < 1u << order; i++) {
		r->state[first->v / PAGE_BYTES - r->base + i] = pack(CACHED, 0, 0, 0);
	}
	spin_unlock(&frame_lock);
	return r != nullptr ? 1u << order : 0;
}

static struct frame_range *range_of(uint64_t frame)
{
	for (unsigned i = 0; i < range_count; i++) {
		if (frame - ranges[i].base < ranges[i].count) {
			return &ranges[i];
		}
	}
	panic("frame: physical %#llx is not ours", (unsigned long long)(frame * PAGE_BYTES));
}

uint32_t frame_turn(pa_t frame, enum frame_kind from, enum frame_kind to)
{
	const struct frame_range *r = range_of(frame.v / PAGE_BYTES);
	uint64_t *s = &r->state[frame.v / PAGE_BYTES - r->base];

	KASSERT(*s == pack(from, 0, 0, 0)); /* R10: freed once, by its owner */
	store_relaxed(s, pack(to, 0, 0, 0));
	return r->node;
}

void frame_free(pa_t base, unsigned order)
{
	spin_lock(&frame_lock);
	struct frame_range *r = range_of(base.v / PAGE_BYTES);
	const uint64_t i = base.v / PAGE_BYTES - r->base;

	KASSERT(kind_of(r->state[i]) == OWNED && order_of(r->state[i]) == order); /* R10 */
	r->state[i] = 0;
	r->free += UINT64_C(1) << order;
	insert(r, i, order);
	spin_unlock(&frame_lock);
}

void frame_split(pa_t base, unsigned from_order, unsigned order)
{
	spin_lock(&frame_lock);
	struct frame_range *r = range_of(base.v / PAGE_BYTES);
	const uint64_t first = base.v / PAGE_BYTES - r->base;

	KASSERT(kind_of(r->state[first]) == OWNED && order_of(r->state[first]) == from_order);
	for (uint64_t i = 0; i < UINT64_C(1) << from_order; i += UINT64_C(1) << order) {
		r->state[first + i] = pack(OWNED, order, 0, 0);
	}
	spin_unlock(&frame_lock);
}

bool frame_manages(pa_t base, uint64_t bytes)
{
	for (unsigned i = 0; i < range_count; i++) {
		if (ranges_meet(base.v, bytes, ranges[i].base * PAGE_BYTES,
				ranges[i].count * PAGE_BYTES)) {
			return true;
		}
	}
	return false;
}

struct frame_stats frame_stats(void)
{
	struct frame_stats s = { 0 };

	spin_lock(&frame_lock);
	for (unsigned i = 0; i < range_count; i++) {
		s.total += ranges[i].count;
		s.free += ranges[i].free;
	}
	spin_unlock(&frame_lock);
	s.cached = frame_caches_count();
	s.free += s.cached;
	return s;
}

/*
 * Blocks tile the range; their free frames are as many as counted, and as many as the lists hold.
 * Adds the frames that caches hold to *cached.
 */
static bool range_is_exact(const struct frame_range *r, uint64_t *cached)
{
	uint64_t free = 0;
	uint64_t listed = 0;

	for (uint64_t i = 0; i < r->count;) {
		const uint64_t s = load_relaxed(&r->state[i]);
		const uint64_t frames = UINT64_C(1) << order_of(s);

		if (kind_of(s) == INNER || i + frames > r->count) {
			return false;
		}
		free += kind_of(s) == FREE ? frames : 0;
		*cached += kind_of(s) == CACHED ? 1 : 0;
		i += frames;
	}
	for (unsigned order = 0; order <= FRAME_ORDER_MAX; order++) {
		for (uint64_t link = r->head[order]; link != 0;
		     link = next_of(r->state[link - 1])) {
			listed += UINT64_C(1) << order;
		}
	}
	return free == r->free && listed == free;
}

bool frame_audit(void)
{
	bool exact = true;
	uint64_t cached = 0;

	spin_lock(&frame_lock);
	for (unsigned i = 0; i < range_count; i++) {
		exact = exact && range_is_exact(&ranges[i], &cached);
	}
	spin_unlock(&frame_lock);
	return exact && cached == frame_caches_count();
}

void frame_fail_after(uint64_t successes)
{
	spin_lock(&frame_lock);
	store_relaxed(&fail_budget, successes);
	spin_unlock(&frame_lock);
}
