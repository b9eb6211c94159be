/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/slab.c - see pcpu/slab.h.
 */
#include "pcpu/slab.h"

#include <memmap.h>
#include <string.h>

#include "kern/assert.h"
#include "pcpu/heap.h"

/* The tag of a page that a class cut up. */
struct slab_page {
	struct slab_class *class;
	char *base;
	uint64_t used;          /* [l] a bit for each object */
	struct slab_page *next; /* [l] of the pages with room */
	struct slab_page *prev;
};
static_assert(sizeof(struct slab_page) <= HEAP_TAG_BYTES);
static_assert(PAGE_BYTES / SLAB_ALIGN <= 64, "one word of bits for the objects of a page");

static unsigned capacity(const struct slab_class *class)
{
	return (unsigned)(PAGE_BYTES / class->bytes);
}

static bool is_full(const struct slab_page *page)
{
	return (unsigned)__builtin_popcountll(page->used) == capacity(page->class);
}

static void list_add(struct slab_page *page)
{
	struct slab_class *class = page->class;

	page->prev = nullptr;
	page->next = class->avail;
	if (page->next != nullptr) {
		page->next->prev = page;
	}
	class->avail = page;
}

static void list_remove(struct slab_page *page)
{
	if (page->prev != nullptr) {
		page->prev->next = page->next;
	} else {
		page->class->avail = page->next;
	}
	if (page->next != nullptr) {
		page->next->prev = page->prev;
	}
}

/* A fresh page on the list; nullptr: the heap has none. */
static struct slab_page *grow(struct slab_class *class)
{
	char *base = heap_alloc(1, 1, HEAP_ANY_NODE);

	if (base == nullptr) {
		return nullptr;
	}
	struct slab_page *page = heap_tag(base);

	page->class = class;
	page->base = base;
	class->pages++;
	list_add(page);
	return page;
}

static void *take(struct slab_class *class)
{
	struct slab_page *page = class->avail != nullptr ? class->avail : grow(class);

	if (page == nullptr) {
		return nullptr;
	}
	const unsigned i = (unsigned)__builtin_ctzll(~page->used);

	page->used |= UINT64_C(1) << i;
	class->objects++;
	if (is_full(page)) {
		list_remove(page);
	}
	return page->base + (uint64_t)i * class->bytes;
}

void *slab_alloc(struct slab_class *class, struct memcharge *charge)
{
	KASSERT(class->bytes % SLAB_ALIGN == 0);
	KASSERT(class->bytes != 0 && class->bytes <= PAGE_BYTES);
	if (!memcharge_take(charge, class->bytes)) {
		return nullptr;
	}
	spin_lock(&class->lock);
	void *object = take(class);

	spin_unlock(&class->lock);
	if (object == nullptr) {
		memcharge_give(charge, class->bytes);
		return nullptr;
	}
	return memset(object, 0, class->bytes);
}

static void put(struct slab_class *class, char *object)
{
	char *base = (char *)((uintptr_t)object & ~(uintptr_t)(PAGE_BYTES - 1));
	struct slab_page *page = heap_tag(base);
	const uint64_t offset = (uint64_t)(object - base);
	const uint64_t bit = UINT64_C(1) << offset / class->bytes;

	KASSERT(page->class == class);
	KASSERT(offset % class->bytes == 0);
	KASSERT((page->used & bit) != 0); /* R10: freed once */
	if (is_full(page)) {
		list_add(page);
	}
	page->used &= ~bit;
	class->objects--;
	if (page->used == 0 && (page->next != nullptr || page->prev != nullptr)) {
		list_remove(page);
		class->pages--;
		memset(page, 0, sizeof(*page));
		heap_free(base, 1);
	}
}

void slab_free(struct slab_class *class, void *object, struct memcharge *charge)
{
	spin_lock(&class->lock);
	put(class, object);
	spin_unlock(&class->lock);
	memcharge_give(charge, class->bytes);
}

bool slab_audit(struct slab_class *class)
{
	uint64_t with_room = 0;
	uint64_t used = 0;
	bool ok = true;

	spin_lock(&class->lock);
	for (const struct slab_page *p = class->avail; p != nullptr; p = p->next) {
		ok = ok && p->class == class && !is_full(p);
		ok = ok && (p->next == nullptr || p->next->prev == p);
		with_room++;
		used += (uint64_t)__builtin_popcountll(p->used);
	}
	ok = ok && with_room <= class->pages;
	ok = ok && class->objects == used + (class->pages - with_room) * capacity(class);
	spin_unlock(&class->lock);
	return ok;
}
