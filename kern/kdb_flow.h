/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_flow.h - breakpoints, steps, and what run=kdb does between prompts.
 */
#pragma once

#include <types.h>

#include "kern/trap.h"

/* The kernel's own BRK instructions: what they are for is in their number. */
#define KDB_BRK_MAIN 0x6b01
#define KDB_BRK_END 0x6b02

const char *kdb_flow_brk_name(uint64_t esr);

/* Is run=kdb what this kernel does? */
bool kdb_flow_is_main(void);

/*
 * The prompt was left by `cont` or `step`: arm this CPU's registers and the frame for it. True: it
 * is a step, the other CPUs stay held.
 */
bool kdb_flow_prepare(struct trap_frame *frame);

/* A step exception. True: it was the last of those asked for, prompt. */
bool kdb_flow_stepped(struct trap_frame *frame);
