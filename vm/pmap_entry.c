/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_entry.c - every store to a translation table.
 *
 * THEORY   pte_store() is the only store, and has three callers: the windows' (window_store),
 *          permission changes (pmap_protect_entry), and stores that no CPU can have cached
 *          (unseen_store:
 *          entries that were or become invalid, tables that no walk reaches).
 *          Whoever reads this file has read all that Perch ever does to a table.
 * INVARIANTS
 *   PE1  The window touches its batch, table memory and nothing else, and calls nothing (R4).
 *   PE2  Between the break and the make: DSB ISHST, TLBI, DSB ISH, ISB (Arm ARM D8.16.1).
 *   PE3  After the make: DSB ISHST, ISB.
 * LOCKING  pmap->lock.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/tlb.h>

#include "ipi/inval.h"
#include "pcpu/pcpu.h"
#include "pcpu/recorder.h"
#include "vm/pmap_impl.h"

static always_inline void pte_store(pte_t *slot, pte_t e)
{
	arch_pte_store(slot, e);
}

/* The windows' store: break or make entry i of a batch. */
static always_inline void window_store(const struct inval_batch *b, unsigned i, pte_t e)
{
	pte_store(b->entry[i].slot, e);
}

/*
 * A store that no CPU can have cached: from invalid, to invalid, or in a table that no walk
 * reaches.
 */
static always_inline void unseen_store(pte_t *slot, pte_t e)
{
	pte_store(slot, e);
}

/*
 * Do something for entries count-1 .. 0, unrolled: without a loop's own instructions an entry costs
 * two instructions a step, and the bound on the window can be read off the disassembly.
 */
#define FOR_EACH_UNROLLED(count, DO)     \
	do {                             \
		switch (count) {         \
		case 16:                 \
			DO(15);          \
			[[fallthrough]]; \
		case 15:                 \
			DO(14);          \
			[[fallthrough]]; \
		case 14:                 \
			DO(13);          \
			[[fallthrough]]; \
		case 13:                 \
			DO(12);          \
			[[fallthrough]]; \
		case 12:                 \
			DO(11);          \
			[[fallthrough]]; \
		case 11:                 \
			DO(10);          \
			[[fallthrough]]; \
		case 10:                 \
			DO(9);           \
			[[fallthrough]]; \
		case 9:                  \
			DO(8);           \
			[[fallthrough]]; \
		case 8:                  \
			DO(7);           \
			[[fallthrough]]; \
		case 7:                  \
			DO(6);           \
			[[fallthrough]]; \
		case 6:                  \
			DO(5);           \
			[[fallthrough]]; \
		case 5:                  \
			DO(4);           \
			[[fallthrough]]; \
		case 4:                  \
			DO(3);           \
			[[fallthrough]]; \
		case 3:                  \
			DO(2);           \
			[[fallthrough]]; \
		case 2:                  \
			DO(1);           \
			[[fallthrough]]; \
		default:                 \
			DO(0);           \
		}                        \
	} while (0)

#define BREAK(i) window_store(b, i, (pte_t){ 0 })
#define MAKE(i) window_store(b, i, b->entry[i].fresh)
#define TLBI_VA(i) tlbi_vaae1is(b->entry[i].tlbi)
#define TLBI_RANGE(i) tlbi_rvaae1is(b->entry[i].tlbi)
#define TLBI_USER_VA(i) tlbi_vae1is(b->entry[i].tlbi | asid)
#define TLBI_USER_RANGE(i) tlbi_rvae1is(b->entry[i].tlbi | asid)

/* Forced by a test or a benchmark: one TLBI for every page under the old entries. */
static always_inline void invalidate_pages(const struct inval_batch *b)
{
	for (uint32_t i = 0; i < b->span_count; i++) {
		const struct inval_span *s = &b->span[i];

		for (uint64_t off = 0; off < s->size; off += PAGE_BYTES) {
			tlbi_vaae1is(tlbi_operand_va(va(s->va.v + off)));
		}
	}
}

/*
 * The same for a user space, by its ASID. That is read after the break is visible: whoever gives
 * the space another number later, walks later and finds the break (pairs with asid_use(), AS4).
 */
