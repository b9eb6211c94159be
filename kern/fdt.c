/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fdt.c - read a flattened device tree into struct bootinfo (include/bootinfo.h).
 *
 * THEORY   kern/fdt.h. One walk reads everything, a tag at a time: every question that libfdt
 *          answers about a node by its offset is another pass over that node, and these were most
 *          of the boot.
 * FAILURE  One line in `error`. The tree is then walked once more, for the console alone, so that
 *          the error can be told on it.
 * NOT HERE Overlays, changes to the tree, PCI.
 */
#include "kern/fdt.h"

#include <compiler.h>
#include <libfdt.h>
#include <string.h>

#define BLOB_MIN_BYTES 64
#define RESERVE_ALIGN 8
#define STRUCT_ALIGN 4
#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)

#define ADDRESS_CELLS_DEFAULT 2 /* Devicetree Specification 2.3.5 */
#define SIZE_CELLS_DEFAULT 1

typedef bool node_visit(struct tree *t);

static bool starts_with(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Is the current node's parent the node of this name below the root? */
static bool parent_is(const struct tree *t, const char *name)
{
	return t->depth == 2 && strcmp(t->level[1].name, name) == 0;
}

static bool says_enabled(const char *status, int bytes)
{
	return bytes <= 0 || strnlen(status, (size_t)bytes) == (size_t)bytes ||
	       strcmp(status, "okay") == 0 || strcmp(status, "ok") == 0;
}

/* A number of cells; negative: malformed. */
static int cells_in(const void *value, int bytes)
{
	if (bytes != (int)sizeof(fdt32_t)) {
		return -FDT_ERR_BADNCELLS;
	}
	const uint32_t cells = fdt32_ld(value);

	return cells <= FDT_MAX_NCELLS ? (int)cells : -FDT_ERR_BADNCELLS;
}

/* What the walk needs to know of every node. The first of two properties of one name counts. */
enum {
	SEEN_ADDRESS = 1,
	SEEN_SIZE = 2,
	SEEN_PARENT = 4,
	SEEN_STATUS = 8,
	SEEN_COMPATIBLE = 16,
	SEEN_TYPE = 32,
};

static unsigned name_of(const char *name)
{
	static const char *const names[] = { "#address-cells", "#size-cells", "interrupt-parent",
					     "status",         "compatible",  "device_type" };

	for (unsigned i = 0; i < array_len(names); i++) {
		if (strcmp(name, names[i]) == 0) {
			return 1U << i;
		}
	}
	return 0;
}

static void note_property(struct tree_level *l, unsigned what, const void *value, int bytes)
{
	switch (what) {
	case SEEN_ADDRESS:
		l->address_cells = cells_in(value, bytes);
		l->address_cells = l->address_cells == 0 ? -FDT_ERR_BADNCELLS : l->address_cells;
		break;
	case SEEN_SIZE:
		l->size_cells = cells_in(value, bytes);
		break;
	case SEEN_PARENT:
		l->interrupt_parent = bytes == (int)sizeof(fdt32_t) ? fdt32_ld(value)
								    : l->interrupt_parent;
		break;
	case SEEN_STATUS:
		l->enabled = l->enabled && says_enabled(value, bytes);
		break;
	case SEEN_COMPATIBLE:
		l->compatible = value;
		l->compatible_bytes = bytes;
		break;
	case SEEN_TYPE:
		l->type = strnlen(value, (size_t)bytes) < (size_t)bytes ? value : "";
		break;
	default:
		break;
	}
}

/* Make `node` the current one; level[] up to its parent is in place. Its properties come next. */
static void enter(struct tree *t, int node, int depth)
{
	const struct tree_level *parent = depth > 0 ? &t->level[depth - 1] : nullptr;
	const char *name = fdt_get_name(t->blob, node, NULL);

	t->depth = depth;
	t->level[depth] = (struct tree_level){
		.node = node,
		.name = name != NULL ? name : "?",
		.address_cells = ADDRESS_CELLS_DEFAULT,
		.size_cells = SIZE_CELLS_DEFAULT,
		.interrupt_parent = parent != nullptr ? parent->interrupt_parent : 0,
		.enabled = parent == nullptr || parent->enabled,
		.type = "",
	};
}

/* A property of the current node. */
static void enter_property(struct tree *t, int property)
{
	struct tree_level *l = &t->level[t->depth];
	const char *name;
	int bytes;
	const void *value = fdt_getprop_by_offset(t->blob, property, &name, &bytes);
	const unsigned what = value != NULL ? name_of(name) : 0;

	if ((l->seen & what) == 0) {
		note_property(l, what, value, bytes);
	}
	l->seen |= what;
}

/*
 * Visit every enabled node that is not too deep, parents first. Properties come before subnodes, so
 * a node is complete at the first tag that is neither; what comes behind a subnode is no property.
 */
static bool walk(struct tree *t, node_visit *visit)
{
	bool reads = false; /* the current node's properties */
	bool deep = false;
	int depth = -1;
	int next;

	for (int at = 0;; at = next) {
		const uint32_t tag = fdt_next_tag(t->blob, at, &next);

		if (next < 0 || (depth < 0 && tag != FDT_BEGIN_NODE)) {
			return tree_fail(t, "structure block: %s",
					 fdt_strerror(next < 0 ? next : -FDT_ERR_BADSTRUCTURE));
		}
		if (tag == FDT_NOP) {
			continue;
		}
		if (tag == FDT_PROP) {
			if (reads) {
				enter_property(t, at);
			}
			continue;
		}
		if (reads && t->level[t->depth].enabled && !visit(t)) {
			return false;
		}
		reads = false;
		if (tag == FDT_BEGIN_NODE) {
			reads = ++depth < TREE_DEPTH_MAX;
			deep |= !reads;
			if (reads) {
				enter(t, at, depth);
			}
		} else if (tag == FDT_END || --depth < 0) {
			break;
		}
	}
	if (deep) {
		tree_warn(t, "nodes more than %d levels deep ignored", TREE_DEPTH_MAX);
	}
	return true;
}

static void cpu_method(struct tree *t, struct boot_cpu *cpu)
{
	const char *method = tree_string(t, tree_node(t), "enable-method");

	if (method == NULL) {
		method = tree_string(t, t->level[t->depth - 1].node, "enable-method");
	}
	cpu->enable = CPU_ENABLE_NONE;
	if (method == NULL) {
		return;
	}
	if (strcmp(method, "psci") == 0) {
		cpu->enable = CPU_ENABLE_PSCI;
	} else if (strcmp(method, "spin-table") != 0) {
		tree_warn(t, "%s: enable-method is not one we know", tree_name(t));
	} else if (tree_u32_or_u64(t, tree_node(t), "cpu-release-addr", &cpu->release_addr)) {
		cpu->enable = CPU_ENABLE_SPIN_TABLE;
	} else {
		tree_warn(t, "%s: no cpu-release-addr", tree_name(t));
	}
}

/* The affinity in `reg`: one or two cells, no size. */
static bool cpu_mpidr(struct tree *t, uint64_t *mpidr)
{
	return t->level[t->depth - 1].size_cells == 0 &&
	       tree_u32_or_u64(t, tree_node(t), "reg", mpidr) && (*mpidr & ~MPIDR_AFFINITY) == 0;
}

static void cpu_node(struct tree *t)
{
	struct bootinfo *info = t->info;
	struct boot_cpu cpu = { 0 };

	if (!cpu_mpidr(t, &cpu.mpidr)) {
		tree_warn(t, "%s: malformed reg, CPU ignored", tree_name(t));
		info->cpu_ignored++;
		return;
	}
	for (uint32_t i = 0; i < info->cpu_count; i++) {
		if (info->cpu[i].mpidr == cpu.mpidr) {
			tree_warn(t, "%s: same reg as another CPU, ignored", tree_name(t));
			info->cpu_ignored++;
			return;
		}
	}
	if (info->cpu_count == MAX_CPUS) {
		info->cpu_ignored++;
		return;
	}
	if (tree_u32(t, tree_node(t), "numa-node-id", &cpu.node) && cpu.node >= MAX_NODES) {
		tree_warn(t, "%s: NUMA node %u taken for 0", tree_name(t), cpu.node);
		cpu.node = 0;
	}
	cpu_method(t, &cpu);
	info->cpu[info->cpu_count++] = cpu;
}

static void cpus_finish(struct tree *t)
{
	struct bootinfo *info = t->info;
	bool orphan = false;

	if (info->cpu_count == 0) {
		tree_warn(t, "no CPU node: the boot CPU only");
	}
	for (uint32_t i = 0; i < info->cpu_count; i++) {
		if (info->cpu[i].enable == CPU_ENABLE_PSCI && info->psci == PSCI_NONE) {
			info->cpu[i].enable = CPU_ENABLE_NONE;
			orphan = true;
		}
	}
	if (orphan) {
		tree_warn(t, "enable-method psci, but no PSCI 0.2 node");
	}
}

/* All of the root, and of what the walks need to know before they begin. */
static void root_node(struct tree *t)
{
	const char *model = tree_string(t, 0, "model");
	const char *compatible = tree_string(t, 0, "compatible");

	tree_copy_text(t->info->model, sizeof(t->info->model), model != NULL ? model : "");
	tree_copy_text(t->info->compatible, sizeof(t->info->compatible),
		       compatible != NULL ? compatible : "");
}

/*
 * The node of stdout-path: a path or an alias, with options after a colon that are not for us.
 * Negative: -FDT_ERR_NOTFOUND when the tree names none, -FDT_ERR_BADPATH when it leads nowhere.
 */
static int find_stdout(struct tree *t, int chosen)
{
	const char *path = chosen >= 0 ? tree_string(t, chosen, "stdout-path") : NULL;
	size_t len = 0;
	int node;

	if (path == NULL) {
		return -FDT_ERR_NOTFOUND;
	}
	while (path[len] != '\0' && path[len] != ':') {
		len++;
	}
	if (path[0] != '/') {
		/* An alias, once: libfdt would follow one that names itself for ever. */
		path = fdt_get_alias_namelen(t->blob, path, (int)len);
		if (path == NULL || path[0] != '/') {
			return -FDT_ERR_BADPATH;
		}
		len = strlen(path);
	}
	node = fdt_path_offset_namelen(t->blob, path, (int)len);
	return node >= 0 ? node : -FDT_ERR_BADPATH;
}

static void chosen_args(struct tree *t, int chosen)
{
	struct bootinfo *info = t->info;
	int len;
	const char *args;

	if (fdt_getprop(t->blob, chosen, "bootargs", &len) == NULL) {
		return;
	}
	args = tree_string(t, chosen, "bootargs");
	if (args == NULL) {
		tree_warn(t, "bootargs is not a string, ignored");
		return;
	}
	tree_copy_text(info->args, sizeof(info->args), args);
	if (strlen(args) >= sizeof(info->args)) {
		tree_warn(t, "bootargs cut to %u characters", (unsigned)sizeof(info->args) - 1);
	}
}

static void chosen_initrd(struct tree *t, int chosen)
{
	struct bootinfo *info = t->info;
	uint64_t start, end;
	int len;

	if (fdt_getprop(t->blob, chosen, "linux,initrd-start", &len) == NULL) {
		return;
	}
	if (!tree_u32_or_u64(t, chosen, "linux,initrd-start", &start) ||
	    !tree_u32_or_u64(t, chosen, "linux,initrd-end", &end) || start > end) {
		tree_warn(t, "RAM disk: malformed start or end, ignored");
		return;
	}
	info->initrd_base = start;
	info->initrd_size = end - start;
}

static void chosen_node(struct tree *t)
{
	const int node = tree_node(t);

	t->stdout_node = find_stdout(t, node);
	if (t->stdout_node < 0 && t->stdout_node != -FDT_ERR_NOTFOUND) {
		tree_warn(t, "stdout-path: %s", fdt_strerror(t->stdout_node));
	}
	chosen_args(t, node);
	chosen_initrd(t, node);
}

static bool visit_console(struct tree *t)
{
	tree_uart_node(t);
	return true;
}

static bool visit_stdout(struct tree *t)
{
	return tree_node(t) != t->stdout_node || visit_console(t);
}

static bool visit_all(struct tree *t)
{
	const char *type = t->level[t->depth].type;

	tree_uart_node(t);
	if (t->depth == 1 && strcmp(tree_name(t), "chosen") == 0) {
		chosen_node(t);
	}
	if (parent_is(t, "reserved-memory")) {
		return tree_reserved_node(t);
	}
	if (t->depth == 1 &&
	    (strcmp(type, "memory") == 0 || starts_with(tree_name(t), "memory@"))) {
		tree_memory_node(t);
	} else if (parent_is(t, "cpus") &&
		   (strcmp(type, "cpu") == 0 || starts_with(tree_name(t), "cpu@"))) {
		cpu_node(t);
	} else {
		tree_device_node(t);
	}
	return true;
}

static bool check_header(struct tree *t, size_t size_max)
{
	int e;

	if (t->blob == NULL) {
		return tree_fail(t, "none was given");
	}
	if (size_max < BLOB_MIN_BYTES) {
		return tree_fail(t, "only %zu bytes are readable", size_max);
	}
	e = fdt_check_header(t->blob);
	if (e != 0) {
		return tree_fail(t, "header: %s", fdt_strerror(e));
	}
	/* libfdt loads whole words from there, and the format says that they are aligned. */
	if (!is_aligned(fdt_off_mem_rsvmap(t->blob), RESERVE_ALIGN) ||
	    !is_aligned(fdt_off_dt_struct(t->blob), STRUCT_ALIGN)) {
		return tree_fail(t, "header: a block is not aligned");
	}
	if (fdt_totalsize(t->blob) > size_max) {
		return tree_fail(t, "%u bytes, %zu are readable", fdt_totalsize(t->blob), size_max);
	}
	return true;
}

/* What stdout-path names is the console, if we drive it, even if it came before /chosen. */
static void stdout_finish(struct tree *t)
{
	if (t->stdout_node < 0 || t->stdout_node == t->uart.node) {
		return;
	}
	(void)walk(t, visit_stdout);
	if (t->stdout_node != t->uart.node) {
		tree_warn(t, "stdout-path names no UART that we drive");
	}
}

static bool read_all(struct tree *t)
{
	root_node(t);
	if (!tree_memreserve(t) || !walk(t, visit_all)) {
		return false;
	}
	stdout_finish(t);
	cpus_finish(t);
	tree_devices_finish(t);
	return tree_memory_finish(t);
}

static bool parse(struct tree *t)
{
	if (read_all(t)) {
		return true;
	}
	memset(t->info, 0, sizeof(*t->info));
	t->uart_rank = 0;
	t->stdout_node = find_stdout(t, fdt_path_offset(t->blob, "/chosen"));
	(void)walk(t, visit_console);
	return false;
}

bool fdt_parse(const void *blob, size_t size_max, uint64_t blob_pa, struct bootinfo *info,
	       char *error, size_t error_bytes)
{
	struct tree t = {
		.blob = blob,
		.info = info,
		.error = error,
		.error_bytes = error_bytes,
		.stdout_node = -1,
		.timer = { .node = -1 },
		.uart = { .node = -1 },
		.gic_node = -1,
	};

	memset(info, 0, sizeof(*info));
	if (!check_header(&t, size_max)) {
		return false;
	}
	info->fdt_base = blob_pa;
	info->fdt_size = fdt_totalsize(blob);
	return parse(&t);
}
