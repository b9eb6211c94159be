/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_fdt.c - the device tree parser, on the trees of dts/ and on changed ones.
 *
 * Argument: the folder with the compiled trees (dts/NAME.dts is NAME.dtb). A tree that a test
 * changes is opened for writing with libfdt first; each test names the behaviour it pins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <libfdt.h>

#include "fdt_invariants.h"

#define BLOB_PA UINT64_C(0x44000000)
#define BLOB_ROOM 65536

static const char *tree_folder;

static struct bootinfo info;
static char error[96];
static _Alignas(8) unsigned char blob[BLOB_ROOM];

/* Read a tree into `blob`, with room to add to it. */
static void load(const char *name)
{
	static _Alignas(8) unsigned char file[BLOB_ROOM];
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.dtb", tree_folder, name);
	FILE *in = fopen(path, "rb");

	if (in == NULL) {
		fail_msg("no tree %s", path);
	}
	assert_true(fread(file, 1, sizeof(file), in) > 0);
	fclose(in);
	assert_int_equal(fdt_open_into(file, blob, sizeof(blob)), 0);
}

static bool parse(void)
{
	error[0] = '\0';
	return fdt_parse(blob, sizeof(blob), BLOB_PA, &info, error, sizeof(error));
}

static void parse_good(void)
{
	/* The tree's own size is one of its reservations: make it the true one. */
	assert_int_equal(fdt_pack(blob), 0);
	if (!parse()) {
		fail_msg("refused: %s", error);
	}
	assert_null(bootinfo_wrong(&info));
}

static void parse_bad(const char *expected)
{
	if (parse()) {
		fail_msg("accepted, expected: %s", expected);
	}
	assert_string_equal(error, expected);
}

static int node_at(const char *path)
{
	int node = fdt_path_offset(blob, path);

	if (node < 0) {
		fail_msg("no node %s", path);
	}
	return node;
}

static bool warned(const char *text)
{
	for (uint32_t i = 0; i < info.warning_count && i < 8; i++) {
		if (strcmp(info.warning[i], text) == 0) {
			return true;
		}
	}
	return false;
}

static void assert_range(const struct mem_range *r, uint64_t base, uint64_t size, uint32_t node)
{
	assert_int_equal(r->base, base);
	assert_int_equal(r->size, size);
	assert_int_equal(r->node, node);
}

static void load_pi(void)
{
	load("bcm2711-rpi-4-b");
	/* What the firmware does: 1 GiB less the video core's share. */
	const uint32_t reg[3] = { 0, 0, cpu_to_fdt32(0x3b400000) };

	assert_int_equal(fdt_setprop(blob, node_at("/memory@0"), "reg", reg, sizeof(reg)), 0);
}

static void pi_tree_gives_the_boards_facts(void **state)
{
	(void)state;
	load_pi();
	parse_good();
	assert_string_equal(info.model, "Raspberry Pi 4 Model B");
	assert_string_equal(info.compatible, "raspberrypi,4-model-b");
	assert_int_equal(info.memory_count, 1);
	assert_range(&info.memory[0], 0, 0x3b400000, 0);
	assert_int_equal(info.cpu_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(info.cpu[i].mpidr, i);
		assert_int_equal(info.cpu[i].enable, CPU_ENABLE_SPIN_TABLE);
		assert_int_equal(info.cpu[i].release_addr, 0xd8 + 8 * i);
	}
	assert_int_equal(info.psci, PSCI_NONE);
	assert_int_equal(info.gic.version, 2);
	assert_int_equal(info.gic.dist_base, 0xff841000);
	assert_int_equal(info.gic.cpu_base, 0xff842000);
	assert_int_equal(info.timer_ppi, 27);
	assert_int_equal(info.uart, UART_PL011);
	assert_int_equal(info.uart_base, 0xfe201000);
	assert_int_equal(info.uart_irq, 32 + 121);
	assert_int_equal(info.bcm_pm_base, 0xfe100000);
	assert_int_equal(info.warning_count, 0);
}

