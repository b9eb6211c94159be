/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <arch/machine.h> - the machine as a whole. Shadowed by the host build.
 */
#pragma once

#include <types.h>

/*
 * Print the end marker that scripts/run reads, then power off, or reset where that is all there
 * is.
 */
_Noreturn void arch_machine_end(unsigned status);

/* Nothing more on this CPU, with everything masked. */
_Noreturn void arch_halt(void);

/* This CPU's number, trusting neither x18 nor TPIDR_EL1. */
unsigned arch_cpu_number_safe(void);
