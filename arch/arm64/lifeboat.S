/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/lifeboat.S - to the lifeboat's root and back, for code that comes back.
 *
 * THEORY   Both roots map what is pinned alike, so the code and the stack that are in use stay
 *          where they are. MSR TTBR1 has taken effect for certain after the ISB; the TLBI then
 *          drops what was cached of the old root, whatever it was (Arm ARM D8.14.4). No address
 *          that both roots map has two translations meanwhile; those of one alone are not used.
 * NOT HERE The way of no return: enter_fatal and arch_lifeboat in vectors.S.
 */
#include <memmap.h>

	.text

/*
 * uint64_t lifeboat_enter(void)
 * Pre: DAIF masked, on a pinned stack, x18 a pinned slice. Out: x0 = the root that was left, for
 * lifeboat_leave(). Burns: x1. Never: memory.
 */
	.global lifeboat_enter
lifeboat_enter:
	mrs	x0, ttbr1_el1
	orr	x1, x0, #LIFEBOAT_ROOT_BIT
	b	1f

/* void lifeboat_leave(uint64_t root). Burns: x1. Never: memory. */
	.global lifeboat_leave
lifeboat_leave:
	mov	x1, x0
1:	msr	ttbr1_el1, x1
	isb
	tlbi	vmalle1
	dsb	nsh
	isb
	ret
