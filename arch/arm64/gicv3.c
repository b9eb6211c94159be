/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/gicv3.c - Generic Interrupt Controller, architecture version 3 (IHI 0069).
 *
 * THEORY   The CPU interface is system registers; a private interrupt's registers are in the SGI
 *          frame of the CPU's redistributor; CPUs are named by affinity. Everything is put in
 *          group 1 (with two security states the group registers ignore us: el3.S or firmware
 *          did it), and the group enables of both views are the same two bits.
 * PRIORITY With two security states, priorities that we write to the distributor are shifted
 *          into the lower half of the range; the mask is shifted too, but only while SCR_EL3.FIQ
 *          is set. When it is not, the distributor's values are written so that they come out
 *          unshifted, and the mask compares as gic.h says.
 * LOCKING  None; see gic.c. cpu_state[i] is written by CPU i before anybody sends to it.
 * NOT HERE LPIs, ITS, extended ranges, GICv4.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi_direct.h>
#include <compiler.h>

#include "arch/arm64/gic_impl.h"

#define GICD_CTLR_GROUP1 ((1U << 0) | (1U << 1)) /* one of them is ours in either view */
#define GICD_CTLR_ARE (1U << 4)
#define GICD_CTLR_DS (1U << 6)
#define GICD_CTLR_RWP (1U << 31)
#define GICD_IROUTER 0x6000
#define GICD_PIDR2 0xffe8

#define GICR_CTLR 0x0000
#define GICR_CTLR_RWP (1U << 3)
#define GICR_TYPER 0x0008
#define GICR_TYPER_VLPIS (UINT64_C(1) << 1)
#define GICR_TYPER_LAST (UINT64_C(1) << 4)
#define GICR_TYPER_AFFINITY_SHIFT 32
#define GICR_WAKER 0x0014
#define GICR_WAKER_PROCESSOR_SLEEP (1U << 1)
#define GICR_WAKER_CHILDREN_ASLEEP (1U << 2)
#define GICR_SGI_FRAME 0x10000
#define GICR_IGRPMODR 0x0d00
#define GICR_STRIDE UINT64_C(0x20000)
#define GICR_STRIDE_VLPI UINT64_C(0x40000)

#define ICC_CTLR_PMHE (UINT64_C(1) << 6)
#define ICC_CTLR_EOIMODE (UINT64_C(1) << 1)
#define ICC_CTLR_CBPR (UINT64_C(1) << 0)
#define ICC_CTLR_PRIBITS_SHIFT 8
#define ICC_CTLR_PRIBITS_MASK 7
#define ICC_CTLR_RSS (UINT64_C(1) << 18)

#define ICC_SGI1R_AFF1_SHIFT 16
#define ICC_SGI1R_AFF2_SHIFT 32
#define ICC_SGI1R_RS_SHIFT 44
#define ICC_SGI1R_AFF3_SHIFT 48

#define ID_AA64PFR0_GIC_SHIFT 24
#define ID_FIELD_MASK 0xf
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

