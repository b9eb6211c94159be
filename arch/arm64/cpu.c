/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/cpu.c - what this CPU is, and how its interrupts are masked.
 */
#include <arch/cpu.h>
#include <arch/feature.h>
#include <arch/ipi.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/sysreg.h"

struct cpu_features cpu_features;

uint64_t arch_irqs_by_priority;

struct model {
	uint32_t part; /* MIDR_EL1 implementer << 16 | part number */
	const char *name;
};

static const struct model models[] = {
	{ 0x41d03, "cortex-a53" },  { 0x41d07, "cortex-a57" },  { 0x41d08, "cortex-a72" },
	{ 0x41d0b, "cortex-a76" },  { 0x41d47, "cortex-a710" }, { 0x41d0c, "neoverse-n1" },
	{ 0x41d82, "cortex-x4" },   { 0x41d84, "neoverse-v3" }, { 0x41d49, "neoverse-n2" },
	{ 0x41d40, "neoverse-v1" }, { 0x00051, "qemu-max" },
};

static const char *model_name(uint64_t midr)
{
	const uint32_t part = (uint32_t)(midr >> 24 & 0xff) << 12 | (uint32_t)(midr >> 4 & 0xfff);

	for (unsigned i = 0; i < array_len(models); i++) {
		if (models[i].part == part) {
			return models[i].name;
		}
	}
	return "unknown";
}

/*
 * Level 2 of FEAT_BBM allows a TLB conflict abort instead of the right translation, so the level
 * alone is no promise. These two are on Linux's list of CPUs that never take one, which Arm's
 * engineers keep; none of the models that QEMU has is: there bbml2=force shows the mode.
 */
static bool never_conflicts(uint64_t midr)
{
	static const uint32_t list[] = { 0x41d82 /* Cortex-X4 */, 0x41d84 /* Neoverse-V3 */ };
	const uint32_t part = (uint32_t)(midr >> 24 & 0xff) << 12 | (uint32_t)(midr >> 4 & 0xfff);

	for (unsigned i = 0; i < array_len(list); i++) {
		if (list[i] == part) {
			return true;
		}
	}
	return false;
}

void arch_features_init(void)
{
	static const uint8_t pa_bits[] = { 32, 36, 40, 42, 44, 48, 52, 56 };
	const uint64_t midr = read_sysreg(MIDR_EL1);
	const uint64_t isar0 = read_sysreg(ID_AA64ISAR0_EL1);
	const uint64_t mmfr0 = read_sysreg(ID_AA64MMFR0_EL1);
	const uint64_t mmfr1 = read_sysreg(ID_AA64MMFR1_EL1);
	const uint64_t mmfr2 = read_sysreg(S3_0_C0_C7_2); /* ID_AA64MMFR2_EL1 */

	cpu_features = (struct cpu_features){
		.tlb_range = (isar0 >> 56 & 0xf) >= 2,
		.lse = (isar0 >> 20 & 0xf) >= 2,
		.pan = (mmfr1 >> 20 & 0xf) != 0,
		/* Changing an entry that the walker also changes takes a CAS (FEAT_LSE). */
		.hafdbs = (mmfr1 & 0xf) != 0 && (isar0 >> 20 & 0xf) >= 2,
		.bbm = (unsigned)(mmfr2 >> 52 & 0xf),
		.asid_bits = (mmfr0 >> 4 & 0xf) == 2 ? 16 : 8,
		.pa_bits = pa_bits[mmfr0 & 7],
		.bbml2_safe = (mmfr2 >> 52 & 0xf) >= 2 && never_conflicts(midr),
		.model = model_name(midr),
	};
}

void arch_mask_by_priority(void)
{
	arch_irqs_by_priority = 1;
}

bool arch_masks_by_priority(void)
{
	return arch_irqs_by_priority != 0;
}

uint64_t arch_irq_mask_priority(void)
{
	if (!arch_on_spx()) {
		const uint64_t state = gic_pmr_read();

		gic_pmr_write(GIC_PMR_MASKED);
		return state | ARCH_MASKED_BY_PRIORITY;
	}
	const uint64_t state = read_sysreg(daif);

	__asm__ volatile("msr daifset, #2" ::: "memory");
	return state;
}

void arch_irq_restore_priority(uint8_t priority)
{
	gic_pmr_write(priority);
}

void arch_irq_open(void)
{
	if (arch_irqs_by_priority != 0) {
		gic_pmr_write(GIC_PMR_OPEN);
	}
}

bool arch_translate_read(va_t at, pa_t *out)
{
	uint64_t par;

	__asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1"
			 : "=r"(par)
			 : "r"(at.v)
			 : "memory");
	if ((par & PAR_F) != 0) {
		return false;
	}
	*out = pa((par & PTE_ADDR_MASK) | (at.v & (PAGE_BYTES - 1)));
	return true;
}

void arch_ipi_send(enum sgi sgi, uint64_t cpus)
{
	gic_send_sgi_mask((unsigned)sgi, cpus);
}
