/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/init.h - the first program.
 */
#pragma once

#include <types.h>

/*
 * Start init from the kernel's image and give every CPU to threads. init switches the machine off;
 * comes back only if init ends without doing so, with a status that is not 0.
 */
unsigned init_main(void);

/*
 * The same as a part of a kernel program: init finds `args` (BOOT_ARGS_BYTES, zero behind the text)
 * in place of the boot arguments. When it would switch off, every task is ended and what they had
 * is free again. Returns init's status. Pre: the other CPUs are idle (work_wait()).
 */
unsigned init_visit(const char *args);

/* What machine_info shows as boot arguments. */
const char *init_args(void);

/* init switches off. False: it is not a visit, and it is meant. */
bool init_goes(unsigned status);