static void stdout_path_prefers_the_mini_uart_over_pl011(void **state)
{
	(void)state;
	load_pi();
	assert_int_equal(fdt_setprop_string(blob, node_at("/chosen"), "stdout-path", "serial1"), 0);
	parse_good();
	assert_int_equal(info.uart, UART_BCM_AUX);
	assert_int_equal(info.uart_base, 0xfe215040);
	assert_int_equal(info.uart_irq, 32 + 93);
}

static void memory_is_sorted_and_whole_pages(void **state)
{
	(void)state;
	load("holes");
	parse_good();
	assert_int_equal(info.memory_count, 3);
	assert_range(&info.memory[0], 0x40000000, 0x10000000, 0);
	assert_range(&info.memory[1], 0x80001000, 0x0fffe000, 0);
	assert_range(&info.memory[2], 0x100000000, 0x20000000, 0);
}

static void reservations_of_each_kind_are_kept(void **state)
{
	(void)state;
	load("holes");
	parse_good();
	assert_int_equal(info.reserved_count, 6);
	assert_range(&info.reserved[0], 0x41000000, 0x1000, 0);
	assert_range(&info.reserved[1], 0x42000000, 0x2000, 0); /* rounded outwards */
	assert_range(&info.reserved[2], 0x43000000, 0x1000, 0);
	assert_range(&info.reserved[3], BLOB_PA, align_up(fdt_totalsize(blob), 4096), 0);
	assert_range(&info.reserved[4], 0x48000000, 0x124000, 0); /* the RAM disk */
	assert_range(&info.reserved[5], 0x80000000, 0x10000, 0);  /* memreserve */
	assert_int_equal(info.initrd_base, 0x48000000);
	assert_int_equal(info.initrd_size, 0x123456);
	assert_int_equal(info.warning_count, 1);
	assert_true(warned("reserved-memory dynamic: no fixed place, ignored"));
}

static void disabled_cpus_and_memory_do_not_exist(void **state)
{
	(void)state;
	load("holes");
	parse_good();
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.cpu_ignored, 0);
	assert_int_equal(info.cpu[0].mpidr, 0);
	assert_int_equal(info.cpu[1].mpidr, 0x100000101);
	assert_int_equal(info.cpu[1].enable, CPU_ENABLE_PSCI);
	assert_int_equal(info.psci, PSCI_SMC);
	assert_int_equal(info.timer_ppi, 28);
	assert_int_equal(info.uart_base, 0x09000000);
	assert_int_equal(info.uart_irq, 33);
	assert_string_equal(info.args, "run=test seed=7");
}

static void numa_nodes_and_gicv3_regions(void **state)
{
	(void)state;
	load("numa");
	parse_good();
	assert_int_equal(info.memory_count, 2);
	assert_range(&info.memory[0], 0x40000000, 0x20000000, 0);
	assert_range(&info.memory[1], 0x60000000, 0x20000000, 1);
	assert_int_equal(info.cpu[0].node, 0);
	assert_int_equal(info.cpu[1].node, 1);
	assert_int_equal(info.cpu[1].mpidr, 0x10001);
	assert_int_equal(info.psci, PSCI_HVC);
	assert_int_equal(info.gic.version, 3);
	assert_int_equal(info.gic.dist_base, 0x08000000);
	assert_int_equal(info.gic.redist_count, 2);
	assert_range(&info.gic.redist[0], 0x080a0000, 0x80000, 0);
	assert_range(&info.gic.redist[1], 0x4000000000, 0x80000, 0);
	assert_int_equal(info.gic.redist_stride, 0x40000);
	assert_int_equal(info.timer_ppi, 27); /* by name: it is the second there */
	assert_int_equal(info.initrd_size, 0x1000);
	assert_int_equal(info.uart_irq, 33); /* four cells an interrupt */
}

static void addresses_are_translated_through_every_bus(void **state)
{
	(void)state;
	load("buses");
	parse_good();
	assert_int_equal(info.gic.dist_base, 0x480101000);
	assert_int_equal(info.gic.cpu_base, 0x480102000);
	assert_int_equal(info.uart, UART_BCM_AUX);
	assert_int_equal(info.uart_base, 0x200000040);
	assert_int_equal(info.bcm_pm_size, 0);
	assert_int_equal(info.warning_count, 2);
	assert_true(warned("serial@ff800: no usable address"));
	assert_true(warned("watchdog@0: no usable address"));
}

