/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/el3.S - what a kernel without firmware must do at EL3, and the monitor it leaves.
 *
 * THEORY   Entered at EL3 there is nobody to have set up the machine: this code gives the
 *          non-secure world what firmware would, and no more. It is position-independent, uses
 *          no stack and no memory but its own instructions, and runs with the MMU off for good.
 *          The monitor has no memory either: an SMC may change x4-x17, so it works in those.
 * FAILURE  Any exception to EL3 that is not an SMC stops the CPU in el3_dead with the cause in
 *          ESR_EL3, ELR_EL3 and FAR_EL3, where a debugger finds it.
 * NOT HERE PSCI; secure interrupts; protection of the monitor from EL1 (there is nothing to
 *          protect: no secret, and EL1 could load another image).
 */
#include "arch/arm64/el3.h"

#define SCR_NS (1 << 0)
#define SCR_RES1 (3 << 4)
#define SCR_HCE (1 << 8)
#define SCR_RW (1 << 10)
#define SCR_APK_API_SHIFT 16
#define SCR_ATA_SHIFT 26
#define SCR_FGTEN_SHIFT 27
#define SCR_ECVEN_SHIFT 28
#define SCR_HXEN_SHIFT 38
#define SCR_TCR2EN_SHIFT 43
#define SCR_SCTLR2EN_SHIFT 44
#define SCR_PIEN_SHIFT 45

#define CPTR_EZ (1 << 8)
#define SCTLR_EL3_RES1 0x30c50830

/* Registers that an assembler for ARMv8.0 has no name for. */
#define ID_AA64ISAR2_EL1 S3_0_C0_C6_2
#define ID_AA64MMFR3_EL1 S3_0_C0_C7_3
#define ZCR_EL3 S3_6_C1_C2_0
#define CPUECTLR_EL1 S3_1_C15_C2_1
#define CPUECTLR_SMPEN (1 << 6)
#define ICC_PMR_EL1 S3_0_C4_C6_0
#define ICC_SRE_EL3 S3_6_C12_C12_5
#define ICC_IGRPEN1_EL3 S3_6_C12_C12_7

#define MIDR_ARM 0x41
#define PART_A53 0xd03
#define PART_A57 0xd07
#define PART_A72 0xd08
#define PI4_COUNTER_HZ 54000000

#define ESR_EC_SHIFT 26
#define ESR_EC_SMC64 0x17

#define GICD_CTLR 0x0
#define GICD_TYPER 0x4
#define GICD_IGROUPR 0x80
#define GICV2_TYPER_SECURITY_BIT 10
#define GICV2_CTLR_GROUPS 0x3
#define GICC_CTLR_SECURE 0x1e3 /* both groups on, no bypass of the old interrupt lines */
#define GICV3_CTLR_ARE 0x30    /* secure and non-secure */
#define GICV3_CTLR_GROUPS 0x7
#define GICD_CTLR_RWP_BIT 31
#define GICC_CTLR 0x0
#define GICC_PMR 0x4
#define GICR_WAKER 0x14
#define GICR_WAKER_SLEEP_BIT 1
#define GICR_WAKER_ASLEEP_BIT 2
#define WAKE_POLLS 0x100000
#define GICR_IGROUPR0 0x10080
#define GICR_IGRPMODR0 0x10d00

	.text

/* Set bit(s) `mask` << shift in \to if the 4-bit field of an ID register is at least \least. */
.macro set_if_field to, reg, field, least, mask, shift
	mrs	x10, \reg
	ubfx	x10, x10, #\field, #4
	cmp	x10, #\least
	cset	x11, hs
	neg	x11, x11
	and	x11, x11, #\mask
	orr	\to, \to, x11, lsl #\shift
.endm

/*
 * Make this CPU ready to leave EL3 for the non-secure world: no trap to EL3 is left on.
 * In: x30 return address, at EL3, MMU off. Out: SCR_EL3, CPTR_EL3, MDCR_EL3, SCTLR_EL3,
 * VBAR_EL3; coherency on; CNTFRQ_EL0 if it was 0 and the part tells. Burns: x9-x14, flags.
 * Never: a stack, memory.
 */
	.globl	el3_setup
	.type	el3_setup, %function
	.p2align 4
