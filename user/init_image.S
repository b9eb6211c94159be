/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init_image.S - init in the kernel's image, on pages of its own. See include/init_image.h.
 */
	.section .rodata.init_image, "a"
	.globl init_image
	.balign 4096
init_image:
	.incbin "init.flat"
	.balign 4096
