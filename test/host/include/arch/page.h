/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/page.h> for the host: a frame's contents are one word (test/host/page.c).
 */
#pragma once

#include <types.h>

void arch_frame_zero(pa_t frame);
void arch_page_zero(va_t page);
void arch_frame_copy(pa_t to, pa_t from);
void arch_frame_mark(pa_t frame, uint64_t pattern);
bool arch_frame_is_marked(pa_t frame, uint64_t pattern);
void arch_frame_sync_code(pa_t frame);

/* Pinned memory is the host's (test/host/boot.c). */
void *arch_pinned_ptr(va_t at);

pa_t page_behind(va_t page);

/* What a frame holds: 0 after zeroing. */
uint64_t page_word(pa_t frame);
void page_set_word(pa_t frame, uint64_t word);