static void odd_parts_are_left_out_with_a_warning(void **state)
{
	(void)state;
	load("odd");
	parse_good();
	assert_int_equal(info.memory_count, 1);
	assert_range(&info.memory[0], 0x40000000, 0x30000000, 0);
	assert_range(&info.reserved[0], 0x40100000, 0x18000, 0);
	assert_int_equal(info.reserved_count, 2);
	assert_int_equal(info.cpu_count, 2);
	assert_int_equal(info.cpu_ignored, 3);
	assert_int_equal(info.cpu[0].enable, CPU_ENABLE_NONE);
	assert_int_equal(info.cpu[1].enable, CPU_ENABLE_NONE);
	assert_int_equal(info.gic.version, 0);
	assert_int_equal(info.initrd_size, 0);
	assert_string_equal(info.args, "");
	assert_true(warned("stdout-path: FDT_ERR_BADPATH"));
	assert_true(warned("bootargs is not a string, ignored"));
	assert_true(warned("RAM disk: malformed start or end, ignored"));
	assert_true(warned("reservation at 0x40108000, size 0x10000, meets another: merged"));
	assert_true(warned("memory@40000000: NUMA node 77 taken for 0"));
	assert_true(warned("memory at 0x50000000 overlaps other memory"));
	/* More than there is room for are counted. */
	assert_true(info.warning_count > 8);
}

static void an_unknown_interrupt_controller_is_named(void **state)
{
	(void)state;
	load("holes");
	assert_int_equal(fdt_setprop_string(blob, node_at("/interrupt-controller@8000000"),
					    "compatible", "arm,gic-v5"),
			 0);
	parse_good();
	assert_int_equal(info.gic.version, 0);
	assert_int_equal(info.uart_irq, 0);
	assert_true(warned("no interrupt controller that we drive: arm,gic-v5"));
	assert_true(warned("timer: no virtual interrupt, 27 assumed"));
}

static void the_first_of_equal_consoles_counts(void **state)
{
	(void)state;
	load("holes");
	assert_int_equal(fdt_delprop(blob, node_at("/chosen"), "stdout-path"), 0);
	parse_good();
	assert_int_equal(info.uart_base, 0x09040000);
	assert_int_equal(info.uart_irq, 32 + 8);
}

static void an_interrupt_of_another_controller_is_unknown(void **state)
{
	(void)state;
	load("numa");
	assert_int_equal(fdt_setprop_u32(blob, node_at("/serial@9000000"), "interrupt-parent", 99),
			 0);
	parse_good();
	assert_int_equal(info.uart_base, 0x09000000);
	assert_int_equal(info.uart_irq, 0);
}

static void cpus_past_the_limit_are_counted(void **state)
{
	(void)state;
	load("numa");
	int cpus = node_at("/cpus");

	for (uint32_t i = 0; i < MAX_CPUS + 6; i++) {
		char name[16];

		snprintf(name, sizeof(name), "cpu@%x", 0x100 + i);
		int cpu = fdt_add_subnode(blob, cpus, name);

		assert_true(cpu >= 0);
		assert_int_equal(fdt_setprop_u32(blob, cpu, "reg", 0x100 + i), 0);
	}
	parse_good();
	assert_int_equal(info.cpu_count, MAX_CPUS);
	assert_int_equal(info.cpu_ignored, 8); /* two were there before */
}

static void psci_cpus_without_psci_cannot_be_started(void **state)
{
	(void)state;
	load("holes");
	assert_int_equal(fdt_del_node(blob, node_at("/psci")), 0);
	parse_good();
	assert_int_equal(info.cpu[1].enable, CPU_ENABLE_NONE);
	assert_true(warned("enable-method psci, but no PSCI 0.2 node"));
}

static void a_ram_disk_outside_memory_is_none(void **state)
{
	(void)state;
	load("holes");
	int chosen = node_at("/chosen");

	assert_int_equal(fdt_setprop_u32(blob, chosen, "linux,initrd-start", 0x4ffff000), 0);
	assert_int_equal(fdt_setprop_u32(blob, chosen, "linux,initrd-end", 0x50001000), 0);
	parse_good();
	assert_int_equal(info.initrd_size, 0);
	assert_int_equal(info.reserved_count, 5);
	assert_true(warned("RAM disk at 0x4ffff000 is not in memory, ignored"));
}

