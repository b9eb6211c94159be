/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/atomic.h> - atomics with their order in their name. Shadowed by the host build.
 *
 * seq_cst loads compile to LDAR and seq_cst stores to STLR: LDAR after STLR is ordered (Arm ARM
 * B2.3.8, RCsc), which is what Dekker patterns need; LDAPR would not order it, so these headers
 * never use acquire where a store-load order is wanted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t load_relaxed(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint64_t load_acquire(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t load_seq_cst(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

static inline void store_relaxed(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void store_release(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void store_seq_cst(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_SEQ_CST);
}

/* Replace `expected` by `v` (acquire); false if something else was there. */
static inline bool cas_acquire(uint64_t *p, uint64_t expected, uint64_t v)
{
	return __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/* Store v, return what was there (acquire and release). */
static inline uint64_t swap_acq_rel(uint64_t *p, uint64_t v)
{
	return __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL);
}

static inline uint64_t fetch_add_relaxed(uint64_t *p, uint64_t v)
{
	return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}

/* Ordered before a later load_seq_cst(), as store_seq_cst() is (STLXR, then LDAR). */
static inline uint64_t fetch_add_seq_cst(uint64_t *p, uint64_t v)
{
	return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}

static inline uint64_t fetch_or_acq_rel(uint64_t *p, uint64_t bits)
{
	return __atomic_fetch_or(p, bits, __ATOMIC_ACQ_REL);
}

static inline uint64_t fetch_and_acq_rel(uint64_t *p, uint64_t bits)
{
	return __atomic_fetch_and(p, bits, __ATOMIC_ACQ_REL);
}
