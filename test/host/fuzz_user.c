/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fuzz_user.c - any bytes as a RAM disk and as a program: nothing outside them is read,
 * and what is accepted keeps the readers' promises.
 */
#include <abi.h>
#include <stdlib.h>
#include <string.h>

#include <perch/cpio.h>
#include <perch/elf.h>

#include "memmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require(bool fact)
{
	if (!fact) {
		abort();
	}
}

static void check_program(const struct elf_program *p, const uint8_t *data, size_t bytes)
{
	uint64_t free = USER_BASE;

	for (uint32_t i = 0; i < p->segment_count; i++) {
		const struct elf_segment *const s = &p->segment[i];

		require(is_aligned(s->address, PAGE_BYTES) && is_aligned(s->bytes, PAGE_BYTES));
		require(s->address >= align_down(free, PAGE_BYTES) && s->bytes > 0);
		require(s->bytes <= USER_END - s->address);
		require(s->fill >= s->address && s->fill_bytes <= s->bytes);
		require(s->fill - s->address <= s->bytes - s->fill_bytes);
		require(s->data >= data && s->fill_bytes <= bytes);
		require((size_t)(s->data - data) <= bytes - s->fill_bytes);
		require((s->flags & (VM_WRITE | VM_EXEC)) != (VM_WRITE | VM_EXEC));
		free = s->address + s->bytes;
	}
	require(p->segment_count > 0 && p->segment_count <= ELF_SEGMENTS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct elf_program program;
	struct cpio_file file;
	size_t offset = 0, before = 0;

	if (elf_read(data, bytes, &program) == ELF_OK) {
		check_program(&program, data, bytes);
	}
	while (cpio_next(data, bytes, &offset, &file) == CPIO_FILE) {
		require(offset > before);
		require(file.data >= data && file.bytes <= bytes);
		require((size_t)(file.data - data) <= bytes - file.bytes);
		require(strlen(file.name) > 0);
		before = offset;
	}
	return 0;
}
