/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/assert.h for the coverage build: an assertion is a call, so that its failing side, which no
 * passing test can take, is not counted as a branch. Everything else is as in kern/assert.h.
 */
#pragma once

#include <compiler.h>

void coverage_assert(_Bool holds, const char *file, int line, const char *fact);

#define KASSERT(e) coverage_assert((e), __FILE__, __LINE__, #e)

_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void boot_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_assert(const char *file, int line, const char *fact);