el3_setup:
	ldr	x9, =SCTLR_EL3_RES1
	msr	sctlr_el3, x9
	adr	x9, el3_vectors
	msr	vbar_el3, x9
	msr	mdcr_el3, xzr
	isb

	mov	x9, #(SCR_NS | SCR_RES1 | SCR_RW)
	set_if_field x9, id_aa64pfr0_el1, 8, 1, 1, 8                    /* EL2: HCE */
	set_if_field x9, id_aa64isar1_el1, 4, 1, 3, SCR_APK_API_SHIFT    /* APA */
	set_if_field x9, id_aa64isar1_el1, 8, 1, 3, SCR_APK_API_SHIFT    /* API */
	set_if_field x9, ID_AA64ISAR2_EL1, 12, 1, 3, SCR_APK_API_SHIFT   /* APA3 */
	set_if_field x9, id_aa64pfr1_el1, 8, 2, 1, SCR_ATA_SHIFT         /* MTE */
	set_if_field x9, id_aa64mmfr0_el1, 56, 1, 1, SCR_FGTEN_SHIFT     /* FGT */
	set_if_field x9, id_aa64mmfr0_el1, 60, 2, 1, SCR_ECVEN_SHIFT     /* ECV */
	set_if_field x9, id_aa64mmfr1_el1, 40, 1, 1, SCR_HXEN_SHIFT      /* HCX */
	set_if_field x9, ID_AA64MMFR3_EL1, 0, 1, 1, SCR_TCR2EN_SHIFT     /* TCRX */
	set_if_field x9, ID_AA64MMFR3_EL1, 4, 1, 1, SCR_SCTLR2EN_SHIFT   /* SCTLRX */
	set_if_field x9, ID_AA64MMFR3_EL1, 8, 1, 1, SCR_PIEN_SHIFT       /* S1PIE */
	msr	scr_el3, x9

	mov	x9, #0
	set_if_field x9, id_aa64pfr0_el1, 32, 1, 1, 8                   /* SVE: EZ */
	msr	cptr_el3, x9
	isb
	cbz	x9, 1f
	mov	x9, #0xf                        /* the longest vectors there are */
	msr	ZCR_EL3, x9
1:
	mrs	x9, id_aa64pfr0_el1
	ubfx	x9, x9, #24, #4
	cbz	x9, 2f
	mov	x9, #0xf                        /* GIC registers on, for lower levels too */
	msr	ICC_SRE_EL3, x9
	isb
2:
	mrs	x9, midr_el1
	ubfx	x10, x9, #24, #8
	cmp	x10, #MIDR_ARM
	b.ne	5f
	ubfx	x10, x9, #4, #12
	mov	x11, #PART_A53
	cmp	x10, x11
	mov	x11, #PART_A57
	ccmp	x10, x11, #4, ne
	mov	x11, #PART_A72
	ccmp	x10, x11, #4, ne
	b.ne	5f
	/* These take part in coherency only when told to, before the caches are on. */
	mrs	x9, CPUECTLR_EL1
	orr	x9, x9, #CPUECTLR_SMPEN
	msr	CPUECTLR_EL1, x9
	isb
	cmp	x10, x11
	b.ne	5f
	/* A Cortex-A72 of ours is a Pi 4. Firmware knows better: keep what is not 0. */
	mrs	x9, cntfrq_el0
	cbnz	x9, 5f
	ldr	x9, =PI4_COUNTER_HZ
	msr	cntfrq_el0, x9
5:
	isb
	ret
	.size	el3_setup, . - el3_setup

/* An exception to EL3 that nobody expects; see FAILURE. */
	.type	el3_dead, %function
el3_dead:
	wfe
	b	el3_dead
	.size	el3_dead, . - el3_dead

