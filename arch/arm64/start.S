/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/start.S - from reset to C at the kernel's addresses.
 *
 * THEORY   A CPU comes in with the MMU off at EL1, EL2 or EL3, at any 2 MiB-aligned address. It
 *          drops to EL1 non-secure, builds (boot CPU) or takes (secondary) translation tables, and
 *          jumps to where the image is linked. Until the MMU is on, memory is accessed as Device:
 *          no exclusives, no DC ZVA, no unaligned access; what is written by-passes the caches, so
 *          lines that cover it are invalidated before (no dirty line may overwrite it later) and
 *          after (no stale line may hide it).
 * IN       x0: physical address of the device tree (boot CPU), or CPU number (secondary).
 * NOT HERE What EL3 needs when no firmware ran: el3.S.
 */
#include <memmap.h>

	.section .head.text, "ax"
	.global _head
_head:					/* arm64 Image header */
	b	_start
	.long	0
	.quad	0			/* text_offset: loads at a 2 MiB boundary */
	.quad	_image_bytes
	.quad	0xa			/* little-endian, 4 KiB pages, anywhere in memory */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

	.global _start
_start:
	mov	x20, x0
	bl	drop_to_el1
	cmp	x19, #3
	b.ne	1f
	mrs	x1, mpidr_el1		/* no firmware: every core of a Pi comes here at once */
	ldr	x2, =0xff00ffffff
	ands	x1, x1, x2
	b.ne	pen
1:	adrp	x21, __bss_start
	add	x21, x21, :lo12:__bss_start
	adrp	x22, __bss_end
	add	x22, x22, :lo12:__bss_end
	mov	x0, x21
	mov	x1, x22
	bl	dcache_invalidate_poc
	mov	x0, x21
