/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/types.h - the address types.
 *
 * One-field structs, so that a physical address cannot be passed where a virtual one is
 * wanted. The field is `v` in all of them. 0 is a valid physical address.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t v; /* physical address, bytes */
} pa_t;

typedef struct {
	uint64_t v; /* virtual address, bytes */
} va_t;

typedef struct {
	uint64_t v; /* stage-1 descriptor, Arm ARM D8.3 */
} pte_t;

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#define MAX_CPUS 64
#define MAX_NODES 8

static inline pa_t pa(uint64_t v)
{
	return (pa_t){ v };
}

static inline va_t va(uint64_t v)
{
	return (va_t){ v };
}

/* Round to a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
	return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
	return (v & (align - 1)) == 0;
}

/*
 * Do the half-open ranges [a, a + a_size) and [b, b + b_size) meet?  No overflow: sizes are
 * compared.
 */
static inline bool ranges_meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}
