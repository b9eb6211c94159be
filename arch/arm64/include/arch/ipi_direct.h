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

/* The CPUs that can be named by a mask of their numbers: they share the boot CPU's group. */
struct ipi_direct {
	uint64_t cpus;  /* [a] they are their own bits of a target list; grows. 0: another GIC */
	uint64_t sgi1r; /* [c] ICC_SGI1R_EL1 without targets and INTID: the group */
};
extern struct ipi_direct ipi_direct;

#define ICC_SGI1R_INTID_SHIFT 24

/*
 * arch_ipi_send(), if the mask is a target list. False: it is not, nothing was sent.
 * Pre: a DSB ISHST between the stores that the CPUs are to see, and this.
 */
static always_inline bool arch_ipi_send_direct(enum sgi sgi, uint64_t cpus)
{
	if (unlikely((cpus & ~load_relaxed(&ipi_direct.cpus)) != 0)) {
		return false;
	}
	const uint64_t value = ipi_direct.sgi1r | cpus | (uint64_t)sgi << ICC_SGI1R_INTID_SHIFT;

	__asm__ volatile("msr icc_sgi1r_el1, %0" : : "r"(value) : "memory");
	isb();
	return true;
}
