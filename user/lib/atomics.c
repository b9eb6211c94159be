/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/atomics.c - two helpers that picolibc, as Debian builds it, expects of the compiler's
 * library: 16-bit atomics for ungetc(). Names and arguments are those of outlined atomics.
 */
#include <stdint.h>

uint16_t __aarch64_swp2_relax(uint16_t value, uint16_t *at);
uint16_t __aarch64_cas2_acq_rel(uint16_t expected, uint16_t value, uint16_t *at);

uint16_t __aarch64_swp2_relax(uint16_t value, uint16_t *at)
{
	return __atomic_exchange_n(at, value, __ATOMIC_RELAXED);
}

uint16_t __aarch64_cas2_acq_rel(uint16_t expected, uint16_t value, uint16_t *at)
{
	__atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_ACQUIRE);
	return expected;
}
