/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/bcm_pm.c - the BCM2835/BCM2711 watchdog. Not run on hardware.
 *
 * Each write carries the password in its top byte, else it is ignored. The watchdog counts down
 * in units of 1/65536 s; when it reaches 0, RSTC's write configuration says what is reset.
 */
#include "arch/arm64/bcm_pm.h"

#include "arch/arm64/mmio.h"

#define PM_PASSWORD 0x5a000000U
#define PM_RSTC 0x1c
#define PM_RSTC_WRCFG_MASK 0x30U
#define PM_RSTC_WRCFG_FULL_RESET 0x20U
#define PM_WDOG 0x24
#define PM_WDOG_TICKS 10

static va_t bcm_pm;

void bcm_pm_init(va_t base)
{
	bcm_pm = base;
}

bool bcm_pm_reset(void)
{
	if (bcm_pm.v == 0) {
		return false;
	}
	uint32_t rstc = mmio_read32(bcm_pm, PM_RSTC) & ~PM_RSTC_WRCFG_MASK & ~0xff000000U;

	/* All that was stored is out before the reset (a RAM console, another CPU's report). */
	__asm__ volatile("dsb sy" : : : "memory");
	mmio_write32(bcm_pm, PM_WDOG, PM_PASSWORD | PM_WDOG_TICKS);
	mmio_write32(bcm_pm, PM_RSTC, PM_PASSWORD | rstc | PM_RSTC_WRCFG_FULL_RESET);
	for (;;) {
		__asm__ volatile("wfe" : : : "memory");
	}
}
