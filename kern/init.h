/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/init.h - the first program.
 */
#pragma once

/*
 * Start init from the kernel's image and give every CPU to threads. init switches the machine off;
 * comes back only if init ends without doing so, with a status that is not 0.
 */
unsigned init_main(void);
