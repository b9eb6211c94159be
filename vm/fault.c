/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/fault.c - see vm/fault.h.
 *
 * LOCKING  The space's lock, then the object's, from the look-up to the entry: a region cannot go,
 *          nor a page be taken away, in between (OB2, SP3). One page is zeroed under them, which
 *          DC ZVA makes cheap; nothing longer happens there. Both are open: interrupts stay on.
 */
#include "vm/fault.h"

#include <arch/barrier.h>
#include <arch/page.h>
#include <arch/tlb.h>

#include "pcpu/pcpu.h"
#include "vm/space_impl.h"

/* The same fault without a change, so often: threads of one space may well meet at one page. */
#define SAME_MAX 64
/* Attempts to find memory: each breaks one reservation. */
#define RECLAIM_MAX 64

/* One fault on its way. */
struct fault {
	struct space *space;
	struct region *r;
	struct memory_object *object;
	uint64_t at;   /* address of the page */
	uint64_t page; /* in the object */
	uint64_t esr; /* 0: the kernel's own wish */
	unsigned access;
	void *pager;
	bool changed;
	bool deferred; /* the page is busy: nothing could be done now */
	bool short_of; /* memory was refused before: see whether some is on its way back */
	bool returning; /* it was, before it was asked for again */
};

const char *fault_verdict_name(enum fault_verdict verdict)
{
	static const char *const name[] = { "RESOLVED",  "WAIT_PAGER", "BAD_ADDRESS", "BAD_ACCESS",
					    "NO_MEMORY", "ALIGNMENT",  "HARDWARE",    "ENDLESS" };

	return name[verdict];
}

static enum fault_verdict verdict_of(enum kerr e)
{
	return e == KERR_OK ? FAULT_RESOLVED : FAULT_NO_MEMORY;
}

/* Does the region show all of [at, at + bytes)? */
static bool shows(const struct fault *f, uint64_t at, uint64_t bytes)
{
	return at >= f->r->base && at + bytes <= region_end(f->r);
}

static unsigned leaf_flags(const struct fault *f)
{
	unsigned flags = tables_flags(f->object, f->r->prot);

	/* A write to a page that a pager brought: the page is dirty from now on. */
	if (f->access == VM_WRITE) {
		flags |= PMAP_WRITE;
	}
	return flags;
}

/*
 * What is fetched must be what was written: by the zeroing, a pager, or another mapping. Before
 * the entry is made: another thread of the space may fetch at once.
 */
static void sync_code(const struct fault *f, const struct reserv *rv, unsigned first, unsigned end)
{
	for (unsigned page = first; (f->r->prot & VM_EXEC) != 0 && page < end; page++) {
		if (reserv_has(rv, page)) {
			arch_frame_sync_code(reserv_frame(rv, page));
		}
	}
}

static enum kerr enter(struct fault *f, uint64_t at, pa_t out, uint64_t bytes)
{
	/* A whole run is entered as one, without a window, unless the task takes much apart. */
	const bool run = bytes >= RESERV_RUN * PAGE_BYTES && budget_is_calm(&f->space->budget);
	const unsigned flags = leaf_flags(f) | (run ? 0 : PMAP_NO_PROMOTE);
	const enum kerr e = pmap_map(&f->space->pmap, va(at), out, bytes, flags);

	f->changed = f->changed || e == KERR_OK;
	return e;
}

static bool leaf_allows(pte_t leaf, unsigned access)
{
	switch (access) {
	case VM_WRITE:
		return (leaf.v & PTE_AP_RO) == 0;
	case VM_EXEC:
		return (leaf.v & PTE_UXN) == 0;
	default:
		return (leaf.v & PTE_AP_EL0) != 0;
	}
}

/* Pages [first, first + count) of the object were written. */
static void mark_dirty(struct fault *f, uint64_t first, uint64_t count)
{
	struct reserv *rv = object_index_get(f->object, first / RESERV_PAGES);

	for (uint64_t page = first; page < first + count; page++) {
		if (rv != nullptr && reserv_has(rv, page % RESERV_PAGES)) {
			object_set_dirty(rv, page % RESERV_PAGES);
		}
	}
}

