/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/entry.h - the calls that a vector may make into the kernel: the one upward edge of arch/.
 * All run on SPx with interrupts masked and touch pinned memory only.
 */
#pragma once

#include <types.h>

void entry_timer(void);
void entry_interrupt(uint32_t intid);
