/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/page.c - what frames hold: a word for each, kept by frame number in an open hash table.
 * A frame that was never written holds its own address: whoever forgets to zero it is seen.
 */
#include <arch/page.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOTS (UINT64_C(1) << 20)

struct content {
	uint64_t key; /* address + 1 */
	uint64_t word;
};

static struct content table[SLOTS];

static struct content *content_of(uint64_t at)
{
	uint64_t i = at / PAGE_BYTES * UINT64_C(0x9e3779b97f4a7c15) >> 44;

	for (uint64_t tries = 0; tries < SLOTS; tries++, i = (i + 1) % SLOTS) {
		if (table[i].key == at + 1) {
			return &table[i];
		}
		if (table[i].key == 0) {
			table[i] = (struct content){ at + 1, at };
			return &table[i];
		}
	}
	fprintf(stderr, "test/host/page.c: more frames than it has room for\n");
	abort();
}

uint64_t page_word(pa_t frame)
{
	return content_of(frame.v)->word;
}

void page_set_word(pa_t frame, uint64_t word)
{
	content_of(frame.v)->word = word;
}

void arch_frame_zero(pa_t frame)
{
	page_set_word(frame, 0);
}

/* The frame behind an address of the kernel: a test with other mappings knows better. */
__attribute__((weak)) pa_t page_behind(va_t page)
{
	return pa(page.v - LINEAR_BASE);
}

void arch_page_zero(va_t page)
{
	page_set_word(page_behind(page), 0);
}

void arch_frame_copy(pa_t to, pa_t from)
{
	page_set_word(to, page_word(from));
}

void arch_frame_mark(pa_t frame, uint64_t pattern)
{
	page_set_word(frame, pattern);
}

bool arch_frame_is_marked(pa_t frame, uint64_t pattern)
{
	return page_word(frame) == pattern;
}

void arch_frame_sync_code(pa_t frame)
{
	(void)frame;
}
