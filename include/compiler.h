/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/compiler.h - what the language does not say by itself.
 */
#pragma once

#define noinline __attribute__((__noinline__))
#define always_inline inline __attribute__((always_inline))
/* Of a short function: it leaves all registers but x0-x8, x16 and x17 to its caller. */
#define keeps_registers __attribute__((preserve_most))
#define noreturn_fn __attribute__((noreturn))
#define packed_struct __attribute__((packed))
#define cacheline_aligned __attribute__((aligned(64)))
#define page_aligned __attribute__((aligned(4096)))
#define likely(e) __builtin_expect(!!(e), 1)
#define unlikely(e) __builtin_expect(!!(e), 0)
#define array_len(a) (sizeof(a) / sizeof((a)[0]))
#define caller_pc() ((uint64_t)(uintptr_t)__builtin_return_address(0))
/* The same, for a function that calls others: a load from its frame. */
#define caller_pc_framed() (((const uint64_t *)__builtin_frame_address(0))[1])
