/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/inval.c - see ipi/inval.h.
 */
#include "ipi/inval.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/feature.h>
#include <arch/table.h>
#include <arch/tlb.h>
#include <memmap.h>

#include "ipi/park_fast.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/stop.h"
#include "pcpu/pin.h"
#include "pcpu/recorder.h"

/* Past so many operands one invalidation of everything is cheaper, here and for who refills. */
#define INVAL_VA_LIMIT 16
#define RANGE_PAGES_MAX (UINT64_C(1) << 21)

struct inval_tuning inval_tuning = { .mode = BBM_PARK, .wanted = INVAL_AUTO };
static uint64_t window_delay;

static void note_usual(void)
{
	inval_tuning.unusual = inval_tuning.mode != BBM_PARK || inval_tuning.wanted != INVAL_AUTO;
}

void inval_set_mode(enum bbm_mode mode)
{
	inval_tuning.mode = mode;
	note_usual();
}

const char *inval_mode_name(enum bbm_mode m)
{
	static const char *const name[] = { "park", "retry", "bbml2", "naive" };

	return name[m];
}

void inval_set_kind(enum inval_kind kind)
{
	inval_tuning.wanted = kind;
	note_usual();
}

void inval_set_window_delay(uint64_t rounds)
{
	window_delay = rounds;
}

uint64_t inval_window_delay(void)
{
	return window_delay;
}

/* A test or a benchmark asks for a kind: as far as this CPU has it, and the entries allow it. */
static enum inval_kind choose_kind(bool tables, bool user)
{
	const enum inval_kind wanted = inval_tuning.wanted;

	if (wanted == INVAL_AUTO) {
		return inval_usual_kind(tables);
	}
	if (wanted == INVAL_PAGES || (wanted == INVAL_VA && tables)) {
		return user ? INVAL_ALL : INVAL_PAGES; /* an ASID goes whole */
	}
	return wanted != INVAL_RANGE || cpu_features.tlb_range ? wanted : INVAL_ALL;
}

static bool is_of_table(const struct inval_span *s)
{
	return s->operands > INVAL_MAX;
}

static void plan_span(struct inval_batch *batch, const struct inval_span *s, uint32_t end)
{
	const uint64_t step = end - s->first == 1 ? s->size : s->size / CONT_ENTRIES;
	uint64_t at = s->va.v;

	for (uint32_t n = s->first; n < end; n++, at += step) {
		batch->entry[n].tlbi = inval_operand(batch->kind, va(at), step, is_of_table(s));
	}
}

/* Choose the invalidation, outside the window. */
static void plan(struct inval_batch *batch)
{
	bool tables = false;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		tables = tables || is_of_table(&batch->span[i]);
	}
	batch->kind = choose_kind(tables, batch->park.space != nullptr);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		struct inval_span *s = &batch->span[i];

		s->tag = rec_span(s->va.v, s->size, batch->kind);
		plan_span(batch, s, i + 1 < batch->span_count ? s[1].first : batch->count);
	}
}

/* What a flush is expanded for: known when it is compiled. */
enum extent {
	BLOCK, /* the entry of one block, in mode park */
	SPANS, /* whatever the batch holds */
};

static always_inline uint32_t entries_of(const struct inval_batch *batch, enum extent extent)
{
	return extent == BLOCK ? 1 : batch->count;
}

static always_inline uint32_t spans_of(const struct inval_batch *batch, enum extent extent)
{
	return extent == BLOCK ? 1 : batch->span_count;
}

static always_inline struct inval_span span_of(const struct inval_batch *batch, uint32_t i,
					       enum extent extent)
{
	const struct inval_block *block = &batch->block;

	return extent == SPANS ? batch->span[i]
			       : (struct inval_span){
					 .va = va(block->tag & ~REC_SPAN_BITS),
					 .pa = block->pa,
					 .size = BLOCK_BYTES,
					 .tag = block->tag,
				 };
}

static always_inline enum bbm_mode mode_of(enum extent extent)
{
	return extent == BLOCK ? BBM_PARK : inval_mode();
}

/* A block is aligned, as the regions are: it lies where its first byte does. */
static always_inline bool never_pinned(const struct inval_span *s, enum extent extent)
{
	return pin_never_at(s->va, extent == BLOCK ? 1 : s->size);
}

/* R3: by virtual and by physical address, at every level, in every build. Token held. */
static always_inline enum kerr admit(const struct inval_batch *batch, enum extent extent)
{
	for (uint32_t i = 0; i < spans_of(batch, extent); i++) {
		const struct inval_span s = span_of(batch, i, extent);

		if (!never_pinned(&s, extent) || !pin_clear_pa(s.pa, s.size)) {
			return KERR_PINNED;
		}
	}
	return KERR_OK;
}

/*
 * Runs of user leaves: take over the access flags that were set since the batch was made. Those who
 * run the space are parked; what a speculative walk sets after this look may be lost (a hint).
 */
