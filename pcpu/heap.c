/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/heap.c - see pcpu/heap.h.
 */
#include "pcpu/heap.h"

#include <arch/cpu.h>
#include <memmap.h>
#include <string.h>

#include "kern/assert.h"
#include "kern/lock.h"

#define HEAP_BLOCKS 64
#define BLOCK_PAGES 512
#define HINTS 64

struct heap_block {
	char *base;
	pa_t pa;
	uint32_t node;
	unsigned pages;
	unsigned first; /* pages before it hold the tags */
	unsigned free;
	uint64_t used[BLOCK_PAGES / 64];
};

struct spinlock heap_lock = SPINLOCK("heap", LOCK_HEAP);
static struct heap_block blocks[HEAP_BLOCKS];
static unsigned block_count;
static unsigned pages_free;            /* [l] of all blocks */
static const struct cpubase *growing;  /* [l] the CPU that may take the last ones, or nullptr */
static unsigned refused_at[MAX_CPUS];  /* [p] blocks when it was refused; 0: it was not */
/* [a] by address: the block that was found there last */
static struct heap_block *recent[HINTS] = { [0 ... HINTS - 1] = &blocks[0] };
struct heap_main heap_main;
static char *image_ptr;
static pa_t image_base;
static uint64_t image_size;
static uint64_t fail_budget = UINT64_MAX;
static uint64_t fail_count;

static bool is_used(const struct heap_block *b, unsigned page)
{
	return (b->used[page / 64] >> (page % 64) & 1) != 0;
}

static void mark(struct heap_block *b, unsigned page, unsigned pages, bool used)
{
	for (unsigned p = page; p < page + pages; p++) {
		const uint64_t bit = UINT64_C(1) << (p % 64);

		KASSERT(is_used(b, p) != used); /* R10 */
		b->used[p / 64] ^= bit;
	}
	b->free = used ? b->free - pages : b->free + pages;
	pages_free = used ? pages_free - pages : pages_free + pages;
}

void heap_add_block(void *ptr, pa_t base, unsigned pages, uint32_t node)
{
	const unsigned tag_pages =
		(unsigned)(align_up((uint64_t)pages * HEAP_TAG_BYTES, PAGE_BYTES) / PAGE_BYTES);

	KASSERT(pages <= BLOCK_PAGES && pages > tag_pages);
	spin_lock(&heap_lock);
	KASSERT(block_count < HEAP_BLOCKS);
	struct heap_block *b = &blocks[block_count];

	*b = (struct heap_block){
		.base = ptr, .pa = base, .node = node, .pages = pages, .first = tag_pages
	};
	memset(ptr, 0, (size_t)tag_pages * PAGE_BYTES);
	b->free = pages;
	pages_free += pages;
	mark(b, 0, tag_pages, true);
	block_count++;
	if (pages == BLOCK_PAGES && heap_main.bytes == 0) {
		heap_main.base = ptr;
		heap_main.pa = base;
		heap_main.bytes = (uint64_t)pages * PAGE_BYTES;
	}
	spin_unlock(&heap_lock);
}

static bool run_is_free(const struct heap_block *b, unsigned page, unsigned pages)
{
	for (unsigned p = page; p < page + pages; p++) {
		if (is_used(b, p)) {
			return false;
		}
	}
	return true;
}

/* The first free page from `page` on; b->pages or more: none. A word of the bitmap at a time. */
static unsigned next_free(const struct heap_block *b, unsigned page)
{
	for (; page < b->pages; page = (page / 64 + 1) * 64) {
		const uint64_t free = ~b->used[page / 64] >> page % 64;

		if (free != 0) {
			return page + (unsigned)__builtin_ctzll(free);
		}
	}
	return b->pages;
}

/* First fit; alignment is by address, so blocks that start unaligned work too. */
static char *take(struct heap_block *b, unsigned pages, unsigned align_pages)
{
	const uint64_t align = (uint64_t)align_pages * PAGE_BYTES;

	if (b->free < pages) {
		return nullptr;
	}
	for (unsigned p = next_free(b, b->first); p + pages <= b->pages; p = next_free(b, p + 1)) {
		char *ptr = b->base + (uint64_t)p * PAGE_BYTES;

		if (is_aligned((uint64_t)(uintptr_t)ptr, align) && run_is_free(b, p, pages)) {
			mark(b, p, pages, true);
			return ptr;
		}
	}
	return nullptr;
}

static bool has_ptr(const struct heap_block *b, uint64_t ptr)
{
	return ptr - (uint64_t)(uintptr_t)b->base < (uint64_t)b->pages * PAGE_BYTES;
}

static bool has_pa(const struct heap_block *b, uint64_t at)
{
	return at - b->pa.v < (uint64_t)b->pages * PAGE_BYTES;
}

/* Where the last search of an address like this ended: what it costs grows with no blocks. */
static always_inline struct heap_block **hint_at(uint64_t at)
{
	return &recent[at / (BLOCK_PAGES * PAGE_BYTES) % HINTS];
}

static always_inline struct heap_block *guess(uint64_t at)
{
	return __atomic_load_n(hint_at(at), __ATOMIC_RELAXED);
}

static struct heap_block *search(bool (*has)(const struct heap_block *b, uint64_t at), uint64_t at)
{
	for (unsigned i = 0; i < block_count; i++) {
		if (has(&blocks[i], at)) {
			__atomic_store_n(hint_at(at), &blocks[i], __ATOMIC_RELAXED);
			return &blocks[i];
		}
	}
	return nullptr;
}

static struct heap_block *block_find(const void *ptr)
{
	const uint64_t at = (uint64_t)(uintptr_t)ptr;
	struct heap_block *b = guess(at);

