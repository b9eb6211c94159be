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

void inval_set_mode(enum bbm_mode mode)
{
	inval_tuning.mode = mode;
}

const char *inval_mode_name(enum bbm_mode m)
{
	static const char *const name[] = { "park", "retry", "bbml2", "naive" };

	return name[m];
}

void inval_set_kind(enum inval_kind kind)
{
	inval_tuning.wanted = kind;
}

void inval_set_window_delay(uint64_t rounds)
{
	window_delay = rounds;
}

uint64_t inval_window_delay(void)
{
	return window_delay;
}

noinline enum inval_kind inval_forced_kind(bool tables, bool user)
{
	const enum inval_kind wanted = inval_tuning.wanted;

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
	batch->kind = inval_choose_kind(tables, batch->park.space != nullptr);
	for (uint32_t i = 0; i < batch->span_count; i++) {
		struct inval_span *s = &batch->span[i];

		s->tag = rec_span(s->va.v, s->size, batch->kind);
		plan_span(batch, s, i + 1 < batch->span_count ? s[1].first : batch->count);
	}
}

/* R3: by virtual and by physical address, at every level, in every build. Token held. */
static always_inline enum kerr admit(const struct inval_batch *batch, uint32_t spans)
{
	for (uint32_t i = 0; i < spans; i++) {
		const struct inval_span *s = &batch->span[i];

		if (!pin_never_at(s->va, s->size) || !pin_clear_pa(s->pa, s->size)) {
			return KERR_PINNED;
		}
	}
	return KERR_OK;
}

/* The entries of span i; 0 where there is one, which is known when compiled. */
static always_inline struct inval_entry *entry_of(struct inval_batch *batch, uint32_t spans,
						  uint32_t i)
{
	return &batch->entry[spans == 1 ? 0 : batch->span[i].first];
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
static always_inline enum kerr check(const struct inval_batch *batch, uint32_t count,
				     uint32_t spans)
{
	for (uint32_t i = 0; i < spans; i++) {
		KASSERT(pin_never_at(batch->span[i].va, batch->span[i].size)); /* R3, again */
	}
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t now = arch_pte_load(batch->entry[i].slot).v;

		/* A CPU may have set AF since, if that is its business (FEAT_HAFDBS). */
		if (((now ^ batch->entry[i].expected.v) & ~PTE_AF) != 0) {
			return KERR_CHANGED;
		}
	}
	return KERR_OK;
}

/* One record a change: written before the window opens, completed after it has closed (R4). */
static always_inline void note_before(struct inval_batch *batch, uint32_t spans)
{
	for (uint32_t i = 0; i < spans; i++) {
		struct inval_span *s = &batch->span[i];
		const struct inval_entry *e = entry_of(batch, spans, i);
		struct record *r = rec(REC_CHANGE, s->tag, e->expected.v);

		r->c = e->fresh.v;
		r->d = batch->caller;
		s->record = r;
	}
}

/* Counted by kind: a leaf takes one, and so does anything that is not done page by page. */
static always_inline void note_tlbi(const struct inval_batch *batch, uint32_t count, uint32_t spans,
				    uint64_t *counter)
{
	static_assert((int)CTR_tlbi_range - (int)CTR_tlbi_va == (int)INVAL_RANGE &&
			      (int)CTR_tlbi_all - (int)CTR_tlbi_va == (int)INVAL_ALL,
		      "the counters are in the order of the kinds");
	if (unlikely(batch->kind == INVAL_PAGES)) {
		for (uint32_t i = 0; i < spans; i++) {
			counter[CTR_tlbi_va] += batch->span[i].operands;
		}
		return;
	}
	if (unlikely(batch->park.space != nullptr) && batch->kind == INVAL_ALL) {
		counter[CTR_tlbi_asid]++;
		return;
	}
	counter[CTR_tlbi_va + (unsigned)batch->kind] += batch->kind == INVAL_ALL ? 1 : count;
}

/* A user space without a number was never in a TTBR0. Asked under the park, which keeps it out. */
static always_inline uint64_t *counter_of_breaks(const struct inval_batch *batch)
{
	const struct park_space *space = batch->park.space;
	const bool unloaded = unlikely(space != nullptr) && load_relaxed(&space->asid) == 0;

	return &pcpu_this()->counter[unloaded ? CTR_breaks_unloaded : CTR_breaks];
}

static always_inline void note_after(struct inval_batch *batch, uint32_t count, uint32_t spans,
				     uint64_t ticks)
{
	struct pcpu *p = pcpu_this();

	p->window_last = ticks;
	if (unlikely(ticks > p->window_max)) {
		p->window_max = ticks;
	}
	p->counter[CTR_windows]++;
	p->counter[CTR_makes] += count;
	note_tlbi(batch, count, spans, p->counter);
	for (uint32_t i = 0; i < spans; i++) {
		rec_took(batch->span[i].record, ticks);
	}
}

static always_inline enum kerr park_all(struct park *park)
{
	if (likely(inval_mode() == BBM_PARK)) {
		return park_open(park);
	}
	park_begin_unparked(park);
	return KERR_OK;
}

static always_inline enum kerr open_and_change(struct inval_batch *batch, uint32_t count,
					       uint32_t spans)
{
	enum kerr e = park_all(&batch->park);

	if (unlikely(e != KERR_OK)) {
		return e;
	}
	e = check(batch, count, spans);
	if (unlikely(e != KERR_OK)) {
		park_close(&batch->park);
		return e;
	}
	if (count == INVAL_MAX && spans == 1 && batch->park.space != nullptr &&
	    cpu_features.hafdbs) {
		keep_access_flags(batch);
	}
	note_before(batch, spans);
	*counter_of_breaks(batch) += inval_mode() != BBM_BBML2 ? count : 0;
	const uint64_t start = counter_now();

	batch->window(batch); /* R4 */
	const uint64_t ticks = counter_now() - start;

	park_close(&batch->park);
	note_after(batch, count, spans, ticks);
	return KERR_OK;
}

/* The whole of a flush, on SPx. `count` and `spans` are constants for a batch of one entry. */
static always_inline uint64_t flush_body(struct inval_batch *batch, uint32_t count, uint32_t spans)
{
	token_take();
	enum kerr e = admit(batch, spans); /* under the token: pin_grow() needs it too */

	if (likely(e == KERR_OK)) {
		e = open_and_change(batch, count, spans);
	}
	token_pass();
	return e;
}

uint64_t inval_one_on_spx(void *arg)
{
	return flush_body(arg, 1, 1);
}

static uint64_t flush_some_on_spx(void *arg)
{
	struct inval_batch *batch = arg;

	return flush_body(batch, batch->count, batch->span_count);
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
