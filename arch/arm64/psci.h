/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/psci.h - Power State Coordination Interface (Arm DEN 0022), version 0.2 and later.
 *
 * Calls return the firmware's own code, 0 or negative. With PSCI_NONE each of them returns
 * PSCI_NOT_SUPPORTED and calls nobody, so that callers need no second case.
 */
#pragma once

#include <bootinfo.h>
#include <types.h>

enum psci_result {
	PSCI_SUCCESS = 0,
	PSCI_NOT_SUPPORTED = -1,
	PSCI_INVALID_PARAMETERS = -2,
	PSCI_DENIED = -3,
	PSCI_ALREADY_ON = -4,
	PSCI_ON_PENDING = -5,
	PSCI_INTERNAL_FAILURE = -6,
	PSCI_NOT_PRESENT = -7,
	PSCI_DISABLED = -8,
	PSCI_INVALID_ADDRESS = -9,
};

enum psci_affinity { PSCI_AFFINITY_ON = 0, PSCI_AFFINITY_OFF = 1, PSCI_AFFINITY_ON_PENDING = 2 };

/* Choose the conduit; before any call, on the boot CPU. */
void psci_init(enum psci_conduit conduit);

/* Major version in 31:16, minor in 15:0; 0 without PSCI or when the call is not known. */
uint32_t psci_version(void);

/* Start the CPU at `entry` (MMU off, the caller's exception level) with x0 = context. */
int psci_cpu_on(uint64_t mpidr, pa_t entry, uint64_t context);

/* Stop this CPU. Returns only on failure. Interrupts masked, caches are the firmware's job. */
int psci_cpu_off(void);

/* An enum psci_affinity, or negative. */
int psci_affinity_info(uint64_t mpidr);

/* These return only when the firmware cannot do it. */
int psci_system_off(void);
int psci_system_reset(void);

/*
 * SMCCC_ARCH_WORKAROUND_1 (Arm DEN 0070): empty this CPU's branch predictor. What the firmware
 * says about it; NEEDED: on some CPU of the machine, safe to call on all.
 */
enum smccc_need { SMCCC_NOT_OFFERED, SMCCC_NOT_NEEDED, SMCCC_NEEDED };
enum smccc_need smccc_workaround_1_need(void);
/* Pre: the firmware offers it. */
void smccc_workaround_1(void);

/* The result's name, for messages. */
const char *psci_result_name(int result);
