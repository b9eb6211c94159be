/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/machine.c - the devices of this machine, and its end.
 */
#include "kern/machine.h"

#include <arch/barrier.h>
#include <arch/ipi.h>

#include "arch/arm64/bcm_pm.h"
#include "arch/arm64/boot.h"
#include "arch/arm64/cpu.h"
#include "arch/arm64/fpu.h"
#include "arch/arm64/debug.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/psci.h"
#include "arch/arm64/timer.h"
#include "arch/arm64/uart.h"
#include "kern/assert.h"
#include "kern/irq.h"
#include "kern/kdb.h"
#include "kern/log.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "vm/lifeboat.h"
#include "vm/asid.h"
#include "vm/pmap.h"

/* Where QEMU's virt, and many a board after it, has its PL011: for a message when no tree says. */
#define CONSOLE_GUESS UINT64_C(0x09000000)

static uint64_t device_next = DEVICE_BASE;
static const struct log_sink uart_sink = { .put = uart_put };

va_t device_map(pa_t base, uint64_t size, const char *what)
{
	const uint64_t first = align_down(base.v, PAGE_BYTES);
	const uint64_t bytes = align_up(base.v + size, PAGE_BYTES) - first;
	/* As far into a block as the registers are, so that large frames take large entries. */
	const va_t at = va(align_up(device_next, BLOCK_BYTES) + first % BLOCK_BYTES);
	const enum kerr e = pmap_map(&kernel_pmap, at, pa(first), bytes,
				     PMAP_WRITE | PMAP_DEVICE | PMAP_NO_PROMOTE);

	if (e != KERR_OK) {
		boot_fail("%s at %#llx cannot be mapped: %s", what, (unsigned long long)base.v,
			  kerr_name(e));
	}
	if (!lifeboat_pin(at, bytes)) {
		boot_fail("%s at %#llx: no memory for the lifeboat's tables", what,
			  (unsigned long long)base.v);
	}
	device_next = at.v + bytes;
	pin_add(at, pa(first), bytes, what);
	return va(at.v + base.v - first);
}

void machine_console(enum uart_kind kind, uint64_t base, uint64_t size)
{
	if (kind == UART_NONE) {
		kind = UART_PL011;
		base = CONSOLE_GUESS;
		size = PAGE_BYTES;
	}
	if (uart_init(kind, device_map(pa(base), size, "uart"))) {
		log_set_sink(&uart_sink);
	}
}

static void init_gic(const struct bootinfo *info)
{
	const struct boot_gic *gic = &info->gic;
	struct gic_map map = { 0 };

	if (gic->version == 0) {
		boot_fail(
			"no interrupt controller that Perch drives (GICv2, GICv3) in the device tree");
	}
	map.dist = device_map(pa(gic->dist_base), gic->dist_size, "gic distributor");
	if (gic->version == 2) {
		map.cpu = device_map(pa(gic->cpu_base), gic->cpu_size, "gic cpu interface");
	}
	for (uint32_t i = 0; gic->version == 3 && i < gic->redist_count; i++) {
		map.redist[i] = device_map(pa(gic->redist[i].base), gic->redist[i].size,
					   "gic redistributor");
	}
	gic_set_el3_monitor(boot_regs.entry_el == 3);
	const enum kerr e = gic_init_dist(gic, &map);

	if (e != KERR_OK) {
		boot_fail("GICv%u at %#llx: %s", gic->version, (unsigned long long)gic->dist_base,
			  kerr_name(e));
	}
	gic_set_urgent(SGI_PARK);
	gic_set_urgent(SGI_STOP);
	gic_set_urgent(SGI_HOLD);
}

void machine_init(const struct bootinfo *info, bool park_by_nmi)
{
	init_gic(info);
	psci_init(info->psci);
	if (info->bcm_pm_size != 0) {
		bcm_pm_init(device_map(pa(info->bcm_pm_base), info->bcm_pm_size, "watchdog"));
	}
	trap_set_timer(info->timer_ppi);
	machine_init_cpu(0, info->cpu[0].mpidr);
	if (park_by_nmi && !gic_has_pseudo_nmi()) {
		log_printf(
			"boot",
			"park=nmi: this interrupt controller has no priority mask to use; park=irq");
	} else if (park_by_nmi) {
		arch_mask_by_priority();
	}
}

void machine_init_cpu(unsigned cpu, uint64_t mpidr)
{
	const enum kerr e = gic_init_cpu(cpu, mpidr);

	if (e != KERR_OK) {
		boot_fail("cpu%u: interrupt controller: %s", cpu, kerr_name(e));
	}
	if (!timer_init_cpu()) {
		boot_fail("cpu%u: CNTFRQ_EL0 is 0: the firmware set no counter frequency", cpu);
	}
	gic_enable(irq_timer_intid());
	pcpu_this()->timer_deadline = 0; /* the slice may be one of an earlier life */
	pcpu_this()->space_word = &mailbox_of(cpu)->space;
	pcpu_this()->asid_active = asid_active(cpu);
	arch_fpu_open(false);
	debug_sync(); /* a CPU that comes late has the debugger's breakpoints too */
	isb();
}

unsigned arch_cpu_number_safe(void)
{
	return cpu_number_safe();
}

_Noreturn void arch_halt(void)
{
	__asm__ volatile("msr daifset, #0xf" ::: "memory");
	/* Not WFI: the interrupt that stopped us may be pending, and an emulator would spin. */
	for (;;) {
		cpu_wfe();
	}
}

_Noreturn void machine_reboot(unsigned status)
{
	kprintf("PERCH END status=%u\n", status);
	uart_flush();
	psci_system_reset();
	bcm_pm_reset();
	arch_halt();
}

/* What an observer from outside has counted too (test/oracle). */
static void tell_breaks(void)
{
	kprintf("end: windows=%llu breaks=%llu breaks_unloaded=%llu\n",
		(unsigned long long)counter_sum(CTR_windows),
		(unsigned long long)counter_sum(CTR_breaks),
		(unsigned long long)counter_sum(CTR_breaks_unloaded));
}

/* The longest masked stretch of any CPU (R8), and waits, which are no part of it. */
static void tell_masked(void)
{
	const struct cpubase *most = &pcpu_of(0)->base;
	uint64_t wait_max = 0;

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const struct cpubase *b = &pcpu_of(cpu)->base;

		most = b->masked_max > most->masked_max ? b : most;
		wait_max = b->wait_max > wait_max ? b->wait_max : wait_max;
	}
	KASSERT(most->masked_max <= counter_now()); /* each stretch ended after it began */
	kprintf("end: masked_max=%lluns masked_at=%#llx wait_max=%lluns\n",
		(unsigned long long)timer_ticks_to_ns(most->masked_max),
		(unsigned long long)most->masked_max_pc,
		(unsigned long long)timer_ticks_to_ns(wait_max));
}

static void end_afloat(uint64_t status)
{
	log_fresh_line();
	if (status == 0) {
		tell_masked(); /* first: these lines are printed under a lock */
		tell_breaks();
	}
	kprintf("PERCH END status=%u\n", (unsigned)status);
	uart_flush();
	psci_system_off();
	bcm_pm_reset();
	arch_halt();
}

/* From the lifeboat, so that the end is told whatever became of the live tables. */
_Noreturn void arch_machine_end(unsigned status)
{
	kdb_at_end(status);
	arch_lifeboat(end_afloat, status);
}
