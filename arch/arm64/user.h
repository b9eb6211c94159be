/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/user.h - what a CPU needs before it runs a user space: PAN, an empty TTBR0, and what
 * can be done against speculation across spaces.
 */
#pragma once

#include <arch/user.h>

/* This CPU: the empty root, PSTATE.PAN where there is PAN. Each CPU, on its way in. */
void arch_user_init_cpu(void);

/*
 * Ask the boot CPU and the firmware what speculation across spaces needs. Boot CPU, after
 * psci_init(). Returns one line for the boot log.
 */
const char *arch_speculation_init(void);
