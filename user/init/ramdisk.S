/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init/ramdisk.S - the RAM disk that is used when the boot loader brings none.
 */
	.section .ramdisk, "a"
	.globl ramdisk, ramdisk_end
	.balign 4
ramdisk:
	.incbin "ramdisk.cpio"
ramdisk_end:
