/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/warden.h - warden=cpuN: a CPU that watches the others from the lifeboat.
 *
 * THEORY   When the page of the vectors, or a table on the way to it, is gone, a CPU takes an abort
 *          for each instruction of its abort handler, for ever: no code on that CPU can tell. So
 *          one CPU can be set apart. It runs on the lifeboat's root, on its exception stack,
 *          masked, before the door: no window waits for it and none can break what it uses. It
 *          looks for two things.
 *          1. Is the live walk of every pinned page what it was when it was pinned (LB1)? That
 *             covers the vectors, the slices, the devices, and each table on the way.
 *          2. Does every CPU beat? The beat is its count of interrupts, in pinned memory; the
 *             warden sends one (SGI_WAKE) to each in every round, so an idle CPU beats too, and a
 *             busy one beats unless it has interrupts masked for longer than any stretch may last.
 *          What it finds it reports, with the other CPUs stopped as far as they still can be.
 * LOCKING  None. It reads live tables while others change them: of pinned memory nobody does (R1).
 * NOT HERE A CPU whose TTBR1_EL1 or VBAR_EL1 itself is wrong: only its missing beat tells.
 */
#pragma once

#include <types.h>

/* Is this CPU to be the warden? With pcpu=scattered no CPU can: its slice would not be pinned. */
bool warden_is(unsigned cpu);

/* Say whether there is one, or why not. Boot CPU, when the others run. */
void warden_announce(void);

/* Never returns. Pre: on SP0, past the door, nothing held. */
_Noreturn void warden_main(void);
