/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/page.c - see <arch/page.h>.
 */
#include <arch/page.h>

#include <arch/barrier.h>
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/sysreg.h"

#define DCZID_DZP (UINT64_C(1) << 4)
#define MARK_WORDS 8

static char *frame_ptr(pa_t frame)
{
	return (char *)(uintptr_t)(LINEAR_BASE + frame.v);
}

/* Zero a line; the address of the next. */
static always_inline char *zva(char *line, uint64_t step)
{
	__asm__ volatile("dc zva, %0\n\tadd %0, %0, %1" : "+r"(line) : "r"(step) : "memory");
	return line;
}

/* Bytes that one DC ZVA zeroes; 0: not to be used for pages. Read each time: CPUs may differ. */
static uint64_t zva_bytes(void)
{
	const uint64_t id = read_sysreg(DCZID_EL0);
	const uint64_t bytes = UINT64_C(4) << (id & 0xf);

	return (id & DCZID_DZP) == 0 && bytes * 8 <= PAGE_BYTES ? bytes : 0;
}

void arch_page_zero(va_t page)
{
	char *at = (char *)(uintptr_t)page.v;
	const char *end = at + PAGE_BYTES;
	const uint64_t step = zva_bytes();

	if (step == 0) {
		memset(at, 0, PAGE_BYTES);
		return;
	}
	/* Eight to a round, each address from the one before: two instructions a line. */
	while (at < end) {
		at = zva(zva(zva(zva(at, step), step), step), step);
		at = zva(zva(zva(zva(at, step), step), step), step);
	}
}

void arch_frame_zero(pa_t frame)
{
	arch_page_zero(va((uint64_t)(uintptr_t)frame_ptr(frame)));
}

void arch_frame_copy(pa_t to, pa_t from)
{
	memcpy(frame_ptr(to), frame_ptr(from), PAGE_BYTES);
}

void arch_frame_mark(pa_t frame, uint64_t pattern)
{
	uint64_t *word = (uint64_t *)(void *)frame_ptr(frame);

	for (unsigned i = 0; i < MARK_WORDS; i++) {
		word[i] = pattern;
	}
}

bool arch_frame_is_marked(pa_t frame, uint64_t pattern)
{
	const uint64_t *word = (const uint64_t *)(const void *)frame_ptr(frame);
	bool marked = true;

	for (unsigned i = 0; i < MARK_WORDS; i++) {
		marked = marked && word[i] == pattern;
	}
	return marked;
}

void arch_frame_sync_code(pa_t frame)
{
	const uint64_t line = UINT64_C(4) << (read_sysreg(CTR_EL0) >> 16 & 0xf); /* DminLine */
	const char *at = frame_ptr(frame);

	for (const char *end = at + PAGE_BYTES; at < end; at += line) {
		__asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
	}
	dsb_ish();
	__asm__ volatile("ic ialluis" ::: "memory");
	dsb_ish();
	isb();
}
