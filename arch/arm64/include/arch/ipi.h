/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/ipi.h> - software-generated interrupts. Shadowed by the host build.
 */
#pragma once

#include <types.h>

enum sgi {
	SGI_PARK = 0,  /* urgent: park (ipi/park.h) */
	SGI_STOP = 1,  /* urgent: stop for ever (kern/panic.c) */
	SGI_WAKE = 2,  /* end an idle CPU's WFI; nothing else */
	SGI_STORM = 3, /* counted, nothing else: stress */
	SGI_HOLD = 4,  /* urgent: wait while another CPU debugs (kern/hold.h) */
	SGI_SPACE = 5, /* leave a user space that was retired (vm/pmap_user.h) */
};

/*
 * Interrupt the CPUs of a mask. Pre: what they are to read is stored; a DSB ISHST orders it before
 * (GICv2: the store to GICD_SGIR is ordered by the same DSB; GICv3: an ISB follows the register
 * write).
 */
void arch_ipi_send(enum sgi sgi, uint64_t cpus);
