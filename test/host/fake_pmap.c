/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fake_pmap.c - see test/host/fake_pmap.h.
 */
#include "test/host/fake_pmap.h"

#include <abi.h>

#include <arch/page.h>
#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/host/sim.h"
#include "vm/pmap_impl.h"

#define LINEAR_PAGES (UINT64_C(1) << 19) /* 2 GiB of physical addresses */

struct fake_leaf {
	uint64_t entry; /* 0: nothing */
	uint64_t span;  /* bytes of the superpage */
};

struct pmap kernel_pmap = { .lock = SPINLOCK("pmap", LOCK_PMAP) };
uint64_t fake_windows;

static uint8_t carved[LINEAR_PAGES]; /* not in the linear map */
static uint64_t kmap_frame[FAKE_PAGES]; /* of the kernel map: frame + 1 */
static uint64_t budget = UINT64_MAX;
static enum kerr failure;

void fake_fail_after(uint64_t successes, enum kerr error)
{
	budget = successes;
	failure = error;
}

static enum kerr may_fail(void)
{
	if (budget == UINT64_MAX) {
		return KERR_OK;
	}
	if (budget == 0) {
		return failure;
	}
	budget--;
	return KERR_OK;
}

static struct fake_leaf *leaves(const struct pmap *pmap)
{
	return (struct fake_leaf *)(void *)pmap->root;
}

static struct fake_leaf *leaf_at(const struct pmap *pmap, uint64_t at)
{
	if (at / PAGE_BYTES >= FAKE_PAGES) {
		fprintf(stderr, "fake_pmap: %#llx is beyond what is modelled\n",
			(unsigned long long)at);
		abort();
	}
	return &leaves(pmap)[at / PAGE_BYTES];
}

enum kerr pmap_user_init(struct pmap *pmap, struct memcharge *charge)
{
	(void)charge;
	*pmap = (struct pmap){ .lock = SPINLOCK("user pmap", LOCK_PMAP) };
	if (may_fail() != KERR_OK) {
		return KERR_NO_MEMORY;
	}
	pmap->root = calloc(FAKE_PAGES, sizeof(struct fake_leaf));
	return pmap->root != nullptr ? KERR_OK : KERR_NO_MEMORY;
}

/* No simulated CPU runs a flat map. */
void pmap_leave_retired(void)
{
}

void pmap_user_retire(struct pmap *pmap)
{
	memset(pmap->root, 0, FAKE_PAGES * sizeof(struct fake_leaf));
}

bool pmap_user_end(struct pmap *pmap)
{
	free(pmap->root);
	pmap->root = nullptr;
	return true;
}

bool pmap_user_query(struct pmap *pmap, va_t at, pte_t *entry, uint64_t *bytes)
{
	if (at.v / PAGE_BYTES >= FAKE_PAGES || leaf_at(pmap, at.v)->entry == 0) {
		return false;
	}
	entry->v = leaf_at(pmap, at.v)->entry;
	*bytes = leaf_at(pmap, at.v)->span;
	return true;
}

static uint64_t attributes(unsigned flags)
{
	return PTE_VALID | PTE_TABLE | PTE_AF | PTE_AP_EL0 | PTE_PXN | PTE_NG |
	       ((flags & PMAP_WRITE) != 0 ? 0 : PTE_AP_RO) |
	       ((flags & PMAP_EXEC) != 0 ? 0 : PTE_UXN) |
	       ((flags & PMAP_DEVICE) != 0 ? (uint64_t)MAIR_DEVICE << PTE_ATTR_SHIFT : 0) |
	       ((flags & PMAP_NOCACHE) != 0 ? (uint64_t)MAIR_NOCACHE << PTE_ATTR_SHIFT : 0);
}

/* The superpage around an address falls into pages: one window. */
static enum kerr split_at(struct pmap *pmap, uint64_t at)
{
	if (at / PAGE_BYTES >= FAKE_PAGES || leaf_at(pmap, at)->entry == 0 ||
	    leaf_at(pmap, at)->span == PAGE_BYTES) {
		return KERR_OK;
	}
	const uint64_t span = leaf_at(pmap, at)->span;
	const enum kerr e = may_fail();

