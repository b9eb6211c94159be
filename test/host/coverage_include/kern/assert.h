/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/assert.h for the coverage build: an assertion is nothing, so that its failing sides,
 * which no passing test can take, are not counted as branches. All else is as in kern/assert.h.
 */
#pragma once

#include <compiler.h>

#define KASSERT(e) ((void)0)

_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void boot_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void panic_assert(const char *file, int line, const char *fact);
