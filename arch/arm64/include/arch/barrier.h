/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/barrier.h> - barriers and hints (Arm ARM B2.3). Shadowed by the host build.
 */
#pragma once

static inline void dsb_ish(void)
{
	__asm__ volatile("dsb ish" ::: "memory");
}

static inline void dsb_ishst(void)
{
	__asm__ volatile("dsb ishst" ::: "memory");
}

static inline void dsb_nsh(void)
{
	__asm__ volatile("dsb nsh" ::: "memory");
}

static inline void dsb_sy(void)
{
	__asm__ volatile("dsb sy" ::: "memory");
}

static inline void dmb_ish(void)
{
	__asm__ volatile("dmb ish" ::: "memory");
}

static inline void isb(void)
{
	__asm__ volatile("isb" ::: "memory");
}

/*
 * Wait for an event; returns at once when one is registered, or at the next tick of the event
 * stream.
 */
static inline void cpu_wfe(void)
{
	__asm__ volatile("wfe" ::: "memory");
}

/* Wake every CPU that waits in cpu_wfe(). */
static inline void cpu_sev(void)
{
	__asm__ volatile("sev" ::: "memory");
}

static inline void cpu_wfi(void)
{
	__asm__ volatile("dsb sy\n\twfi" ::: "memory");
}
