/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/gic.h - one interface over the Arm interrupt controllers GICv2 and GICv3.
 *
 * THEORY   Acknowledge, end and send are on the path of every exception and of the park: they
 *          take no lock, allocate nothing, and touch the device (or system registers) and the
 *          static state of gic.c, gicv2.c and gicv3.c only, all of it pinned (R1).
 *          One acknowledged value, `iar`, goes from gic_ack() to gic_eoi() unchanged: on GICv2 it
 *          carries the sender's CPU, which the end of an SGI must give back.
 *          End of interrupt drops the priority and deactivates in one step (EOImode 0).
 * PRIORITY Four values, all in the non-secure view. Lower is more urgent; an interrupt is let
 *          through when its priority is below the mask:
 *            URGENT 0x80 < PMR_MASKED 0xa0 < NORMAL 0xc0 < PMR_OPEN 0xf0.
 *          On GICv3 a masked PMR with PSTATE.I clear makes the urgent SGIs a pseudo-NMI.
 * NOT HERE Routing to handlers; who may use which SGI; locks for gic_set_edge() (the caller's).
 */
#pragma once

#include <bootinfo.h>
#include <kerr.h>
#include <types.h>

#define GIC_SGI_COUNT 16
#define GIC_PPI_BASE 16
#define GIC_SPI_BASE 32
#define GIC_INTID_LIMIT 1020 /* 1020-1023 are special: nothing was pending */

#define GICV2_MAX_CPUS 8

#define GIC_PRIORITY_URGENT 0x80
#define GIC_PRIORITY_NORMAL 0xc0
#define GIC_PMR_MASKED 0xa0
#define GIC_PMR_OPEN 0xf0

/* Where the caller mapped the frames of struct boot_gic, in its order. */
struct gic_map {
	va_t dist;
	va_t cpu; /* GICv2 CPU interface */
	va_t redist[BOOT_GICR_REGIONS]; /* GICv3 */
};

/*
 * The image was entered at EL3 and el3.S is the monitor below us: gic_init_dist() and
 * gic_init_cpu() ask it to give the interrupts to us first. Before both, boot CPU.
 */
void gic_set_el3_monitor(bool present);

/*
 * The distributor: all shared interrupts off, level, normal priority, routed to this CPU, then on.
 * Boot CPU, before its gic_init_cpu(), interrupts masked.
 * KERR_UNSUPPORTED: the version is not ours, the frame is not a GIC of that version, or (GICv3)
 * the system registers are switched off from above.
 */
enum kerr gic_init_dist(const struct boot_gic *gic, const struct gic_map *map);

/*
 * This CPU: private interrupts off, priorities set, SGIs on, mask open. Each CPU, once after each
 * reset, interrupts masked. `cpu` is the logical number by which others send to it.
 * KERR_ABSENT: no redistributor frame for this mpidr. KERR_RANGE: more CPUs than a GICv2 has.
 */
enum kerr gic_init_cpu(unsigned cpu, uint64_t mpidr);

/* This CPU no longer takes interrupts; before it goes offline. gic_init_cpu() brings it back. */
void gic_cpu_off(void);

/*
 * Send an SGI. Stores made before the call are visible to the target when it takes the interrupt
 * (DSB ISHST before), and the interrupt is on its way when the call returns (ISB after).
 * The targets have run gic_init_cpu(); bits of other CPUs in the mask are ignored.
 */
void gic_send_sgi(unsigned sgi, unsigned cpu);
void gic_send_sgi_mask(unsigned sgi, uint64_t cpus);

/* Acknowledge the most urgent pending interrupt. End it with gic_eoi(iar) unless it is spurious. */
uint32_t gic_ack(void);
void gic_eoi(uint32_t iar);

static inline uint32_t gic_intid(uint32_t iar)
{
	return iar & 0x3ff;
}

static inline bool gic_is_spurious(uint32_t iar)
{
	return gic_intid(iar) >= GIC_INTID_LIMIT;
}

/* Interrupts 0-31 are those of this CPU. Enable last; disable returns when it has taken effect. */
void gic_enable(uint32_t intid);
void gic_disable(uint32_t intid);
void gic_set_priority(uint32_t intid, uint8_t priority);
void gic_set_edge(uint32_t intid, bool edge);
void gic_route(uint32_t intid, unsigned cpu); /* shared interrupts */

/*
 * What disables a shared interrupt, for arch/arm64/irq_fast.S: a store of `bit` to `disable`. It
 * has taken effect when bit 31 of `ctlr` is 0 (GICv3), or `disable` was read (GICv2).
 */
struct gic_line {
	uint64_t disable; /* virtual addresses */
	uint64_t bit;
	uint64_t ctlr;
};
void gic_find_line(uint32_t intid, struct gic_line *line);

void gic_pend(uint32_t intid); /* as if the device had asked, once; for tests */

/* Make an SGI urgent: on this CPU now (if it is initialised), on the others when they are. */
void gic_set_urgent(unsigned sgi);

/* The priority mask of this CPU. After a write, what it masks does not arrive any more. */
void gic_pmr_write(uint8_t mask);
uint8_t gic_pmr_read(void);

/* For the boot log: 2 or 3, and the number of interrupt lines. 0: not initialised. */
unsigned gic_version(void);
unsigned gic_line_count(void);

/* Can the PMR and the SGI priorities be told apart here, so that urgent SGIs pass a masked PMR? */
bool gic_has_pseudo_nmi(void);
