/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/inval.h - invalidation batches: record now, park once, change everything.
 *
 * THEORY   While a change is being planned, code may lock, allocate and fail; nothing is parked.
 *          inval_add() only writes down which entry becomes what. inval_flush() goes to the
 *          exception stack, takes the token, refuses what meets pinned memory (R3), parks, looks
 *          again at every entry, and then runs the window, which the caller supplies
 *          (vm/pmap_entry.c).
 * INVARIANTS
 *   IB1  All of a batch changes, or none of it.
 *   IB2  A batch is flushed before its CPU switches thread, blocks, or returns to EL0 (R6).
 * LOCKING  The owner of the tables holds their lock from inval_begin() to the end of the flush.
 */
#pragma once

#include <arch/cpu.h>
#include <arch/feature.h>
#include <arch/pte.h>
#include <arch/tlbi_operand.h>
#include <compiler.h>
#include <kerr.h>
#include <memmap.h>
#include <modes.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/stop.h"

#define INVAL_MAX 16 /* entries: one contiguous run, or 16 single ones */

/*
 * How the breaks of a batch are invalidated; what is chosen is counted. For a user space the same
 * of its ASID only: VAE1IS, RVAE1IS, ASIDE1IS.
 */
enum inval_kind {
	INVAL_VA,    /* TLBI VAAE1IS, one for each page or block that was mapped */
	INVAL_RANGE, /* TLBI RVAAE1IS, one for each entry */
	INVAL_ALL,   /* TLBI VMALLE1IS */
	INVAL_PAGES, /* as VA, for entries that were tables: a loop in the window; forced only */
	INVAL_AUTO,  /* by what the CPU has and what it costs */
};
#define INVAL_KINDS INVAL_AUTO

/* How many entries a batch has: a full one (a run) needs no look at the count. */
enum inval_shape { INVAL_ONE, INVAL_SOME, INVAL_FULL };
#define INVAL_SHAPES 4 /* a power of two: found by shifts */

/* Mode and kind for the whole machine; boot arguments and tests. */
struct inval_tuning {
	enum bbm_mode mode;
	enum inval_kind wanted;
	uint32_t unusual; /* another mode than park, or a kind is wanted */
};
extern struct inval_tuning inval_tuning;
static inline enum bbm_mode inval_mode(void)
{
	return inval_tuning.mode;
}

struct inval_batch;
struct record;

/* Break, invalidate, make; cannot fail. On SPx, everyone parked. One for each kind and shape. */
typedef keeps_registers void inval_window(const struct inval_batch *batch);
struct inval_windows {
	inval_window *window[INVAL_KINDS][INVAL_SHAPES];
};

/* One entry of a table. The window reads these, and nothing else. */
struct inval_entry {
	pte_t expected; /* what it must still be under the park */
	pte_t *slot;
	pte_t fresh;
	uint64_t tlbi;  /* operand */
};

/* A range of addresses that changes size: one entry, or the 16 of a contiguous run. */
struct inval_span {
	va_t va;
	pa_t pa; /* the memory behind it (not a table's page) */
	uint64_t size; /* bytes; va is aligned to it */
	uint64_t tag; /* rec_span() of the three, for the record */
	uint32_t first; /* its first entry in the batch */
	uint32_t operands; /* TLBIs by address that it takes: 1, 16, or 512 for a table */
	struct record *record; /* of the flush: what the flight recorder says about it */
};

/* A block, aligned, 2 MiB: what a batch has instead of spans if it is all that changes. */
struct inval_block {
	uint64_t tag; /* rec_span(): where it lies, and for the record */
	pa_t pa; /* the memory behind it */
};

/* What a block's flush reads together lies together: two words are one load. */
struct inval_batch {
	struct park park;
	enum inval_kind kind;
	uint32_t count; /* entries */
	uint32_t span_count;
	inval_window *window;
	uint64_t caller; /* who asked for the change: for the records */
	struct inval_block block;
	struct inval_entry entry[INVAL_MAX];
	struct inval_span span[INVAL_MAX];
};

