/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/atomic.h> for the host: atomics of the simulated machine. See test/host/store.c for what
 * each order means there.
 */
#pragma once

#include "test/host/sim.h"

static inline uint64_t load_relaxed(const uint64_t *p)
{
	return sim_load(p, SIM_RELAXED);
}

static inline uint64_t load_acquire(const uint64_t *p)
{
	return sim_load(p, SIM_ACQUIRE);
}

static inline uint64_t load_seq_cst(const uint64_t *p)
{
	return sim_load(p, SIM_SEQ_CST);
}

static inline void store_relaxed(uint64_t *p, uint64_t v)
{
	sim_store(p, v, SIM_RELAXED);
}

static inline void store_release(uint64_t *p, uint64_t v)
{
	sim_store(p, v, SIM_RELEASE);
}

static inline void store_seq_cst(uint64_t *p, uint64_t v)
{
	sim_store(p, v, SIM_SEQ_CST);
}

static inline bool cas_acquire(uint64_t *p, uint64_t expected, uint64_t v)
{
	return sim_cas(p, expected, v);
}

static inline uint64_t swap_acq_rel(uint64_t *p, uint64_t v)
{
	uint64_t was;

	do {
		was = sim_load(p, SIM_RELAXED);
	} while (!sim_cas(p, was, v));
	return was;
}

static inline uint64_t fetch_add_relaxed(uint64_t *p, uint64_t v)
{
	return sim_fetch_add(p, v);
}

static inline uint64_t fetch_add_seq_cst(uint64_t *p, uint64_t v)
{
	return sim_fetch_add(p, v);
}

static inline uint64_t fetch_or_acq_rel(uint64_t *p, uint64_t bits)
{
	uint64_t was;

	do {
		was = sim_load(p, SIM_ACQUIRE);
	} while (!sim_cas(p, was, was | bits));
	return was;
}

static inline uint64_t fetch_and_acq_rel(uint64_t *p, uint64_t bits)
{
	uint64_t was;

	do {
		was = sim_load(p, SIM_ACQUIRE);
	} while (!sim_cas(p, was, was & bits));
	return was;
}
