/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/regs.c - the registers of the CPU that is executing.
 *
 * QEMU shows a plugin the registers that it shows a debugger; system registers are among them by
 * name. Handles are the same for all CPUs of one machine. Each thread reads into a buffer of its
 * own, since several CPUs may run at once.
 */
#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "qemu_api.h"

#define GPR_COUNT 31u

static struct qemu_plugin_register *gpr[GPR_COUNT];
static struct qemu_plugin_register *sys[REG_COUNT];
static const char *const sys_name[REG_COUNT] = {
	[REG_TTBR0] = "TTBR0_EL1", [REG_TTBR1] = "TTBR1_EL1", [REG_TCR] = "TCR_EL1",
	[REG_SCTLR] = "SCTLR",     [REG_VBAR] = "VBAR_EL1",   [REG_ELR] = "ELR_EL1",
	[REG_CPSR] = "cpsr",       [REG_HCR] = "HCR_EL2",
};

void regs_init(void)
{
	struct glib_array *all = qemu_plugin_get_registers();

	for (unsigned i = 0; i < all->len; i++) {
		const struct qemu_reg *reg = (const struct qemu_reg *)all->data + i;
		unsigned x;

		if (sscanf(reg->name, "x%u", &x) == 1 && x < GPR_COUNT) {
			gpr[x] = reg->handle;
		}
		for (unsigned s = 0; s < REG_COUNT; s++) {
			if (strcmp(reg->name, sys_name[s]) == 0) {
				sys[s] = reg->handle;
			}
		}
	}
	g_array_free(all, 1);
}

static uint64_t reg_read(struct qemu_plugin_register *handle)
{
	static _Thread_local struct glib_bytes *buf;
	uint64_t value = 0;

	if (handle == NULL) {
		return 0;
	}
	if (buf == NULL) {
		buf = g_byte_array_new();
	}
	g_byte_array_set_size(buf, 0);
	qemu_plugin_read_register(handle, buf);
	memcpy(&value, buf->data, buf->len < sizeof(value) ? buf->len : sizeof(value));
	return value;
}

uint64_t regs_x(unsigned index)
{
	return index < GPR_COUNT ? reg_read(gpr[index]) : 0; /* 31 is XZR */
}

uint64_t regs_sys(enum reg reg)
{
	return reg_read(sys[reg]);
}

unsigned regs_el(void)
{
	return (unsigned)(regs_sys(REG_CPSR) >> 2) & 3;
}
