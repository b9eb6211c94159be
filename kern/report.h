/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report.h - the parts of a report, for a CPU that trusts nothing but the image.
 *
 * THEORY   A report reads memory that may be what broke. report_read() is its only way to: an
 *          address is translated by walking the live tables, and a frame is read where it is
 *          pinned, or through the linear map after a walk of *that* address led to the same frame.
 *          The broken mapping itself is never used.
 */
#pragma once

#include <arch/pte.h>
#include <types.h>

#include "kern/trap.h"

/* A walk of the live tables, each entry as it was read. */
struct report_walk {
	unsigned level; /* of the last entry */
	bool cut;       /* a table address that is not pinned memory: not followed */
	pte_t entry[PT_LEVELS];
};

/* kern/report_walk.c */
void report_walk(va_t at, struct report_walk *w);
void report_print_walk(va_t at, const struct report_walk *w);
bool report_read(uint64_t at, uint64_t *out);
/* Say why an address could not be read. */
void report_why(uint64_t at);
/*
 * Note which frames hold the slices, for when their mapping is what broke. Boot CPU, once, after
 * the slices are made.
 */
void report_note_slices(void);
/* Words read so far by the noted frames, because the walk of their address failed. */
extern uint64_t report_reads_by_note;
/* The pin that an address belongs to, or what else it is. */
void report_print_owner(va_t at);

/* kern/report_past.c */
void report_print_culprit(va_t at, const struct report_walk *first);
void report_print_tail(void);
void report_print_backtrace(uint64_t pc, uint64_t fp, unsigned cpu);
void report_print_stopped(unsigned cpu);

/* kern/report.c: everything after the first lines. `first` is the walk made at once. */
void report_print(const struct trap_frame *frame, uint64_t reason, const struct report_walk *first);

/* Test: fault in the middle of the report. */
extern bool report_provoked;

/* kern/panic.c: the frame in which a CPU stopped; 0: it did not. */
extern uint64_t stop_frame[MAX_CPUS];