static void long_bootargs_are_cut(void **state)
{
	char args[BOOT_ARGS_BYTES + 100];

	(void)state;
	memset(args, 'x', sizeof(args));
	args[sizeof(args) - 1] = '\0';
	args[3] = '\x1b';
	load("numa");
	assert_int_equal(fdt_setprop_string(blob, node_at("/chosen"), "bootargs", args), 0);
	parse_good();
	assert_int_equal(strlen(info.args), BOOT_ARGS_BYTES - 1);
	assert_int_equal(info.args[3], '?');
	assert_true(warned("bootargs cut to 1023 characters"));
}

static void nodes_too_deep_are_ignored(void **state)
{
	(void)state;
	load("numa");
	int node = 0;

	for (int i = 0; i < 20; i++) {
		node = fdt_add_subnode(blob, node, "d");
		assert_true(node >= 0);
	}
	assert_int_equal(fdt_setprop_string(blob, node, "compatible", "brcm,bcm2835-pm"), 0);
	parse_good();
	assert_int_equal(info.bcm_pm_size, 0);
	assert_true(warned("nodes more than 16 levels deep ignored"));
}

static void no_memory_is_an_error_told_on_the_console(void **state)
{
	(void)state;
	load("buses");
	assert_int_equal(fdt_del_node(blob, node_at("/memory@0")), 0);
	parse_bad("no memory node");
	assert_int_equal(info.uart, UART_BCM_AUX);
	assert_int_equal(info.uart_base, 0x200000040);
}

static void set_memory(uint32_t base, uint32_t size)
{
	const uint32_t reg[3] = { 0, cpu_to_fdt32(base), cpu_to_fdt32(size) };

	load("buses");
	assert_int_equal(fdt_setprop(blob, node_at("/memory@0"), "reg", reg, sizeof(reg)), 0);
}

static void too_little_memory_is_an_error(void **state)
{
	(void)state;
	set_memory(0x40000000, 0x3fff000);
	parse_bad("memory too small: 65532 KiB, 65536 KiB needed");
	set_memory(0x40000000, 0x4000000);
	parse_good();
}

static void reservations_that_leave_nothing_are_an_error(void **state)
{
	(void)state;
	set_memory(0x40000000, 0x8000000);
	assert_int_equal(fdt_add_mem_rsv(blob, 0x3f000000, 0x9000000), 0);
	parse_bad("reservations leave 0 KiB of memory, 16384 KiB needed");
	set_memory(0x40000000, 0x8000000);
	assert_int_equal(fdt_add_mem_rsv(blob, 0x40000000, 0x7000000), 0);
	parse_good();
}

static void too_many_reservations_are_an_error(void **state)
{
	(void)state;
	load("buses");
	for (uint64_t i = 0; i < BOOT_MAX_RANGES; i++) {
		assert_int_equal(fdt_add_mem_rsv(blob, 0x2000 * i, 0x1000), 0);
	}
	parse_bad("more than 64 reservations"); /* with the tree's own */
}

static void a_header_that_is_none_is_an_error(void **state)
{
	(void)state;
	assert_false(fdt_parse(NULL, 0, 0, &info, error, sizeof(error)));
	assert_string_equal(error, "none was given");
	load("numa");
	assert_false(fdt_parse(blob, 63, 0, &info, error, sizeof(error)));
	assert_string_equal(error, "only 63 bytes are readable");
	blob[0] ^= 1;
	parse_bad("header: FDT_ERR_BADMAGIC");
	load("numa");
	fdt_set_version(blob, 1);
	parse_bad("header: FDT_ERR_BADVERSION");
	load("numa");
	fdt_set_off_dt_struct(blob, fdt_off_dt_struct(blob) + 2);
	fdt_set_size_dt_struct(blob, fdt_size_dt_struct(blob) - 2);
	parse_bad("header: a block is not aligned");
}

