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

/* What one step of the end looks at: so many empty entries, or fewer that tables hang from. */
#define STEP_ENTRIES 1024
#define ENTRIES_A_TABLE 32

/* The tables under an entry of level 2: the one linked, or the one saved. Returns how many. */
static unsigned free_level3(struct pmap *pmap, const struct table_notes *notes, const pte_t *table,
			    unsigned i)
{
	const uint64_t saved = notes->saved[i];
	unsigned freed = 0;

	if (saved != 0) {
		table_free(pmap, (pte_t *)(uintptr_t)(saved & ~SAVED_STALE));
		freed++;
	}
	if (pte_is_table(table[i], 2)) {
		table_free(pmap, table_under(table[i]));
		freed++;
	}
	return freed;
}

/* The tables from the root to the entry where the last step ended, and the entries. */
struct path {
	pte_t *table[3];
	unsigned next[3];
	unsigned level;
};

static struct path path_to_here(const struct pmap *pmap)
{
	const va_t at = va(pmap->ended_to);
	struct path p = { .table = { pmap->root }, .next = { level_index(at, 0) } };

	while (p.level < 2) {
		const pte_t e = p.table[p.level][p.next[p.level]];

		if (!pte_is_table(e, p.level)) {
			break;
		}
		p.next[p.level]++;
		p.level++;
		p.table[p.level] = table_under(e);
		p.next[p.level] = level_index(at, p.level);
	}
	return p;
}

static void stop_here(struct pmap *pmap, const struct path *p)
{
	uint64_t at = 0;

	for (unsigned level = 0; level <= p->level; level++) {
		/* Above the last one `next` is past the entry that leads down. */
		at += (p->next[level] - (level < p->level ? 1 : 0)) * level_bytes(level);
	}
	pmap->ended_to = at;
}

/* The next entry of the path: what hangs from it is freed, or is where the path goes on. */
static unsigned end_entry(struct pmap *pmap, struct path *p)
{
	pte_t *table = p->table[p->level];
	const unsigned i = p->next[p->level]++;

	if (p->level == 2) {
		return free_level3(pmap, notes_of(table), table, i);
	}
	if (pte_is_table(table[i], p->level)) {
		p->level++;
		p->table[p->level] = table_under(table[i]);
		p->next[p->level] = 0;
	}
	return 0;
}

/* The last table of the path is empty: it goes, and in the root also what led there. */
static void leave_table(struct pmap *pmap, struct path *p)
{
	table_free(pmap, p->table[p->level]);
	if (p->level == 1) {
		/* A root that is given back leads nowhere. */
		pmap_write_entry(&pmap->root[p->next[0] - 1], (pte_t){ 0 });
	}
}

/*
 * Depth-first, children before their parent; stops looking when only the path to here is left,
 * so that a sparse space costs what it has. False: some are left, for the next step.
 */
static bool free_tables(struct pmap *pmap)
{
	struct path p = path_to_here(pmap);
	int left = STEP_ENTRIES;

	for (;;) {
		/* Of the path each table is one page; level 2 has a second, for what it saved. */
		const bool done = pmap->table_pages == p.level + (p.level == 2 ? 2u : 1u);

		if (p.next[p.level] == PT_ENTRIES || done) {
			leave_table(pmap, &p);
			if (p.level-- == 0) {
				return true;
			}
		} else if (left <= 0) {
			stop_here(pmap, &p);
			return false;
		} else {
			left -= 1 + (int)end_entry(pmap, &p) * ENTRIES_A_TABLE;
		}
	}
}

bool pmap_user_end(struct pmap *pmap)
{
	pmap_user_retire(pmap);
	if (!free_tables(pmap)) {
		return false;
	}
	KASSERT(pmap->table_pages == 0); /* R10 */
	pmap->root = nullptr;
	return true;
}

void pmap_user_destroy(struct pmap *pmap)
{
	while (!pmap_user_end(pmap)) {
	}
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
