/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/debug.h - self-hosted debug: hardware breakpoints, single step, and a way back from a
 * fault of the debugger itself.
 */
#pragma once

#include <types.h>

#define DEBUG_BREAKPOINTS_MAX 6 /* of which every Armv8 CPU has two at least */

/* ESR_EL1.EC of the debug exceptions taken from EL1 (Arm ARM D24.2.40). */
#define ESR_EC_BREAKPOINT_SAME 0x31
#define ESR_EC_STEP_SAME 0x33
#define ESR_EC_BRK 0x3c

#define SPSR_SS (UINT64_C(1) << 21)
#define SPSR_D (UINT64_C(1) << 9)

/* How many breakpoints this CPU has, at most DEBUG_BREAKPOINTS_MAX. */
unsigned debug_breakpoint_count(void);

/*
 * The breakpoints that every CPU shall have; address 0: none. Takes effect on a CPU with its next
 * debug_sync(). One CPU calls this, the others being held. Pre: i < DEBUG_BREAKPOINTS_MAX; at is
 * aligned to 4.
 */
void debug_breakpoint_set(unsigned i, va_t at);
va_t debug_breakpoint(unsigned i);

/* Make this CPU's registers what was set. Any context with debug exceptions masked (PSTATE.D). */
void debug_sync(void);

/*
 * This CPU executes one instruction of the context that it returns to, without breakpoints, and
 * takes ESR_EC_STEP_SAME. The caller sets SPSR_SS and clears SPSR_D there (Arm ARM D2.12).
 * debug_sync() ends it.
 */
void debug_step_next(void);

/*
 * A place to come back to: false when it is passed, true when recover() comes back to it. The
 * function that called it must not have returned by then. Both on one stack, interrupts masked.
 */
#define RECOVER_WORDS 13
[[gnu::returns_twice]] bool recover_point(uint64_t context[RECOVER_WORDS]);
_Noreturn void recover(const uint64_t context[RECOVER_WORDS]);

/*
 * Single step of EL0, on this CPU: a thread whose PSTATE.SS is set executes one instruction. An
 * ERET makes it effective (Arm ARM D2.12).
 */
void debug_step_el0(bool on);