/*
 * `space`: whose tables these are, nullptr: the kernel's. `caller`: an address of code, for the
 * records.
 */
static inline void inval_begin(struct inval_batch *batch, struct park_space *space, uint64_t caller)
{
	batch->park.space = space;
	batch->count = 0;
	batch->span_count = 0;
	batch->caller = caller;
}

/*
 * Record a change: a span of `entries` (1 or 16) neighbouring slots. Nothing is parked, nothing
 * changes. The caller fills the span that is returned (but for `first`), and slot, fresh and
 * expected of the batch's entries from `first` on. Pre: batch->count + entries <= INVAL_MAX.
 */
static inline struct inval_span *inval_add(struct inval_batch *batch, uint32_t entries)
{
	struct inval_span *span = &batch->span[batch->span_count++];

	KASSERT(batch->count + entries <= INVAL_MAX);
	span->first = batch->count;
	batch->count += entries;
	return span;
}

/*
 * An entry that is one leaf needs one operand; an entry that is a table needs one for each leaf
 * under it, one range, or everything (Arm ARM D8.16: the walk cache goes with any of them, because
 * none is last-level-only).
 */
static always_inline enum inval_kind inval_usual_kind(bool tables)
{
	if (!tables) {
		return INVAL_VA;
	}
	return cpu_features.tlb_range ? INVAL_RANGE : INVAL_ALL;
}

/* The operand for an entry that maps `size` bytes. */
static always_inline uint64_t inval_operand(enum inval_kind kind, va_t at, uint64_t size,
					    bool table)
{
	if (likely(kind != INVAL_RANGE)) {
		return tlbi_operand_va(at);
	}
	/* One block takes a range of two pages, whatever its size. */
	return tlbi_operand_range(at, table ? size / PAGE_BYTES : 2);
}

static always_inline enum kerr inval_on_spx(uint64_t (*flush)(void *), struct inval_batch *batch)
{
	KASSERT(!arch_on_spx());
	const enum kerr e = (enum kerr)arch_call_on_spx(flush, batch);

	stop_poll();
	return e;
}

/*
 * Do it. KERR_PINNED: a range meets pinned memory, or a place where nothing ever changes size.
 * KERR_BUSY: a CPU did not park (batch->park.culprits). KERR_CHANGED: an entry is not what was
 * expected. On failure nothing was changed. Pre: on SP0; count > 0.
 */
enum kerr inval_flush(struct inval_batch *batch, const struct inval_windows *windows);

/*
 * The same for the entry of one block, planned by the caller: park.space, caller, window (of the
 * usual kind), block and entry[0] are set, nothing else of the batch need be. Mode park only. The
 * TLBI is the caller's to count.
 */
uint64_t inval_block_on_spx(void *batch);

static always_inline enum kerr inval_flush_block(struct inval_batch *batch)
{
	return inval_on_spx(inval_block_on_spx, batch);
}

void inval_set_mode(enum bbm_mode mode);
const char *inval_mode_name(enum bbm_mode mode);
void inval_set_kind(enum inval_kind kind);

/*
 * Did a CPU change the entry behind this address lately? By the flight recorders: for the
 * classification of faults. Pinned memory only.
 */
#define INVAL_LATELY 64 /* the newest records of each CPU */
bool inval_changed_lately(va_t at);

/* Mode retry: rounds of a delay loop while the entry is broken. */
void inval_set_window_delay(uint64_t rounds);
uint64_t inval_window_delay(void);

/*
 * Invalidate a range whose entries were removed or restricted, no window needed: DSB ISHST, TLBIs,
 * DSB ISH.
 * `stride`: bytes that one leaf maps. `space`: as for inval_begin().
 */
void inval_range_now(const struct park_space *space, va_t va, uint64_t size, uint64_t stride);
