/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/ramdisk.c - the RAM disk of a program, and the programs on it. See perch/spawn.h.
 */
#include <perch/calls.h>
#include <perch/cpio.h>
#include <perch/spawn.h>

#include <memmap.h>
#include <stdio.h>

enum kerr ramdisk_map(const void **archive, size_t *bytes)
{
	uint64_t at;

	if (start.ramdisk == HANDLE_NONE) {
		return KERR_ABSENT;
	}
	const enum kerr e = sys_mem_map(HANDLE_NONE, start.ramdisk, 0, 0,
					align_up(start.ramdisk_bytes, PAGE_BYTES), VM_READ, &at);
	if (e == KERR_OK) {
		*archive = (const void *)(uintptr_t)at;
		*bytes = start.ramdisk_bytes;
	}
	return e;
}

bool ramdisk_program(const void *archive, size_t bytes, const char *name, struct elf_program *out)
{
	struct cpio_file file;

	const enum cpio_result found = cpio_find(archive, bytes, name, &file);
	if (found != CPIO_FILE) {
		printf("%s: %s\n", name, cpio_says(found));
		return false;
	}
	const enum elf_result result = elf_read(file.data, file.bytes, out);
	if (result != ELF_OK) {
		printf("%s: %s\n", name, elf_says(result));
		return false;
	}
	return true;
}
