/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/trap.h - the frame that vectors.S makes, and what it calls.
 */
#pragma once

#include <types.h>

struct trap_frame {
	uint64_t x[31];
	uint64_t sp; /* SP_EL0 when taken from SP0, else SP_EL1 */
	uint64_t elr;
	uint64_t spsr;
	uint64_t esr;
	uint64_t far;
};
static_assert(sizeof(struct trap_frame) == 288, "FRAME_BYTES in vectors.S");

/* Why there is no way back: numbers in vectors.S. */
enum trap_reason {
	TRAP_SP0_SYNC = 0, /* a fault of the kernel that nobody resolves */
	TRAP_SP0_FIQ = 1,
	TRAP_SP0_SERROR = 2,
	TRAP_SPX_SYNC = 4, /* 4-7: recursion */
	TRAP_SPX_SERROR = 7,
	TRAP_EL0 = 8, /* 8-15 */
	TRAP_EL0_32 = 12,
	TRAP_BAD_STACK = 16,
	TRAP_BAD_X18 = 17,
	TRAP_BAD_SP0 = 18, /* the kernel stack has run over, or SP_EL0 is not a stack of this CPU */
};

/* With TRAP_BAD_X18 and TRAP_BAD_SP0: an interrupt found it, so ESR and FAR are not of it. */
#define TRAP_BY_INTERRUPT 0x100u

/* Called by vectors.S on SPx, DAIF masked. */
void trap_sync(struct trap_frame *frame);
void trap_irq(struct trap_frame *frame);
/*
 * Acknowledge one interrupt and do its pinned part; `pc`: what it interrupted, 0: an idle CPU asks.
 * `frame`: what a debugger may look at and change; nullptr: EL0, or idle. On SPx, masked.
 */
void trap_top_half(uint64_t pc, struct trap_frame *frame);
/* Its second half: `iar` is what gic_ack() said. */
void trap_interrupt(uint32_t iar, uint64_t pc, struct trap_frame *frame);
/* The same on the lifeboat, with a frame on its stack. */
_Noreturn void trap_fatal(const struct trap_frame *frame, uint64_t reason, uint64_t x18);
/* Leave for the lifeboat and report there. `frame` is readable. Also called by trap_sync(). */
_Noreturn void trap_die(const struct trap_frame *frame, uint64_t reason, uint64_t x18);

/* Taken from SPx? Then it is recursion, whatever it is. */
bool trap_is_recursion(uint64_t reason);

/* Are ESR and, for an abort, FAR of this exception? Not of an interrupt or an SError. */
static inline bool trap_is_sync(uint64_t reason)
{
	return reason == TRAP_SP0_SYNC || reason == TRAP_SPX_SYNC || reason == TRAP_EL0 ||
	       reason == TRAP_EL0_32 ||
	       (reason >= TRAP_BAD_STACK && (reason & TRAP_BY_INTERRUPT) == 0);
}

/* Log the registers of a frame. */
void trap_print(const struct trap_frame *frame);
