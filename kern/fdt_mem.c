/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fdt_mem.c - memory and what is reserved of it, from the device tree.
 *
 * THEORY   Both lists are kept sorted and free of overlaps while they grow. Memory is rounded
 *          inwards to whole pages and reservations outwards, so that no byte is free by rounding.
 *          Two memory ranges that overlap are one; so are two reservations. Each is worth a
 *          warning, because the tree contradicts itself; what we add to its reservations
 *          (the tree's own bytes, the RAM disk) may well be in it already, and is not.
 */
#include "kern/fdt.h"

#include <libfdt.h>

#define PAGE_BYTES UINT64_C(4096)
#define ADDRESS_LIMIT (UINT64_C(1) << 48) /* physical addresses without FEAT_LPA */
#define MEMORY_MIN (64 * MIB)
#define USABLE_MIN (16 * MIB) /* what reservations must leave */

static uint64_t range_end(const struct mem_range *r)
{
	return r->base + r->size;
}

static void remove_at(struct mem_range *list, uint32_t *count, uint32_t at)
{
	(*count)--;
	for (uint32_t i = at; i < *count; i++) {
		list[i] = list[i + 1];
	}
}

/*
 * Add a range to a sorted list; all that it meets become one with it. Returns false if the list
 * is full. *merged: it met another; the node is that of what was in the list.
 */
static bool insert(struct mem_range *list, uint32_t *count, struct mem_range add, bool *merged)
{
	uint32_t at = 0;

	*merged = false;
	while (at < *count && list[at].base < add.base) {
		at++;
	}
	if (at > 0 && range_end(&list[at - 1]) > add.base) {
		at--;
	}
	while (at < *count && ranges_meet(list[at].base, list[at].size, add.base, add.size)) {
		uint64_t end = range_end(&list[at]) > range_end(&add) ? range_end(&list[at])
								      : range_end(&add);

		add.base = list[at].base < add.base ? list[at].base : add.base;
		add.size = end - add.base;
		add.node = list[at].node;
		*merged = true;
		remove_at(list, count, at);
	}
	if (*count == BOOT_MAX_RANGES) {
		return false;
	}
	for (uint32_t i = *count; i > at; i--) {
		list[i] = list[i - 1];
	}
	list[at] = add;
	(*count)++;
	return true;
}

static void add_memory(struct tree *t, uint64_t base, uint64_t size, uint32_t node)
{
	struct bootinfo *info = t->info;
	uint64_t first = align_up(base, PAGE_BYTES);
	uint64_t end = align_down(base + size, PAGE_BYTES);
	bool merged;

	if (size == 0) {
		return;
	}
	if (base + size > ADDRESS_LIMIT) {
		tree_warn(t, "memory at 0x%lx is past 48 bits, ignored", (unsigned long)base);
		return;
	}
	if (first >= end) {
		tree_warn(t, "memory at 0x%lx is less than a page, ignored", (unsigned long)base);
		return;
	}
	struct mem_range add = { first, end - first, node };

	if (!insert(info->memory, &info->memory_count, add, &merged)) {
		tree_warn(t, "memory at 0x%lx ignored, more than %d ranges", (unsigned long)base,
			  BOOT_MAX_RANGES);
	} else if (merged) {
		tree_warn(t, "memory at 0x%lx overlaps other memory", (unsigned long)base);
	}
}

/* by_tree: the tree says so, and must not say it twice. */
static bool add_reserved(struct tree *t, uint64_t base, uint64_t size, bool by_tree)
{
	struct bootinfo *info = t->info;
	bool merged, twice = false;
	uint64_t end;

	if (size == 0) {
		return true;
	}
	if (__builtin_add_overflow(base, size, &end) || end > ADDRESS_LIMIT) {
		tree_warn(t, "reservation at 0x%lx wraps or is past 48 bits, ignored",
			  (unsigned long)base);
		return true;
	}
	for (uint32_t i = 0; i < info->reserved_count; i++) {
		const struct mem_range *r = &info->reserved[i];

		twice |= ranges_meet(r->base, r->size, base, size);
	}
	struct mem_range add = { align_down(base, PAGE_BYTES), 0, 0 };

	add.size = align_up(end, PAGE_BYTES) - add.base;
	if (!insert(info->reserved, &info->reserved_count, add, &merged)) {
		return tree_fail(t, "more than %d reservations", BOOT_MAX_RANGES);
	}
	if (twice && by_tree) {
		tree_warn(t, "reservation at 0x%lx, size 0x%lx, meets another: merged",
			  (unsigned long)base, (unsigned long)size);
	}
	return true;
}

void tree_memory_node(struct tree *t)
{
	unsigned count = tree_reg_count(t);
	uint32_t node = 0;
	uint64_t base, size;

	if (count == 0) {
		tree_warn(t, "%s: no reg, or malformed", tree_name(t));
	}
	if (tree_u32(t, tree_node(t), "numa-node-id", &node) && node >= MAX_NODES) {
		tree_warn(t, "%s: NUMA node %u taken for 0", tree_name(t), node);
		node = 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (tree_reg(t, i, false, &base, &size)) {
			add_memory(t, base, size, node);
		} else {
			tree_warn(t, "%s: range %u has no CPU address", tree_name(t), i);
		}
	}
}

bool tree_reserved_node(struct tree *t)
{
	unsigned count = tree_reg_count(t);
	uint64_t base, size;

	if (count == 0) {
		/* Without a place it asks for any place: for somebody who uses that device. */
		tree_warn(t, "reserved-memory %s: no fixed place, ignored", tree_name(t));
	}
	for (unsigned i = 0; i < count; i++) {
		if (!tree_reg(t, i, true, &base, &size)) {
			tree_warn(t, "reserved-memory %s: malformed, ignored", tree_name(t));
		} else if (!add_reserved(t, base, size, true)) {
			return false;
		}
	}
	return true;
}

bool tree_memreserve(struct tree *t)
{
	int count = fdt_num_mem_rsv(t->blob);

	if (count < 0) {
		return tree_fail(t, "reservation block: %s", fdt_strerror(count));
	}
	for (int i = 0; i < count; i++) {
		uint64_t base, size;
		int e = fdt_get_mem_rsv(t->blob, i, &base, &size);

		if (e != 0) {
			return tree_fail(t, "reservation %d: %s", i, fdt_strerror(e));
		}
		if (!add_reserved(t, base, size, true)) {
			return false;
		}
	}
	return true;
}

/* Bytes of [base, base + size) that some range of the list covers. */
static uint64_t covered(const struct mem_range *list, uint32_t count, uint64_t base, uint64_t size)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t first = list[i].base > base ? list[i].base : base;
		uint64_t end = range_end(&list[i]) < base + size ? range_end(&list[i])
								 : base + size;

		sum += end > first ? end - first : 0;
	}
	return sum;
}

