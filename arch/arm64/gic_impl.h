/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/gic_impl.h - what gic.c, gicv2.c and gicv3.c share. Nobody else includes it.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "arch/arm64/el0.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/mmio.h"

/* Distributor registers with the same meaning in both versions. */
#define GICD_CTLR 0x0000
#define GICD_TYPER 0x0004
#define GICD_IGROUPR 0x0080
#define GICD_ISENABLER 0x0100
#define GICD_ICENABLER 0x0180
#define GICD_ISPENDR 0x0200
#define GICD_ICPENDR 0x0280
#define GICD_ICACTIVER 0x0380
#define GICD_IPRIORITYR 0x0400
#define GICD_ICFGR 0x0c00

#define GICD_TYPER_ITLINES_MASK 0x1fU

#define GIC_PIDR2_ARCH_SHIFT 4
#define GIC_PIDR2_ARCH_MASK 0xfU

#define GIC_PRIVATE_COUNT 32

/*
 * Registers with a bit, a byte or two bits per interrupt, in a frame that holds them at the
 * distributor's offsets: the distributor, or the SGI frame of a redistributor.
 */
static inline void gic_frame_enable(va_t frame, uint32_t intid)
{
	mmio_write32(frame, GICD_ISENABLER + intid / 32 * 4, 1U << intid % 32);
}

static inline void gic_frame_disable(va_t frame, uint32_t intid)
{
	mmio_write32(frame, GICD_ICENABLER + intid / 32 * 4, 1U << intid % 32);
}

static inline void gic_frame_set_priority(va_t frame, uint32_t intid, uint8_t priority)
{
	mmio_write8(frame, GICD_IPRIORITYR + intid, priority);
}

/* SGIs are always edge-triggered: the caller asks for others only. */
void gic_frame_set_edge(va_t frame, uint32_t intid, bool edge);

/* All of [first, first + count) off, not pending, not active, at one priority; multiples of 32. */
void gic_frame_reset(va_t frame, uint32_t first, uint32_t count, uint8_t priority);

/* How many interrupt lines a distributor has, at most GIC_INTID_LIMIT. */
uint32_t gic_dist_lines(va_t dist);

/* SGIs that gic_set_urgent() named, one bit each. */
uint32_t gic_urgent_sgis(void);

/* Ask the monitor at EL3, if it is ours, to give this CPU's and the shared interrupts to us. */
enum kerr gic_el3_claim(uint64_t dist_pa, uint64_t cpu_or_redist_pa, uint32_t gic_version_wanted);

extern va_t gicv2_cpuif; /* irq_fast.S knows it */
enum kerr gicv2_init_dist(const struct boot_gic *gic, const struct gic_map *map);
enum kerr gicv2_init_cpu(unsigned cpu);
void gicv2_cpu_off(void);
void gicv2_send_sgi_mask(unsigned sgi, uint64_t cpus);
uint32_t gicv2_ack(void);
void gicv2_eoi(uint32_t iar);
void gicv2_disable(uint32_t intid);
void gicv2_route(uint32_t intid, unsigned cpu);
va_t gicv2_frame(uint32_t intid);
void gicv2_pmr_write(uint8_t mask);
uint8_t gicv2_pmr_read(void);

enum kerr gicv3_init_dist(const struct boot_gic *gic, const struct gic_map *map);
enum kerr gicv3_init_cpu(unsigned cpu, uint64_t mpidr);
void gicv3_cpu_off(void);
void gicv3_send_sgi(unsigned sgi, unsigned cpu);
void gicv3_send_sgi_mask(unsigned sgi, uint64_t cpus);
uint32_t gicv3_ack(void);
void gicv3_eoi(uint32_t iar);
void gicv3_disable(uint32_t intid);
void gicv3_route(uint32_t intid, unsigned cpu);
va_t gicv3_frame(uint32_t intid);
uint8_t gicv3_dist_priority(uint8_t priority);
void gicv3_pmr_write(uint8_t mask);
uint8_t gicv3_pmr_read(void);
