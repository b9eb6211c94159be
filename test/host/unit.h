/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/unit.h - what the unit tests share: cmocka, numbers by chance, the simulated machine.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/host/sim.h"

/* A number below `bound`, the same in every run. */
static inline uint64_t any(uint64_t bound)
{
	static uint64_t x = 0x2545f4914f6cdd1d;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % bound;
}

/* For cmocka: the machine of test/host/boot.c, outside of a run. */
static inline int unit_boot(void **state)
{
	(void)state;
	sim_boot();
	return 0;
}