/*
 * A leaf is there. If it allows the access nothing is to be done; else its whole span gets the
 * region's rights, so that no superpage is taken apart for a page's sake: dirty is then kept for
 * the span.
 */
static enum kerr widen(struct fault *f)
{
	uint64_t span;
	pte_t leaf;

	if (!pmap_user_query(&f->space->pmap, va(f->at), &leaf, &span) ||
	    leaf_allows(leaf, f->access)) {
		return KERR_OK;
	}
	uint64_t base = align_down(f->at, span);

	if (!shows(f, base, span) || span > BLOCK_BYTES) {
		base = f->at;
		span = PAGE_BYTES;
	}
	if (f->access == VM_WRITE && object_tracks_dirty(f->object)) {
		mark_dirty(f, f->page - page_of(f->at - base), page_of(span));
	}
	f->changed = true;
	return pmap_protect(&f->space->pmap, va(base), span, leaf_flags(f) | PMAP_NO_PROMOTE);
}

/* Promote if the memory around lies and is populated so; pages do as well. */
static void promote(struct fault *f, const struct reserv *rv, unsigned page)
{
	const bool block = rv->count == RESERV_PAGES && reserv_is_block(rv);
	const uint64_t span = block ? BLOCK_BYTES : RESERV_RUN * PAGE_BYTES;
	const uint64_t base = align_down(f->at, span);

	if ((block || reserv_group(rv, page) == 0xffff) && shows(f, base, span) &&
	    budget_is_calm(&f->space->budget)) {
		(void)pmap_promote(&f->space->pmap, va(f->at), PAGE_BYTES);
	}
}

/* A whole superpage at once, where the reservation is full and the region shows all of it. */
static bool enter_block(struct fault *f, const struct reserv *rv)
{
	const uint64_t base = align_down(f->at, BLOCK_BYTES);

	/* Addresses and offsets must agree; what is executable is fetched from synced pages. */
	if (rv->count != RESERV_PAGES || !reserv_is_block(rv) || !shows(f, base, BLOCK_BYTES) ||
	    page_of(f->at - base) != f->page % RESERV_PAGES || object_tracks_dirty(f->object) ||
	    (f->r->prot & VM_EXEC) != 0) {
		return false;
	}
	return enter(f, base, reserv_frame(rv, 0), BLOCK_BYTES) == KERR_OK;
}

/* Can page `i` be entered with its neighbour, as one stretch of memory and addresses? */
static bool joins(const struct fault *f, const struct reserv *rv, unsigned i, unsigned neighbour)
{
	const uint64_t at = f->at + (i - f->page % RESERV_PAGES) * PAGE_BYTES;

	return reserv_has(rv, i) && shows(f, at, PAGE_BYTES) &&
	       reserv_frame(rv, i).v - reserv_frame(rv, neighbour).v ==
		       ((uint64_t)i - neighbour) * PAGE_BYTES;
}

/*
 * The pages around that have contents and lie with this one in memory, up to 64 KiB, in one go.
 * Where some are mapped already: this one alone.
 */
static enum kerr enter_around(struct fault *f, const struct reserv *rv, unsigned page)
{
	const unsigned limit = (page & ~(RESERV_RUN - 1)) + RESERV_RUN;
	unsigned first = page;
	unsigned end = page + 1;

	/* A write makes its own page dirty, and no other. */
	if (f->access != VM_WRITE || !object_tracks_dirty(f->object)) {
		while (first > limit - RESERV_RUN && joins(f, rv, first - 1, first)) {
			first--;
		}
		while (end < limit && joins(f, rv, end, end - 1)) {
			end++;
		}
	}
	sync_code(f, rv, first, end);
	enum kerr e = enter(f, f->at - (page - first) * PAGE_BYTES, reserv_frame(rv, first),
			    (end - first) * PAGE_BYTES);

