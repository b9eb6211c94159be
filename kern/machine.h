/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/machine.h - what trap.c and fatal.c share, and the devices of this machine.
 */
#pragma once

#include <arch/machine.h>
#include <bootinfo.h>
#include <types.h>

const char *trap_ec_name(unsigned ec);

/* The interrupt that is the timer's; boot CPU. */
void trap_set_timer(uint32_t intid);

/*
 * Map a device's registers, pinned. Boot CPU, before the register of pins is sealed.
 * Panics without tables. Size and base need no alignment.
 */
va_t device_map(pa_t base, uint64_t size, const char *what);

/* Console, as soon as the tree told where; UART_NONE: the guess for boards without a tree. */
void machine_console(enum uart_kind kind, uint64_t base, uint64_t size);

/*
 * Interrupt controller, timer, firmware, watchdog. Panics with a message when one cannot be
 * driven.
 */
void machine_init(const struct bootinfo *info, bool park_by_nmi);

/* Print the end marker, then reset. */
_Noreturn void machine_reboot(unsigned status);

/* This CPU's share of interrupt controller and timer. Each CPU once after each reset. */
void machine_init_cpu(unsigned cpu, uint64_t mpidr);
