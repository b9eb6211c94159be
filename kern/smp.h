/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/smp.h - starting, stopping and naming CPUs.
 */
#pragma once

#include <bootinfo.h>
#include <kerr.h>

/*
 * Order the CPUs: the one that runs this first. Call before slices are made. Panics if it is not
 * in the tree.
 */
void smp_order(struct bootinfo *info);

/*
 * Start a CPU and wait until it came through the door. KERR_TIMEOUT: it did not (named in the log,
 * never used). KERR_UNSUPPORTED: no way to start it.
 */
enum kerr smp_start(const struct bootinfo *info, unsigned cpu);

/* Can CPUs go offline and come back here? */
bool smp_can_hotplug(void);

/*
 * This CPU leaves: not a park target any more, then off through the firmware. Does not return.
 * Pre: smp_can_hotplug(), SP0, no locks held.
 */
_Noreturn void smp_offline_self(void);

/* Is the CPU off, so that it can be started again? */
bool smp_is_off(const struct bootinfo *info, unsigned cpu);

/* What secondaries run once they are through the door. Set before smp_start(). */
void smp_set_main(void (*entry)(void));
