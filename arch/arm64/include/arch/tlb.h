/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/tlb.h> - TLB invalidation, inner shareable (Arm ARM D8.14, C5.5). Shadowed by the host
 * build.
 *
 * None of these waits: DSB ISHST before (the walker must see the store), DSB ISH after. Those are
 * the compiler's barriers too; between them it may move the loads of the operands together.
 */
#pragma once

#include <arch/tlbi_operand.h>

/* All ASIDs, all levels, the walk cache included. `operand` from tlbi_operand_va(). */
static inline void tlbi_vaae1is(uint64_t operand)
{
	__asm__ volatile("tlbi vaae1is, %0" ::"r"(operand));
}

/*
 * The same for a range, FEAT_TLBIRANGE; `operand` from tlbi_operand_range(). Encoded by hand:
 * S1_0_C8_C2_3.
 */
static inline void tlbi_rvaae1is(uint64_t operand)
{
	__asm__ volatile("sys #0, c8, c2, #3, %0" ::"r"(operand));
}

/*
 * Of one ASID, for entries that are not global: an address, a range, everything. The ASID's field
 * is tlbi_operand_asid().
 */
static inline void tlbi_vae1is(uint64_t operand)
{
	__asm__ volatile("tlbi vae1is, %0" ::"r"(operand));
}

/* FEAT_TLBIRANGE; S1_0_C8_C2_1. */
static inline void tlbi_rvae1is(uint64_t operand)
{
	__asm__ volatile("sys #0, c8, c2, #1, %0" ::"r"(operand));
}

static inline void tlbi_aside1is(uint64_t operand)
{
	__asm__ volatile("tlbi aside1is, %0" ::"r"(operand));
}

static inline void tlbi_vmalle1is(void)
{
	__asm__ volatile("tlbi vmalle1is" ::: "memory");
}

/* This CPU only, everything. */
static inline void tlbi_vmalle1(void)
{
	__asm__ volatile("tlbi vmalle1" ::: "memory");
}
