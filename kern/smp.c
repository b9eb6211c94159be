/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/smp.c - starting and stopping CPUs. See kern/smp.h.
 *
 * THEORY   A CPU that is started reads, with its caches off, what we wrote with ours on: slice
 *          addresses, affinities, release addresses are cleaned to the point of coherency first.
 *          It becomes a park target (`online`) under the token, after its slice says DOOR_OFF:
 *          from then on it cannot pass the door during a window.
 */
#include "kern/smp.h"

#include <arch/atomic.h>
#include <arch/barrier.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/cpu.h"
#include "arch/arm64/gic.h"
#include "kern/machine.h"
#include "arch/arm64/psci.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "arch/arm64/user.h"
#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/reclaim.h"
#include "kern/stop.h"
#include "pcpu/recorder.h"
#include "vm/pmap.h"
#include "vm/pmap_user.h"

#define MPIDR_AFFINITY UINT64_C(0xff00ffffff)
#define START_TIMEOUT_SECONDS 5

static void (*secondary_entry_point)(void);

void smp_set_main(void (*entry)(void))
{
	secondary_entry_point = entry;
}

void smp_order(struct bootinfo *info)
{
	const uint64_t me = read_sysreg(mpidr_el1) & MPIDR_AFFINITY;

	for (uint32_t i = 0; i < info->cpu_count; i++) {
		if (info->cpu[i].mpidr == me) {
			const struct boot_cpu boot = info->cpu[i];

			info->cpu[i] = info->cpu[0];
			info->cpu[0] = boot;
			return;
		}
	}
	boot_fail("the boot CPU (MPIDR %#llx) is not in the device tree", (unsigned long long)me);
}

static void clean(const void *p, size_t bytes)
{
	dcache_clean_poc((uint64_t)(uintptr_t)p, (uint64_t)(uintptr_t)p + bytes);
}

/* Write a word that a CPU with its caches off polls, then wake it. */
static void release_spinner(uint64_t *word, uint64_t value)
{
	*(volatile uint64_t *)word = value;
	clean(word, sizeof(*word));
	dsb_sy();
	cpu_sev();
}

static enum kerr release(const struct bootinfo *info, unsigned cpu)
{
	const struct boot_cpu *c = &info->cpu[cpu];

	if (boot_regs.entry_el == 3 && info->psci == PSCI_NONE) {
		/* No firmware: the core came in with us and waits in the pen. */
		release_spinner(&boot_pen, BOOT_PEN_GO);
		return KERR_OK;
	}
	if (c->enable == CPU_ENABLE_PSCI) {
		const int r = psci_cpu_on(c->mpidr, image_pa((const void *)secondary_start), cpu);

		if (r != PSCI_SUCCESS) {
			log_printf("smp", "cpu%u: CPU_ON: %s", cpu, psci_result_name(r));
			return KERR_UNSUPPORTED;
		}
		return KERR_OK;
	}
	if (c->enable == CPU_ENABLE_SPIN_TABLE) {
		const uint64_t page = align_down(c->release_addr, PAGE_BYTES);
		const va_t window = va(BOOTWIN_BASE);

		if (pmap_map(&kernel_pmap, window, pa(page), PAGE_BYTES,
			     PMAP_WRITE | PMAP_NO_PROMOTE) != KERR_OK) {
			return KERR_NO_MEMORY;
		}
		release_spinner((uint64_t *)(uintptr_t)(window.v + c->release_addr - page),
				image_pa((const void *)spin_start).v);
		return pmap_unmap(&kernel_pmap, window, PAGE_BYTES);
	}
	log_printf("smp", "cpu%u: no enable-method that Perch knows", cpu);
	return KERR_UNSUPPORTED;
}

enum kerr smp_start(const struct bootinfo *info, unsigned cpu)
{
	struct mailbox *m = mailbox_of(cpu);

	boot_slices[cpu] = (uint64_t)(uintptr_t)pcpu_of(cpu);
	boot_mpidrs[cpu] = info->cpu[cpu].mpidr;
	store_release(&m->door, DOOR_OFF);
	irq_mask();
	token_acquire();
	park_set_online(cpu, true); /* PK4 */
	token_release();
	irq_unmask();
	clean(boot_slices, sizeof(boot_slices));
	clean(boot_mpidrs, sizeof(boot_mpidrs));
	clean(&boot_regs, sizeof(boot_regs));
	enum kerr e = release(info, cpu);
	const bool asked = e == KERR_OK;
	const uint64_t limit = counter_now() + START_TIMEOUT_SECONDS * arch_counter_hz();

	while (e == KERR_OK && load_acquire(&m->door) == DOOR_OFF) {
		if (counter_now() > limit) {
			log_printf(
				"smp",
				"cpu%u (MPIDR %#llx) did not start within %u s: going on without it",
				cpu, (unsigned long long)info->cpu[cpu].mpidr,
				START_TIMEOUT_SECONDS);
			e = KERR_TIMEOUT;
		}
		cpu_wfe();
	}
	/*
	 * A CPU that was asked and is late may still come in: it stays a park target, off until it
	 * does.
	 */
	if (!asked) {
		irq_mask();
		token_acquire();
		park_set_online(cpu, false);
		token_release();
		irq_unmask();
	}
	return e;
}

_Noreturn void secondary_main(uint64_t cpu)
{
	arch_user_init_cpu();
	tlbi_vmalle1_local();
	stop_note_running((unsigned)cpu);
	machine_init_cpu((unsigned)cpu, this_cpu()->mpidr);
	/* The slice may be one of an earlier life: nothing is held, nothing is masked. */
	this_cpu()->mask_depth = 0;
	this_cpu()->lock_count = 0;
	reclaim_awake();
	door_enter();
	rec(REC_CPU, cpu, 1);
	arch_irq_open();
	cpu_unmask_all();
	secondary_entry_point();
	panic("cpu%llu: its main function returned", (unsigned long long)cpu);
}

bool smp_can_hotplug(void)
{
	return psci_version() != 0;
}

static uint64_t go_off(void *arg)
{
	const unsigned cpu = cpu_number();

	(void)arg;
	pmap_activate(nullptr);
	token_acquire();
	park_set_online(cpu, false);
	token_release();
	park_answer(0);
	rec(REC_CPU, cpu, 0);
	stop_note_off(cpu);
	reclaim_asleep();
	gic_cpu_off();
	timer_stop();
	door_leave(DOOR_OFF);
	psci_cpu_off();
	panic("cpu%u: CPU_OFF returned", cpu);
}

_Noreturn void smp_offline_self(void)
{
	arch_call_on_spx(go_off, nullptr);
	panic("an offline CPU came back");
}

bool smp_is_off(const struct bootinfo *info, unsigned cpu)
{
	return psci_affinity_info(info->cpu[cpu].mpidr) == PSCI_AFFINITY_OFF;
}
