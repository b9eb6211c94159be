/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/symbols.c - function names of the kernel, from its ELF file.
 *
 * A kernel runs at its physical addresses before it turns its MMU on, so an address that lies in
 * a segment's physical range is first moved to the segment's virtual one.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"

struct symbol {
	uint64_t addr;
	const char *name;
};

static struct symbol *symbol;
static size_t symbol_count;
static const unsigned char *image;

static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->addr > y->addr) - (x->addr < y->addr);
}

static bool read_all(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	unsigned char *data = NULL;
	bool ok = false;
	long end;

	if (file == NULL) {
		return false;
	}
	if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > (long)sizeof(Elf64_Ehdr)) {
		rewind(file);
		data = malloc((size_t)end);
		ok = data != NULL && fread(data, 1, (size_t)end, file) == (size_t)end;
		*size = (size_t)end;
	}
	fclose(file);
	image = data;
	return ok && memcmp(data, ELFMAG, SELFMAG) == 0 && data[EI_CLASS] == ELFCLASS64;
}

static void take_symbols(const Elf64_Shdr *section, const Elf64_Shdr *names, size_t size)
{
	size_t count = section->sh_size / sizeof(Elf64_Sym);

	symbol = calloc(count, sizeof(*symbol));
	for (size_t i = 0; symbol != NULL && i < count; i++) {
		Elf64_Sym sym;

		memcpy(&sym, image + section->sh_offset + i * sizeof(sym), sizeof(sym));
		if ((ELF64_ST_TYPE(sym.st_info) == STT_FUNC ||
		     ELF64_ST_TYPE(sym.st_info) == STT_NOTYPE) &&
		    sym.st_shndx != SHN_UNDEF && sym.st_shndx != SHN_ABS &&
		    names->sh_offset + sym.st_name < size) {
			const char *name = (const char *)image + names->sh_offset + sym.st_name;

			if (name[0] != '\0' && name[0] != '$' && name[0] != '.') {
				symbol[symbol_count++] = (struct symbol){ sym.st_value, name };
			}
		}
	}
	qsort(symbol, symbol_count, sizeof(*symbol), compare);
}

bool symbols_load(const char *path)
{
	const Elf64_Ehdr *head;
	size_t size = 0;

	if (!read_all(path, &size)) {
		return false;
	}
	head = (const Elf64_Ehdr *)(const void *)image;
	if (head->e_shoff == 0 || head->e_shoff + head->e_shnum * sizeof(Elf64_Shdr) > size) {
		return false;
	}
	for (unsigned i = 0; i < head->e_shnum; i++) {
		const Elf64_Shdr *all = (const Elf64_Shdr *)(const void *)(image + head->e_shoff);

		if (all[i].sh_type == SHT_SYMTAB && all[i].sh_link < head->e_shnum &&
		    all[i].sh_offset + all[i].sh_size <= size) {
			take_symbols(&all[i], &all[all[i].sh_link], size);
			return symbol_count > 0;
		}
	}
	return false;
}

static uint64_t to_virtual(uint64_t pc)
{
	const Elf64_Ehdr *head = (const Elf64_Ehdr *)(const void *)image;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(const void *)(image + head->e_phoff);

	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && pc - ph[i].p_paddr < ph[i].p_memsz) {
			return pc - ph[i].p_paddr + ph[i].p_vaddr;
		}
	}
	return pc;
}

/* The function that holds pc, NULL if unknown. */
const char *symbols_find(uint64_t pc, uint64_t *offset)
{
	size_t low = 0, high = symbol_count;

	if (symbol_count == 0) {
		return NULL;
	}
	pc = to_virtual(pc);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (symbol[mid].addr <= pc) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	if (low == 0 || pc - symbol[low - 1].addr > 0x100000) {
		return NULL;
	}
	*offset = pc - symbol[low - 1].addr;
	return symbol[low - 1].name;
}