static noinline void keep_access_flags(struct inval_batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		struct inval_entry *e = &batch->entry[i];

		e->fresh.v |= arch_pte_load(e->slot).v & PTE_AF;
	}
}

/* Everyone is parked: the last look before the break. */
static always_inline enum kerr check(const struct inval_batch *batch, enum extent extent)
{
	for (uint32_t i = 0; i < spans_of(batch, extent); i++) {
		const struct inval_span s = span_of(batch, i, extent);

		KASSERT(never_pinned(&s, extent)); /* R3, again */
	}
	for (uint32_t i = 0; i < entries_of(batch, extent); i++) {
		const struct inval_entry *e = &batch->entry[i];
		const uint64_t expected = e->expected.v;
		const uint64_t now = arch_pte_load(e->slot).v;

		/* A CPU may have set AF since, if that is its business (FEAT_HAFDBS). */
		if (((now ^ expected) & ~PTE_AF) != 0) {
			return KERR_CHANGED;
		}
	}
	return KERR_OK;
}

/* One record a change, written before the window opens (R4). Returns the last. */
static always_inline struct record *note_before(struct inval_batch *batch, enum extent extent)
{
	struct record *r = nullptr;

	for (uint32_t i = 0; i < spans_of(batch, extent); i++) {
		const struct inval_span s = span_of(batch, i, extent);
		const struct inval_entry *e = &batch->entry[extent == BLOCK ? 0 : s.first];

		r = rec(REC_CHANGE, s.tag, e->expected.v);
		r->c = e->fresh.v;
		r->d = batch->caller;
		if (extent == SPANS) {
			batch->span[i].record = r;
		}
	}
	return r;
}

/* The records are completed after the window has closed. `last`: as note_before() returned it. */
static always_inline void note_took(const struct inval_batch *batch, enum extent extent,
				    struct record *last, uint64_t ticks)
{
	if (extent == BLOCK) {
		rec_took(last, ticks);
		return;
	}
	for (uint32_t i = 0; i < batch->span_count; i++) {
		rec_took(batch->span[i].record, ticks);
	}
}

/* Counted by kind: a leaf takes one, and so does anything that is not done page by page. */
static always_inline void note_tlbi(const struct inval_batch *batch, uint64_t *counter)
{
	static_assert((int)CTR_tlbi_range - (int)CTR_tlbi_va == (int)INVAL_RANGE &&
			      (int)CTR_tlbi_all - (int)CTR_tlbi_va == (int)INVAL_ALL,
		      "the counters are in the order of the kinds");
	if (unlikely(batch->kind == INVAL_PAGES)) {
		for (uint32_t i = 0; i < batch->span_count; i++) {
			counter[CTR_tlbi_va] += batch->span[i].operands;
		}
		return;
	}
	if (unlikely(batch->park.space != nullptr) && batch->kind == INVAL_ALL) {
		counter[CTR_tlbi_asid]++;
		return;
	}
	counter[CTR_tlbi_va + (unsigned)batch->kind] += batch->kind == INVAL_ALL ? 1 : batch->count;
}

/* A call: expanded beside what is usual, it would make that one look for its counter. */
static noinline keeps_registers void note_unloaded(uint64_t breaks)
{
	count_add(CTR_breaks_unloaded, breaks);
}

/* A user space without a number was never in a TTBR0. Asked under the park, which keeps it out. */
static always_inline void note_breaks(const struct park_space *space, uint64_t breaks)
{
	if (unlikely(space != nullptr) && load_relaxed(&space->asid) == 0) {
		note_unloaded(breaks);
	} else {
		count_add(CTR_breaks, breaks);
	}
}

static always_inline void note_after(const struct inval_batch *batch, enum extent extent,
				     uint64_t ticks)
{
	struct pcpu *p = pcpu_this();
	const uint32_t count = entries_of(batch, extent);

	if (unlikely(ticks > p->window_max)) {
		p->window_max = ticks;
	}
	p->counter[CTR_windows]++;
	p->counter[CTR_makes] += count;
	if (extent == SPANS) { /* a block's is counted by who planned it */
		note_tlbi(batch, p->counter);
	}
}

static always_inline enum kerr park_all(struct park_state *state, struct park *park,
					enum extent extent, struct park_window *w)
{
	if (likely(mode_of(extent) == BBM_PARK)) {
		return park_open(state, park, w);
	}
	park_begin_unparked(park);
	*w = park->window;
	return KERR_OK;
}

static always_inline enum kerr open_and_change(struct park_state *state, struct inval_batch *batch,
					       enum extent extent)
{
	const struct park_space *space = batch->park.space;
	struct park_window w;
	enum kerr e = park_all(state, &batch->park, extent, &w);

	if (unlikely(e != KERR_OK)) {
		return e;
	}
	e = check(batch, extent);
	if (unlikely(e != KERR_OK)) {
		park_close(space, &w);
		return e;
	}
	if (extent == SPANS && batch->count == INVAL_MAX && batch->span_count == 1 &&
	    space != nullptr && cpu_features.hafdbs) {
		keep_access_flags(batch);
	}
	struct record *last = note_before(batch, extent);