static always_inline void invalidate_user(const struct inval_batch *b, enum inval_kind kind,
					  uint32_t count)
{
	const uint64_t asid = tlbi_operand_asid(load_relaxed(&b->park.space->asid));

	if (kind == INVAL_RANGE) {
		FOR_EACH_UNROLLED(count, TLBI_USER_RANGE);
	} else if (kind == INVAL_VA) {
		FOR_EACH_UNROLLED(count, TLBI_USER_VA);
	} else {
		tlbi_aside1is(asid);
	}
}

static always_inline void invalidate(const struct inval_batch *b, enum inval_kind kind,
				     uint32_t count)
{
	if (kind == INVAL_ALL) {
		tlbi_vmalle1is();
	} else if (kind == INVAL_PAGES) {
		invalidate_pages(b);
	} else if (kind == INVAL_RANGE) {
		FOR_EACH_UNROLLED(count, TLBI_RANGE);
	} else {
		FOR_EACH_UNROLLED(count, TLBI_VA);
	}
}

/* Mode retry and naive: the entry stays broken for a while, so that others do meet it. */
static always_inline void linger(void)
{
	for (uint64_t round = inval_window_delay(); round > 0; round--) {
		__asm__ volatile("yield" ::: "memory");
	}
}

/* Whose map a window changes. */
enum half { KERNEL, USER };

static always_inline void invalidate_half(const struct inval_batch *b, enum inval_kind kind,
					  uint32_t count, enum half half)
{
	if (half == USER) {
		invalidate_user(b, kind, count);
	} else {
		invalidate(b, kind, count);
	}
}

/*
 * The window (R4, PE1 to PE3), as straight code for each kind: `kind`, `mode`, `half` and, but for
 * INVAL_SOME, `count` are constants where it is inlined.
 */
static always_inline void window_body(const struct inval_batch *b, enum inval_kind kind,
				      uint32_t count, enum bbm_mode mode, enum half half)
{
	if (mode != BBM_BBML2) {
		FOR_EACH_UNROLLED(count, BREAK);
		dsb_ishst(); /* the walkers of every CPU see the break; pairs with the TLBI */
		invalidate_half(b, kind, count, half);
		dsb_ish(); /* complete everywhere, and so is every access that used the old entry */
		isb();
		if (mode == BBM_RETRY) {
			linger();
		}
		FOR_EACH_UNROLLED(count, MAKE);
		/* Visible to walkers before the release: pairs with park_answer(), door_enter(). */
		dsb_ishst();
		isb();
	} else {
		dsb_ishst(); /* what a new table holds is there before the table is */
		FOR_EACH_UNROLLED(count, MAKE); /* FEAT_BBM level 2: one valid entry over another */
		dsb_ishst();
		invalidate_half(b, kind, count, half);
		dsb_ish(); /* and the old one is forgotten */
		isb();
	}
}

#define WINDOW_OF(name, kind, mode, half)                    \
	static void name##_one(const struct inval_batch *b)  \
	{                                                    \
		window_body(b, kind, 1, mode, half);         \
	}                                                    \
	static void name##_some(const struct inval_batch *b) \
	{                                                    \
		window_body(b, kind, b->count, mode, half);  \
	}                                                    \
	static void name##_full(const struct inval_batch *b) \
	{                                                    \
		window_body(b, kind, INVAL_MAX, mode, half); \
	}
