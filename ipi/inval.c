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

void inval_begin(struct inval_batch *batch, const struct inval_steps *steps)
{
	batch->count = 0;
	batch->park.culprits = 0;
	batch->steps = steps;
}

void inval_add(struct inval_batch *batch, const struct inval_entry *entry)
{
	const unsigned n = batch->count++;

	KASSERT(n < INVAL_MAX);
	batch->slot[n] = entry->slot;
	batch->expected[n] = entry->expected;
	batch->fresh[n] = entry->fresh;
	batch->va[n] = entry->va;
	batch->pa[n] = entry->pa;
	batch->size[n] = entry->size;
	batch->leaves[n] = entry->leaves;
}

/*
 * Choose the invalidation, outside the window. An entry that is one leaf needs one operand; an
 * entry that is a table needs one for each leaf under it, one range, or everything (Arm ARM D8.16:
 * the walk cache goes with any of them, because none is last-level-only).
 */
static void plan(struct inval_batch *batch)
{
	uint64_t leaves = 0;
	enum inval_kind kind = wanted_kind;

	for (unsigned i = 0; i < batch->count; i++) {
		leaves += batch->leaves[i];
	}
	if (kind == INVAL_RANGE && !cpu_features.tlb_range) {
		kind = INVAL_AUTO;
	}
	if (kind == INVAL_AUTO) {
		if (leaves == batch->count) {
			kind = INVAL_VA;
		} else {
			kind = cpu_features.tlb_range ? INVAL_RANGE : INVAL_ALL;
		}
	}
	batch->kind = kind;
	batch->tlbi_count = kind == INVAL_ALL ? 1 : batch->count;
	for (unsigned i = 0; i < batch->count; i++) {
		if (kind == INVAL_RANGE && batch->leaves[i] > 1) {
			batch->tlbi[i] = tlbi_operand_range(batch->va[i], batch->size[i] / PAGE_BYTES);
		} else if (kind == INVAL_RANGE) {
			batch->tlbi[i] = tlbi_operand_range(batch->va[i], 2); /* one block, whatever its size */
		} else {
			batch->tlbi[i] = tlbi_operand_va(batch->va[i]);
		}
	}
}

static void note_before(const struct inval_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++) {
		rec(REC_BREAK, batch->va[i].v, batch->expected[i].v);
	}
	rec(REC_WINDOW_OPEN, batch->park.gen, batch->count);
	break_log_add(batch->va[0], batch->va[batch->count - 1].v - batch->va[0].v +
					    batch->size[batch->count - 1]);
}

static void note_after(const struct inval_batch *batch)
{
	struct pcpu *p = pcpu_this();

	if (batch->window_ticks > p->window_max) {
		p->window_max = batch->window_ticks;
	}
	rec(REC_WINDOW_CLOSE, batch->park.gen, batch->window_ticks);
	for (unsigned i = 0; i < batch->count; i++) {
		rec(REC_MAKE, batch->va[i].v, batch->fresh[i].v);
	}
	count(CTR_windows);
	count_add(CTR_makes, batch->count);
	if (inval_mode() != BBM_BBML2) {
		count_add(CTR_breaks, batch->count);
	}
	switch (batch->kind) {
	case INVAL_RANGE:
		count_add(CTR_tlbi_range, batch->tlbi_count);
		break;
	case INVAL_ALL:
		count(CTR_tlbi_all);
		break;
	default:
		for (unsigned i = 0; i < batch->count; i++) {
			count_add(CTR_tlbi_va, batch->leaves[i]);
		}
		break;
	}
}

static enum kerr open_and_change(struct inval_batch *batch)
{
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

		batch->steps->window(batch); /* R4 */
		batch->window_ticks = counter_now() - start;
	}
	park_end(&batch->park);
	return e;
}

static uint64_t flush_on_spx(void *arg)
{
	struct inval_batch *batch = arg;

	irq_mask();
	token_acquire();
	enum kerr e = batch->steps->admit(batch); /* R3; pin_grow() needs the token too */

	if (e == KERR_OK) {
		e = open_and_change(batch);
	}
	if (e == KERR_OK) {
		note_after(batch);
	}
	token_release();
	irq_unmask();
	return e;
}

enum kerr inval_flush(struct inval_batch *batch)
{
	KASSERT(batch->count > 0);
	KASSERT(!arch_on_spx());
	plan(batch);
	const enum kerr e = (enum kerr)arch_call_on_spx(flush_on_spx, batch);

	stop_poll();
	return e;
}

void inval_range_now(va_t at, uint64_t size, uint64_t stride)
{
	const uint64_t leaves = size / stride;

	dsb_ishst(); /* the walkers see the entries before the invalidation; pairs with the walk */
	if (leaves <= INVAL_VA_LIMIT) {
		for (uint64_t off = 0; off < size; off += stride) {
			tlbi_vaae1is(tlbi_operand_va(va(at.v + off)));
		}
		count_add(CTR_tlbi_va, leaves);
	} else if (cpu_features.tlb_range && size / PAGE_BYTES <= RANGE_PAGES_MAX) {
		tlbi_rvaae1is(tlbi_operand_range(at, size / PAGE_BYTES));
		count(CTR_tlbi_range);
	} else {
		tlbi_vmalle1is();
		count(CTR_tlbi_all);
	}
	dsb_ish();
	isb();
}