#define sysreg_read(name)                                                       \
	({                                                                      \
		uint64_t value_;                                                \
		__asm__ volatile("mrs %0, " #name : "=r"(value_) : : "memory"); \
		value_;                                                         \
	})
#define sysreg_write(name, value) \
	__asm__ volatile("msr " #name ", %x0" : : "rZ"((uint64_t)(value)) : "memory")

struct gicv3_cpu {
	uint64_t mpidr; /* affinity fields only */
	uint64_t sgi1r; /* ICC_SGI1R_EL1 without target and INTID */
	uint64_t target; /* its bit in the target list; 0: not initialised */
	va_t redist;
};

static va_t dist; /* [c] */
static struct boot_gic frames; /* [c] sizes of the regions */
static va_t region[BOOT_GICR_REGIONS]; /* [c] */
static unsigned priority_shift; /* [c] see PRIORITY */
static bool pmr_needs_dsb; /* [c] ICC_CTLR_EL1.PMHE */
static struct gicv3_cpu cpu_state[MAX_CPUS];
uint64_t ipi_direct;

static uint64_t own_affinity(void)
{
	return sysreg_read(mpidr_el1) & MPIDR_AFFINITY;
}

static bool wait_clear(va_t frame, uint64_t offset, uint32_t bits)
{
	for (unsigned i = 0; i < GIC_POLL_LIMIT; i++) {
		if ((mmio_read32(frame, offset) & bits) == 0) {
			return true;
		}
	}
	return false;
}

/* Turn the system registers on; false if there are none, or EL2 or EL3 keeps them from us. */
static bool enable_sysregs(void)
{
	if ((sysreg_read(id_aa64pfr0_el1) >> ID_AA64PFR0_GIC_SHIFT & ID_FIELD_MASK) == 0) {
		return false;
	}
	sysreg_write(icc_sre_el1, sysreg_read(icc_sre_el1) | 1);
	isb();
	return (sysreg_read(icc_sre_el1) & 1) != 0;
}

/* The redistributor of an affinity in one region, or va(0). */
static va_t find_in_region(va_t base, uint64_t size, uint32_t affinity)
{
	uint64_t offset = 0;

	while (size >= GICR_STRIDE && offset <= size - GICR_STRIDE) {
		va_t frame = va(base.v + offset);
		uint64_t typer = mmio_read64(frame, GICR_TYPER);

		if (typer >> GICR_TYPER_AFFINITY_SHIFT == affinity) {
			return frame;
		}
		if ((typer & GICR_TYPER_LAST) != 0) {
			break;
		}
		if (frames.redist_stride != 0) {
			offset += frames.redist_stride;
		} else {
			offset += (typer & GICR_TYPER_VLPIS) != 0 ? GICR_STRIDE_VLPI : GICR_STRIDE;
		}
	}
	return va(0);
}

/* The redistributor of a CPU; its physical address too. va(0) if there is none. */
static va_t find_redist(uint64_t mpidr, uint64_t *redist_pa)
{
	/* GICR_TYPER packs the four affinity fields into 32 bits. */
	uint32_t affinity = (uint32_t)((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff));

	for (uint32_t i = 0; i < frames.redist_count; i++) {
		va_t frame = find_in_region(region[i], frames.redist[i].size, affinity);

		if (frame.v != 0) {
			*redist_pa = frames.redist[i].base + (frame.v - region[i].v);
			return frame;
		}
	}
	return va(0);
}

/* Is this the distributor of an affinity-routing GIC, and is it, with this CPU's part, ours? */
static enum kerr claim(void)
{
	uint64_t redist_pa = 0;

	if (frames.dist_size < GICD_PIDR2 + 4 || !enable_sysregs()) {
		return KERR_UNSUPPORTED;
	}
	uint32_t arch = mmio_read32(dist, GICD_PIDR2) >> GIC_PIDR2_ARCH_SHIFT & GIC_PIDR2_ARCH_MASK;

	if (arch != 3 && arch != 4) {
		return KERR_UNSUPPORTED;
	}
	if (find_redist(own_affinity(), &redist_pa).v == 0) {
		return KERR_ABSENT;
	}
	return gic_el3_claim(frames.dist_base, redist_pa, 3);
}

/*
 * Is the priority mask unshifted although the distributor's priorities are shifted?  The lowest
 * implemented bit of the mask is lost when it is shifted, and kept when it is not.
 */
static unsigned find_priority_shift(void)
{
	if ((mmio_read32(dist, GICD_CTLR) & GICD_CTLR_DS) != 0) {
		return 0;
	}
	uint64_t ctlr = sysreg_read(icc_ctlr_el1);
	unsigned bits = (unsigned)(ctlr >> ICC_CTLR_PRIBITS_SHIFT & ICC_CTLR_PRIBITS_MASK) + 1;

	sysreg_write(icc_pmr_el1, 1U << (8 - bits));
	isb();
	return sysreg_read(icc_pmr_el1) != 0 ? 1 : 0;
}

static void init_spis(void)
{
	uint64_t self = own_affinity();
	uint32_t lines = gic_dist_lines(dist);

	gic_frame_reset(dist, GIC_SPI_BASE, lines - GIC_SPI_BASE,
			gicv3_dist_priority(GIC_PRIORITY_NORMAL));
	for (uint32_t i = GIC_SPI_BASE; i < lines; i += 32) {
		mmio_write32(dist, GICD_IGROUPR + i / 8, UINT32_MAX);
	}
	for (uint32_t i = GIC_SPI_BASE; i < lines; i += 16) {
		mmio_write32(dist, GICD_ICFGR + i / 4, 0);
	}
	for (uint32_t i = GIC_SPI_BASE; i < lines; i++) {
		mmio_write64(dist, GICD_IROUTER + (uint64_t)i * 8, self);
	}
}

enum kerr gicv3_init_dist(const struct boot_gic *gic, const struct gic_map *map)
{
	frames = *gic;
	dist = map->dist;
	for (uint32_t i = 0; i < gic->redist_count; i++) {
		region[i] = map->redist[i];
	}
	enum kerr e = claim();

	if (e != KERR_OK) {
		return e;
	}
	mmio_write32(dist, GICD_CTLR, 0);
	(void)wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
	/* Affinity routing first: without it the routing registers are reserved. */
	mmio_write32(dist, GICD_CTLR, GICD_CTLR_ARE);
	(void)wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
	priority_shift = find_priority_shift();
	init_spis();
	mmio_write32(dist, GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_GROUP1);
	return wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP) ? KERR_OK : KERR_TIMEOUT;
}

static void init_redist(va_t redist)
{
	va_t sgi = va(redist.v + GICR_SGI_FRAME);
	uint32_t waker = mmio_read32(redist, GICR_WAKER);

	mmio_write32(redist, GICR_WAKER, waker & ~GICR_WAKER_PROCESSOR_SLEEP);
	(void)wait_clear(redist, GICR_WAKER, GICR_WAKER_CHILDREN_ASLEEP);

	mmio_write32(sgi, GICD_IGROUPR, UINT32_MAX);
	mmio_write32(sgi, GICR_IGRPMODR, 0);
	gic_frame_reset(sgi, 0, GIC_PRIVATE_COUNT, gicv3_dist_priority(GIC_PRIORITY_NORMAL));
	for (uint32_t i = 0; i < GIC_SGI_COUNT; i++) {
		if ((gic_urgent_sgis() >> i & 1) != 0) {
			gic_frame_set_priority(sgi, i, gicv3_dist_priority(GIC_PRIORITY_URGENT));
		}
	}
	(void)wait_clear(redist, GICR_CTLR, GICR_CTLR_RWP);
	mmio_write32(sgi, GICD_ISENABLER, (1U << GIC_SGI_COUNT) - 1);
	dsb_sy();
}

enum kerr gicv3_init_cpu(unsigned cpu, uint64_t mpidr)
{
	struct gicv3_cpu *self = &cpu_state[cpu];
	uint64_t aff0 = mpidr & 0xff;
	uint64_t redist_pa;
	va_t redist = find_redist(mpidr, &redist_pa);
	enum kerr e = claim();

	if (e != KERR_OK || redist.v == 0) {
		return e != KERR_OK ? e : KERR_ABSENT;
	}
	uint64_t ctlr = sysreg_read(icc_ctlr_el1);

	if (aff0 >= 16 && (ctlr & ICC_CTLR_RSS) == 0) {
		return KERR_UNSUPPORTED; /* no SGI can reach it */
	}
	init_redist(redist);
	pmr_needs_dsb = (ctlr & ICC_CTLR_PMHE) != 0;
	sysreg_write(icc_ctlr_el1, ctlr & ~(ICC_CTLR_EOIMODE | ICC_CTLR_CBPR));
	sysreg_write(icc_bpr1_el1, 0);
	gicv3_pmr_write(GIC_PMR_OPEN);
	sysreg_write(icc_igrpen1_el1, 1);
	isb();

	self->mpidr = mpidr & MPIDR_AFFINITY;
	self->sgi1r = (mpidr >> 8 & 0xff) << ICC_SGI1R_AFF1_SHIFT |
		      (mpidr >> 16 & 0xff) << ICC_SGI1R_AFF2_SHIFT |
		      (mpidr >> 32 & 0xff) << ICC_SGI1R_AFF3_SHIFT |
		      aff0 / 16 << ICC_SGI1R_RS_SHIFT;
	self->target = UINT64_C(1) << aff0 % 16;
	self->redist = redist;
	if (self->target == UINT64_C(1) << cpu && self->sgi1r == 0) {
		fetch_or_acq_rel(&ipi_direct, self->target);
	}
	return KERR_OK;
}

void gicv3_cpu_off(void)
{
	sysreg_write(icc_igrpen1_el1, 0);
	isb();
	dsb_sy();
}

void gicv3_send_sgi(unsigned sgi, unsigned cpu)
{
	const struct gicv3_cpu *to = &cpu_state[cpu];
	uint64_t value = to->sgi1r | to->target | (uint64_t)sgi << ICC_SGI1R_INTID_SHIFT;

	/* What we stored is seen by whoever this wakes; pairs with the DSB in gicv3_ack(). */
	dsb_ishst();
	sysreg_write(icc_sgi1r_el1, value);
	isb();
}

void gicv3_send_sgi_mask(unsigned sgi, uint64_t cpus)
{
	dsb_ishst(); /* as in gicv3_send_sgi() */
	if (likely(arch_ipi_send_direct((enum sgi)sgi, cpus))) {
		return;
	}
	while (cpus != 0) {
		/* One write reaches the 16 CPUs that differ in the low four bits only. */
		uint64_t group = cpu_state[__builtin_ctzll(cpus)].sgi1r;
		uint64_t targets = 0;

		for (uint64_t left = cpus; left != 0; left &= left - 1) {
			const struct gicv3_cpu *to = &cpu_state[__builtin_ctzll(left)];

			if (to->sgi1r == group) {
				targets |= to->target;
				cpus &= ~(left & -left);
			}
		}
		if (targets != 0) {
			sysreg_write(icc_sgi1r_el1,
				     group | targets | (uint64_t)sgi << ICC_SGI1R_INTID_SHIFT);
		}
	}
	isb();
}

uint32_t gicv3_ack(void)
{
	uint64_t iar = sysreg_read(icc_iar1_el1);

	/* Acknowledged before anything else is done; pairs with gicv3_send_sgi(). */
	dsb_sy();
	return (uint32_t)iar;
}

void gicv3_eoi(uint32_t iar)
{
	sysreg_write(icc_eoir1_el1, iar);
	isb();
}

void gicv3_disable(uint32_t intid)
{
	va_t frame = gicv3_frame(intid);

	gic_frame_disable(frame, intid);
	if (intid < GIC_PRIVATE_COUNT) {
		(void)wait_clear(va(frame.v - GICR_SGI_FRAME), GICR_CTLR, GICR_CTLR_RWP);
	} else {
		(void)wait_clear(dist, GICD_CTLR, GICD_CTLR_RWP);
	}
}

void gicv3_route(uint32_t intid, unsigned cpu)
{
	mmio_write64(dist, GICD_IROUTER + (uint64_t)intid * 8, cpu_state[cpu].mpidr);
}

va_t gicv3_frame(uint32_t intid)
{
	if (intid >= GIC_PRIVATE_COUNT) {
		return dist;
	}
	uint64_t self = own_affinity();

	for (unsigned i = 0; i < MAX_CPUS; i++) {
		if (cpu_state[i].target != 0 && cpu_state[i].mpidr == self) {
			return va(cpu_state[i].redist.v + GICR_SGI_FRAME);
		}
	}
	return va(0); /* before this CPU's gic_init_cpu() */
}

uint8_t gicv3_dist_priority(uint8_t priority)
{
	return (uint8_t)(priority << priority_shift);
}

void gicv3_pmr_write(uint8_t mask)
{
	sysreg_write(icc_pmr_el1, mask);
	if (pmr_needs_dsb) {
		dsb_sy();
	}
}

uint8_t gicv3_pmr_read(void)
{
	return (uint8_t)sysreg_read(icc_pmr_el1);
}
