/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_entry.c - every store to a translation table.
 *
 * THEORY   pte_store() is the only store, and has three callers: the windows' (window_store),
 *          permission changes (pmap_protect_entry), and stores that no CPU can have cached (unseen_store:
 *          entries that were or become invalid, tables that no walk reaches).
 *          Whoever reads this file has read all that Perch ever does to a table.
 * INVARIANTS
 *   PE1  The window touches its batch, table memory and nothing else, and calls nothing (R4).
 *   PE2  Between the break and the make: DSB ISHST, TLBI, DSB ISH, ISB (Arm ARM D8.16.1).
 *   PE3  After the make: DSB ISHST, ISB.
 * LOCKING  pmap->lock.
 */
#include <arch/barrier.h>
#include <arch/tlb.h>

#include "ipi/inval.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "pcpu/recorder.h"
#include "vm/pmap_impl.h"

static always_inline void pte_store(pte_t *slot, pte_t e)
{
	arch_pte_store(slot, e);
}

/* The windows' store: break or make entry i of a batch. */
static always_inline void window_store(const struct inval_batch *b, unsigned i, pte_t e)
{
	pte_store(b->slot[i], e);
}

/* A store that no CPU can have cached: from invalid, to invalid, or in a table that no walk reaches. */
static always_inline void unseen_store(pte_t *slot, pte_t e)
{
	pte_store(slot, e);
}

/*
 * Do something for entries count-1 .. 0, unrolled: without a loop's own instructions an entry costs
 * two instructions a step, and the bound on the window can be read off the disassembly.
 */
#define FOR_EACH_UNROLLED(count, DO) \
	do {                         \
		switch (count) {     \
		case 16:             \
			DO(15);      \
			[[fallthrough]]; \
		case 15:             \
			DO(14);      \
			[[fallthrough]]; \
		case 14:             \
			DO(13);      \
			[[fallthrough]]; \
		case 13:             \
			DO(12);      \
			[[fallthrough]]; \
		case 12:             \
			DO(11);      \
			[[fallthrough]]; \
		case 11:             \
			DO(10);      \
			[[fallthrough]]; \
		case 10:             \
			DO(9);       \
			[[fallthrough]]; \
		case 9:              \
			DO(8);       \
			[[fallthrough]]; \
		case 8:              \
			DO(7);       \
			[[fallthrough]]; \
		case 7:              \
			DO(6);       \
			[[fallthrough]]; \
		case 6:              \
			DO(5);       \
			[[fallthrough]]; \
		case 5:              \
			DO(4);       \
			[[fallthrough]]; \
		case 4:              \
			DO(3);       \
			[[fallthrough]]; \
		case 3:              \
			DO(2);       \
			[[fallthrough]]; \
		case 2:              \
			DO(1);       \
			[[fallthrough]]; \
		default:             \
			DO(0);       \
		}                    \
	} while (0)

/* Forced by a test or a benchmark: one TLBI for every page under the old entries. */
static noinline void tlbi_page_by_page(const struct inval_batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		const uint64_t step = b->size[i] / b->leaves[i];

		for (uint64_t page = 0; page < b->leaves[i]; page++) {
			tlbi_vaae1is(tlbi_operand_va(va(b->va[i].v + page * step)));
		}
	}
}

static always_inline void window_invalidate(const struct inval_batch *b)
{
#define TLBI_VA(i) tlbi_vaae1is(b->tlbi[i])
#define TLBI_RANGE(i) tlbi_rvaae1is(b->tlbi[i])
	switch (b->kind) {
	case INVAL_ALL:
		tlbi_vmalle1is();
		break;
	case INVAL_RANGE:
		FOR_EACH_UNROLLED(b->tlbi_count, TLBI_RANGE);
		break;
	default:
		if (unlikely(b->leaves[0] > 1)) {
			tlbi_page_by_page(b);
		} else {
			FOR_EACH_UNROLLED(b->tlbi_count, TLBI_VA);
		}
		break;
	}
#undef TLBI_VA
#undef TLBI_RANGE
}

/* The window: on SPx, masked, others parked; see R4, PE1 to PE3. */
static void pmap_window(const struct inval_batch *b)
{
#define BREAK(i) window_store(b, i, (pte_t){ 0 })
#define MAKE(i) window_store(b, i, b->fresh[i])
	if (b->count == 1) {
		BREAK(0);
	} else {
		FOR_EACH_UNROLLED(b->count, BREAK);
	}
	dsb_ishst(); /* the walkers of every CPU see the break; pairs with the TLBI */
	window_invalidate(b);
	dsb_ish(); /* complete everywhere, and so is every access that used the old entry */
	isb();
	if (b->count == 1) {
		MAKE(0);
	} else {
		FOR_EACH_UNROLLED(b->count, MAKE);
	}
	dsb_ishst(); /* visible to walkers before the release; pairs with the ISB of park_answer(), door_enter() */
	isb();
}

/* Mode retry and naive: the same with a delay, so that others do meet the broken entry. */
static void pmap_window_slow(const struct inval_batch *b)
{
	FOR_EACH_UNROLLED(b->count, BREAK);
	dsb_ishst();
	window_invalidate(b);
	dsb_ish();
	isb();
	for (uint64_t round = inval_window_delay(); round > 0; round--) {
		__asm__ volatile("yield" ::: "memory");
	}
	FOR_EACH_UNROLLED(b->count, MAKE);
	dsb_ishst();
	isb();
}

