/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fdt_dev.c - the devices that the kernel itself drives, from the device tree.
 *
 * THEORY   The first enabled node of a kind counts, but for the console, where what
 *          stdout-path names is better than a PL011, and that better than an auxiliary UART.
 *          Interrupt numbers are read last: they need the interrupt controller's node, which
 *          may come after those that refer to it.
 */
#include "kern/fdt.h"

#include <compiler.h>
#include <libfdt.h>
#include <string.h>

#define COMPATIBLE_BYTES 24
#define TIMER_VIRTUAL_INDEX 2 /* secure, physical, virtual, hypervisor */
#define TIMER_VIRTUAL_PPI 27

/* Names in the structure and not pointers to them: nothing to relocate. */
static const char gicv2_names[][COMPATIBLE_BYTES] = {
	"arm,gic-400",
	"arm,cortex-a15-gic",
	"arm,cortex-a9-gic",
	"arm,cortex-a7-gic",
};

enum uart_rank { RANK_NONE, RANK_AUX, RANK_PL011, RANK_STDOUT };

static bool is_any_compatible(const struct tree *t, const char (*names)[COMPATIBLE_BYTES],
			      unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (tree_is_compatible(t, names[i])) {
			return true;
		}
	}
	return false;
}

void tree_uart_node(struct tree *t)
{
	enum uart_kind kind = UART_NONE;
	int rank = RANK_NONE;
	uint64_t base, size;

	if (tree_is_compatible(t, "arm,pl011")) {
		kind = UART_PL011;
		rank = RANK_PL011;
	} else if (tree_is_compatible(t, "brcm,bcm2835-aux-uart")) {
		kind = UART_BCM_AUX;
		rank = RANK_AUX;
	}
	if (kind == UART_NONE) {
		return;
	}
	if (tree_node(t) == t->stdout_node) {
		rank = RANK_STDOUT;
	}
	if (rank <= t->uart_rank) {
		return;
	}
	if (!tree_reg(t, 0, false, &base, &size) || size == 0) {
		tree_warn(t, "%s: no usable address", tree_name(t));
		return;
	}
	t->uart_rank = rank;
	t->uart.node = tree_node(t);
	t->uart.interrupt_parent = t->level[t->depth].interrupt_parent;
	t->info->uart = kind;
	t->info->uart_base = base;
	t->info->uart_size = size;
}

static void gicv2_node(struct tree *t)
{
	struct boot_gic *gic = &t->info->gic;

	if (!tree_reg(t, 0, false, &gic->dist_base, &gic->dist_size) ||
	    !tree_reg(t, 1, false, &gic->cpu_base, &gic->cpu_size)) {
		tree_warn(t, "%s: no usable address", tree_name(t));
		return;
	}
	gic->version = 2;
	t->gic_node = tree_node(t);
}

static void gicv3_node(struct tree *t)
{
	struct boot_gic *gic = &t->info->gic;
	uint32_t regions = 1;

	(void)tree_u32(t, tree_node(t), "#redistributor-regions", &regions);
	if (regions > BOOT_GICR_REGIONS) {
		tree_warn(t, "%s: %u redistributor regions, %d used", tree_name(t), regions,
			  BOOT_GICR_REGIONS);
		regions = BOOT_GICR_REGIONS;
	}
	gic->redist_count = 0;
	for (uint32_t i = 0; i < regions; i++) {
		struct mem_range *r = &gic->redist[gic->redist_count];

		if (tree_reg(t, i + 1, false, &r->base, &r->size)) {
			gic->redist_count++;
		}
	}
	if (!tree_reg(t, 0, false, &gic->dist_base, &gic->dist_size) || gic->redist_count == 0) {
		tree_warn(t, "%s: no usable address", tree_name(t));
		return;
	}
	gic->redist_stride = 0;
	if (tree_u32_or_u64(t, tree_node(t), "redistributor-stride", &gic->redist_stride) &&
	    !is_aligned(gic->redist_stride, 64 * KIB)) {
		tree_warn(t, "%s: redistributor-stride 0x%lx ignored", tree_name(t),
			  (unsigned long)gic->redist_stride);
		gic->redist_stride = 0;
	}
	gic->version = 3;
	t->gic_node = tree_node(t);
}

