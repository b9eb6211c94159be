/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fdt_invariants.h - what holds of a struct bootinfo whatever the tree was.
 *
 * Used by test_fdt.c and fuzz_fdt.c: returns NULL, or what is wrong.
 */
#pragma once

#include <bootinfo.h>
#include <string.h>

static inline const char *ranges_wrong(const struct mem_range *list, uint32_t count)
{
	if (count > BOOT_MAX_RANGES) {
		return "more ranges than there is room for";
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t end = list[i].base + list[i].size;

		if (list[i].size == 0 || end < list[i].base || end > UINT64_C(1) << 48) {
			return "a range is empty, wraps or is past 48 bits";
		}
		if (!is_aligned(list[i].base, 4096) || !is_aligned(list[i].size, 4096)) {
			return "a range is not whole pages";
		}
		if (i + 1 < count && end > list[i + 1].base) {
			return "ranges are not sorted or overlap";
		}
	}
	return NULL;
}

static inline const char *text_wrong(const char *text, size_t size_bytes)
{
	size_t len = strnlen(text, size_bytes);

	if (len == size_bytes) {
		return "a text is not terminated";
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~') {
			return "a text is not printable";
		}
	}
	return NULL;
}

static inline const char *cpus_wrong(const struct bootinfo *info)
{
	if (info->cpu_count > MAX_CPUS) {
		return "more CPUs than there is room for";
	}
	for (uint32_t i = 0; i < info->cpu_count; i++) {
		if (info->cpu[i].node >= MAX_NODES) {
			return "a CPU's NUMA node is out of range";
		}
		for (uint32_t j = 0; j < i; j++) {
			if (info->cpu[i].mpidr == info->cpu[j].mpidr) {
				return "two CPUs have one mpidr";
			}
		}
	}
	return NULL;
}

static inline const char *bootinfo_wrong(const struct bootinfo *info)
{
	const char *wrong = ranges_wrong(info->memory, info->memory_count);

	wrong = wrong != NULL ? wrong : ranges_wrong(info->reserved, info->reserved_count);
	wrong = wrong != NULL ? wrong : cpus_wrong(info);
	wrong = wrong != NULL ? wrong : text_wrong(info->args, sizeof(info->args));
	wrong = wrong != NULL ? wrong : text_wrong(info->model, sizeof(info->model));
	wrong = wrong != NULL ? wrong : text_wrong(info->compatible, sizeof(info->compatible));
	for (uint32_t i = 0; wrong == NULL && i < 8 && i < info->warning_count; i++) {
		wrong = info->warning[i][0] == '\0'
				? "a warning is empty"
				: text_wrong(info->warning[i], sizeof(info->warning[i]));
	}
	if (wrong == NULL && info->gic.redist_count > BOOT_GICR_REGIONS) {
		wrong = "more redistributor regions than there is room for";
	}
	if (wrong == NULL && (info->gic.version == 1 || info->gic.version > 3)) {
		wrong = "a GIC version that we do not drive";
	}
	if (wrong == NULL && (info->timer_ppi < 16 || info->uart_irq >= 1020)) {
		wrong = "an interrupt number is out of range";
	}
	return wrong;
}
