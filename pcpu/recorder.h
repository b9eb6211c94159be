/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/recorder.h - the flight recorder: what this CPU did last, in its own slice, always on.
 *
 * THEORY   48-byte records in a ring of 512. What takes time is one record: written when it begins,
 *          `took` entered when it ends, so that what never ended is told from what did. A change of
 *          an entry is therefore one record, written before the window opens and completed after it
 *          has closed (R4). recorder_layout describes the rings to whoever has nothing but a memory
 *          dump and the image: scripts/trace, scripts/gdb/perch.py.
 * INVARIANTS
 *   RE1  Only the owner writes its ring, interrupts masked or not: an interrupt between taking a
 *        number and filling the record writes later ones, so no record is written twice.
 *   RE2  A reader of another CPU's ring may meet a half-written newest record, and drops it by its
 *        sequence number.
 */
#pragma once

#include "pcpu/pcpu.h"

/*
 * name in reports, what a and b hold (x: hexadecimal, p: an address of code, d: decimal, m: a mask
 * of CPUs, v: an address with REC_SPAN, e: an entry, l: a spinlock), whether it lasts: `took` is
 * entered when it ends.
 */
#define REC_KINDS(X)                                                                            \
	X(NONE, "none", 'x', 'x', false)                                                        \
	X(CHANGE, "change", 'v', 'e', true) /* c: new entry, d: caller; b: old entry */         \
	X(PROTECT, "protect", 'x', 'e', false) /* slot, new entry: changed without a break */   \
	X(TLBI, "tlbi", 'v', 'd', false) /* outside of windows; leaves removed or restricted */ \
	X(PARK_SEND, "park-send", 'd', 'm', true) /* generation, CPUs asked; until released */  \
	X(PARK_ABANDON, "park-abandon", 'd', 'm',                                               \
	  false) /* generation, CPUs that did not answer */                                     \
	X(PARK, "park", 'd', 'p', true) /* generation, interrupted PC or 0: acknowledged */     \
	X(DOOR_WAIT, "door-wait", 'd', 'd', true) /* generation of the window at the door */    \
	X(IRQ, "irq", 'd', 'p', true) /* number, interrupted PC */                              \
	X(IPI, "ipi", 'd', 'm', false) /* SGI sent, to whom; the park's is PARK_SEND */         \
	X(FAULT, "fault", 'x', 'x', true) /* FAR, ESR; d: ELR; ends only if it was resolved */  \
	X(LOCK_WAIT, "lock-wait", 'l', 'd', false) /* lock, ticks that the wait before took */  \
	X(CPU, "cpu", 'd', 'd', false) /* number, 1 on, 0 off */                                \
	X(SWITCH, "switch", 'd', 'd', false) /* threads: who comes, who goes; 0: idle */        \
	X(MARK, "mark", 'x', 'x', false) /* of a test */

enum rec_kind {
#define REC_ENUM(name, text, a, b, lasts) REC_##name,
	REC_KINDS(REC_ENUM)
#undef REC_ENUM
		REC_KIND_COUNT
};

struct record {
	uint64_t time; /* counter */
	union {
		struct {
			uint32_t id;   /* enum rec_kind in 7:0, low bits of the number above */
			uint32_t took; /* ticks + 1, at most UINT32_MAX; 0: not ended */
		};
		uint64_t id_took; /* both in one store */
	};
	uint64_t a;
	uint64_t b;
	uint64_t c; /* c and d: CHANGE and FAULT only, else what was there before */
	uint64_t d;
};

#define RECORDER_ENTRIES 512
static_assert(sizeof(struct record) == 48, "no padding: the dump decoder reads it");
static_assert(SLICE_RECORDER + RECORDER_ENTRIES * sizeof(struct record) <= SLICE_RECORDER_TOP,
	      "ring fits");

/*
 * In the low bits of an address that is aligned to a page: log2 of the bytes behind it, and how
 * they were invalidated.
 */
#define REC_SPAN_LOG 0x3fu
#define REC_SPAN_KIND_SHIFT 6
#define REC_SPAN_KIND_MASK 7u
#define REC_SPAN_BITS UINT64_C(0xfff)

static inline uint64_t rec_span(uint64_t at, uint64_t bytes, unsigned tlbi_kind)
{
	return at | (uint64_t)__builtin_ctzll(bytes) | (uint64_t)tlbi_kind << REC_SPAN_KIND_SHIFT;
}

static inline struct record *recorder_ring(struct pcpu *p)
{
	return (struct record *)((char *)p + SLICE_RECORDER);
}

/* Write a record. Returns it, for rec_took(). Pinned memory only; any context. */
static inline struct record *rec(enum rec_kind kind, uint64_t a, uint64_t b)
{
	struct pcpu *p = pcpu_this();
	const uint64_t next = p->recorder_next;
	struct record *r = &recorder_ring(p)[next / RECORDER_STEP % RECORDER_ENTRIES];

	p->recorder_next = next + RECORDER_STEP;
	r->time = counter_now();
	r->id_took = (uint32_t)(next + kind);
	r->a = a;
	r->b = b;
	return r;
}

/* What a record began has ended, after so many ticks. Pre: fewer than a ring of records ago. */
static inline void rec_took(struct record *r, uint64_t ticks)
{
	r->took = ticks < UINT32_MAX ? (uint32_t)ticks + 1 : UINT32_MAX;
}

static inline void rec_end(struct record *r)
{
	rec_took(r, counter_now() - r->time);
}

static inline enum rec_kind record_kind(const struct record *r)
{
	return (enum rec_kind)(r->id & 0xff);
}

/* A kind of this name; "?" for a number that is none. */
const char *rec_kind_name(enum rec_kind kind);
/* What b holds, and whether it lasts, as in REC_KINDS. */
char rec_kind_b(enum rec_kind kind);
bool rec_kind_lasts(enum rec_kind kind);

/* The newest record of a CPU, age 0 being the last; false: there is none that old. */
bool recorder_read(unsigned cpu, unsigned age, struct record *out);
/* Is this copy of a slot record n of its ring, whole? */
bool record_is(const struct record *r, uint64_t n);

/* Records written since boot: the number of the next one. */
static inline uint64_t recorder_count(const struct pcpu *p)
{
	return p->recorder_next / RECORDER_STEP;
}

/* Note the counter's frequency and the kernel's root table for who reads a dump. Once. */
void recorder_init(uint64_t counter_hz, pa_t root);
