/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/debug.c - see arch/arm64/debug.h.
 *
 * THEORY   Kernel code on SP0 runs with PSTATE.D clear and is debugged; every exception sets D, so
 *          vectors, the window, the park and the debugger on SPx are not: no breakpoint can make
 *          them recurse. Text is read-only and pinned, hence registers and not BRK instructions.
 *          The registers are each CPU's own; what they shall hold is kept once, here.
 */
#include "arch/arm64/debug.h"

#include <arch/barrier.h>
#include <compiler.h>

#include "arch/arm64/sysreg.h"

#define DFR0_BRPS_SHIFT 12
#define MDSCR_SS (UINT64_C(1) << 0)
#define MDSCR_KDE (UINT64_C(1) << 13) /* debug exceptions from EL1 itself */
#define MDSCR_MDE (UINT64_C(1) << 15) /* breakpoints */
/* Unlinked address match (BT 0), all four bytes (BAS), EL1 only (HMC 0, SSC 0, PMC 1). */
#define DBGBCR_EL1_ONLY (UINT64_C(0xf) << 5 | UINT64_C(1) << 1 | UINT64_C(1) << 0)

static va_t wanted[DEBUG_BREAKPOINTS_MAX];

unsigned debug_breakpoint_count(void)
{
	const unsigned count =
		(unsigned)(read_sysreg(id_aa64dfr0_el1) >> DFR0_BRPS_SHIFT & 0xf) + 1;

	return count < DEBUG_BREAKPOINTS_MAX ? count : DEBUG_BREAKPOINTS_MAX;
}

void debug_breakpoint_set(unsigned i, va_t at)
{
	wanted[i] = at;
}

va_t debug_breakpoint(unsigned i)
{
	return wanted[i];
}

/* The number of a register is part of the instruction. */
static void write_breakpoint(unsigned i, uint64_t value, uint64_t control)
{
	switch (i) {
#define WRITE(n)                                        \
	case n:                                         \
		write_sysreg(dbgbcr##n##_el1, 0);       \
		write_sysreg(dbgbvr##n##_el1, value);   \
		write_sysreg(dbgbcr##n##_el1, control); \
		break
		WRITE(0);
		WRITE(1);
		WRITE(2);
		WRITE(3);
		WRITE(4);
		WRITE(5);
#undef WRITE
	default:
		break; /* DEBUG_BREAKPOINTS_MAX */
	}
}

void debug_sync(void)
{
	bool any = false;

	for (unsigned i = 0; i < debug_breakpoint_count(); i++) {
		const bool on = wanted[i].v != 0;

		write_breakpoint(i, wanted[i].v, on ? DBGBCR_EL1_ONLY : 0);
		any = any || on;
	}
	write_sysreg(oslar_el1, 0); /* locked after reset: then none is taken */
	write_sysreg(mdscr_el1, any ? MDSCR_KDE | MDSCR_MDE : 0);
	isb();
}

void debug_step_next(void)
{
	write_sysreg(oslar_el1, 0);
	write_sysreg(mdscr_el1, MDSCR_KDE | MDSCR_SS);
	isb();
}

void debug_step_el0(bool on)
{
	const uint64_t mdscr = read_sysreg(mdscr_el1);

	write_sysreg(oslar_el1, 0);
	write_sysreg(mdscr_el1, on ? mdscr | MDSCR_SS : mdscr & ~MDSCR_SS);
}
