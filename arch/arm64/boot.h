/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/boot.h - what start.S, boot_mmu.c and the code that starts CPUs share.
 */
#pragma once

#include <arch/pte.h>
#include <memmap.h>
#include <types.h>

/* Loaded by mmu_on in start.S; the order is its contract. */
struct boot_regs {
	uint64_t mair;
	uint64_t tcr;
	uint64_t ttbr0; /* identity map of the first 2 MiB of the image, read and execute */
	uint64_t ttbr1; /* the kernel's root */
	uint64_t sctlr;
	uint64_t entry_el; /* 1, 2 or 3: where the boot CPU came in */
	uint64_t fdt_pa;   /* x0 at entry */
	uint64_t image_pa;
};

extern struct boot_regs boot_regs;
extern pte_t boot_root[2][PT_ENTRIES];    /* TTBR1: live, lifeboat */
extern pte_t boot_empty_root[PT_ENTRIES]; /* TTBR0 of a CPU without an address space */
extern uint8_t boot_slice[SLICE_BYTES];   /* of the boot CPU until pcpu_init() */
extern uint64_t boot_slices[MAX_CPUS];    /* slice addresses for secondaries */
extern uint64_t boot_mpidrs[MAX_CPUS];    /* affinity of CPU n, ~0 when there is none */
extern uint64_t boot_pen;
#define BOOT_PEN_GO UINT64_C(0x7065726368676f21)

/* Linker script. */
extern char _image_start[], _text_end[], _rodata_start[], _rodata_end[], _data_start[],
	_image_end[];

/* Tables and registers, with the MMU off, at physical addresses. Called by start.S once. */
void boot_mmu_prepare(uint64_t fdt_pa, uint64_t entry_el);

/* Entries for CPU_ON, and for a spin table. */
void secondary_start(void);
void spin_start(void);

/* C entries. */
_Noreturn void kmain(void);
_Noreturn void secondary_main(uint64_t cpu);
_Noreturn void cpu_move_to_slice(uint64_t slice, void (*go_on)(void));

/* Clean and invalidate, or invalidate, [start, end) to the point of coherency. */
void dcache_clean_poc(uint64_t start, uint64_t end);
void dcache_invalidate_poc(uint64_t start, uint64_t end);

/* The physical address of something in the image. */
static inline pa_t image_pa(const void *p)
{
	return pa((uint64_t)(uintptr_t)p - IMAGE_BASE + boot_regs.image_pa);
}
