/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/boot_mmu.c - the first translation tables, and the system registers that use them.
 *
 * THEORY   This file runs with the MMU off at the load address; code reaches its data relative
 *          to the program counter, so `&x` is the physical address of x. The image's own tables
 *          are final: 4 KiB pages, text read-execute, constants read-only, data read-write. The
 *          identity map exists for the instruction that turns the MMU on: one block, read-execute,
 *          in TTBR0, which every CPU leaves as soon as it is at its linked address.
 * LOCKING  One CPU. No exclusives, no unaligned access, no bulk zeroing instructions (start.S).
 */
#include "arch/arm64/boot.h"

#include "arch/arm64/sysreg.h"

#define IMAGE_L3_TABLES 4 /* 8 MiB of image */

struct boot_regs boot_regs;
/* The second one is the lifeboat's (memmap.h), so that an early fault has somewhere to go. */
__attribute__((aligned(2 * PAGE_BYTES))) pte_t boot_root[2][PT_ENTRIES];
page_aligned pte_t boot_empty_root[PT_ENTRIES];
uint64_t boot_slices[MAX_CPUS];
uint64_t boot_mpidrs[MAX_CPUS];
__attribute__((aligned(SLICE_BYTES))) uint8_t boot_slice[SLICE_BYTES];
/* In .data: secondaries poll it before .bss is cleared. */
__attribute__((section(".data"))) uint64_t boot_pen = 0;

static page_aligned pte_t idmap_l0[PT_ENTRIES];
static page_aligned pte_t idmap_l1[PT_ENTRIES];
static page_aligned pte_t idmap_l2[PT_ENTRIES];
static page_aligned pte_t image_l1[PT_ENTRIES];
static page_aligned pte_t image_l2[PT_ENTRIES];
static page_aligned pte_t image_l3[IMAGE_L3_TABLES][PT_ENTRIES];

static pa_t here(const void *p)
{
	return pa((uint64_t)(uintptr_t)p);
}

static void map_identity(uint64_t image)
{
	const uint64_t attr = PTE_AF | PTE_SH_INNER | PTE_AP_RO | PTE_UXN;

	idmap_l0[level_index(va(image), 0)] = pte_table(here(idmap_l1));
	idmap_l1[level_index(va(image), 1)] = pte_table(here(idmap_l2));
	idmap_l2[level_index(va(image), 2)] = pte_leaf(pa(image), attr, 2);
}

static void map_image(uint64_t image)
{
	const uint64_t text = (uint64_t)(uintptr_t)_text_end - image;
	const uint64_t rodata = (uint64_t)(uintptr_t)_rodata_end - image;
	const uint64_t end = (uint64_t)(uintptr_t)_image_end - image;

	boot_root[0][level_index(va(IMAGE_BASE), 0)] = pte_table(here(image_l1));
	boot_root[1][level_index(va(IMAGE_BASE), 0)] = pte_table(here(image_l1));
	image_l1[level_index(va(IMAGE_BASE), 1)] = pte_table(here(image_l2));
	for (unsigned t = 0; t < IMAGE_L3_TABLES; t++) {
		image_l2[t] = pte_table(here(image_l3[t]));
	}
	for (uint64_t off = 0; off < end; off += PAGE_BYTES) {
		uint64_t attr = PTE_AF | PTE_SH_INNER | PTE_UXN;

		if (off < text) {
			attr |= PTE_AP_RO;
		} else if (off < rodata) {
			attr |= PTE_AP_RO | PTE_PXN;
		} else {
			attr |= PTE_PXN;
		}
		image_l3[off / BLOCK_BYTES][level_index(va(off), 3)] =
			pte_leaf(pa(image + off), attr, 3);
	}
}

static uint64_t tcr_value(void)
{
	const uint64_t mmfr0 = read_sysreg(ID_AA64MMFR0_EL1);
	const uint64_t mmfr1 = read_sysreg(ID_AA64MMFR1_EL1);
	uint64_t ips = mmfr0 & 0xf;
	uint64_t tcr = TCR_T0SZ_48 | TCR_T1SZ_48 | TCR_WALK_WBWA_INNER | TCR_TG1_4K;

	if (ips > TCR_IPS_48) {
		ips = TCR_IPS_48; /* 52-bit addresses need another descriptor format */
	}
	tcr |= ips << TCR_IPS_SHIFT;
	if ((mmfr0 >> 4 & 0xf) == 2) {
		tcr |= TCR_AS_16BIT;
	}
	if ((mmfr1 & 0xf) >= 1) {
		tcr |= TCR_HA;
	}
	return tcr;
}

static uint64_t sctlr_value(void)
{
	const bool has_pan = (read_sysreg(ID_AA64MMFR1_EL1) >> 20 & 0xf) != 0;

	return SCTLR_RES1 | SCTLR_M | SCTLR_C | SCTLR_SA | SCTLR_SA0 | SCTLR_I | SCTLR_DZE |
	       SCTLR_UCT | SCTLR_WXN | SCTLR_UCI | (has_pan ? 0 : SCTLR_SPAN);
}

void boot_mmu_prepare(uint64_t fdt_pa, uint64_t entry_el)
{
	const uint64_t image = here(_image_start).v;

	map_identity(image);
	map_image(image);
	boot_regs.mair = MAIR_VALUE;
	boot_regs.tcr = tcr_value();
	boot_regs.ttbr0 = here(idmap_l0).v;
	boot_regs.ttbr1 = here(boot_root[0]).v;
	boot_regs.sctlr = sctlr_value();
	boot_regs.entry_el = entry_el;
	boot_regs.fdt_pa = fdt_pa;
	boot_regs.image_pa = image;
}
