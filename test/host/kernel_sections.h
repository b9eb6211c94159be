/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/kernel_sections.h - included before every kernel source in the host build.
 *
 * The kernel's variables go into two sections, so that test/host/boot.c can put them back; and the
 * one hint that the kernel gives outside of the seam is taught to the host's assembler.
 */
#pragma once

#pragma clang section bss = "kbss" data = "kdata"

#ifdef __x86_64__
__asm__(".macro yield\n\tpause\n\t.endm");
#endif
