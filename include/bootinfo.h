/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/bootinfo.h - what the device tree told us, in a form the kernel can use.
 *
 * Filled once by fdt_parse() on the boot CPU, constant afterwards. All bases are CPU physical
 * addresses (translated through `ranges`), all sizes are bytes.
 */
#pragma once

#include <types.h>

#define BOOT_MAX_RANGES 64
#define BOOT_ARGS_BYTES 1024
#define BOOT_MODEL_BYTES 64
#define BOOT_GICR_REGIONS 4

struct mem_range {
	uint64_t base;
	uint64_t size;
	uint32_t node; /* NUMA node, 0 when the tree has none; memory ranges only */
};

enum cpu_enable {
	CPU_ENABLE_NONE,       /* cannot be started: boot CPU only */
	CPU_ENABLE_PSCI,
	CPU_ENABLE_SPIN_TABLE,
};

struct boot_cpu {
	uint64_t mpidr;        /* affinity fields as in MPIDR_EL1 */
	uint64_t release_addr; /* spin-table only */
	uint32_t node;
	enum cpu_enable enable;
};

enum psci_conduit { PSCI_NONE, PSCI_HVC, PSCI_SMC };

enum uart_kind { UART_NONE, UART_PL011, UART_BCM_AUX };

struct boot_gic {
	uint32_t version; /* 2, 3, or 0: none that we drive */
	uint64_t dist_base, dist_size;
	uint64_t cpu_base, cpu_size; /* GICv2 */
	struct mem_range redist[BOOT_GICR_REGIONS]; /* GICv3 */
	uint32_t redist_count;
	uint64_t redist_stride; /* 0: by GICR_TYPER.VLPIS */
};

struct bootinfo {
	char model[BOOT_MODEL_BYTES];
	char compatible[BOOT_MODEL_BYTES]; /* the first string of the root's compatible */
	char args[BOOT_ARGS_BYTES];        /* /chosen bootargs */
	struct mem_range memory[BOOT_MAX_RANGES]; /* sorted, not overlapping */
	uint32_t memory_count;
	struct mem_range
		/* memreserve, reserved-memory, initrd, the tree itself */
		reserved[BOOT_MAX_RANGES];
	uint32_t reserved_count;
	struct boot_cpu cpu[MAX_CPUS];
	uint32_t cpu_count;
	uint32_t cpu_ignored; /* CPUs beyond MAX_CPUS, or with a malformed node */
	enum psci_conduit psci;
	struct boot_gic gic;
	uint32_t timer_ppi; /* virtual timer, GIC interrupt number (27 as a rule) */
	enum uart_kind uart;
	uint64_t uart_base, uart_size;
	uint32_t uart_irq; /* GIC interrupt number, 0: unknown */
	uint64_t initrd_base, initrd_size; /* size 0: none */
	uint64_t bcm_pm_base, bcm_pm_size; /* BCM2711 watchdog, size 0: none */
	uint64_t fdt_base, fdt_size; /* the tree itself */
	uint32_t warning_count;
	char warning[8][96]; /* things that were skipped safely, to be logged */
};

/*
 * Read the flattened device tree at `blob`.
 * Pre:  `size` bytes at blob are readable (size_max: what is mapped, >= 64). blob is 8-byte
 * aligned.
 * Post: true: *info is complete and within its limits. false: `error` (error_bytes long) holds
 *       one line that names what was wrong; *info is undefined except for uart fields that were
 *       found before the error (UART_NONE if none).
 * Runs once at boot on the boot CPU; takes no lock, allocates nothing.
 */
bool fdt_parse(const void *blob, size_t size_max, uint64_t blob_pa, struct bootinfo *info,
	       char *error, size_t error_bytes);
