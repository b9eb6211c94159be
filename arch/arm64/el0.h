/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el0.h - where el0.S, ipc_fast.S and the lower-EL vectors find things. C asserts each
 * (kern/el0.c): a field that moves stops the build.
 */
#pragma once

/* struct pcpu */
#define PCPU_CURRENT 192  /* the thread whose registers an exception from EL0 goes to */
#define PCPU_QUIET 200    /* grows at every return to EL0 */
#define PCPU_SP0_BASE 208 /* where SP0 begins in a call from EL0 */
#define PCPU_HOST_SP 216  /* SP0 of the kernel program that gave its CPU to threads */

/* struct thread: the registers of EL0 */
#define TH_REGS 64
#define TH_X(n) (TH_REGS + 8 * (n))
#define TH_SP TH_X(31)
#define TH_PC TH_X(32)
#define TH_PSTATE TH_X(33)
#define TH_TLS TH_X(34)

/* Calls that assembly knows (include/calls.toml). */
#define NR_NULL 0
#define NR_IPC_CALL 22
#define NR_IPC_REPLY_RECV 23
#define NR_IPC_RECV 24

#define ESR_EC_SHIFT 26
#define EC_SVC64 0x15 /* as ESR_EC_SVC64 of sysreg.h, which is for C */
