/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/psci.c - PSCI calls by HVC or SMC.
 *
 * THEORY   The SMC Calling Convention (Arm DEN 0028) before 1.1 lets the callee change x4-x17;
 *          x18-x30 are kept, so x18 stays the pcpu pointer. Results of PSCI are 32-bit signed.
 *          The function identifiers with a 64-bit argument have bit 30 set.
 * LOCKING  None; PSCI itself orders what two CPUs ask for.
 */
#include "arch/arm64/psci.h"

#define PSCI_FN_VERSION 0x84000000
#define PSCI_FN_CPU_OFF 0x84000002
#define PSCI_FN_CPU_ON 0xc4000003
#define PSCI_FN_AFFINITY_INFO 0xc4000004
#define PSCI_FN_SYSTEM_OFF 0x84000008
#define PSCI_FN_SYSTEM_RESET 0x84000009
#define PSCI_FN_FEATURES 0x8400000a
#define PSCI_VERSION_1_0 0x10000

#define SMCCC_FN_VERSION 0x80000000
#define SMCCC_FN_ARCH_FEATURES 0x80000001
#define SMCCC_FN_WORKAROUND_1 0x80008000
#define SMCCC_VERSION_1_1 0x10001

/* [c] const after psci_init() */
static enum psci_conduit psci_conduit;

#define SMCCC_CALL(instruction)                                                                   \
	__asm__ volatile(instruction                                                              \
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)                                 \
			 :                                                                        \
			 : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", \
			   "x15", "x16", "x17", "memory", "cc")

static int psci_call(uint64_t function, uint64_t arg1, uint64_t arg2, uint64_t arg3)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = arg1;
	register uint64_t x2 __asm__("x2") = arg2;
	register uint64_t x3 __asm__("x3") = arg3;

	switch (psci_conduit) {
	case PSCI_HVC:
		SMCCC_CALL("hvc #0");
		break;
	case PSCI_SMC:
		SMCCC_CALL("smc #0");
		break;
	case PSCI_NONE:
		return PSCI_NOT_SUPPORTED;
	}
	return (int)(int64_t)x0;
}

void psci_init(enum psci_conduit conduit)
{
	psci_conduit = conduit;
}

uint32_t psci_version(void)
{
	int version = psci_call(PSCI_FN_VERSION, 0, 0, 0);

	return version > 0 ? (uint32_t)version : 0;
}

int psci_cpu_on(uint64_t mpidr, pa_t entry, uint64_t context)
{
	return psci_call(PSCI_FN_CPU_ON, mpidr, entry.v, context);
}

int psci_cpu_off(void)
{
	return psci_call(PSCI_FN_CPU_OFF, 0, 0, 0);
}

int psci_affinity_info(uint64_t mpidr)
{
	return psci_call(PSCI_FN_AFFINITY_INFO, mpidr, 0, 0);
}

int psci_system_off(void)
{
	return psci_call(PSCI_FN_SYSTEM_OFF, 0, 0, 0);
}

int psci_system_reset(void)
{
	return psci_call(PSCI_FN_SYSTEM_RESET, 0, 0, 0);
}

/*
 * Calls below 1.1 of the convention are not to be tried blindly: PSCI 1.0 tells whether there is a
 * version to ask for.
 */
enum smccc_need smccc_workaround_1_need(void)
{
	if (psci_version() < PSCI_VERSION_1_0 ||
	    psci_call(PSCI_FN_FEATURES, SMCCC_FN_VERSION, 0, 0) < 0 ||
	    psci_call(SMCCC_FN_VERSION, 0, 0, 0) < SMCCC_VERSION_1_1) {
		return SMCCC_NOT_OFFERED;
	}
	const int r = psci_call(SMCCC_FN_ARCH_FEATURES, SMCCC_FN_WORKAROUND_1, 0, 0);

	return r < 0 ? SMCCC_NOT_OFFERED : r == 0 ? SMCCC_NEEDED : SMCCC_NOT_NEEDED;
}

void smccc_workaround_1(void)
{
	psci_call(SMCCC_FN_WORKAROUND_1, 0, 0, 0);
}

const char *psci_result_name(int result)
{
	switch (result) {
	case PSCI_SUCCESS:
		return "success";
	case PSCI_NOT_SUPPORTED:
		return "not supported";
	case PSCI_INVALID_PARAMETERS:
		return "invalid parameters";
	case PSCI_DENIED:
		return "denied";
	case PSCI_ALREADY_ON:
		return "already on";
	case PSCI_ON_PENDING:
		return "on pending";
	case PSCI_INTERNAL_FAILURE:
		return "internal failure";
	case PSCI_NOT_PRESENT:
		return "not present";
	case PSCI_DISABLED:
		return "disabled";
	case PSCI_INVALID_ADDRESS:
		return "invalid address";
	default:
		return "unknown";
	}
}
