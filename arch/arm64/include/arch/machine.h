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

/*
 * fn(arg) on this CPU's lifeboat: the root and the stack that no change of the live tables can
 * reach, with the pinned slice. fn does not return. Any context, any state of the tables.
 */
_Noreturn void arch_lifeboat(void (*fn)(uint64_t), uint64_t arg);

/* Nothing more on this CPU, with everything masked. */
_Noreturn void arch_halt(void);

/* This CPU's number, trusting neither x18 nor TPIDR_EL1. */
unsigned arch_cpu_number_safe(void);
