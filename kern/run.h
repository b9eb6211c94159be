/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/run.h - what the kernel does after boot: run=.
 */
#pragma once

#include <bootinfo.h>

#include "kern/bootargs.h"

extern struct bootinfo bootinfo;
extern struct bootargs bootargs;

/* Secondaries, through the door. */
void run_secondary(void);

/* The boot CPU: run what bootargs.run names. Returns the status for the end marker, 0: pass. */
unsigned run_main(void);
