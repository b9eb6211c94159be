/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init/disk.c - find the RAM disk, see that it is sound, make an object of it for others.
 */
#include "user/init/init.h"

#include <perch/calls.h>
#include <perch/cpio.h>
#include <perch/start.h>

#include <memmap.h>
#include <stdio.h>
#include <string.h>

extern const char ramdisk[], ramdisk_end[];

static bool is_sound(const void *archive, size_t bytes)
{
	struct cpio_file file;
	enum cpio_result result;
	size_t offset = 0;

	do {
		result = cpio_next(archive, bytes, &offset, &file);
	} while (result == CPIO_FILE);
	if (result != CPIO_END) {
		printf("init: RAM disk: at byte %lu of %lu: %s\n", (unsigned long)offset,
		       (unsigned long)bytes, cpio_says(result));
	}
	return result == CPIO_END;
}

/* What the boot loader left, mapped for reading where it lies. */
static bool open_loaded(const void **archive, size_t *bytes)
{
	uint64_t base, size, unused[2], at;
	handle_t memory;

	if (sys_machine_info(start.machine, MACHINE_INITRD, &base, &size, &unused[0], &unused[1]) !=
		    KERR_OK ||
	    size == 0) {
		return false;
	}
	const uint64_t first = align_down(base, PAGE_BYTES);
	const uint64_t span = align_up(base + size, PAGE_BYTES) - first;
	enum kerr e = sys_mem_create(MEM_PHYS, span, start.machine, first, &memory);
	if (e == KERR_OK) {
		e = sys_mem_map(HANDLE_NONE, memory, 0, 0, span, VM_READ, &at);
		(void)sys_handle_close(memory);
	}
	if (e != KERR_OK) {
		printf("init: RAM disk at %#lx: cannot be mapped, error %d\n", (unsigned long)base,
		       (int)e);
		return false;
	}
	*archive = (const void *)(uintptr_t)(at + base - first);
	*bytes = size;
	return is_sound(*archive, *bytes);
}

/* A copy as an object, so that children can map it. */
static enum kerr copy(const void *from, size_t bytes, struct ramdisk *out)
{
	const uint64_t span = align_up(bytes, PAGE_BYTES);
	handle_t memory;
	uint64_t at;

	enum kerr e = sys_mem_create(MEM_ANON, span, HANDLE_NONE, 0, &memory);
	if (e != KERR_OK) {
		return e;
	}
	e = sys_mem_map(HANDLE_NONE, memory, 0, 0, span, VM_READ | VM_WRITE, &at);
	if (e == KERR_OK) {
		memcpy((void *)(uintptr_t)at, from, bytes);
		e = sys_mem_protect(HANDLE_NONE, at, span, VM_READ);
	}
	if (e == KERR_OK) {
		e = sys_handle_dup(memory, RIGHT_READ | RIGHT_TRANSFER | RIGHT_DUPLICATE,
				   HANDLE_NONE, &out->memory);
	}
	(void)sys_handle_close(memory);
	if (e == KERR_OK) {
		out->archive = (const void *)(uintptr_t)at;
		out->bytes = bytes;
	}
	return e;
}

bool ramdisk_open(struct ramdisk *out)
{
	const void *archive;
	size_t bytes;

	if (!open_loaded(&archive, &bytes)) {
		archive = ramdisk;
		bytes = (size_t)(ramdisk_end - ramdisk);
		if (!is_sound(archive, bytes)) {
			return false;
		}
	}
	const enum kerr e = copy(archive, bytes, out);
	if (e != KERR_OK) {
		printf("init: RAM disk: no memory for a copy, error %d\n", (int)e);
	}
	return e == KERR_OK;
}