	note_breaks(space, mode_of(extent) != BBM_BBML2 ? entries_of(batch, extent) : 0);
	batch->window(batch); /* R4 */
	const uint64_t ticks = counter_now() - last->time;

	park_close(space, &w);
	note_after(batch, extent, ticks);
	note_took(batch, extent, last, ticks);
	return KERR_OK;
}

/* The whole of a flush, on SPx. */
static always_inline uint64_t flush_body(struct inval_batch *batch, enum extent extent,
					 uint64_t place)
{
	struct cpubase *cpu = this_cpu();

	/* SPx is masked: a stretch of its own, unless it is in one already (R8). */
	if (likely(cpu->mask_depth == 0)) {
		cpu->mask_since = counter_now();
	}
	struct park_state *state = the_park();
	const uint64_t ticket = token_take(state);
	uint64_t e = admit(batch, extent); /* under the token: pin_grow() needs it too */

	if (likely(e == KERR_OK)) {
		e = open_and_change(state, batch, extent);
	}
	token_pass(state, ticket);
	/* Before interrupts are on again: one would begin a stretch of its own. */
	if (likely(cpu->mask_depth == 0)) {
		masked_note(cpu, place);
	}
	return e;
}

uint64_t inval_block_on_spx(void *arg)
{
	return flush_body(arg, BLOCK, (uint64_t)(uintptr_t)inval_block_on_spx);
}

static uint64_t flush_some_on_spx(void *arg)
{
	return flush_body(arg, SPANS, (uint64_t)(uintptr_t)flush_some_on_spx);
}

enum kerr inval_flush(struct inval_batch *batch, const struct inval_windows *windows)
{
	KASSERT(batch->count > 0);
	plan(batch);
	const enum inval_shape shape = batch->count == 1           ? INVAL_ONE
				       : batch->count == INVAL_MAX ? INVAL_FULL
								   : INVAL_SOME;

	batch->window = windows->window[batch->kind][shape];
	return inval_on_spx(flush_some_on_spx, batch);
}

bool inval_changed_lately(va_t at)
{
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		struct record r;

		for (unsigned age = 0; age < INVAL_LATELY && recorder_read(cpu, age, &r); age++) {
			const uint64_t base = r.a & ~REC_SPAN_BITS;

			if (record_kind(&r) == REC_CHANGE &&
			    at.v - base < UINT64_C(1) << (r.a & REC_SPAN_LOG)) {
				return true;
			}
		}
	}
	return false;
}

static enum inval_kind kernel_range(va_t at, uint64_t size, uint64_t stride, uint64_t leaves)
{
	if (leaves <= INVAL_VA_LIMIT) {
		for (uint64_t off = 0; off < size; off += stride) {
			tlbi_vaae1is(tlbi_operand_va(va(at.v + off)));
		}
		count_add(CTR_tlbi_va, leaves);
		return INVAL_VA;
	}
	if (cpu_features.tlb_range && size / PAGE_BYTES <= RANGE_PAGES_MAX) {
		tlbi_rvaae1is(tlbi_operand_range(at, size / PAGE_BYTES));
		count(CTR_tlbi_range);
		return INVAL_RANGE;
	}
	tlbi_vmalle1is();
	count(CTR_tlbi_all);
	return INVAL_ALL;
}

/* Of one ASID, in its field of the operand. 0: it has none yet, so no CPU has an entry of it. */
static enum inval_kind user_range(uint64_t asid, va_t at, uint64_t size, uint64_t stride,
				  uint64_t leaves)
{
	if (asid == 0) {
		return INVAL_VA;
	}
	if (leaves <= INVAL_VA_LIMIT) {
		for (uint64_t off = 0; off < size; off += stride) {
			tlbi_vae1is(tlbi_operand_va(va(at.v + off)) | asid);
		}
		count_add(CTR_tlbi_va, leaves);
		return INVAL_VA;
	}
	if (cpu_features.tlb_range && size / PAGE_BYTES <= RANGE_PAGES_MAX) {
		tlbi_rvae1is(tlbi_operand_range(at, size / PAGE_BYTES) | asid);
		count(CTR_tlbi_range);
		return INVAL_RANGE;
	}
	tlbi_aside1is(asid);
	count(CTR_tlbi_asid);
	return INVAL_ALL;
}

void inval_range_now(const struct park_space *space, va_t at, uint64_t size, uint64_t stride)
{
	const uint64_t leaves = size / stride;
	enum inval_kind kind;

	dsb_ishst(); /* the walkers see the entries before the invalidation; pairs with the walk */
	if (space == nullptr) {
		kind = kernel_range(at, size, stride, leaves);
	} else {
		/* Not before the DSB: pairs with asid_use(), AS4. */
		const uint64_t asid = tlbi_operand_asid(load_relaxed(&space->asid));

		kind = user_range(asid, at, size, stride, leaves);
	}
	dsb_ish();
	isb();
	rec(REC_TLBI, rec_span(at.v, stride, kind), leaves);
}
