/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/ipi_direct.h> - a software-generated interrupt by one register write (IHI 0069, GICv3).
 * Shadowed by the host build.
 */
#pragma once

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>
#include <compiler.h>
#include <types.h>

/*
 * CPUs whose number n is their affinity, 0.0.0.n, below 16: a mask of them is what ICC_SGI1R_EL1
 * takes. [a] grows while CPUs start; 0: another GIC.
 */
extern uint64_t ipi_direct;

#define ICC_SGI1R_INTID_SHIFT 24

/*
 * arch_ipi_send(), if all the CPUs are such. False: they are not, nothing was sent.
 * Pre: a DSB ISHST between the stores that the CPUs are to see, and this.
 */
static always_inline bool arch_ipi_send_direct(enum sgi sgi, uint64_t cpus)
{
	if (unlikely((cpus & ~load_relaxed(&ipi_direct)) != 0)) {
		return false;
	}
	const uint64_t value = cpus | (uint64_t)sgi << ICC_SGI1R_INTID_SHIFT;

	__asm__ volatile("msr icc_sgi1r_el1, %0" : : "r"(value) : "memory");
	isb();
	return true;
}
