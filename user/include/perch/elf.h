/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/elf.h - read a program: a static ELF64 executable for AArch64.
 *
 * Everything is checked before anything is loaded. Pure: works on bytes in memory, on the host too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 8u

/*
 * Pages to map: address and bytes are page-aligned, [fill, fill + fill_bytes) comes from the file.
 */
struct elf_segment {
	uint64_t address, bytes;
	uint64_t fill;
	const uint8_t *data;
	uint64_t fill_bytes;
	uint32_t flags; /* VM_READ, VM_WRITE, VM_EXEC */
};

struct elf_program {
	uint64_t entry;
	uint32_t segment_count;
	struct elf_segment segment[ELF_SEGMENTS_MAX]; /* rising, on pages of their own */
};

enum elf_result {
	ELF_OK,
	ELF_TRUNCATED, /* a header or a segment's contents lie beyond the end of the file */
	ELF_MAGIC, /* not an ELF file */
	ELF_CLASS, /* not 64-bit little-endian of version 1 */
	ELF_MACHINE, /* not for AArch64 */
	ELF_TYPE, /* not a static executable at a fixed address */
	ELF_HEADERS, /* program headers of another size, none, or too many segments */
	ELF_ADDRESS, /* a segment outside the user half, or longer in the file than in memory */
	ELF_ORDER, /* segments overlap, share a page, or do not rise */
	ELF_WX, /* a segment that is writable and executable */
	ELF_ENTRY, /* the entry point is in no executable segment */
};

/* *out is written on ELF_OK only. */
enum elf_result elf_read(const void *file, size_t bytes, struct elf_program *out);

/* What a result means, in words. */
const char *elf_says(enum elf_result result);
