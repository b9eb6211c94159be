/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/user.c - see arch/arm64/user.h.
 *
 * THEORY   A program can train the branch predictor so that the kernel, or the program after it,
 *          speculates where it wants (Spectre variant 2). CPUs with ID_AA64PFR0_EL1.CSV2 keep
 *          contexts apart, and in-order ones hardly speculate. For the others the predictor has
 *          to be emptied when another space comes to EL0, which only firmware knows how to do:
 *          SMCCC_ARCH_WORKAROUND_1 (Arm DEN 0070), a call that takes no argument and keeps all
 *          registers but x0-x3. Firmware without it leaves the CPU open, and the boot log says so.
 * NOT HERE Variant 3 (Meltdown): of the models that Perch knows only those before CSV3 read more
 *          than they may, and the kernel stays mapped at EL0. Said in the log, not mitigated.
 */
#include "arch/arm64/user.h"

#include <arch/cpu.h>
#include <arch/feature.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/psci.h"
#include "arch/arm64/sysreg.h"

bool arm64_predictor_forgets;
static uint64_t last_space[MAX_CPUS]; /* each CPU its own */

void arch_user_root_clear(void)
{
	arch_user_root_load(image_pa(boot_empty_root), 0);
}

void arch_user_init_cpu(void)
{
	arch_user_root_clear();
	if (cpu_features.pan) {
		/* Exceptions set it too (SCTLR_EL1.SPAN = 0), and nothing clears it. */
		__asm__ volatile(".arch_extension pan\n\tmsr pan, #1" ::: "memory");
	}
}

/* In-order, or with a predictor that no other context can steer (Arm's list of affected CPUs). */
static bool predictor_is_safe(uint64_t pfr0, uint64_t midr)
{
	static const uint32_t list[] = { 0x41d03 /* A53 */, 0x41d04 /* A35 */, 0x41d05 /* A55 */ };
	const uint32_t part = (uint32_t)(midr >> 24 & 0xff) << 12 | (uint32_t)(midr >> 4 & 0xfff);

	for (unsigned i = 0; i < array_len(list); i++) {
		if (list[i] == part) {
			return true;
		}
	}
	return (pfr0 >> 56 & 0xf) != 0; /* CSV2 */
}

const char *arch_speculation_init(void)
{
	if (predictor_is_safe(read_sysreg(ID_AA64PFR0_EL1), read_sysreg(MIDR_EL1))) {
		return "branch predictor safe by itself";
	}
	switch (smccc_workaround_1_need()) {
	case SMCCC_NEEDED:
		arm64_predictor_forgets = true;
		return "branch predictor emptied by firmware between spaces";
	case SMCCC_NOT_NEEDED:
		return "branch predictor safe, says the firmware";
	case SMCCC_NOT_OFFERED:
		break;
	}
	return "branch predictor NOT protected: the firmware offers nothing";
}

void arch_predictor_enter(uint64_t space)
{
	if (!arm64_predictor_forgets || last_space[cpu_number()] == space) {
		return;
	}
	last_space[cpu_number()] = space;
	smccc_workaround_1();
}
