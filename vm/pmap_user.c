/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/pmap_user.c - see vm/pmap_user.h.
 */
#include "vm/pmap_user.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <arch/tlb.h>
#include <arch/user.h>

#include "ipi/park.h"
#include "vm/asid.h"
#include "vm/pmap_update.h"

static uint64_t id_of(const struct pmap *pmap)
{
	return pmap != nullptr ? (uint64_t)(uintptr_t)&pmap->space : 0;
}

enum kerr pmap_user_init(struct pmap *pmap, struct memcharge *charge)
{
	*pmap = (struct pmap){ .lock = SPINLOCK("user pmap", LOCK_PMAP),
			       .user = true,
			       .windows = &pmap_windows[BBM_PARK][USER_HALF],
			       .own = &pmap->space,
			       .charge = charge };
	pmap->root = table_alloc(pmap, 0);
	return pmap->root != nullptr ? KERR_OK : KERR_NO_MEMORY;
}

/* ---- which CPU runs what ---- */

/* UM2: the words are cleared when the root is gone. */
static void leave(struct mailbox *m)
{
	arch_user_root_clear();
	store_release(&m->space, 0);
	store_release(&m->loaded, 0);
}

/* Whoever waits in evict() looks again. */
static void tell_evict(void)
{
	dsb_ishst();
	cpu_sev();
}

/* Say that we come, then see whether we may. False: the map is retired. */
static bool enter(struct mailbox *m, struct pmap *pmap)
{
	uint64_t open;

	store_seq_cst(&m->space, id_of(pmap));
	open = load_seq_cst(&pmap->space.window); /* pairs with open_window() and retire */
	if (likely(open == 0)) {
		return true;
	}
	const struct wait wait = wait_begin();

	while (open != 0 && open != PARK_SPACE_GONE) {
		wait_round(); /* R5: who opened the window may have seen us and asked */
		open = load_acquire(&pmap->space.window);
	}
	wait_end(&wait);
	return open == 0;
}

void pmap_activate(struct pmap *pmap)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());

	if (load_relaxed(&m->space) == id_of(pmap)) {
		return;
	}
	if (pmap == nullptr) {
		leave(m);
		return;
	}
	if (!enter(m, pmap)) {
		leave(m);
		tell_evict(); /* it may have seen us come */
		return;
	}
	const uint64_t number = asid_use(&pmap->space.asid);

	arch_user_root_load(heap_pa(pmap->root), number);
	store_release(&m->loaded, id_of(pmap));
	arch_predictor_enter(load_relaxed(&pmap->space.asid));
}

void pmap_leave_retired(void)
{
	struct mailbox *m = pcpu_mailbox(pcpu_this());
	const struct park_space *space = (const struct park_space *)(uintptr_t)m->space;

	/* While we name it nobody frees it. */
	if (space != nullptr && load_acquire(&space->window) == PARK_SPACE_GONE) {
		leave(m);
	}
	tell_evict(); /* perhaps we had left by ourselves, without a word */
}

/* ---- the end of a map ---- */

/* CPUs that name the map in either word. Pairs with enter(). */
static uint64_t cpus_with(uint64_t id)
{
	uint64_t cpus = 0;

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const struct mailbox *m = mailbox_of(cpu);

		if (load_seq_cst(&m->space) == id || load_acquire(&m->loaded) == id) {
			cpus |= UINT64_C(1) << cpu;
		}
	}
	return cpus;
}

static void evict(uint64_t id)
{
	const uint64_t me = UINT64_C(1) << cpu_number();
	uint64_t cpus = cpus_with(id);

	if ((cpus & me) != 0) {
		irq_mask();
		pmap_activate(nullptr);
		irq_unmask();
		cpus &= ~me;
	}
	if (cpus == 0) {
		return;
	}
	dsb_ishst(); /* PARK_SPACE_GONE is visible before the interrupt */
	arch_ipi_send(SGI_SPACE, cpus);
	while (cpus_with(id) != 0) {
		cpu_wfe();
	}
}

void pmap_user_retire(struct pmap *pmap)
{
	KASSERT(pmap->user);
	KASSERT(this_cpu()->mask_depth == 0);
	spin_lock(&pmap->lock);
	if (pmap_is_retired(pmap)) {
		spin_unlock(&pmap->lock);
		return;
	}
	/* Only who has the lock opens a window on this map: none is open. */
	KASSERT(load_relaxed(&pmap->space.window) == 0);
	store_seq_cst(&pmap->space.window, PARK_SPACE_GONE);
	spin_unlock(&pmap->lock);
	evict(id_of(pmap));
	if (load_relaxed(&pmap->space.asid) != 0) {
		dsb_ishst();
		tlbi_aside1is(tlbi_operand_asid(asid_number(load_relaxed(&pmap->space.asid))));
		dsb_ish();
		isb();
		count(CTR_tlbi_asid);
		asid_give_back(&pmap->space.asid);
	}
}

/* The tables under an entry of level 2: the one linked, or the one saved. */
static void free_level3(struct pmap *pmap, const struct table_notes *notes, const pte_t *table,
			unsigned i)
{
	const uint64_t saved = notes->saved[i];

	if (saved != 0) {
		table_free(pmap, (pte_t *)(uintptr_t)(saved & ~SAVED_STALE));
	}
	if (pte_is_table(table[i], 2)) {
		table_free(pmap, table_under(table[i]));
	}
}

/*
 * Depth-first, children before their parent; stops looking when only the path to here is left,
 * so that a sparse space costs what it has.
 */
static void free_tables(struct pmap *pmap)
{
	pte_t *table[3] = { pmap->root };
	unsigned next[3] = { 0 };
	unsigned level = 0;

	for (;;) {
		/* Of the path each table is one page; level 2 has a second, for what it saved. */
		const bool done = pmap->table_pages == level + (level == 2 ? 2u : 1u);

		if (next[level] == PT_ENTRIES || done) {
			table_free(pmap, table[level]);
			if (level-- == 0) {
				return;
			}
			continue;
		}
		const unsigned i = next[level]++;

		if (level == 2) {
			free_level3(pmap, notes_of(table[2]), table[2], i);
		} else if (pte_is_table(table[level][i], level)) {
			table[level + 1] = table_under(table[level][i]);
			if (level == 0) {
				/* A root that is given back leads nowhere. */
				pmap_write_entry(&pmap->root[i], (pte_t){ 0 });
			}
			next[++level] = 0;
		}
	}
}

void pmap_user_destroy(struct pmap *pmap)
{
	pmap_user_retire(pmap);
	free_tables(pmap);
	KASSERT(pmap->table_pages == 0); /* R10 */
	pmap->root = nullptr;
}

bool pmap_user_query(struct pmap *pmap, va_t at, pte_t *entry, uint64_t *bytes)
{
	spin_lock(&pmap->lock);
	const struct walk w = pmap_walk(pmap, at);

	spin_unlock(&pmap->lock);
	if (!pte_is_leaf(w.entry, w.level)) {
		return false;
	}
	*entry = w.entry;
	*bytes = leaf_span(w.entry, w.level);
	return true;
}
