/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/symbols.c - see kern/symbols.h.
 *
 * THEORY   scripts/symtab writes the table between two links; it lies last in .rodata, so it is
 *          pinned like the code it names, and moves none of it. Sorted by address: a name is a
 *          binary search in read-only memory, fit for a CPU that has lost everything else.
 */
#include "kern/symbols.h"

#include <string.h>

#include "kern/log.h"

struct symbol {
	uint32_t offset; /* from the start of the image */
	uint32_t name;   /* from the start of the names */
};

extern const struct {
	uint32_t count;
	struct symbol entry[];
} symtab_blob;
extern char _image_start[], _text_end[];

const char *symbol_find(uint64_t pc, uint64_t *offset)
{
	const uint64_t at = pc - (uint64_t)(uintptr_t)_image_start;
	uint32_t low = 0;
	uint32_t high = symtab_blob.count;

	if (at >= (uint64_t)(_text_end - _image_start)) {
		return nullptr;
	}
	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;

		if (symtab_blob.entry[middle].offset <= at) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	if (low == 0) {
		return nullptr;
	}
	const struct symbol *s = &symtab_blob.entry[low - 1];

	*offset = at - s->offset;
	return (const char *)&symtab_blob.entry[symtab_blob.count] + s->name;
}

bool symbol_address(const char *name, size_t length, uint64_t *out)
{
	const char *names = (const char *)&symtab_blob.entry[symtab_blob.count];

	for (uint32_t i = 0; i < symtab_blob.count; i++) {
		const char *candidate = names + symtab_blob.entry[i].name;

		if (strlen(candidate) == length && memcmp(candidate, name, length) == 0) {
			*out = (uint64_t)(uintptr_t)_image_start + symtab_blob.entry[i].offset;
			return true;
		}
	}
	return false;
}

void symbol_print(uint64_t pc)
{
	uint64_t offset;
	const char *name = symbol_find(pc, &offset);

	if (name != nullptr) {
		kprintf(" %s+%#llx", name, (unsigned long long)offset);
	}
}
