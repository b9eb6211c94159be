/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/bcm_pm.h - the BCM2835/BCM2711 power manager's watchdog, used to reset the board.
 *
 * A Pi with stock firmware has no PSCI and cannot switch itself off; a watchdog reset is how a
 * run ends (QEMU: with -no-reboot it exits). Not run on hardware.
 */
#pragma once

#include <types.h>

/* The power manager's registers as the CPU reaches them now; va(0): there is none. */
void bcm_pm_init(va_t base);

/* Reset in about 160 us. Returns false at once without a power manager, else does not return. */
bool bcm_pm_reset(void);