static void psci_node(struct tree *t)
{
	const char *method = tree_string(t, tree_node(t), "method");

	if (method != NULL && strcmp(method, "hvc") == 0) {
		t->info->psci = PSCI_HVC;
	} else if (method != NULL && strcmp(method, "smc") == 0) {
		t->info->psci = PSCI_SMC;
	} else {
		tree_warn(t, "%s: method is neither hvc nor smc", tree_name(t));
	}
}

static void pm_node(struct tree *t)
{
	struct bootinfo *info = t->info;

	if (!tree_reg(t, 0, false, &info->bcm_pm_base, &info->bcm_pm_size)) {
		tree_warn(t, "%s: no usable address", tree_name(t));
		info->bcm_pm_size = 0;
	}
}

void tree_device_node(struct tree *t)
{
	struct bootinfo *info = t->info;

	if (info->gic.version == 0 && is_any_compatible(t, gicv2_names, array_len(gicv2_names))) {
		gicv2_node(t);
	} else if (info->gic.version == 0 && tree_is_compatible(t, "arm,gic-v3")) {
		gicv3_node(t);
	} else if (info->psci == PSCI_NONE && (tree_is_compatible(t, "arm,psci-1.0") ||
					       tree_is_compatible(t, "arm,psci-0.2"))) {
		psci_node(t);
	} else if (t->timer.node < 0 && tree_is_compatible(t, "arm,armv8-timer")) {
		t->timer.node = tree_node(t);
		t->timer.interrupt_parent = t->level[t->depth].interrupt_parent;
	} else if (info->bcm_pm_size == 0 && (tree_is_compatible(t, "brcm,bcm2711-pm") ||
					      tree_is_compatible(t, "brcm,bcm2835-pm") ||
					      tree_is_compatible(t, "brcm,bcm2835-pm-wdt"))) {
		pm_node(t);
	}
}

/* Do interrupts with this parent go to the GIC?  A tree that names no parent at all has one GIC. */
static bool is_to_gic(const struct tree *t, uint32_t interrupt_parent)
{
	return t->gic_node >= 0 &&
	       (interrupt_parent == 0 || interrupt_parent == fdt_get_phandle(t->blob, t->gic_node));
}

static void timer_finish(struct tree *t)
{
	int index;

	t->info->timer_ppi = TIMER_VIRTUAL_PPI;
	if (t->timer.node < 0) {
		tree_warn(t, "no timer node, interrupt %d assumed", TIMER_VIRTUAL_PPI);
		return;
	}
	index = fdt_stringlist_search(t->blob, t->timer.node, "interrupt-names", "virt");
	if (index < 0) {
		index = TIMER_VIRTUAL_INDEX;
	}
	if (!is_to_gic(t, t->timer.interrupt_parent) ||
	    !tree_interrupt(t, t->timer.node, (unsigned)index, &t->info->timer_ppi)) {
		tree_warn(t, "timer: no virtual interrupt, %d assumed", TIMER_VIRTUAL_PPI);
	}
}

/* Say which interrupt controller it is that we do not drive. */
static void warn_no_gic(struct tree *t)
{
	uint32_t phandle = 0;
	const char *name = NULL;
	char text[48];

	if (tree_u32(t, 0, "interrupt-parent", &phandle)) {
		int node = fdt_node_offset_by_phandle(t->blob, phandle);

		name = node >= 0 ? tree_string(t, node, "compatible") : NULL;
	}
	tree_copy_text(text, sizeof(text), name != NULL ? name : "none found");
	tree_warn(t, "no interrupt controller that we drive: %s", text);
}

void tree_devices_finish(struct tree *t)
{
	if (t->gic_node < 0) {
		warn_no_gic(t);
	}
	timer_finish(t);
	t->info->uart_irq = 0;
	if (t->uart.node >= 0 && is_to_gic(t, t->uart.interrupt_parent)) {
		(void)tree_interrupt(t, t->uart.node, 0, &t->info->uart_irq);
	}
}
