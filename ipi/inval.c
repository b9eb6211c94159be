/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/inval.c - see ipi/inval.h.
 */
#include "ipi/inval.h"

#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/feature.h>
#include <arch/tlb.h>
#include <memmap.h>

#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/stop.h"
#include "pcpu/recorder.h"

/* Past so many operands one invalidation of everything is cheaper, here and for who refills. */
#define INVAL_VA_LIMIT 16
#define RANGE_PAGES_MAX (UINT64_C(1) << 21)

static enum bbm_mode mode = BBM_PARK;
static enum inval_kind wanted_kind = INVAL_AUTO;
static uint64_t window_delay;

void inval_set_mode(enum bbm_mode m)
{
	mode = m;
}

enum bbm_mode inval_mode(void)
{
	return mode;
}

const char *inval_mode_name(enum bbm_mode m)
{
	static const char *const name[] = { "park", "retry", "bbml2", "naive" };

	return name[m];
}

void inval_set_kind(enum inval_kind kind)
{
	wanted_kind = kind;
}

void inval_set_window_delay(uint64_t rounds)
{
	window_delay = rounds;
}

uint64_t inval_window_delay(void)
{
	return window_delay;
}

void inval_begin(struct inval_batch *batch, const struct inval_steps *steps, uint64_t caller)
{
	batch->count = 0;
	batch->span_count = 0;
	batch->park.culprits = 0;
	batch->steps = steps;
	batch->caller = caller;
}

static enum inval_kind choose_kind(const struct inval_batch *batch)
{
	uint32_t tables = 0;

	for (uint32_t i = 0; i < batch->span_count; i++) {
		tables += batch->span[i].operands > INVAL_MAX ? 1 : 0;
	}
	if (wanted_kind != INVAL_AUTO && (wanted_kind != INVAL_RANGE || cpu_features.tlb_range)) {
		return wanted_kind == INVAL_VA && tables != 0 ? INVAL_PAGES : wanted_kind;
	}
	if (tables == 0) {
		return INVAL_VA;
	}
	return cpu_features.tlb_range ? INVAL_RANGE : INVAL_ALL;
}

/*
 * Choose the invalidation, outside the window. An entry that is one leaf needs one operand; an
 * entry that is a table needs one for each leaf under it, one range, or everything (Arm ARM D8.16:
 * the walk cache goes with any of them, because none is last-level-only).
 */
static void plan(struct inval_batch *batch)
{
	batch->kind = choose_kind(batch);
	if (batch->kind == INVAL_ALL) {
		return;
	}
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct inval_span *s = &batch->span[i];
		const uint32_t end = i + 1 < batch->span_count ? s[1].first : batch->count;
		const uint64_t step = s->size / (end - s->first);
		uint64_t at = s->va.v;

		for (uint32_t n = s->first; n < end; n++, at += step) {
			/* One block takes a range of two pages, whatever its size. */
			batch->tlbi[n] =
				batch->kind == INVAL_RANGE
					? tlbi_operand_range(va(at), s->operands > INVAL_MAX
									     ? step / PAGE_BYTES
									     : 2)
					: tlbi_operand_va(va(at));
		}
	}
}

/* One record a change: written before the window opens, completed after it has closed (R4). */
static void note_before(struct inval_batch *batch)
{
	for (uint32_t i = 0; i < batch->span_count; i++) {
		struct inval_span *s = &batch->span[i];
		struct record *r = rec(REC_CHANGE, rec_span(s->va.v, s->size, batch->kind),
				       batch->expected[s->first].v);

		r->c = batch->fresh[s->first].v;
		r->d = batch->caller;
		s->record = r;
		break_log_add(s->va, s->size);
	}
}

static void note_after(const struct inval_batch *batch)
{
	struct pcpu *p = pcpu_this();
	uint64_t *counter = p->counter;

	p->window_last = batch->window_ticks;
	if (p->window_last > p->window_max) {
		p->window_max = p->window_last;
	}
	counter[CTR_windows]++;
	counter[CTR_makes] += batch->count;
	if (mode != BBM_BBML2) {
		counter[CTR_breaks] += batch->count;
	}
	if (batch->kind == INVAL_ALL) {
		counter[CTR_tlbi_all]++;
	} else if (batch->kind == INVAL_RANGE) {
		counter[CTR_tlbi_range] += batch->count;
	}
	for (uint32_t i = 0; i < batch->span_count; i++) {
		const struct inval_span *s = &batch->span[i];

		rec_took(s->record, batch->window_ticks);
		if (batch->kind == INVAL_VA || batch->kind == INVAL_PAGES) {
			counter[CTR_tlbi_va] += s->operands;
		}
	}
}

static enum kerr open_and_change(struct inval_batch *batch)
{
	const enum inval_shape shape = batch->count == 1           ? INVAL_ONE
				       : batch->count == INVAL_MAX ? INVAL_FULL
								   : INVAL_SOME;
	enum kerr e = KERR_OK;

	if (mode == BBM_PARK) {
		e = park_begin(&batch->park);
		if (e != KERR_OK) {
			return e;
		}
	} else {
		park_begin_unparked(&batch->park);
	}
	e = batch->steps->check(batch);
	if (e == KERR_OK) {
		note_before(batch);
		const uint64_t start = counter_now();

		batch->steps->window[batch->kind][shape](batch); /* R4 */
		batch->window_ticks = counter_now() - start;
	}
	park_end(&batch->park);
	return e;
}

static uint64_t flush_on_spx(void *arg)
{
	struct inval_batch *batch = arg;

	token_acquire();
	enum kerr e = batch->steps->admit(batch); /* R3; pin_grow() needs the token too */

	if (e == KERR_OK) {
		e = open_and_change(batch);
	}
	if (e == KERR_OK) {
		note_after(batch);
	}
	token_release();
	return e;
}

enum kerr inval_flush(struct inval_batch *batch)
{
	KASSERT(batch->count > 0);
	KASSERT(!arch_on_spx());
	KASSERT(this_cpu()->mask_depth > 0); /* the tables' lock: the stretch is being measured */
	plan(batch);
	const enum kerr e = (enum kerr)arch_call_on_spx(flush_on_spx, batch);

	stop_poll();
	return e;
}

void inval_range_now(va_t at, uint64_t size, uint64_t stride)
{
	const uint64_t leaves = size / stride;
	enum inval_kind kind = INVAL_VA;

	dsb_ishst(); /* the walkers see the entries before the invalidation; pairs with the walk */
	if (leaves <= INVAL_VA_LIMIT) {
		for (uint64_t off = 0; off < size; off += stride) {
			tlbi_vaae1is(tlbi_operand_va(va(at.v + off)));
		}
		count_add(CTR_tlbi_va, leaves);
	} else if (cpu_features.tlb_range && size / PAGE_BYTES <= RANGE_PAGES_MAX) {
		tlbi_rvaae1is(tlbi_operand_range(at, size / PAGE_BYTES));
		count(CTR_tlbi_range);
		kind = INVAL_RANGE;
	} else {
		tlbi_vmalle1is();
		count(CTR_tlbi_all);
		kind = INVAL_ALL;
	}
	dsb_ish();
	isb();
	rec(REC_TLBI, rec_span(at.v, stride, kind), leaves);
}