	if (e == KERR_EXISTS && end - first > 1) {
		e = enter(f, f->at, reserv_frame(rv, page), PAGE_BYTES);
	}
	return e;
}

/* The page has contents: map it. `fresh`: it has had them for a moment only. */
static enum kerr enter_page(struct fault *f, struct reserv *rv, bool fresh)
{
	const unsigned page = (unsigned)(f->page % RESERV_PAGES);

	if (f->access == VM_WRITE && object_tracks_dirty(f->object)) {
		object_set_dirty(rv, page);
	}
	if (!fresh && enter_block(f, rv)) {
		return KERR_OK;
	}
	enum kerr e;

	if (fresh) {
		sync_code(f, rv, page, page + 1);
		e = enter(f, f->at, reserv_frame(rv, page), PAGE_BYTES);
	} else {
		e = enter_around(f, rv, page);
	}
	if (e == KERR_EXISTS) {
		return widen(f);
	}
	if (e != KERR_OK) {
		return e;
	}
	promote(f, rv, page);
	return KERR_OK;
}

static enum fault_verdict resolve_paged(struct fault *f)
{
	struct memory_object *object = f->object;
	struct reserv *rv = object_index_get(object, f->page / RESERV_PAGES);

	if (f->page >= object->busy_first && f->page < object->busy_end) {
		f->deferred = true;
		return FAULT_RESOLVED; /* OB2: it will fault again, until the operation is over */
	}
	if (rv != nullptr && reserv_has(rv, f->page % RESERV_PAGES)) {
		return verdict_of(enter_page(f, rv, false));
	}
	if (object->kind == MEM_PAGER) {
		switch (object_ask(object, f->page, f->access)) {
		case PAGER_ASKED:
			f->pager = object->pager;
			return FAULT_WAIT_PAGER;
		case PAGER_NO_MEMORY:
			return FAULT_NO_MEMORY;
		default:
			return FAULT_HARDWARE;
		}
	}
	const enum kerr e = object_populate(object, f->page, &rv); /* which may know it already */

	return verdict_of(e == KERR_OK ? enter_page(f, rv, true) : e);
}

/* Memory by its address: the largest leaf that fits around the fault. */
static enum fault_verdict resolve_physical(struct fault *f)
{
	static const uint64_t spans[] = { GIB, BLOCK_BYTES, RESERV_RUN * PAGE_BYTES, PAGE_BYTES };
	const uint64_t out = f->object->base.v + f->page * PAGE_BYTES;
	enum kerr e = KERR_EXISTS;

	for (unsigned i = 0; i < sizeof(spans) / sizeof(spans[0]) && e == KERR_EXISTS; i++) {
		const uint64_t base = align_down(f->at, spans[i]);

		if (shows(f, base, spans[i]) && is_aligned(f->at - out, spans[i])) {
			e = enter(f, base, pa(out - (f->at - base)), spans[i]);
		}
	}
	return verdict_of(e == KERR_EXISTS ? widen(f) : e);
}

/* Object's lock, inside the space's. */
static enum fault_verdict resolve_locked(struct fault *f)
{
	if (f->object->revoked) {
		return FAULT_BAD_ACCESS;
	}
	return object_is_paged(f->object) ? resolve_paged(f) : resolve_physical(f);
}

/*
 * The tables allow what faulted. Is it the SAME_MAX-th time in a row? Space's lock.
 */
static bool is_endless(const struct fault *f)
{
	struct space *space = f->space;

	if (space->same_va != f->at || space->same_esr != f->esr) {
		space->same_va = f->at;
		space->same_esr = f->esr;
		space->same_count = 0;
	}
	if (++space->same_count < SAME_MAX) {
		return false;
	}
	space->same_count = 0;
	return true;
}

