/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_user.c - the readers of RAM disks and programs, sound input and damaged.
 *
 * Each test begins with a small sound file and damages one thing, so that the answer must name it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <abi.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include <perch/cpio.h>
#include <perch/elf.h>

#include "memmap.h"

static uint8_t archive[4096];
static size_t archive_bytes;

static void add_entry(const char *name, const char *data, size_t bytes)
{
	const size_t name_bytes = strlen(name) + 1;
	char header[111];

	snprintf(header, sizeof header,
		 "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", 1u, 0100644u, 0u,
		 0u, 1u, 0u, bytes, 0u, 0u, 0u, 0u, name_bytes, 0u);
	memcpy(archive + archive_bytes, header, 110);
	memcpy(archive + archive_bytes + 110, name, name_bytes);
	archive_bytes = align_up(archive_bytes + 110 + name_bytes, 4);
	memcpy(archive + archive_bytes, data, bytes);
	archive_bytes = align_up(archive_bytes + bytes, 4);
}

static int make_archive(void **state)
{
	(void)state;
	memset(archive, 0, sizeof archive);
	archive_bytes = 0;
	add_entry("./first", "one", 3);
	add_entry("second", "two!", 4);
	add_entry("empty", "", 0);
	add_entry("TRAILER!!!", "", 0);
	return 0;
}

static void cpio_finds_files_by_name(void **state)
{
	struct cpio_file file;

	(void)state;
	assert_int_equal(cpio_find(archive, archive_bytes, "second", &file), CPIO_FILE);
	assert_int_equal(file.bytes, 4);
	assert_memory_equal(file.data, "two!", 4);
	assert_int_equal(cpio_find(archive, archive_bytes, "first", &file), CPIO_FILE);
	assert_memory_equal(file.data, "one", 3);
	assert_int_equal(cpio_find(archive, archive_bytes, "empty", &file), CPIO_FILE);
	assert_int_equal(file.bytes, 0);
	assert_int_equal(file.mode, 0100644);
}

static void cpio_absent_file_is_the_end(void **state)
{
	struct cpio_file file = { .bytes = 77 };

	(void)state;
	assert_int_equal(cpio_find(archive, archive_bytes, "third", &file), CPIO_END);
	assert_int_equal(file.bytes, 77);
}

static void cpio_cut_anywhere_is_an_error(void **state)
{
	struct cpio_file file;
	const size_t trailer = archive_bytes - 124 + 110 + 11;

	(void)state;
	for (size_t bytes = 0; bytes < trailer; bytes++) {
		assert_int_equal(cpio_find(archive, bytes, "absent", &file), CPIO_TRUNCATED);
	}
	assert_int_equal(cpio_find(archive, trailer, "absent", &file), CPIO_END);
}

static void cpio_damage_is_named_with_its_place(void **state)
{
	struct cpio_file file;
	size_t offset = 0;

	(void)state;
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_FILE);
	const size_t second = offset;
	archive[second] = '1';
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_MAGIC);
	assert_int_equal(offset, second);
	archive[second] = '0';
	archive[second + 6 + 8 * 6] = 'G';
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_NUMBER);
	archive[second + 6 + 8 * 6] = 'F';
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_TRUNCATED);
	archive[second + 6 + 8 * 6] = '0';
	archive[second + 110 + 6] = 'x';
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_NAME);
	archive[second + 110 + 6] = '\0';
	memcpy(archive + second + 6 + 8 * 11, "00000000", 8);
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_NAME);
	memcpy(archive + second + 6 + 8 * 11, "ffffffff", 8);
	assert_int_equal(cpio_next(archive, archive_bytes, &offset, &file), CPIO_TRUNCATED);
}

static struct {
	Elf64_Ehdr header;
	Elf64_Phdr segment[3];
	uint8_t contents[64];
} image;

static int make_image(void **state)
{
	(void)state;
	memset(&image, 0, sizeof image);
	memcpy(image.header.e_ident, ELFMAG, SELFMAG);
	image.header.e_ident[EI_CLASS] = ELFCLASS64;
	image.header.e_ident[EI_DATA] = ELFDATA2LSB;
	image.header.e_ident[EI_VERSION] = EV_CURRENT;
	image.header.e_type = ET_EXEC;
	image.header.e_machine = EM_AARCH64;
	image.header.e_entry = 0x200010;
	image.header.e_phoff = sizeof image.header;
	image.header.e_phentsize = sizeof(Elf64_Phdr);
	image.header.e_phnum = 3;
	image.segment[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
					 .p_flags = PF_R | PF_X,
					 .p_offset = offsetof(typeof(image), contents),
					 .p_vaddr = 0x200010,
					 .p_filesz = 32,
					 .p_memsz = 32 };
	image.segment[1] = (Elf64_Phdr){ .p_type = PT_NOTE };
	image.segment[2] = (Elf64_Phdr){ .p_type = PT_LOAD,
					 .p_flags = PF_R | PF_W,
					 .p_offset = offsetof(typeof(image), contents) + 32,
					 .p_vaddr = 0x201ff8,
					 .p_filesz = 8,
					 .p_memsz = 4096 };
	return 0;
}

static enum elf_result read_image(struct elf_program *program)
{
	return elf_read(&image, sizeof image, program);
}

