/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/gicv2.c - Generic Interrupt Controller, architecture version 2 (IHI 0048).
 *
 * THEORY   The distributor knows CPUs by the bit of their interface, which need not be the
 *          logical number: each CPU reads its bit from the banked target registers of its own
 *          SGIs. The group registers are never touched: without the security extension all is
 *          group 0, enabled by bit 0; with it, we see group 1 only, enabled by bit 0 of our view
 *          (whoever ran at EL3 moved the interrupts there, see el3.S).
 *          GICC_IAR carries the sender of an SGI, and GICC_EOIR must be given the same value,
 *          or an SGI sent by two CPUs at once stays active for ever.
 * LOCKING  None; see gic.c.
 */
#include <arch/barrier.h>

#include "arch/arm64/gic_impl.h"

#define GICD_CTLR_ENABLE 1U
#define GICD_ITARGETSR 0x0800
#define GICD_SGIR 0x0f00
#define GICD_SGIR_TARGETS_SHIFT 16
#define GICD_PIDR2 0x0fe8

#define GICC_CTLR 0x00
#define GICC_CTLR_ENABLE 1U
#define GICC_PMR 0x04
#define GICC_BPR 0x08

static va_t dist; /* [c] */
va_t gicv2_cpuif; /* [c] banked: each CPU sees its own at one address */
static uint64_t dist_pa, cpuif_pa; /* [c] for the monitor at EL3 */
static uint8_t target_of[MAX_CPUS]; /* by logical CPU; written by that CPU when it comes up */

/* The bit by which the distributor knows this CPU. A GIC with one interface reads 0 here. */
static uint8_t own_target(void)
{
	for (uint32_t i = 0; i < GIC_PRIVATE_COUNT; i += 4) {
		uint32_t v = mmio_read32(dist, GICD_ITARGETSR + i);

		v |= v >> 16;
		v |= v >> 8;
		if ((v & 0xff) != 0) {
			return (uint8_t)v;
		}
	}
	return 1;
}

enum kerr gicv2_init_dist(const struct boot_gic *gic, const struct gic_map *map)
{
	dist = map->dist;
	gicv2_cpuif = map->cpu;
	dist_pa = gic->dist_base;
	cpuif_pa = gic->cpu_base;
	if (gic->dist_size < GICD_PIDR2 + 4 || gic->cpu_size < GICC_EOIR + 4) {
		return KERR_UNSUPPORTED;
	}
	uint32_t arch = mmio_read32(dist, GICD_PIDR2) >> GIC_PIDR2_ARCH_SHIFT & GIC_PIDR2_ARCH_MASK;

	if (arch != 1 && arch != 2) {
		return KERR_UNSUPPORTED;
	}
	enum kerr e = gic_el3_claim(dist_pa, cpuif_pa, 2);

	if (e != KERR_OK) {
		return e;
	}
	uint32_t lines = gic_dist_lines(dist);
	uint32_t targets = own_target() * 0x01010101U;

	mmio_write32(dist, GICD_CTLR, 0);
	gic_frame_reset(dist, GIC_SPI_BASE, lines - GIC_SPI_BASE, GIC_PRIORITY_NORMAL);
	for (uint32_t i = GIC_SPI_BASE; i < lines; i += 4) {
		mmio_write32(dist, GICD_ITARGETSR + i, targets);
	}
	for (uint32_t i = GIC_SPI_BASE; i < lines; i += 16) {
		mmio_write32(dist, GICD_ICFGR + i / 4, 0);
	}
	mmio_write32(dist, GICD_CTLR, GICD_CTLR_ENABLE);
	return KERR_OK;
}

enum kerr gicv2_init_cpu(unsigned cpu)
{
	if (cpu >= GICV2_MAX_CPUS) {
		return KERR_RANGE;
	}
	enum kerr e = gic_el3_claim(dist_pa, cpuif_pa, 2);

	if (e != KERR_OK) {
		return e;
	}
	gic_frame_reset(dist, 0, GIC_PRIVATE_COUNT, GIC_PRIORITY_NORMAL);
	for (uint32_t sgi = 0; sgi < GIC_SGI_COUNT; sgi++) {
		if ((gic_urgent_sgis() >> sgi & 1) != 0) {
			gic_frame_set_priority(dist, sgi, GIC_PRIORITY_URGENT);
		}
	}
	mmio_write32(dist, GICD_ISENABLER, (1U << GIC_SGI_COUNT) - 1);
	mmio_write32(gicv2_cpuif, GICC_BPR, 0);
	gicv2_pmr_write(GIC_PMR_OPEN);
	mmio_write32(gicv2_cpuif, GICC_CTLR, GICC_CTLR_ENABLE);
	target_of[cpu] = own_target();
	dsb_sy();
	return KERR_OK;
}

void gicv2_cpu_off(void)
{
	gicv2_pmr_write(0);
	mmio_write32(gicv2_cpuif, GICC_CTLR, 0);
	dsb_sy();
}

void gicv2_send_sgi_mask(unsigned sgi, uint64_t cpus)
{
	uint32_t targets = 0;

	for (uint64_t left = cpus; left != 0; left &= left - 1) {
		targets |= target_of[__builtin_ctzll(left)];
	}
	if (targets == 0) {
		return;
	}
	/* What we stored is seen by whoever this wakes; pairs with the DMB in gicv2_ack(). */
	dsb_ishst();
	mmio_write32(dist, GICD_SGIR, targets << GICD_SGIR_TARGETS_SHIFT | sgi);
}

uint32_t gicv2_ack(void)
{
	uint32_t iar = mmio_read32(gicv2_cpuif, GICC_IAR);

	/* No load of what the sender stored before this one; pairs with gicv2_send_sgi_mask(). */
	__asm__ volatile("dmb ld" : : : "memory");
	return iar;
}

void gicv2_eoi(uint32_t iar)
{
	mmio_write32(gicv2_cpuif, GICC_EOIR, iar);
}

void gicv2_disable(uint32_t intid)
{
	gic_frame_disable(dist, intid);
	/* A read of the device returns after the write has reached it. */
	(void)mmio_read32(dist, GICD_ICENABLER + intid / 32 * 4);
	dsb_sy();
}

void gicv2_route(uint32_t intid, unsigned cpu)
{
	mmio_write8(dist, GICD_ITARGETSR + intid, target_of[cpu]);
}

va_t gicv2_frame(uint32_t intid)
{
	(void)intid; /* banked: the distributor serves the private ones too */
	return dist;
}

void gicv2_pmr_write(uint8_t mask)
{
	mmio_write32(gicv2_cpuif, GICC_PMR, mask);
	(void)mmio_read32(gicv2_cpuif, GICC_PMR);
	dsb_sy();
}

uint8_t gicv2_pmr_read(void)
{
	return (uint8_t)mmio_read32(gicv2_cpuif, GICC_PMR);
}