/* A RAM disk that does not lie in memory is none. */
static void check_initrd(struct tree *t)
{
	struct bootinfo *info = t->info;

	if (info->initrd_size != 0 && covered(info->memory, info->memory_count, info->initrd_base,
					      info->initrd_size) != info->initrd_size) {
		tree_warn(t, "RAM disk at 0x%lx is not in memory, ignored",
			  (unsigned long)info->initrd_base);
		info->initrd_base = 0;
		info->initrd_size = 0;
	}
}

bool tree_memory_finish(struct tree *t)
{
	struct bootinfo *info = t->info;
	uint64_t total = 0, taken = 0;

	if (info->memory_count == 0) {
		return tree_fail(t, "no memory node");
	}
	check_initrd(t);
	if (!add_reserved(t, info->fdt_base, info->fdt_size, false) ||
	    !add_reserved(t, info->initrd_base, info->initrd_size, false)) {
		return false;
	}
	for (uint32_t i = 0; i < info->memory_count; i++) {
		const struct mem_range *m = &info->memory[i];

		total += m->size;
		taken += covered(info->reserved, info->reserved_count, m->base, m->size);
	}
	if (total < MEMORY_MIN) {
		return tree_fail(t, "memory too small: %lu KiB, %lu KiB needed",
				 (unsigned long)(total / KIB), (unsigned long)(MEMORY_MIN / KIB));
	}
	if (total - taken < USABLE_MIN) {
		return tree_fail(t, "reservations leave %lu KiB of memory, %lu KiB needed",
				 (unsigned long)((total - taken) / KIB),
				 (unsigned long)(USABLE_MIN / KIB));
	}
	return true;
}