	if (e != KERR_OK) {
		return e;
	}
	for (uint64_t p = align_down(at, span); p < align_down(at, span) + span; p += PAGE_BYTES) {
		leaf_at(pmap, p)->span = PAGE_BYTES;
	}
	fake_windows++;
	return KERR_OK;
}

static enum kerr split_ends(struct pmap *pmap, uint64_t at, uint64_t size)
{
	enum kerr e = KERR_OK;

	for (unsigned i = 0; i < 2 && e == KERR_OK; i++) {
		const uint64_t border = i == 0 ? at : at + size;

		if (border / PAGE_BYTES < FAKE_PAGES && leaf_at(pmap, border)->entry != 0 &&
		    !is_aligned(border, leaf_at(pmap, border)->span)) {
			e = split_at(pmap, border);
		}
	}
	return e;
}

static uint64_t span_for(uint64_t at, uint64_t out, uint64_t size)
{
	if (is_aligned(at | out, BLOCK_BYTES) && size >= BLOCK_BYTES) {
		return BLOCK_BYTES;
	}
	return is_aligned(at | out, 16 * PAGE_BYTES) && size >= 16 * PAGE_BYTES ? 16 * PAGE_BYTES
										: PAGE_BYTES;
}

/* The kernel's maps: which frames are linear, what lies behind the kernel map. */
static enum kerr change_kernel(va_t at, pa_t out, uint64_t size, bool map)
{
	/* What comes back has its tables; small entries of the kernel map go without a window. */
	const enum kerr e = map || at.v >= KMAP_BASE ? KERR_OK : may_fail();

	if (e != KERR_OK) {
		return e;
	}
	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		if (at.v >= KMAP_BASE) {
			kmap_frame[(at.v - KMAP_BASE + off) / PAGE_BYTES] = map ? out.v + off + 1
										: 0;
			continue;
		}
		uint8_t *is = &carved[(at.v - LINEAR_BASE + off) / PAGE_BYTES];

		if (*is != (map ? 1 : 0)) {
			fprintf(stderr, "fake_pmap: the linear map is changed twice\n");
			abort();
		}
		*is = map ? 0 : 1;
	}
	return KERR_OK;
}

bool fake_is_linear(pa_t frame)
{
	return carved[frame.v / PAGE_BYTES] == 0;
}

pa_t pmap_init(const pte_t *boot_root)
{
	(void)boot_root;
	kernel_pmap.root = heap_alloc(1, 1, HEAP_ANY_NODE);
	return heap_pa(kernel_pmap.root);
}

enum kerr pmap_map(struct pmap *pmap, va_t at, pa_t out, uint64_t size, unsigned flags)
{
	if (at.v >= PINNED_BASE && at.v < KMAP_BASE) {
		return KERR_OK; /* the machine's own */
	}
	if (pmap == &kernel_pmap) {
		return change_kernel(at, out, size, true);
	}
	for (uint64_t off = 0; off < size; off += PAGE_BYTES) {
		if (leaf_at(pmap, at.v + off)->entry != 0) {
			return KERR_EXISTS;
		}
	}
	if (may_fail() != KERR_OK) {
		return KERR_NO_MEMORY;
	}
	for (uint64_t off = 0; off < size;) {
		const uint64_t span = span_for(at.v + off, out.v + off, size - off);

		for (uint64_t end = off + span; off < end; off += PAGE_BYTES) {
			*leaf_at(pmap, at.v + off) =
				(struct fake_leaf){ (out.v + off) | attributes(flags), span };
		}
	}
	return KERR_OK;
}

enum kerr pmap_unmap(struct pmap *pmap, va_t at, uint64_t size)
{
	if (pmap == &kernel_pmap) {
		return change_kernel(at, pa(0), size, false);
	}
	if (pmap->root == nullptr) {
		fprintf(stderr, "fake_pmap: a map that is gone is changed\n");
		abort();
	}
	const enum kerr e = split_ends(pmap, at.v, size);

