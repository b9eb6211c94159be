/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fdt_reg.c - properties of device tree nodes: numbers, strings, addresses, interrupts.
 *
 * THEORY   An address in `reg` is an address on the parent's bus; each bus above maps it, by its
 *          `ranges`, to an address on the next one, until the root's, which is the CPU's.
 *          Arithmetic on what the tree says is done in 64 bits with overflow checked.
 */
#include "kern/fdt.h"

#include <compiler.h>
#include <libfdt.h>
#include <string.h>

#include "kern/format.h"

#define CELL_BYTES 4
#define CELLS_MAX 2 /* what fits into 64 bits */

#define INTERRUPT_CELLS 3 /* kind, number, flags: the GIC's binding */
#define INTERRUPT_SPI 0
#define INTERRUPT_PPI 1
#define SPI_BASE 32
#define SPI_COUNT 988
#define PPI_BASE 16
#define PPI_COUNT 16

/* What people read on a terminal holds nothing that a terminal obeys. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < ' ' || *text > '~') {
			*text = '?';
		}
	}
}

bool tree_fail(struct tree *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kvsnprintf(t->error, t->error_bytes, fmt, ap);
	va_end(ap);
	if (t->error_bytes > 0) {
		make_printable(t->error);
	}
	return false;
}

void tree_warn(struct tree *t, const char *fmt, ...)
{
	struct bootinfo *info = t->info;
	va_list ap;

	if (info->warning_count < array_len(info->warning)) {
		char *text = info->warning[info->warning_count];

		va_start(ap, fmt);
		kvsnprintf(text, sizeof(info->warning[0]), fmt, ap);
		va_end(ap);
		make_printable(text);
	}
	info->warning_count++;
}

int tree_node(const struct tree *t)
{
	return t->level[t->depth].node;
}

const char *tree_name(const struct tree *t)
{
	return t->level[t->depth].name;
}

bool tree_is_compatible(const struct tree *t, const char *compatible)
{
	const struct tree_level *l = &t->level[t->depth];

	return l->compatible != NULL &&
	       fdt_stringlist_contains(l->compatible, l->compatible_bytes, compatible) != 0;
}

static size_t cells_bytes(int cells)
{
	return (size_t)cells * CELL_BYTES;
}

/* Cells may lie at any multiple of 4 in the blob, and 64-bit values too. */
static uint64_t cells_read(const unsigned char *p, int cells)
{
	uint64_t value = 0;

	for (int i = 0; i < cells * CELL_BYTES; i++) {
		value = value << 8 | p[i];
	}
	return value;
}

bool tree_u32(const struct tree *t, int node, const char *property, uint32_t *value)
{
	int len;
	const void *p = fdt_getprop(t->blob, node, property, &len);

	if (p == NULL || len != CELL_BYTES) {
		return false;
	}
	*value = (uint32_t)cells_read(p, 1);
	return true;
}

bool tree_u32_or_u64(const struct tree *t, int node, const char *property, uint64_t *value)
{
	int len;
	const void *p = fdt_getprop(t->blob, node, property, &len);

	if (p == NULL || (len != CELL_BYTES && len != 2 * CELL_BYTES)) {
		return false;
	}
	*value = cells_read(p, len / CELL_BYTES);
	return true;
}

const char *tree_string(const struct tree *t, int node, const char *property)
{
	int len;
	const char *s = fdt_getprop(t->blob, node, property, &len);

	if (s == NULL || len <= 0 || strnlen(s, (size_t)len) == (size_t)len) {
		return NULL;
	}
	return s;
}

void tree_copy_text(char *to, size_t size_bytes, const char *from)
{
	size_t len = strnlen(from, size_bytes - 1);

	memcpy(to, from, len);
	to[len] = '\0';
	make_printable(to);
}

/*
 * Bytes of one (address, size) pair on the bus at a depth; 0 if the bus has no addresses that
 * we can read. A size of 0 cells is one: such a bus has addresses without an extent.
 */