static void elf_segments_become_pages(void **state)
{
	struct elf_program program;

	(void)state;
	assert_int_equal(read_image(&program), ELF_OK);
	assert_int_equal(program.entry, 0x200010);
	assert_int_equal(program.segment_count, 2);
	assert_int_equal(program.segment[0].address, 0x200000);
	assert_int_equal(program.segment[0].bytes, 0x1000);
	assert_int_equal(program.segment[0].fill, 0x200010);
	assert_ptr_equal(program.segment[0].data, image.contents);
	assert_int_equal(program.segment[0].flags, VM_READ | VM_EXEC);
	assert_int_equal(program.segment[1].address, 0x201000);
	assert_int_equal(program.segment[1].bytes, 0x2000);
	assert_int_equal(program.segment[1].flags, VM_READ | VM_WRITE);
}

static void elf_cut_file_is_truncated(void **state)
{
	struct elf_program program;

	(void)state;
	for (size_t bytes = 0; bytes < offsetof(typeof(image), contents) + 40; bytes++) {
		assert_int_equal(elf_read(&image, bytes, &program),
				 bytes < SELFMAG ? ELF_MAGIC : ELF_TRUNCATED);
	}
	assert_int_equal(elf_read(&image, offsetof(typeof(image), contents) + 40, &program),
			 ELF_OK);
}

/* Damage one field, expect one answer and an untouched result, repair it. */
#define EXPECT(field, value, answer)                              \
	do {                                                      \
		struct elf_program untouched = { .entry = 77 };   \
		const typeof(image.field) before = image.field;   \
		image.field = (typeof(before))(value);            \
		assert_int_equal(read_image(&untouched), answer); \
		assert_int_equal(untouched.entry, 77);            \
		image.field = before;                             \
		assert_int_equal(read_image(&untouched), ELF_OK); \
	} while (0)

static void elf_header_damage_is_named(void **state)
{
	(void)state;
	EXPECT(header.e_ident[0], 0, ELF_MAGIC);
	EXPECT(header.e_ident[EI_CLASS], ELFCLASS32, ELF_CLASS);
	EXPECT(header.e_ident[EI_DATA], ELFDATA2MSB, ELF_CLASS);
	EXPECT(header.e_machine, EM_X86_64, ELF_MACHINE);
	EXPECT(header.e_type, ET_DYN, ELF_TYPE);
	EXPECT(header.e_phentsize, 32, ELF_HEADERS);
	EXPECT(header.e_phnum, 0, ELF_HEADERS);
	EXPECT(header.e_phnum, 0xffff, ELF_TRUNCATED);
	EXPECT(header.e_phoff, UINT64_MAX - 8, ELF_TRUNCATED);
	EXPECT(header.e_entry, 0x200030, ELF_ENTRY);
	EXPECT(header.e_entry, 0x200012, ELF_ENTRY);
	EXPECT(header.e_entry, 0x201ff8, ELF_ENTRY);
}

static void elf_segment_damage_is_named(void **state)
{
	(void)state;
	EXPECT(segment[1].p_type, PT_INTERP, ELF_TYPE);
	EXPECT(segment[1].p_type, PT_DYNAMIC, ELF_TYPE);
	EXPECT(segment[0].p_flags, PF_R | PF_W | PF_X, ELF_WX);
	EXPECT(segment[0].p_flags, PF_R, ELF_ENTRY);
	EXPECT(segment[0].p_offset, UINT64_MAX, ELF_TRUNCATED);
	EXPECT(segment[0].p_filesz, 4096, ELF_TRUNCATED);
	EXPECT(segment[0].p_memsz, 8, ELF_ADDRESS);
	EXPECT(segment[0].p_memsz, UINT64_MAX, ELF_ADDRESS);
	EXPECT(segment[0].p_vaddr, 0x8000, ELF_ADDRESS);
	EXPECT(segment[2].p_vaddr, USER_END, ELF_ADDRESS);
	EXPECT(segment[2].p_vaddr, USER_END - 8, ELF_ADDRESS);
	EXPECT(segment[2].p_vaddr, 0xffff000000000000, ELF_ADDRESS);
	EXPECT(segment[2].p_vaddr, 0x200ff8, ELF_ORDER);
	EXPECT(segment[2].p_vaddr, 0x100000, ELF_ORDER);
}

static void results_have_words(void **state)
{
	(void)state;
	assert_string_equal(cpio_says(CPIO_END), "not in the archive");
	assert_string_equal(elf_says(ELF_WX), "a segment is writable and executable");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(cpio_finds_files_by_name, make_archive),
		cmocka_unit_test_setup(cpio_absent_file_is_the_end, make_archive),
		cmocka_unit_test_setup(cpio_cut_anywhere_is_an_error, make_archive),
		cmocka_unit_test_setup(cpio_damage_is_named_with_its_place, make_archive),
		cmocka_unit_test_setup(elf_segments_become_pages, make_image),
		cmocka_unit_test_setup(elf_cut_file_is_truncated, make_image),
		cmocka_unit_test_setup(elf_header_damage_is_named, make_image),
		cmocka_unit_test_setup(elf_segment_damage_is_named, make_image),
		cmocka_unit_test(results_have_words),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