#define WINDOW(name, kind, mode) WINDOW_OF(name, kind, mode, KERNEL)
WINDOW(pmap_window_va, INVAL_VA, BBM_PARK)
WINDOW(pmap_window_range, INVAL_RANGE, BBM_PARK)
WINDOW(pmap_window_all, INVAL_ALL, BBM_PARK)
WINDOW(pmap_window_pages, INVAL_PAGES, BBM_PARK)
WINDOW(pmap_retry_va, INVAL_VA, BBM_RETRY)
WINDOW(pmap_retry_range, INVAL_RANGE, BBM_RETRY)
WINDOW(pmap_retry_all, INVAL_ALL, BBM_RETRY)
WINDOW(pmap_retry_pages, INVAL_PAGES, BBM_RETRY)
WINDOW(pmap_bbml2_va, INVAL_VA, BBM_BBML2)
WINDOW(pmap_bbml2_range, INVAL_RANGE, BBM_BBML2)
WINDOW(pmap_bbml2_all, INVAL_ALL, BBM_BBML2)
WINDOW(pmap_bbml2_pages, INVAL_PAGES, BBM_BBML2)
#undef WINDOW
/* One ASID goes whole rather than page by page: there is no user window of INVAL_PAGES. */
#define WINDOW(name, kind, mode) WINDOW_OF(name, kind, mode, USER)
WINDOW(pmap_window_user_va, INVAL_VA, BBM_PARK)
WINDOW(pmap_window_user_range, INVAL_RANGE, BBM_PARK)
WINDOW(pmap_window_user_all, INVAL_ALL, BBM_PARK)
WINDOW(pmap_retry_user_va, INVAL_VA, BBM_RETRY)
WINDOW(pmap_retry_user_range, INVAL_RANGE, BBM_RETRY)
WINDOW(pmap_retry_user_all, INVAL_ALL, BBM_RETRY)
WINDOW(pmap_bbml2_user_va, INVAL_VA, BBM_BBML2)
WINDOW(pmap_bbml2_user_range, INVAL_RANGE, BBM_BBML2)
WINDOW(pmap_bbml2_user_all, INVAL_ALL, BBM_BBML2)
#undef WINDOW
#undef WINDOW_OF
#undef BREAK
#undef MAKE
#undef TLBI_VA
#undef TLBI_RANGE
#undef TLBI_USER_VA
#undef TLBI_USER_RANGE