	/* Beyond what is modelled nothing was ever mapped. */
	for (uint64_t page = at.v / PAGE_BYTES;
	     e == KERR_OK && page < FAKE_PAGES && page < (at.v + size) / PAGE_BYTES; page++) {
		leaves(pmap)[page] = (struct fake_leaf){ 0 };
	}
	return e;
}

enum kerr pmap_protect(struct pmap *pmap, va_t at, uint64_t size, unsigned flags)
{
	const uint64_t mask = PTE_AP_RO | PTE_UXN;
	const enum kerr e = split_ends(pmap, at.v, size);

	for (uint64_t off = 0; e == KERR_OK && off < size; off += PAGE_BYTES) {
		struct fake_leaf *l = leaf_at(pmap, at.v + off);

		if (l->entry != 0) {
			l->entry = (l->entry & ~mask) | (attributes(flags) & mask);
		} else if ((flags & PMAP_SPARSE) == 0) {
			fprintf(stderr, "fake_pmap: a hole is protected\n");
			abort();
		}
	}
	return e;
}

enum kerr pmap_demote(struct pmap *pmap, va_t at, uint64_t size, uint64_t bytes)
{
	enum kerr e = KERR_OK;

	(void)bytes;
	for (uint64_t off = 0; e == KERR_OK && off < size; off += PAGE_BYTES) {
		e = split_at(pmap, at.v + off);
	}
	return e;
}

/* Are the pages of [base, base + span) there, alike, in a row, and aligned? */
static bool is_uniform(const struct pmap *pmap, uint64_t base, uint64_t span)
{
	const uint64_t first = leaf_at(pmap, base)->entry;

	if (first == 0 || !is_aligned(first & PTE_ADDR_MASK, span)) {
		return false;
	}
	for (uint64_t off = 0; off < span; off += PAGE_BYTES) {
		if (leaf_at(pmap, base + off)->entry != first + off) {
			return false;
		}
	}
	return true;
}

enum kerr pmap_promote(struct pmap *pmap, va_t at, uint64_t size)
{
	static const uint64_t spans[] = { BLOCK_BYTES, 16 * PAGE_BYTES };

	for (uint64_t p = at.v; p < at.v + size; p += PAGE_BYTES) {
		for (unsigned i = 0; i < 2; i++) {
			const uint64_t base = align_down(p, spans[i]);

			if (leaf_at(pmap, p)->span >= spans[i] ||
			    !is_uniform(pmap, base, spans[i])) {
				continue;
			}
			for (uint64_t q = base; q < base + spans[i]; q += PAGE_BYTES) {
				leaf_at(pmap, q)->span = spans[i];
			}
			fake_windows++;
		}
	}
	return KERR_OK;
}

bool fake_access(const struct pmap *pmap, uint64_t at, unsigned access, pa_t *frame)
{
	const uint64_t e = leaf_at(pmap, at)->entry;

	if (e == 0 || (access == VM_WRITE && (e & PTE_AP_RO) != 0) ||
	    (access == VM_EXEC && (e & PTE_UXN) != 0)) {
		return false;
	}
	*frame = pte_pa((pte_t){ e });
	return true;
}

uint64_t fake_span(const struct pmap *pmap, uint64_t at)
{
	return leaf_at(pmap, at)->entry != 0 ? leaf_at(pmap, at)->span : 0;
}

uint64_t fake_leaves(const struct pmap *pmap)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < FAKE_PAGES; i++) {
		count += leaves(pmap)[i].entry != 0 ? 1 : 0;
	}
	return count;
}

/* What test/host/page.c asks for when memory is zeroed by its address. */
pa_t page_behind(va_t at)
{
	return at.v >= KMAP_BASE ? pa(kmap_frame[(at.v - KMAP_BASE) / PAGE_BYTES] - 1)
				 : pa(at.v - LINEAR_BASE);
}