/* The region shows memory at an address. fault_fast.S asks the same, and whether it allows(). */
static bool is_there(const struct region *r)
{
	return r != nullptr && !r->dying && r->object != nullptr;
}

/* Readable comes with writable and executable: AP and XN cannot take it away. */
static bool allows(const struct region *r, unsigned access)
{
	return access == VM_READ ? r->prot != 0 : (r->prot & access) != 0;
}

static bool is_returning(const struct fault *f)
{
	return memcharge_is_returning(f->space->charge) ||
	       memcharge_is_returning(f->object->charge);
}

static enum fault_verdict resolve_once(struct fault *f)
{
	enum fault_verdict verdict = FAULT_BAD_ADDRESS;

	spin_lock(&f->space->lock);
	f->r = region_find(&f->space->tree, f->at);
	if (is_there(f->r)) {
		f->object = f->r->object;
		f->page = page_of(f->r->offset + (f->at - f->r->base));
		verdict = FAULT_BAD_ACCESS;
		if (allows(f->r, f->access)) {
			spin_lock(&f->object->lock);
			if (f->short_of) {
				f->returning = is_returning(f);
			}
			verdict = resolve_locked(f);
			spin_unlock(&f->object->lock);
		}
	}
	if (f->changed) {
		f->space->same_count = 0;
	} else if (verdict == FAULT_RESOLVED && !f->deferred && f->esr != 0 && is_endless(f)) {
		verdict = FAULT_ENDLESS;
	}
	spin_unlock(&f->space->lock);
	return verdict;
}

/* Memory that is set aside, and not used, is found when it is needed. */
static enum fault_verdict resolve(struct fault *f)
{
	enum fault_verdict verdict = resolve_once(f);

	for (unsigned i = 0; verdict == FAULT_NO_MEMORY && i < RECLAIM_MAX; i++) {
		if (!reserv_reclaim()) {
			break;
		}
		verdict = resolve_once(f);
	}
	return verdict;
}

/* Two entries for one address: all of them go, and the walk is made anew (Arm ARM D8.16.3). */
static void drop_conflict(void)
{
	dsb_ishst();
	tlbi_vmalle1is();
	dsb_ish();
	isb();
}

enum fault_verdict vm_fault(struct space *space, va_t at, uint64_t esr, struct fault_info *out)
{
	struct fault f = { .space = space, .at = align_down(at.v, PAGE_BYTES), .esr = esr };
	enum fault_verdict verdict;

	*out = (struct fault_info){ .class = fault_classify(esr) };
	f.access = out->class.access;
	switch (out->class.kind) {
	case FAULT_KIND_CONFLICT:
		drop_conflict();
		[[fallthrough]];
	case FAULT_KIND_TRANSLATION:
	case FAULT_KIND_ACCESS_FLAG:
	case FAULT_KIND_PERMISSION:
		break;
	case FAULT_KIND_ALIGNMENT:
		return FAULT_ALIGNMENT;
	case FAULT_KIND_ADDRESS_SIZE: /* an address that no table can translate */
		return FAULT_BAD_ADDRESS;
	default:
		return FAULT_HARDWARE;
	}
	verdict = resolve(&f);
	if (verdict == FAULT_NO_MEMORY) {
		f.short_of = true;
		verdict = resolve(&f);
	}
	if (verdict == FAULT_NO_MEMORY && f.returning) {
		f.deferred = true; /* it will fault again, until that has come */
		verdict = FAULT_RESOLVED;
	}
	out->offset = f.page * PAGE_BYTES;
	out->pager = f.pager;
	out->changed = f.changed;
	count(CTR_faults);
	if (verdict == FAULT_RESOLVED && !f.deferred && !f.changed) {
		count(CTR_faults_spurious);
		isb(); /* a walk that was made early ends here */
	}
	return verdict;
}

enum fault_verdict fault_touch(struct space *space, va_t at, unsigned access)
{
	struct fault f = { .space = space, .at = align_down(at.v, PAGE_BYTES), .access = access };

	return resolve(&f);
}