/* Wait until the distributor has taken the last write to GICD_CTLR over. */
.macro wait_rwp dist
9:	ldr	w8, [\dist, #GICD_CTLR]
	tbnz	w8, #GICD_CTLR_RWP_BIT, 9b
.endm

.macro dead_entries count
	.rept	\count
	.p2align 7
	b	el3_dead
	.endr
.endm

	.p2align 11
	.type	el3_vectors, %object
el3_vectors:
	dead_entries 8                          /* from EL3 itself */
	.p2align 7
	b	el3_call                        /* lower level, AArch64, synchronous */
	dead_entries 7                          /* the rest of it, and AArch32 */
	.org	el3_vectors + 0x800             /* fails if an entry is past its 128 bytes */
	.size	el3_vectors, . - el3_vectors

/*
 * An SMC from the kernel. In: w0 function, x1-x3 arguments. Out: x0 result.
 * Burns: x4-x17, flags (ERET restores the caller's). Never: x18-x30, a stack.
 */
	.type	el3_call, %function
el3_call:
	mrs	x16, esr_el3
	lsr	x16, x16, #ESR_EC_SHIFT
	cmp	x16, #ESR_EC_SMC64
	b.ne	el3_dead
	ldr	w16, =EL3_GIC_NONSECURE
	cmp	w0, w16
	b.ne	8f
	sub	w16, w1, #2
	cmp	w16, #1
	b.hi	8f

	/* Both versions: the shared interrupts; word 0 is, on GICv2, this CPU's own. */
	ldr	w4, [x2, #GICD_TYPER]
	and	w4, w4, #0x1f
	add	x5, x2, #GICD_IGROUPR
	mov	w6, #-1
	cmp	w1, #2
	b.eq	2f

	/* GICv3: affinity routing may be switched on only while the groups are off. */
	ldr	w7, [x2, #GICD_CTLR]
	and	w8, w7, #GICV3_CTLR_ARE
	cmp	w8, #GICV3_CTLR_ARE
	b.eq	1f
	str	wzr, [x2, #GICD_CTLR]
	wait_rwp x2
	mov	w7, #GICV3_CTLR_ARE
	str	w7, [x2, #GICD_CTLR]
	wait_rwp x2
1:	orr	w7, w7, #GICV3_CTLR_GROUPS
	and	w7, w7, #0x7fffffff
	str	w7, [x2, #GICD_CTLR]
	b	3f

	/*
	 * GICv2: without the security extension (QEMU's Pi 4) there is one view, in which group 0
	 * is ours already.
	 */
2:	ldr	w7, [x2, #GICD_TYPER]
	tbz	w7, #GICV2_TYPER_SECURITY_BIT, 7f

3:	str	w6, [x5], #4
	subs	w4, w4, #1
	b.pl	3b
	cmp	w1, #3
	b.eq	4f

	/* GICv2: a non-secure mask can be opened only if the secure one is. */
	mov	w7, #0xff
	str	w7, [x3, #GICC_PMR]
	mov	w7, #GICC_CTLR_SECURE
	str	w7, [x3, #GICC_CTLR]
	mov	w7, #GICV2_CTLR_GROUPS
	str	w7, [x2, #GICD_CTLR]
	b	7f
4:
	ldr	w7, [x3, #GICR_WAKER]
	bic	w7, w7, #(1 << GICR_WAKER_SLEEP_BIT)
	str	w7, [x3, #GICR_WAKER]
	mov	w8, #WAKE_POLLS
5:	sub	w8, w8, #1
	cbz	w8, 8f
	ldr	w7, [x3, #GICR_WAKER]
	tbnz	w7, #GICR_WAKER_ASLEEP_BIT, 5b
	add	x5, x3, #(GICR_IGROUPR0 & ~0xfff)
	str	w6, [x5, #(GICR_IGROUPR0 & 0xfff)]
	str	wzr, [x5, #(GICR_IGRPMODR0 & 0xfff)]
	mov	x7, #0xff
	msr	ICC_PMR_EL1, x7
	mov	x7, #1
	msr	ICC_IGRPEN1_EL3, x7
7:
	dsb	sy
	isb
	mov	x0, #0
	eret
8:
	mov	x0, #-1                         /* SMCCC NOT_SUPPORTED */
	eret
	.size	el3_call, . - el3_call
	.ltorg