2:	stp	xzr, xzr, [x0], #64	/* .bss is 64-byte aligned at both ends: perch.ld */
	stp	xzr, xzr, [x0, #-48]
	stp	xzr, xzr, [x0, #-32]
	stp	xzr, xzr, [x0, #-16]
	cmp	x0, x22
	b.lo	2b
	adrp	x0, boot_slice + SLICE_SP0_TOP
	mov	sp, x0
	mov	x29, xzr
	mov	x0, x20
	mov	x1, x19
	bl	boot_mmu_prepare
	mov	x0, x21
	mov	x1, x22
	bl	dcache_invalidate_poc
	adrp	x0, boot_regs
	add	x0, x0, :lo12:boot_regs
	mov	x20, xzr		/* CPU 0 */
	ldr	x30, =boot_entry
	b	mmu_on

boot_entry:				/* at the linked address from here on */
	adrp	x0, boot_slice
	add	x0, x0, :lo12:boot_slice
	bl	cpu_adopt_slice
	bl	kmain
0:	wfe
	b	0b

/* PSCI, spin table or pen. In: x0 = CPU number. */
	.global secondary_start
secondary_start:
	mov	x20, x0
	bl	drop_to_el1
secondary_el1:
	adrp	x0, boot_regs
	add	x0, x0, :lo12:boot_regs
	ldr	x30, =secondary_entry
	b	mmu_on

secondary_entry:
	adrp	x0, boot_slices
	add	x0, x0, :lo12:boot_slices
	ldr	x0, [x0, x20, lsl #3]
	bl	cpu_adopt_slice
	mov	x0, x20
	bl	secondary_main
0:	wfe
	b	0b

/*
 * A spin table enters with nothing useful in registers: find our number by MPIDR.
 * boot_mpidrs[] was cleaned to memory by the boot CPU.
 */
	.global spin_start
spin_start:
	bl	drop_to_el1
spin_el1:
	mrs	x1, mpidr_el1
	ldr	x2, =0xff00ffffff
	and	x1, x1, x2
	adrp	x3, boot_mpidrs
	add	x3, x3, :lo12:boot_mpidrs
	mov	x20, xzr
1:	ldr	x4, [x3, x20, lsl #3]
	cmp	x4, x1
	b.eq	secondary_el1
	add	x20, x20, #1
	cmp	x20, #64		/* MAX_CPUS */
	b.lo	1b
	wfe				/* not started yet, or not in the tree */
	b	spin_el1

/*
 * Cores that a board without firmware started with the first one. Until boot_pen holds the word,
 * .bss, where boot_mpidrs lies, may hold anything. Both are cleaned to memory, then SEV.
 */
pen:
	adrp	x3, boot_pen
	ldr	x5, =0x7065726368676f21	/* "perchgo!" */
1:	wfe
	ldr	x4, [x3, :lo12:boot_pen]
	cmp	x4, x5
	b.ne	1b
	b	spin_el1

/*
 * Make this slice ours: x18, TPIDR_EL1, both stack pointers, vectors. Leaves SPSel = 0, DAIF
 * masked.
 * In: x0 = slice. Burns: x1. The caller's stack is left behind.
 */
	.global cpu_adopt_slice
cpu_adopt_slice:
	mov	x18, x0
	msr	tpidr_el1, x0
	msr	spsel, #1
	add	x1, x0, #SLICE_SPX_TOP
	mov	sp, x1
	msr	spsel, #0
	mov	x1, #SLICE_SP0_TOP
	add	x1, x0, x1
	mov	sp, x1
	mov	x29, xzr
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	isb
	ret

/*
 * Move the boot CPU to its own slice and go on in another function.
 * In: x0 = slice, x1 = function that does not return.
 */
	.global cpu_move_to_slice
cpu_move_to_slice:
	mov	x20, x1
	bl	cpu_adopt_slice
	br	x20

/*
 * To EL1 non-secure, MMU off, interrupts masked.
 * In: x20 kept. Out: x19 = the exception level of entry. Burns: x0-x17 but x20; x30 is the return.
 */
drop_to_el1:
	mov	x21, x30
	msr	daifset, #0xf
	mrs	x19, CurrentEL
	lsr	x19, x19, #2
	cmp	x19, #3
	b.ne	1f
	bl	el3_setup
	mov	x0, #0x3c5		/* EL1h, DAIF */
	mov	x1, #0x3c9		/* EL2h, DAIF */
	mrs	x2, id_aa64pfr0_el1
	tst	x2, #0xf00		/* EL2 there? */
	csel	x0, x0, x1, eq
	msr	spsr_el3, x0
	adr	x1, 1f
	adr	x2, 2f
	csel	x1, x2, x1, eq
	msr	elr_el3, x1
	mov	x0, #0x0800
	movk	x0, #0x30d0, lsl #16
	msr	sctlr_el1, x0
	eret
1:	mrs	x0, CurrentEL
	cmp	x0, #8
	b.ne	2f
	mov	x0, #(1 << 31)		/* HCR_EL2.RW: EL1 is AArch64 */
	msr	hcr_el2, x0
	isb
	mrs	x0, cnthctl_el2
	orr	x0, x0, #3		/* EL1 reads the physical counter and timer */
	msr	cnthctl_el2, x0
	msr	cntvoff_el2, xzr
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	mov	x0, #0x33ff		/* no trap of FP/SIMD */
	msr	cptr_el2, x0
	msr	hstr_el2, xzr
	msr	vttbr_el2, xzr
	msr	mdcr_el2, xzr		/* debug exceptions and registers are EL1's */
	mrs	x0, id_aa64dfr0_el1	/* all event counters belong to EL1, where there are any */
	ubfx	x0, x0, #8, #4
	sub	x1, x0, #1
	cmp	x1, #14
	b.hs	3f
	mrs	x0, pmcr_el0
	ubfx	x0, x0, #11, #5
	msr	mdcr_el2, x0
3:	mrs	x0, id_aa64pfr0_el1
	ubfx	x0, x0, #24, #4
	cbz	x0, 4f
	mrs	x0, s3_4_c12_c9_5	/* ICC_SRE_EL2 */
	mov	x1, #9			/* SRE, and EL1 may use it */
	orr	x0, x0, x1
	msr	s3_4_c12_c9_5, x0
	isb
	msr	s3_4_c12_c11_0, xzr	/* ICH_HCR_EL2 */
4:	mov	x0, #0x0800
	movk	x0, #0x30d0, lsl #16
	msr	sctlr_el1, x0
	mov	x0, #0x3c5
	msr	spsr_el2, x0
	adr	x0, 2f
	msr	elr_el2, x0
	eret
2:	mov	x0, #0x0800		/* RES1 bits, MMU and caches off */
	movk	x0, #0x30d0, lsl #16
	msr	sctlr_el1, x0
	isb
	ret	x21

/*
 * Turn the MMU on. In: x0 = struct boot_regs (physical), x30 = where to go on, a linked address.
 */
mmu_on:
	ldp	x1, x2, [x0]		/* mair, tcr */
	ldp	x3, x4, [x0, #16]	/* ttbr0 (identity), ttbr1 */
	ldr	x5, [x0, #32]		/* sctlr */
	msr	mair_el1, x1
	msr	tcr_el1, x2
	msr	ttbr0_el1, x3
	msr	ttbr1_el1, x4
	msr	contextidr_el1, x20
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	nsh
	isb
	msr	sctlr_el1, x5
	isb
	br	x30

/*
 * Clean, or invalidate, the lines of [x0, x1) to the point of coherency, and wait.
 * Burns: x2, x3.
 */
	.macro	dcache_range op
	mrs	x2, ctr_el0
	ubfx	x2, x2, #16, #4		/* DminLine: log2 of words */
	mov	x3, #4
	lsl	x2, x3, x2
	sub	x3, x2, #1
	bic	x0, x0, x3
1:	dc	\op, x0
	add	x0, x0, x2
	cmp	x0, x1
	b.lo	1b
	dsb	sy
	ret
	.endm

	.global dcache_invalidate_poc
dcache_invalidate_poc:
	dcache_range ivac

	.global dcache_clean_poc
dcache_clean_poc:
	dcache_range civac

	.ltorg
