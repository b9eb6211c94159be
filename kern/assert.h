/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/assert.h - assertions, on in every build, and the end of the road.
 */
#pragma once

#include <compiler.h>

/* One fact, O(1). The comment beside it names the rule. */
#define KASSERT(e)                                            \
	do {                                                  \
		if (unlikely(!(e))) {                         \
			panic_assert(__FILE__, __LINE__, #e); \
		}                                             \
	} while (0)

/*
 * Stop the machine with a message: other CPUs are stopped, state is printed, the board powers off.
 * Any context. The first caller reports, later ones stop.
 */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The board or its description is not one we can run on: one line, then a clean stop. Boot CPU. */
_Noreturn void boot_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_assert(const char *file, int line, const char *fact);
