/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/fuzz/fuzz.h - what parent and victims share.
 */
#pragma once

#include <types.h>

#define VICTIMS_MAX 4u

struct fuzz_page {
	_Atomic(uint64_t) calls;
	_Atomic(uint64_t) succeeded; /* with KERR_OK */
	_Atomic(uint64_t) calls_of[VICTIMS_MAX]; /* of all that were victim n */
};

/* Call the kernel about so many times, then end. */
int victim_main(uint64_t seed, uint64_t calls);
