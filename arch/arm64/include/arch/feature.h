/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/feature.h> - what the boot CPU's ID registers say. Shadowed by the host build.
 */
#pragma once

#include <types.h>

struct cpu_features {
	bool tlb_range;     /* FEAT_TLBIRANGE */
	bool lse;           /* FEAT_LSE */
	bool pan;           /* FEAT_PAN */
	bool hafdbs;        /* hardware access flag, and CAS to change entries beside it */
	unsigned bbm;       /* FEAT_BBM level: 0, 1, 2 */
	unsigned asid_bits; /* 8 or 16 */
	unsigned pa_bits;
	bool bbml2_safe;    /* level 2 on a model known never to report a TLB conflict */
	const char *model;
};

/* Constant after arch_features_init(). */
extern struct cpu_features cpu_features;