#define SHAPES(name) { name##_one, name##_some, name##_full }
#define WINDOWS(prefix)                                         \
	{                                                       \
		{                                               \
			[INVAL_VA] = SHAPES(prefix##_va),       \
			[INVAL_RANGE] = SHAPES(prefix##_range), \
			[INVAL_ALL] = SHAPES(prefix##_all),     \
			[INVAL_PAGES] = SHAPES(prefix##_pages), \
		},                                              \
	}

#define USER_WINDOWS(prefix)                                         \
	{                                                            \
		{                                                    \
			[INVAL_VA] = SHAPES(prefix##_user_va),       \
			[INVAL_RANGE] = SHAPES(prefix##_user_range), \
			[INVAL_ALL] = SHAPES(prefix##_user_all),     \
			[INVAL_PAGES] = SHAPES(prefix##_user_all),   \
		},                                                   \
	}

static const struct inval_windows windows[][2] = {
	[BBM_PARK] = { WINDOWS(pmap_window), USER_WINDOWS(pmap_window) },
	[BBM_RETRY] = { WINDOWS(pmap_retry), USER_WINDOWS(pmap_retry) },
	[BBM_BBML2] = { WINDOWS(pmap_bbml2), USER_WINDOWS(pmap_bbml2) },
	[BBM_NAIVE] = { WINDOWS(pmap_retry), USER_WINDOWS(pmap_retry) },
};

/* Why a change did not happen. */
static noinline enum kerr note_failure(enum kerr e, uint64_t culprits)
{
	if (e == KERR_PINNED) {
		count(CTR_refused);
	} else if (e == KERR_CHANGED) {
		count(CTR_changed);
	} else if (e == KERR_BUSY) {
		park_report_culprits(culprits);
	}
	return e;
}

static always_inline enum kerr flush(struct inval_batch *b)
{
	const enum half half = b->park.space != nullptr ? USER : KERNEL;
	const enum kerr e = inval_flush(b, &windows[inval_mode()][half]);

	return likely(e == KERR_OK) ? e : note_failure(e, b->park.culprits);
}

static always_inline void add_change(struct inval_batch *b, pte_t *slot, va_t at, unsigned level,
				     pte_t expected, pte_t fresh)
{
	const bool was_table = pte_is_table(expected, level);

	KASSERT(pte_is_valid(expected) && pte_is_valid(fresh));
	KASSERT(!was_table || !pte_is_table(fresh, level)); /* one of them is the memory itself */
	struct inval_span *span = inval_add(b, 1);

	b->entry[span->first] =
		(struct inval_entry){ .slot = slot, .fresh = fresh, .expected = expected };
	span->va = at;
	span->pa = pte_pa(was_table ? fresh : expected);
	span->size = level_bytes(level);
	span->operands = was_table ? PT_ENTRIES : 1;
}

enum kerr pmap_update_entry(struct pmap *pmap, pte_t *slot, va_t at, unsigned level, pte_t expected,
			    pte_t fresh)
{
	struct inval_batch b;

	KASSERT_HELD(&pmap->lock);
	inval_begin(&b, space_of(pmap), pmap->caller);
	add_change(&b, slot, at, level, expected, fresh);
	const enum kerr e = flush(&b);

	if (likely(e == KERR_OK)) {
		table_account(slot, expected, fresh);
	}
	return e;
}

enum kerr pmap_update_batch(struct pmap *pmap, const struct pmap_change *change, unsigned count)
{
	struct inval_batch b;

	KASSERT_HELD(&pmap->lock);
	KASSERT(count > 0 && count <= INVAL_MAX);
	inval_begin(&b, space_of(pmap), pmap->caller);
	for (unsigned i = 0; i < count; i++) {
		const struct pmap_change *c = &change[i];

		add_change(&b, c->slot, c->va, c->level, c->expected, c->fresh);
	}
	const enum kerr e = flush(&b);

	if (e == KERR_OK) {
		/* As if one after the other: a neighbour that is still to come counts as it was. */
		table_account_batch(change, count);
	}
	return e;
}

enum kerr pmap_update_run(struct pmap *pmap, pte_t *first, va_t at, unsigned level, uint64_t set,
			  uint64_t clear)
{
	struct inval_batch b;

	KASSERT_HELD(&pmap->lock);
	KASSERT(slot_index(first) % CONT_ENTRIES == 0);
	inval_begin(&b, space_of(pmap), pmap->caller);
	struct inval_span *span = inval_add(&b, CONT_ENTRIES);

	span->va = at;
	span->pa = pte_pa(arch_pte_load(first));
	span->size = level_bytes(level) * CONT_ENTRIES;
	span->operands = CONT_ENTRIES;
	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		const pte_t was = arch_pte_load(first + i);

		b.entry[i].slot = first + i;
		b.entry[i].expected = was;
		b.entry[i].fresh = (pte_t){ (was.v & ~clear) | set };
	}
	const enum kerr e = flush(&b);

	if (e == KERR_OK) {
		const struct inval_entry *head = &b.entry[0];
		const struct inval_entry *tail = &b.entry[CONT_ENTRIES - 1];

		table_account_run(first, (pte_t[]){ head->expected, tail->expected },
				  (pte_t[]){ head->fresh, tail->fresh });
	}
	return e;
}

void pmap_protect_entry(pte_t *slot, pte_t e)
{
	const pte_t was = arch_pte_load(slot);

	KASSERT(pte_is_protect_change(was, e)); /* R2 */
	KASSERT((was.v & PTE_CONT) == 0); /* a run changes as a whole: pmap_update_run() */
	pte_store(slot, e);
	table_account(slot, was, e);
	count(CTR_protects);
	rec(REC_PROTECT, (uint64_t)(uintptr_t)slot, e.v);
}

void pmap_write_entry(pte_t *slot, pte_t e)
{
	const pte_t was = arch_pte_load(slot);

	KASSERT(!pte_is_valid(was) || !pte_is_valid(e)); /* R2 */
	unseen_store(slot, e);
	table_account(slot, was, e);
	count(pte_is_valid(e) ? CTR_installs : CTR_removes);
}

void pmap_fill_table(pte_t *table, pte_t block, unsigned level, uint32_t contiguous)
{
	const uint64_t step = level_bytes(level);
	pte_t e = pte_leaf(pte_pa(block), pte_attr(block), level);

	for (unsigned group = 0; group < PT_GROUPS; group++) {
		const uint64_t cont = (contiguous >> group & 1) != 0 ? PTE_CONT : 0;

#pragma clang loop unroll(full)
		for (unsigned i = 0; i < CONT_ENTRIES; i++) {
			unseen_store(&table[group * CONT_ENTRIES + i],
				     (pte_t){ (e.v | cont) + i * step });
		}
		e.v += CONT_ENTRIES * step;
	}
	table_account_uniform(table, contiguous);
}

void pmap_clear_table(pte_t *table)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		unseen_store(&table[i], (pte_t){ 0 });
	}
}

void pmap_loosen_group(pte_t *table, unsigned group)
{
	pte_t *slot = &table[group * CONT_ENTRIES];

	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		unseen_store(&slot[i], (pte_t){ arch_pte_load(&slot[i]).v & ~PTE_CONT });
	}
	notes_of(table)->contiguous &=
		~(UINT32_C(1) << group); /* nothing else depends on the bit */
}
