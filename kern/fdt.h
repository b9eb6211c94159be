/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fdt.h - what the parts of the device tree parser share. Users include <bootinfo.h>.
 *
 * THEORY   A tree is walked from first node to last, with the chain of parents on a stack, so
 *          that addresses are translated without searching for parents. libfdt checks every
 *          offset it reads; nothing here reads the blob by itself but the bytes of a property
 *          whose length libfdt gave. What is malformed is an error when the kernel cannot run
 *          without it, and else a warning, and the node is left out.
 *          kern/fdt.c the walk, root, chosen, CPUs; kern/fdt_reg.c properties and addresses;
 *          kern/fdt_mem.c memory and reservations; kern/fdt_dev.c devices.
 */
#pragma once

#include <bootinfo.h>
#include <types.h>

#define TREE_DEPTH_MAX 16

/* A node on the way from the root to the current one. */
struct tree_level {
	int node;
	const char *name;
	int address_cells; /* for its children; negative: malformed */
	int size_cells;
	uint32_t interrupt_parent; /* phandle, inherited; 0: none was named */
	bool enabled; /* it and all its parents */
	const char *compatible; /* its list, of so many bytes; nullptr: none */
	int compatible_bytes;
	const char *type; /* "": none */
	unsigned seen; /* properties that fdt.c knows and has met */
};

struct tree {
	const void *blob;
	struct bootinfo *info;
	char *error;
	size_t error_bytes;
	struct tree_level level[TREE_DEPTH_MAX];
	int depth; /* of the current node: level[depth] */
	int stdout_node; /* negative: none */
	int uart_rank; /* how good the UART found so far is; 0: none */
	struct {
		int node; /* negative: not found */
		uint32_t interrupt_parent;
	} timer, uart;
	int gic_node;
};

/* Write the error line and return false. */
[[gnu::format(printf, 2, 3)]] bool tree_fail(struct tree *t, const char *fmt, ...);
[[gnu::format(printf, 2, 3)]] void tree_warn(struct tree *t, const char *fmt, ...);

/* Of the current node. */
int tree_node(const struct tree *t);
const char *tree_name(const struct tree *t);
bool tree_is_compatible(const struct tree *t, const char *compatible);

/* Properties of any node. False: absent or not of that form. Cells are big-endian in the blob. */
bool tree_u32(const struct tree *t, int node, const char *property, uint32_t *value);
bool tree_u32_or_u64(const struct tree *t, int node, const char *property, uint64_t *value);
const char *tree_string(const struct tree *t, int node, const char *property);

/* Copy a string for people to read: cut to size, unprintable characters replaced. */
void tree_copy_text(char *to, size_t size_bytes, const char *from);

/* How many whole (address, size) pairs the current node's `reg` has; 0: absent or malformed. */
unsigned tree_reg_count(const struct tree *t);

/*
 * The index-th pair of the current node's `reg` as CPU physical addresses. False: absent, its
 * bus translates no such address, or it wraps around. identity: a bus without `ranges`
 * translates one to one (what /reserved-memory means).
 */
bool tree_reg(const struct tree *t, unsigned index, bool identity, uint64_t *base, uint64_t *size);

/* The index-th interrupt of a node as a GIC interrupt number; false: absent or not one. */
bool tree_interrupt(const struct tree *t, int node, unsigned index, uint32_t *intid);

/* kern/fdt_mem.c: the current node, then what follows from all of them. */
void tree_memory_node(struct tree *t);
bool tree_reserved_node(struct tree *t);
bool tree_memreserve(struct tree *t);
bool tree_memory_finish(struct tree *t);

/* kern/fdt_dev.c */
void tree_uart_node(struct tree *t);
void tree_device_node(struct tree *t);
void tree_devices_finish(struct tree *t);