	return has_ptr(b, at) ? b : search(has_ptr, at);
}

static struct heap_block *block_of(const void *ptr)
{
	struct heap_block *b = block_find(ptr);

	if (b == nullptr) {
		panic("heap: %p is not in the pinned heap", ptr);
	}
	return b;
}

bool heap_has_tag(const void *page)
{
	return block_find(page) != nullptr;
}

void heap_set_image(void *ptr, pa_t base, uint64_t size)
{
	image_ptr = ptr;
	image_base = base;
	image_size = size;
}

static bool may_fail(void)
{
	if (fail_budget == UINT64_MAX) {
		return false;
	}
	if (fail_budget == 0) {
		fail_count++;
		return true;
	}
	fail_budget--;
	return false;
}

static char *take_any(unsigned pages, unsigned align_pages, uint32_t node)
{
	if (pages_free < pages + HEAP_GROWTH_PAGES && growing != this_cpu()) {
		return nullptr;
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		/* The block in the image is the first, and the last resort. */
		for (unsigned i = block_count; i-- > 0;) {
			const bool local = blocks[i].node == node;

			if (local != (pass == 0)) {
				continue;
			}
			char *ptr = take(&blocks[i], pages, align_pages);

			if (ptr != nullptr) {
				return ptr;
			}
		}
	}
	return nullptr;
}

void *heap_alloc(unsigned pages, unsigned align_pages, uint32_t node)
{
	char *ptr = nullptr;

	KASSERT(pages > 0 && pages <= BLOCK_PAGES);
	spin_lock(&heap_lock);
	if (!may_fail()) {
		ptr = take_any(pages, align_pages, node);
		if (ptr == nullptr) {
			refused_at[cpu_number()] = block_count;
		}
	}
	spin_unlock(&heap_lock);
	if (ptr != nullptr) {
		memset(ptr, 0, (size_t)pages * PAGE_BYTES);
		for (unsigned p = 0; p < pages; p++) {
			memset(heap_tag(ptr + (size_t)p * PAGE_BYTES), 0, HEAP_TAG_BYTES);
		}
	}
	return ptr;
}

void heap_free(void *ptr, unsigned pages)
{
	spin_lock(&heap_lock);
	struct heap_block *b = block_of(ptr);

	mark(b, (unsigned)(((char *)ptr - b->base) / (int64_t)PAGE_BYTES), pages, false);
	spin_unlock(&heap_lock);
}

static void *tag_in(const struct heap_block *b, const void *page)
{
	const uint64_t n = (uint64_t)((const char *)page - b->base) / PAGE_BYTES;

	return b->base + n * HEAP_TAG_BYTES;
}

static noinline void *tag_by_search(const void *page)
{
	return tag_in(block_of(page), page);
}

static noinline pa_t pa_by_search(const char *ptr)
{
	const struct heap_block *b = block_find(ptr);

	if (b != nullptr) {
		return pa(b->pa.v + (uint64_t)(ptr - b->base));
	}
	KASSERT((uint64_t)(ptr - image_ptr) < image_size);
	return pa(image_base.v + (uint64_t)(ptr - image_ptr));
}

static noinline void *ptr_by_search(pa_t at)
{
	const struct heap_block *b = search(has_pa, at.v);

	if (b != nullptr) {
		return b->base + (at.v - b->pa.v);
	}
	if (at.v - image_base.v < image_size) {
		return image_ptr + (at.v - image_base.v);
	}
	panic("heap: physical %#llx is not in the pinned heap", (unsigned long long)at.v);
}

/* A guess that is right needs no frame; the search is called last. */
void *heap_tag_slow(const void *page)
{
	const struct heap_block *b = guess((uint64_t)(uintptr_t)page);

	return likely(has_ptr(b, (uint64_t)(uintptr_t)page)) ? tag_in(b, page)
							     : tag_by_search(page);
}

pa_t heap_pa_slow(const void *ptr)
{
	const struct heap_block *b = guess((uint64_t)(uintptr_t)ptr);

	if (likely(has_ptr(b, (uint64_t)(uintptr_t)ptr))) {
		return pa(b->pa.v + (uint64_t)((const char *)ptr - b->base));
	}
	return pa_by_search(ptr);
}

void *heap_ptr_slow(pa_t at)
{
	const struct heap_block *b = guess(at.v);

	return likely(has_pa(b, at.v)) ? b->base + (at.v - b->pa.v) : ptr_by_search(at);
}

struct heap_stats heap_stats(void)
{
	struct heap_stats s = { 0 };

	spin_lock(&heap_lock);
	s.blocks = block_count;
	s.pages_free = pages_free;
	for (unsigned i = 0; i < block_count; i++) {
		s.pages += blocks[i].pages - blocks[i].first;
	}
	spin_unlock(&heap_lock);
	return s;
}

bool heap_is_low(void)
{
	return __atomic_load_n(&pages_free, __ATOMIC_RELAXED) < HEAP_LOW_PAGES;
}

void heap_let_grow(bool begins)
{
	spin_lock(&heap_lock);
	KASSERT(begins == (growing == nullptr));
	growing = begins ? this_cpu() : nullptr;
	spin_unlock(&heap_lock);
}

unsigned heap_refused_at(void)
{
	const unsigned blocks_then = refused_at[cpu_number()];

	refused_at[cpu_number()] = 0;
	return blocks_then;
}

uint64_t heap_fail_after(uint64_t successes)
{
	spin_lock(&heap_lock);
	const uint64_t refused = fail_count;

	fail_budget = successes;
	fail_count = 0;
	spin_unlock(&heap_lock);
	return refused;
}
