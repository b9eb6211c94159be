/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/gic.c - the version-independent half of the interrupt controller driver.
 *
 * THEORY   The version is a constant after boot, so a branch on it is predicted; a table of
 *          functions would cost a load and an indirect branch on every exception.
 * LOCKING  None. Enable, disable and priority registers are written by bit or byte, so CPUs do
 *          not disturb each other; gic_set_edge() reads and writes, and is serialised outside.
 */
#include "arch/arm64/gic.h"

#include "arch/arm64/el3.h"
#include "arch/arm64/gic_impl.h"

/* [c] const after gic_init_dist() */
static unsigned version;
static uint32_t lines;
static bool el3_monitor;
static uint32_t urgent_sgis; /* boot CPU, before the others run */

void gic_set_el3_monitor(bool present)
{
	el3_monitor = present;
}

enum kerr gic_el3_claim(uint64_t dist_pa, uint64_t cpu_or_redist_pa, uint32_t gic_version_wanted)
{
	if (el3_monitor &&
	    el3_gic_nonsecure(gic_version_wanted, pa(dist_pa), pa(cpu_or_redist_pa)) != 0) {
		return KERR_UNSUPPORTED;
	}
	return KERR_OK;
}

enum kerr gic_init_dist(const struct boot_gic *gic, const struct gic_map *map)
{
	enum kerr e = KERR_UNSUPPORTED;

	version = 0;
	if (gic->version == 2) {
		e = gicv2_init_dist(gic, map);
	} else if (gic->version == 3) {
		e = gicv3_init_dist(gic, map);
	}
	if (e == KERR_OK) {
		version = gic->version;
		lines = gic_dist_lines(map->dist);
	}
	return e;
}

enum kerr gic_init_cpu(unsigned cpu, uint64_t mpidr)
{
	if (version == 3) {
		return gicv3_init_cpu(cpu, mpidr);
	}
	return version == 2 ? gicv2_init_cpu(cpu) : KERR_UNSUPPORTED;
}

void gic_cpu_off(void)
{
	if (version == 3) {
		gicv3_cpu_off();
	} else {
		gicv2_cpu_off();
	}
}

void gic_send_sgi(unsigned sgi, unsigned cpu)
{
	if (version == 3) {
		gicv3_send_sgi(sgi, cpu);
	} else {
		gicv2_send_sgi_mask(sgi, UINT64_C(1) << cpu);
	}
}

void gic_send_sgi_mask(unsigned sgi, uint64_t cpus)
{
	if (version == 3) {
		gicv3_send_sgi_mask(sgi, cpus);
	} else {
		gicv2_send_sgi_mask(sgi, cpus);
	}
}

uint32_t gic_ack(void)
{
	return version == 3 ? gicv3_ack() : gicv2_ack();
}

void gic_eoi(uint32_t iar)
{
	if (version == 3) {
		gicv3_eoi(iar);
	} else {
		gicv2_eoi(iar);
	}
}

static va_t frame_of(uint32_t intid)
{
	return version == 3 ? gicv3_frame(intid) : gicv2_frame(intid);
}

void gic_enable(uint32_t intid)
{
	gic_frame_enable(frame_of(intid), intid);
}

void gic_disable(uint32_t intid)
{
	if (version == 3) {
		gicv3_disable(intid);
	} else {
		gicv2_disable(intid);
	}
}

void gic_find_line(uint32_t intid, struct gic_line *line)
{
	const uint64_t dist = frame_of(intid).v;

	line->disable = dist + GICD_ICENABLER + intid / 32 * 4;
	line->bit = 1U << intid % 32;
	line->ctlr = dist + GICD_CTLR;
}

void gic_set_priority(uint32_t intid, uint8_t priority)
{
	uint8_t value = version == 3 ? gicv3_dist_priority(priority) : priority;

	gic_frame_set_priority(frame_of(intid), intid, value);
}

void gic_set_edge(uint32_t intid, bool edge)
{
	gic_frame_set_edge(frame_of(intid), intid, edge);
}

void gic_pend(uint32_t intid)
{
	mmio_write32(frame_of(intid), GICD_ISPENDR + intid / 32 * 4, 1U << intid % 32);
}

void gic_route(uint32_t intid, unsigned cpu)
{
	if (version == 3) {
		gicv3_route(intid, cpu);
	} else {
		gicv2_route(intid, cpu);
	}
}

void gic_set_urgent(unsigned sgi)
{
	urgent_sgis |= 1U << sgi;
	if (version != 0 && frame_of(sgi).v != 0) {
		gic_set_priority(sgi, GIC_PRIORITY_URGENT);
	}
}

void gic_pmr_write(uint8_t mask)
{
	if (version == 3) {
		gicv3_pmr_write(mask);
	} else {
		gicv2_pmr_write(mask);
	}
}

uint8_t gic_pmr_read(void)
{
	return version == 3 ? gicv3_pmr_read() : gicv2_pmr_read();
}

unsigned gic_version(void)
{
	return version;
}

unsigned gic_line_count(void)
{
	return lines;
}

bool gic_has_pseudo_nmi(void)
{
	return version == 3;
}

uint32_t gic_urgent_sgis(void)
{
	return urgent_sgis;
}

uint32_t gic_dist_lines(va_t dist)
{
	uint32_t count = 32 * ((mmio_read32(dist, GICD_TYPER) & GICD_TYPER_ITLINES_MASK) + 1);

	return count < GIC_INTID_LIMIT ? count : GIC_INTID_LIMIT;
}

void gic_frame_set_edge(va_t frame, uint32_t intid, bool edge)
{
	uint64_t offset = GICD_ICFGR + intid / 16 * 4;
	uint32_t bit = 2U << intid % 16 * 2;
	uint32_t value = mmio_read32(frame, offset) & ~bit;

	mmio_write32(frame, offset, edge ? value | bit : value);
}

void gic_frame_reset(va_t frame, uint32_t first, uint32_t count, uint8_t priority)
{
	for (uint32_t i = first; i < first + count; i += 32) {
		mmio_write32(frame, GICD_ICENABLER + i / 8, UINT32_MAX);
		mmio_write32(frame, GICD_ICPENDR + i / 8, UINT32_MAX);
		mmio_write32(frame, GICD_ICACTIVER + i / 8, UINT32_MAX);
	}
	for (uint32_t i = first; i < first + count; i += 4) {
		mmio_write32(frame, GICD_IPRIORITYR + i, priority * 0x01010101U);
	}
}
