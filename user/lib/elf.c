/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/elf.c - see perch/elf.h.
 *
 * THEORY   Headers are copied out of the file before they are looked at, because the file may lie
 *          at any address, and each number is checked before it is used as an offset. Protection is
 *          by page, so two segments on one page cannot both be right: such a file is refused.
 */
#include <perch/elf.h>

#include <abi.h>
#include <elf.h>
#include <memmap.h>
#include <stdbool.h>
#include <string.h>

static enum elf_result check_header(const Elf64_Ehdr *h)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
		return ELF_MAGIC;
	}
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_ident[EI_VERSION] != EV_CURRENT) {
		return ELF_CLASS;
	}
	if (h->e_machine != EM_AARCH64) {
		return ELF_MACHINE;
	}
	if (h->e_type != ET_EXEC) {
		return ELF_TYPE;
	}
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0) {
		return ELF_HEADERS;
	}
	return ELF_OK;
}

static uint32_t segment_flags(const Elf64_Phdr *p)
{
	return ((p->p_flags & PF_R) != 0 ? VM_READ : 0) |
	       ((p->p_flags & PF_W) != 0 ? VM_WRITE : 0) | ((p->p_flags & PF_X) != 0 ? VM_EXEC : 0);
}

static enum elf_result read_segment(const uint8_t *file, size_t bytes, const Elf64_Phdr *p,
				    struct elf_segment *out)
{
	if (p->p_offset > bytes || p->p_filesz > bytes - p->p_offset) {
		return ELF_TRUNCATED;
	}
	if (p->p_filesz > p->p_memsz || p->p_vaddr < USER_BASE || p->p_vaddr >= USER_END ||
	    p->p_memsz > USER_END - p->p_vaddr) {
		return ELF_ADDRESS;
	}
	if ((p->p_flags & (PF_W | PF_X)) == (PF_W | PF_X)) {
		return ELF_WX;
	}
	const uint64_t address = align_down(p->p_vaddr, PAGE_BYTES);
	*out = (struct elf_segment){
		.address = address,
		.bytes = align_up(p->p_vaddr + p->p_memsz, PAGE_BYTES) - address,
		.fill = p->p_vaddr,
		.data = file + p->p_offset,
		.fill_bytes = p->p_filesz,
		.flags = segment_flags(p),
	};
	return ELF_OK;
}

/* Does it begin on a page behind all the others? */
static bool follows(const struct elf_program *program, const struct elf_segment *segment)
{
	if (program->segment_count == 0) {
		return true;
	}
	const struct elf_segment *const last = &program->segment[program->segment_count - 1];
	return segment->address >= last->address + last->bytes;
}

static enum elf_result read_segments(const uint8_t *file, size_t bytes, const Elf64_Ehdr *h,
				     struct elf_program *program)
{
	for (unsigned i = 0; i < h->e_phnum; i++) {
		Elf64_Phdr p;
		struct elf_segment segment;

		memcpy(&p, file + h->e_phoff + i * sizeof p, sizeof p);
		if (p.p_type == PT_INTERP || p.p_type == PT_DYNAMIC) {
			return ELF_TYPE;
		}
		if (p.p_type != PT_LOAD || p.p_memsz == 0) {
			continue;
		}
		const enum elf_result result = read_segment(file, bytes, &p, &segment);
		if (result != ELF_OK) {
			return result;
		}
		if (!follows(program, &segment)) {
			return ELF_ORDER;
		}
		if (program->segment_count == ELF_SEGMENTS_MAX) {
			return ELF_HEADERS;
		}
		program->segment[program->segment_count++] = segment;
	}
	return program->segment_count == 0 ? ELF_HEADERS : ELF_OK;
}

static bool is_executable(const struct elf_program *program, uint64_t address)
{
	for (unsigned i = 0; i < program->segment_count; i++) {
		const struct elf_segment *const s = &program->segment[i];

		if ((s->flags & VM_EXEC) != 0 && address >= s->fill &&
		    address - s->fill < s->fill_bytes) {
			return is_aligned(address, 4);
		}
	}
	return false;
}

enum elf_result elf_read(const void *file, size_t bytes, struct elf_program *out)
{
	struct elf_program program = { 0 };
	Elf64_Ehdr h;

	if (bytes < sizeof h) {
		return bytes >= SELFMAG && memcmp(file, ELFMAG, SELFMAG) == 0 ? ELF_TRUNCATED
									      : ELF_MAGIC;
	}
	memcpy(&h, file, sizeof h);
	enum elf_result result = check_header(&h);
	if (result != ELF_OK) {
		return result;
	}
	if (h.e_phoff > bytes || (bytes - h.e_phoff) / sizeof(Elf64_Phdr) < h.e_phnum) {
		return ELF_TRUNCATED;
	}
	result = read_segments(file, bytes, &h, &program);
	if (result != ELF_OK) {
		return result;
	}
	if (!is_executable(&program, h.e_entry)) {
		return ELF_ENTRY;
	}
	program.entry = h.e_entry;
	*out = program;
	return ELF_OK;
}

const char *elf_says(enum elf_result result)
{
	static const char *const text[] = {
		[ELF_OK] = "a program",
		[ELF_TRUNCATED] = "the file is cut off",
		[ELF_MAGIC] = "not an ELF file",
		[ELF_CLASS] = "not 64-bit little-endian",
		[ELF_MACHINE] = "not for AArch64",
		[ELF_TYPE] = "not a static executable at a fixed address",
		[ELF_HEADERS] = "program headers of another size, none, or too many",
		[ELF_ADDRESS] = "a segment outside the user half, or longer in the file",
		[ELF_ORDER] = "segments overlap, share a page, or do not rise",
		[ELF_WX] = "a segment is writable and executable",
		[ELF_ENTRY] = "the entry point is in no executable segment",
	};
	return text[result];
}
