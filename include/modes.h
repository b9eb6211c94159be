/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/modes.h - how a live mapping is changed; chosen at boot by bbm=.
 */
#pragma once

enum bbm_mode {
	BBM_PARK,  /* park, break, invalidate, make */
	BBM_RETRY, /* the same unparked; faults are retried: what FreeBSD does */
	BBM_BBML2, /* no break: FEAT_BBM level 2 on CPUs known not to report conflicts */
	BBM_NAIVE, /* unparked, also where the per-CPU data lie: the disease */
};