static void every_truncation_is_an_error(void **state)
{
	(void)state;
	load("holes");
	assert_int_equal(fdt_pack(blob), 0);
	size_t size = fdt_totalsize(blob);

	for (size_t n = 0; n < size; n++) {
		void *part = malloc(n > 0 ? n : 1); /* the address sanitizer guards its end */

		assert_non_null(part);
		memcpy(part, blob, n);
		assert_false(fdt_parse(part, n, BLOB_PA, &info, error, sizeof(error)));
		assert_null(text_wrong(error, sizeof(error)));
		assert_true(error[0] != '\0');
		free(part);
	}
}

/* The structure ends early, by a totalsize that says so too: the walk must notice. */
static void a_structure_cut_short_is_an_error(void **state)
{
	(void)state;
	load("numa");
	fdt_set_size_dt_struct(blob, fdt_size_dt_struct(blob) / 2 & ~3U);
	parse_bad("structure block: FDT_ERR_BADSTRUCTURE");
	assert_int_equal(info.memory_count, 0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* A few bytes changed anywhere: no crash, an error line or a result that keeps its promises. */
static void random_damage_is_survived(void **state)
{
	static const char *const name[] = { "holes", "numa", "buses", "odd" };
	static unsigned char good[BLOB_ROOM];
	unsigned accepted = 0, refused = 0;

	(void)state;
	for (uint32_t seed = 1; seed <= 4000; seed++) {
		uint32_t random = seed;

		load(name[seed % 4]);
		assert_int_equal(fdt_pack(blob), 0);
		uint32_t size = fdt_totalsize(blob);

		memcpy(good, blob, size);
		for (uint32_t i = 0; i < 1 + seed % 4; i++) {
			blob[next_random(&random) % size] = (unsigned char)next_random(&random);
		}
		if (parse()) {
			const char *wrong = bootinfo_wrong(&info);

			accepted++;
			if (wrong != NULL) {
				fail_msg("seed %u: %s", seed, wrong);
			}
		} else {
			refused++;
			if (error[0] == '\0') {
				fail_msg("seed %u: no error line", seed);
			}
		}
	}
	/* Both happen, else the damage was none, or total. */
	assert_true(accepted > 100);
	assert_true(refused > 100);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pi_tree_gives_the_boards_facts),
		cmocka_unit_test(stdout_path_prefers_the_mini_uart_over_pl011),
		cmocka_unit_test(memory_is_sorted_and_whole_pages),
		cmocka_unit_test(reservations_of_each_kind_are_kept),
		cmocka_unit_test(disabled_cpus_and_memory_do_not_exist),
		cmocka_unit_test(numa_nodes_and_gicv3_regions),
		cmocka_unit_test(addresses_are_translated_through_every_bus),
		cmocka_unit_test(odd_parts_are_left_out_with_a_warning),
		cmocka_unit_test(an_unknown_interrupt_controller_is_named),
		cmocka_unit_test(the_first_of_equal_consoles_counts),
		cmocka_unit_test(an_interrupt_of_another_controller_is_unknown),
		cmocka_unit_test(cpus_past_the_limit_are_counted),
		cmocka_unit_test(psci_cpus_without_psci_cannot_be_started),
		cmocka_unit_test(a_ram_disk_outside_memory_is_none),
		cmocka_unit_test(long_bootargs_are_cut),
		cmocka_unit_test(nodes_too_deep_are_ignored),
		cmocka_unit_test(no_memory_is_an_error_told_on_the_console),
		cmocka_unit_test(too_little_memory_is_an_error),
		cmocka_unit_test(reservations_that_leave_nothing_are_an_error),
		cmocka_unit_test(too_many_reservations_are_an_error),
		cmocka_unit_test(a_header_that_is_none_is_an_error),
		cmocka_unit_test(every_truncation_is_an_error),
		cmocka_unit_test(a_structure_cut_short_is_an_error),
		cmocka_unit_test(random_damage_is_survived),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: %s folder-of-compiled-trees\n", argv[0]);
		return 2;
	}
	tree_folder = argv[1];
	return cmocka_run_group_tests_name("fdt", tests, NULL, NULL);
}
