/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/recorder.h - the flight recorder: what this CPU did last, in its own slice, always on.
 *
 * 32-byte records in a ring of 512. Only the owner writes, so a record needs no atomics; a reader
 * of another CPU's ring may meet a half-written newest record and drops it by its sequence word.
 */
#pragma once

#include "pcpu/pcpu.h"

enum rec_kind {
	REC_NONE,
	REC_BREAK,        /* a: address, b: old entry; written before the window opens (R4) */
	REC_MAKE,         /* a: address, b: new entry; written after it closes */
	REC_PARK_SEND,    /* a: generation, b: CPUs */
	REC_PARK_ABANDON, /* a: generation, b: CPUs that did not answer */
	REC_PARK_ENTER,   /* a: generation, b: interrupted PC */
	REC_PARK_LEAVE,   /* a: generation */
	REC_DOOR,         /* a: new state */
	REC_IRQ,          /* a: interrupt, b: interrupted PC */
	REC_FAULT,        /* a: FAR, b: ESR */
	REC_PROTECT,      /* a: address, b: new entry */
	REC_CPU,          /* a: CPU, b: 1 on, 0 off */
};

struct record {
	uint64_t time; /* counter */
	uint64_t kind; /* enum rec_kind in 7:0, sequence above */
	uint64_t a;
	uint64_t b;
};

#define RECORDER_ENTRIES 512
static_assert(SLICE_RECORDER + RECORDER_ENTRIES * sizeof(struct record) <= SLICE_RECORDER_TOP,
	      "ring fits");

static inline struct record *recorder_ring(struct pcpu *p)
{
	return (struct record *)((char *)p + SLICE_RECORDER);
}

static inline void rec(enum rec_kind kind, uint64_t a, uint64_t b)
{
	struct pcpu *p = pcpu_this();
	const uint64_t n = p->recorder_next++;
	struct record *r = &recorder_ring(p)[n % RECORDER_ENTRIES];

	r->time = counter_now();
	r->kind = n << 8 | kind;
	r->a = a;
	r->b = b;
}

const char *rec_kind_name(enum rec_kind kind);

/* The newest record of a CPU, age 0 being the last; false: there is none that old. */
bool recorder_read(unsigned cpu, unsigned age, struct record *out);
