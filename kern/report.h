/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report.h - the parts of a report, for a CPU on the lifeboat.
 *
 * THEORY   A report reads memory that may be what broke. report_read() is its only way to: an
 *          address is translated by walking the live tables as the hardware would, each entry by
 *          its physical address, and the frame it leads to is read in the lifeboat's map of all
 *          RAM (kern/physread.h). No live mapping is used. Garbage is decoded as far as it leads
 *          to RAM; a walk has four steps, so a cycle ends too, and is said.
 */
#pragma once

#include <arch/pte.h>
#include <types.h>

#include "kern/trap.h"
#include "pcpu/recorder.h"

/* A walk of the live tables, each entry as it was read. */
struct report_walk {
	unsigned level; /* of the last entry */
	bool cut;       /* the table of that level is not in RAM: its entry was not read */
	pte_t entry[PT_LEVELS];
	uint64_t table[PT_LEVELS]; /* physical addresses */
};

/* What trap_fatal() knows. */
struct report_fatal {
	const struct trap_frame *frame;
	uint64_t reason;
	uint64_t kept_elr; /* ELR of the last exception from SP0 or EL0, calls apart (vectors.S) */
	const struct report_walk *first; /* the walk of FAR, made at once */
};

/* kern/report_walk.c */
void report_walk(va_t at, struct report_walk *w);
bool report_walk_same(const struct report_walk *a, const struct report_walk *b);
void report_print_walk(va_t at, const struct report_walk *w);
/* One entry in words, and a newline. */
void report_print_entry(pte_t e, unsigned level);
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
/* The CPUs: who stopped, and where each stood; -1: its mailbox cannot be read. */
void report_cpus(uint64_t stopped_not);
void report_print_culprit(va_t at, const struct report_walk *first);
void report_print_tail(void);
/* Record n of a CPU; false: overwritten, half-written, or out of reach. */
bool report_read_record(unsigned cpu, uint64_t n, struct record *out);
/* How many records a CPU has written; false: out of reach. */
bool report_read_count(unsigned cpu, uint64_t *count);
void report_print_record(unsigned cpu, const struct record *r);

/* kern/report_chain.c */
/* Vector, syndrome, places, and the exception before it, as far as anything is left of that. */
void report_print_cause(const struct report_fatal *f);
/* An instruction or data abort of the kernel's? */
bool report_is_abort(uint64_t esr);
/* From a frame pointer: what a CPU that waits would return to. */
void report_print_stack(uint64_t fp, unsigned cpu);
void report_print_backtrace(uint64_t pc, uint64_t fp, unsigned cpu);
void report_print_stopped(unsigned cpu);

/* kern/report.c: everything after the first lines. */
void report_print(const struct report_fatal *f);
/* Has the exception an address that is worth a walk? */
bool report_has_far(const struct trap_frame *frame, uint64_t reason);
/* How the other CPUs came to stand where they stopped, and the recorders. */
void report_print_others(unsigned cpu);

/* Test: fault in the middle of the report. */
extern bool report_provoked;