static int pair_bytes(const struct tree *t, int depth)
{
	int address_cells = t->level[depth].address_cells;
	int size_cells = t->level[depth].size_cells;

	if (address_cells <= 0 || address_cells > CELLS_MAX || size_cells < 0 ||
	    size_cells > CELLS_MAX) {
		return 0;
	}
	return (address_cells + size_cells) * CELL_BYTES;
}

unsigned tree_reg_count(const struct tree *t)
{
	int len = 0;
	int pair = t->depth > 0 ? pair_bytes(t, t->depth - 1) : 0;

	if (pair == 0 || fdt_getprop(t->blob, tree_node(t), "reg", &len) == NULL) {
		return 0;
	}
	return len % pair == 0 ? (unsigned)(len / pair) : 0;
}

/* Take an address on the bus at `depth` to its parent's bus. */
static bool translate_once(const struct tree *t, int depth, bool identity, uint64_t *base,
			   uint64_t size)
{
	const struct tree_level *bus = &t->level[depth];
	int parent_cells = t->level[depth - 1].address_cells;
	int len;
	const unsigned char *p = fdt_getprop(t->blob, bus->node, "ranges", &len);

	if (p == NULL) {
		return identity;
	}
	if (len == 0) {
		return true;
	}
	int pair = pair_bytes(t, depth);
	int entry = pair + parent_cells * CELL_BYTES;

	if (pair == 0 || parent_cells <= 0 || parent_cells > CELLS_MAX || len % entry != 0) {
		return false;
	}
	for (; len > 0; len -= entry, p += entry) {
		const unsigned char *q = p + cells_bytes(bus->address_cells);
		uint64_t child = cells_read(p, bus->address_cells);
		uint64_t parent = cells_read(q, parent_cells);
		uint64_t extent = cells_read(q + cells_bytes(parent_cells), bus->size_cells);

		if (*base >= child && *base - child < extent && size <= extent - (*base - child)) {
			return !__builtin_add_overflow(parent, *base - child, base);
		}
	}
	return false;
}

bool tree_reg(const struct tree *t, unsigned index, bool identity, uint64_t *base, uint64_t *size)
{
	int len;
	const unsigned char *p = fdt_getprop(t->blob, tree_node(t), "reg", &len);

	if (p == NULL || index >= tree_reg_count(t)) {
		return false;
	}
	const struct tree_level *bus = &t->level[t->depth - 1];
	uint64_t end, address, extent;

	p += (size_t)index * (size_t)pair_bytes(t, t->depth - 1);
	address = cells_read(p, bus->address_cells);
	extent = cells_read(p + cells_bytes(bus->address_cells), bus->size_cells);
	for (int depth = t->depth - 1; depth > 0; depth--) {
		if (!translate_once(t, depth, identity, &address, extent)) {
			return false;
		}
	}
	if (__builtin_add_overflow(address, extent, &end)) {
		return false;
	}
	*base = address;
	*size = extent;
	return true;
}

bool tree_interrupt(const struct tree *t, int node, unsigned index, uint32_t *intid)
{
	uint32_t cells = INTERRUPT_CELLS;
	int len;
	const unsigned char *p = fdt_getprop(t->blob, node, "interrupts", &len);

	if (t->gic_node >= 0) {
		(void)tree_u32(t, t->gic_node, "#interrupt-cells", &cells);
	}
	if (p == NULL || cells < INTERRUPT_CELLS || cells > INTERRUPT_CELLS + 1 ||
	    index >= (unsigned)len / (cells * CELL_BYTES)) {
		return false;
	}
	p += (size_t)index * cells_bytes((int)cells);

	uint64_t kind = cells_read(p, 1);
	uint64_t number = cells_read(p + CELL_BYTES, 1);

	if (kind == INTERRUPT_PPI && number < PPI_COUNT) {
		*intid = (uint32_t)(PPI_BASE + number);
		return true;
	}
	if (kind == INTERRUPT_SPI && number < SPI_COUNT) {
		*intid = (uint32_t)(SPI_BASE + number);
		return true;
	}
	return false;
}
