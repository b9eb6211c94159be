/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/tlbi_operand.h> - operands of TLBI by address. Pure: the host build uses this very file.
 *
 * By VA (Arm ARM C5.5, "TLBI VAAE1IS"): bits 43:0 are VA[55:12], 47:44 TTL, 63:48 ASID. A kernel
 * address that is shifted without the mask sets TTL and ASID: TTL 0 ("any level") is what we want.
 *
 * By range (FEAT_TLBIRANGE): BaseADDR 36:0 in granules, TTL 38:37, NUM 43:39, SCALE 45:44,
 * TG 47:46 (1: 4 KiB), ASID 63:48. Range: (NUM + 1) << (5 * SCALE + 1) granules.
 */
#pragma once

#include <types.h>

#define TLBI_VA_MASK ((UINT64_C(1) << 44) - 1)
#define TLBI_RANGE_TG_4K (UINT64_C(1) << 46)
#define TLBI_RANGE_BASE_MASK ((UINT64_C(1) << 37) - 1)

static inline uint64_t tlbi_operand_va(va_t va)
{
	return (va.v >> 12) & TLBI_VA_MASK;
}

/* By ASID (VAE1, RVAE1, ASIDE1): the number in 63:48, beside the operand by VA or by range. */
#define TLBI_ASID_SHIFT 48

static inline uint64_t tlbi_operand_asid(uint64_t number)
{
	return number << TLBI_ASID_SHIFT;
}

/*
 * A range of `pages` pages from va, rounded up to what the encoding can say.
 * Pre: 2 <= pages <= 2^21.
 */
static inline uint64_t tlbi_operand_range(va_t va, uint64_t pages)
{
	unsigned scale = 0;

	while (scale < 3 && pages > (UINT64_C(32) << (5 * scale + 1))) {
		scale++;
	}
	const uint64_t unit = UINT64_C(1) << (5 * scale + 1);
	const uint64_t num = (pages + unit - 1) / unit - 1;

	return ((va.v >> 12) & TLBI_RANGE_BASE_MASK) | num << 39 | (uint64_t)scale << 44 |
	       TLBI_RANGE_TG_4K;
}