/* FEAT_BBM level 2: one valid entry over another, then forget the old one. */
static void pmap_window_bbml2(const struct inval_batch *b)
{
	FOR_EACH_UNROLLED(b->count, MAKE);
	dsb_ishst();
	window_invalidate(b);
	dsb_ish();
	isb();
}
#undef BREAK
#undef MAKE

/* R3: by virtual and by physical address, at every level, in every build. Token held. */
static enum kerr pmap_admit(const struct inval_batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		if (pin_overlaps_va(b->va[i], b->size[i]) != nullptr ||
		    pin_overlaps_pa(b->pa[i], b->size[i]) != nullptr) {
			return KERR_PINNED;
		}
	}
	return KERR_OK;
}

/* Addresses whose mapping may ever be broken. An O(1) second opinion, independent of the register. */
static bool may_break(va_t at)
{
	return at.v - LINEAR_BASE < LINEAR_BYTES || at.v - KMAP_BASE < KMAP_BYTES;
}

/* Everyone is parked: the last look before the break. */
static enum kerr pmap_check(const struct inval_batch *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		KASSERT(may_break(b->va[i])); /* R3 */
		if (arch_pte_load(b->slot[i]).v != b->expected[i].v) {
			return KERR_CHANGED;
		}
	}
	return KERR_OK;
}

static const struct inval_steps *steps_of_mode(void)
{
	static const struct inval_steps park = { pmap_admit, pmap_check, pmap_window };
	static const struct inval_steps slow = { pmap_admit, pmap_check, pmap_window_slow };
	static const struct inval_steps bbml2 = { pmap_admit, pmap_check, pmap_window_bbml2 };

	switch (inval_mode()) {
	case BBM_RETRY:
	case BBM_NAIVE:
		return &slow;
	case BBM_BBML2:
		return &bbml2;
	default:
		return &park;
	}
}

static enum kerr flush(struct inval_batch *b)
{
	const enum kerr e = inval_flush(b);

	if (e == KERR_PINNED) {
		count(CTR_refused);
	} else if (e == KERR_CHANGED) {
		count(CTR_changed);
	} else if (e == KERR_BUSY) {
		park_report_culprits(b->park.culprits);
	} else {
		/* A batch is one entry, or the neighbours of one run. */
		table_account(b->slot[0], b->expected, b->fresh, b->count);
	}
	return e;
}

enum kerr pmap_update_entry(struct pmap *pmap, pte_t *slot, va_t at, unsigned level, pte_t expected,
			    pte_t fresh)
{
	struct inval_batch b;
	const bool was_table = pte_is_table(expected, level);

	KASSERT_HELD(&pmap->lock);
	KASSERT(pte_is_valid(expected) && pte_is_valid(fresh));
	KASSERT(!was_table || !pte_is_table(fresh, level)); /* one of them is the memory itself */
	inval_begin(&b, steps_of_mode());
	inval_add(&b, &(struct inval_entry){
			      .slot = slot,
			      .expected = expected,
			      .fresh = fresh,
			      .va = at,
			      .pa = pte_pa(was_table ? fresh : expected),
			      .size = level_bytes(level),
			      .leaves = was_table ? PT_ENTRIES : 1,
		      });
	return flush(&b);
}

enum kerr pmap_update_run(struct pmap *pmap, pte_t *first, va_t at, unsigned level, const pte_t *expected,
			  const pte_t *fresh)
{
	struct inval_batch b;

	KASSERT_HELD(&pmap->lock);
	KASSERT(slot_index(first) % CONT_ENTRIES == 0);
	inval_begin(&b, steps_of_mode());
	for (unsigned i = 0; i < CONT_ENTRIES; i++) {
		inval_add(&b, &(struct inval_entry){
				      .slot = first + i,
				      .expected = expected[i],
				      .fresh = fresh[i],
				      .va = va(at.v + i * level_bytes(level)),
				      .pa = pte_pa(expected[i]),
				      .size = level_bytes(level),
				      .leaves = 1,
			      });
	}
	return flush(&b);
}

void pmap_protect_entry(pte_t *slot, pte_t e)
{
	const pte_t was = arch_pte_load(slot);

	KASSERT(pte_is_protect_change(was, e)); /* R2 */
	KASSERT((was.v & PTE_CONT) == 0);       /* a run changes as a whole: pmap_update_run() */
	pte_store(slot, e);
	table_account(slot, &was, &e, 1);
	count(CTR_protects);
	rec(REC_PROTECT, (uint64_t)(uintptr_t)slot, e.v);
}

void pmap_write_entry(pte_t *slot, pte_t e)
{
	const pte_t was = arch_pte_load(slot);

	KASSERT(!pte_is_valid(was) || !pte_is_valid(e)); /* R2 */
	unseen_store(slot, e);
	table_account(slot, &was, &e, 1);
	count(pte_is_valid(e) ? CTR_installs : CTR_removes);
}

void pmap_fill_table(pte_t *table, pte_t block, unsigned level, uint32_t contiguous)
{
	pte_t e = pte_leaf(pte_pa(block), pte_attr(block), level);

	for (unsigned group = 0; group < PT_GROUPS; group++) {
		const uint64_t cont = (contiguous >> group & 1) != 0 ? PTE_CONT : 0;

		for (unsigned i = 0; i < CONT_ENTRIES; i++) {
			unseen_store(&table[group * CONT_ENTRIES + i], (pte_t){ e.v | cont });
			e.v += level_bytes(level);
		}
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
		const pte_t was = arch_pte_load(&slot[i]);
		const pte_t now = { was.v & ~PTE_CONT };

		unseen_store(&slot[i], now);
		table_account(&slot[i], &was, &now, 1);
	}
}
