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
 *   PE4  An access flag that a walker has set (FEAT_HAFDBS) is not lost by a change of permissions
 *        or of a run: AF = 0 is changed by exchange, AF = 1 is changed by nobody else, and a window
 *        takes over what its last look finds (ipi/inval.c).
 * LOCKING  pmap->lock.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <arch/tlb.h>

#include "pcpu/pcpu.h"
#include "pcpu/recorder.h"
#include "vm/pmap_update.h"

static always_inline void pte_store(pte_t *slot, pte_t e)
{
	arch_pte_store(slot, e);
}

/* The same in one atomic step, while the slot holds `was`; false: it holds something else. */
static always_inline bool pte_exchange(pte_t *slot, pte_t was, pte_t e)
{
	return arch_pte_exchange(slot, was, e);
}

/* The same for two neighbours; returns the slot behind them. */
static always_inline pte_t *pte_store_pair(pte_t *slot, pte_t first, pte_t second)
{
	return arch_pte_store_pair(slot, first, second);
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

static always_inline pte_t *unseen_pair(pte_t *slot, pte_t first, pte_t second)
{
	return pte_store_pair(slot, first, second);
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
static always_inline void invalidate_pages(const struct inval_batch *b, uint32_t spans)
{
	for (uint32_t i = 0; i < spans; i++) {
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
		invalidate_pages(b, count == 1 ? 1 : b->span_count);
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

/*
 * A full batch of a user space goes by address for all ASIDs, as the kernel's: to put the ASID into
 * 16 operands would take 16 instructions more while the entries are broken; so other spaces lose 16
 * TLB entries at most.
 */
#define HALF_OF_FULL(kind, half) ((kind) == INVAL_ALL ? (half) : KERNEL_HALF)

static always_inline void invalidate_half(const struct inval_batch *b, enum inval_kind kind,
					  uint32_t count, enum half half)
{
	if (half == USER_HALF) {
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

#define WINDOW_OF(name, kind, mode, half)                                        \
	static keeps_registers void name##_one(const struct inval_batch *b)      \
	{                                                                        \
		window_body(b, kind, 1, mode, half);                             \
	}                                                                        \
	static keeps_registers void name##_some(const struct inval_batch *b)     \
	{                                                                        \
		window_body(b, kind, b->count, mode, half);                      \
	}                                                                        \
	static keeps_registers void name##_full(const struct inval_batch *b)     \
	{                                                                        \
		window_body(b, kind, INVAL_MAX, mode, HALF_OF_FULL(kind, half)); \
	}
#define WINDOW(name, kind, mode) WINDOW_OF(name, kind, mode, KERNEL_HALF)
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
#define WINDOW(name, kind, mode) WINDOW_OF(name, kind, mode, USER_HALF)
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
#undef HALF_OF_FULL
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

const struct inval_windows pmap_windows[][2] = {
	[BBM_PARK] = { WINDOWS(pmap_window), USER_WINDOWS(pmap_window) },
	[BBM_RETRY] = { WINDOWS(pmap_retry), USER_WINDOWS(pmap_retry) },
	[BBM_BBML2] = { WINDOWS(pmap_bbml2), USER_WINDOWS(pmap_bbml2) },
	[BBM_NAIVE] = { WINDOWS(pmap_retry), USER_WINDOWS(pmap_retry) },
};

noinline void pmap_note_failure(enum kerr e, uint64_t culprits)
{
	if (e == KERR_PINNED) {
		count(CTR_refused);
	} else if (e == KERR_CHANGED) {
		count(CTR_changed);
	} else if (e == KERR_BUSY) {
		park_report_culprits(culprits);
	}
}

static enum kerr flush(struct inval_batch *b)
{
	const enum half half = b->park.space != nullptr ? USER_HALF : KERNEL_HALF;
	const enum kerr e = inval_flush(b, &pmap_windows[inval_mode()][half]);

	if (e != KERR_OK) {
		pmap_note_failure(e, b->park.culprits);
	}
	return e;
}

static void add_change(struct inval_batch *b, const struct pmap_change *c)
{
	const bool was_table = pte_is_table(c->expected, c->level);

	KASSERT(pte_is_valid(c->expected) && pte_is_valid(c->fresh));
	KASSERT(!was_table || !pte_is_table(c->fresh, c->level));
	struct inval_span *span = inval_add(b, 1);

	b->entry[span->first] = (struct inval_entry){
		.slot = c->slot,
		.fresh = c->fresh,
		.expected = c->expected,
	};
	span->va = c->va;
	span->pa = pte_pa(was_table ? c->fresh : c->expected);
	span->size = level_bytes(c->level);
	span->operands = was_table ? PT_ENTRIES : 1;
}

/* As if one after the other: a neighbour that is still to come counts as it was. */
static void account_batch(const struct pmap_change *change, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct pmap_change *c = &change[i];
		struct neighbours by = neighbours_of(c->slot);

		for (unsigned later = i + 1; later < count; later++) {
			if (change[later].slot == c->slot - 1) {
				by.left = change[later].expected;
			} else if (change[later].slot == c->slot + 1) {
				by.right = change[later].expected;
			}
		}
		account_change(notes_of(table_of(c->slot)), c, by);
	}
}

enum kerr pmap_flush_one(struct pmap *pmap, struct pmap_change c)
{
	struct inval_batch b;

	KASSERT_HELD(&pmap->lock);
	inval_begin(&b, space_of(pmap), pmap->caller);
	add_change(&b, &c);
	return flush(&b);
}

enum kerr pmap_update_entry(struct pmap *pmap, pte_t *slot, va_t at, unsigned level, pte_t expected,
			    pte_t fresh)
{
	const struct pmap_change change = { slot, at, level, expected, fresh };
	const enum kerr e = pmap_flush_one(pmap, change);

	if (e == KERR_OK) {
		account_change(notes_of(table_of(slot)), &change, neighbours_of(slot));
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
		add_change(&b, &change[i]);
	}
	const enum kerr e = flush(&b);

	if (e == KERR_OK) {
		account_batch(change, count);
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

/* Permissions and software bits of a live leaf, beside a walker that may set AF (PE4). */
static always_inline void protect_store(pte_t *slot, pte_t was, pte_t e)
{
	KASSERT(pte_is_protect_change(was, e)); /* R2 */
	if (unlikely((was.v & PTE_AF) == 0)) {
		if (pte_exchange(slot, was, e)) {
			return;
		}
		e.v |= PTE_AF; /* the one other change there can be */
	}
	pte_store(slot, e);
}

void pmap_protect_entry(const struct walk *w, pte_t e)
{
	pte_t *slot = w->slot;
	const pte_t was = arch_pte_load(slot);

	KASSERT((was.v & PTE_CONT) == 0); /* a run changes as a whole: pmap_update_run() */
	e.v |= was.v & PTE_AF; /* a CPU may have set it since the caller looked */
	protect_store(slot, was, e);
	if (likely(w->level == 3)) { /* as a constant, which makes it short */
		account_protect(walk_notes(w), 3, slot, was, e);
	} else {
		account_protect(walk_notes(w), w->level, slot, was, e);
	}
	count(CTR_protects);
	rec(REC_PROTECT, (uint64_t)(uintptr_t)slot, e.v);
}

static always_inline pte_t protected(pte_t was, uint64_t attr)
{
	return (pte_t){ (was.v & ~PTE_PROTECT_MASK) | attr };
}

/* Two neighbours whose access flags are set; returns the slot behind them. */
static always_inline pte_t *protect_pair(pte_t *slot, uint64_t attr)
{
	pte_t a;
	pte_t b;

	arch_pte_load_pair(slot, &a, &b);
	KASSERT(pte_is_protect_change(a, protected(a, attr))); /* R2 */
	KASSERT(pte_is_protect_change(b, protected(b, attr)));
	return pte_store_pair(slot, protected(a, attr), protected(b, attr));
}

/* Up to `end`, one by one. */
static void protect_each(pte_t *at, const pte_t *end, uint64_t attr)
{
	for (; at < end; at++) {
		const pte_t was = arch_pte_load(at);

		protect_store(at, was, protected(was, attr));
	}
}

void pmap_protect_pages(pte_t *slot, unsigned count, uint64_t attr)
{
	const struct table_notes *notes = notes_of(table_of(slot));
	const bool uniform = notes->breaks == 0;
	const enum account_pairs which = uniform ? ACCOUNT_ENDS : ACCOUNT_ALL;
	/* Where walkers set AF, one by one. */
	const pte_t *pairs = slot + (cpu_features.hafdbs ? 0 : align_down(count, CONT_ENTRIES));
	pte_t *at = slot;

	KASSERT((notes->contiguous & table_groups(slot, count)) == 0);
	KASSERT((attr & ~PTE_PROTECT_MASK) == 0); /* R2 */
	table_account_pairs(slot, count, which, -1);
	while (at < pairs) {
#pragma clang loop unroll(full)
		for (unsigned i = 0; i < CONT_ENTRIES; i += 2) {
			at = protect_pair(at, attr);
		}
	}
	protect_each(at, slot + count, attr);
	table_account_pairs(slot, count, which, 1);
	count_add(CTR_protects, count);
	rec(REC_PROTECT, (uint64_t)(uintptr_t)slot, arch_pte_load(slot).v);
}

static void clear_slots(pte_t *slot, unsigned count)
{
	const pte_t *end = slot + count;

	while (end - slot >= CONT_ENTRIES) {
#pragma clang loop unroll(full)
		for (unsigned i = 0; i < CONT_ENTRIES; i += 2) {
			slot = unseen_pair(slot, (pte_t){ 0 }, (pte_t){ 0 });
		}
	}
	for (; slot < end; slot++) {
		unseen_store(slot, (pte_t){ 0 });
	}
}

void pmap_remove_pages(pte_t *slot, unsigned count)
{
	const unsigned before = notes_of(table_of(slot))->valid;

	table_account_removal(slot, count);
	clear_slots(slot, count);
	count_add(CTR_removes, before - notes_of(table_of(slot))->valid);
}

void pmap_write_entry(pte_t *slot, pte_t e)
{
	const pte_t was = arch_pte_load(slot);

	KASSERT(!pte_is_valid(was) || !pte_is_valid(e)); /* R2 */
	unseen_store(slot, e);
	table_account(slot, was, e);
	count(pte_is_valid(e) ? CTR_installs : CTR_removes);
}

void pmap_fill_table(pte_t *table, pte_t block, unsigned level, unsigned loose)
{
	const uint64_t step = level_bytes(level);
	pte_t even = pte_leaf(pte_pa(block), pte_attr(block) | PTE_CONT, level);
	pte_t odd = { even.v + step };
	pte_t *slot = table;

	for (unsigned group = 0; group < PT_GROUPS; group++) {
#pragma clang loop unroll(full)
		for (unsigned i = 0; i < CONT_ENTRIES; i += 2) {
			slot = unseen_pair(slot, even, odd);
			even.v += 2 * step;
			odd.v += 2 * step;
			/* Two sums kept are fewer instructions than sixteen offsets. */
			__asm__("" : "+r"(even.v), "+r"(odd.v));
		}
	}
	table_account_uniform(table);
	pmap_loosen_group(table, notes_of(table), loose);
}

void pmap_clear_table(pte_t *table)
{
	clear_slots(table, PT_ENTRIES);
}

keeps_registers void pmap_loosen_group(pte_t *table, struct table_notes *notes, unsigned group)
{
	pte_t *slot = &table[group * CONT_ENTRIES];

#pragma clang loop unroll(full)
	for (unsigned i = 0; i < CONT_ENTRIES; i += 2) {
		pte_t a;
		pte_t b;

		arch_pte_load_pair(slot, &a, &b);
		slot = unseen_pair(slot, (pte_t){ a.v & ~PTE_CONT }, (pte_t){ b.v & ~PTE_CONT });
	}
	/* nothing else depends on the bit */
	notes->contiguous &= ~(UINT32_C(1) << group);
}
