/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report.c - what a report says after its first lines, in order. See kern/report.h.
 */
#include "kern/report.h"

#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/sysreg.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/pcpu.h"

#define ESR_WNR (UINT64_C(1) << 6)
#define UNMAPPED UINT64_C(0x0000100000000000)

bool report_provoked;

static const char *fault_name(uint64_t esr)
{
	static const char *const name[] = { "address size fault", "translation fault",
					    "access flag fault", "permission fault" };
	const unsigned dfsc = ESR_DFSC(esr);

	if (dfsc < 0x10) {
		return name[dfsc >> 2];
	}
	switch (dfsc) {
	case 0x10:
		return "external abort";
	case 0x14:
	case 0x15:
	case 0x16:
	case 0x17:
		return "external abort on a table walk";
	case 0x21:
		return "alignment fault";
	case ESR_DFSC_TLB_CONFLICT:
		return "TLB conflict";
	default:
		return "other fault";
	}
}

static bool is_abort(uint64_t esr)
{
	return ESR_EC(esr) == ESR_EC_DABT_SAME || ESR_EC(esr) == ESR_EC_IABT_SAME;
}

static void print_esr(uint64_t esr)
{
	kprintf("esr: %s", trap_ec_name(ESR_EC(esr)));
	if (is_abort(esr)) {
		kprintf(", %s", fault_name(esr));
		if (ESR_DFSC(esr) < 0x10 || ESR_DFSC(esr) >> 2 == 5) {
			kprintf(", level %u", ESR_DFSC(esr) & 3);
		}
		if (ESR_EC(esr) == ESR_EC_DABT_SAME) {
			kprintf(", %s", (esr & ESR_WNR) != 0 ? "write" : "read");
		}
		kprintf("%s", (esr & ESR_FNV) != 0 ? ", FAR not valid" : "");
	}
	kprintf("\n");
}

bool report_has_far(const struct trap_frame *frame, uint64_t reason)
{
	return trap_is_sync(reason) && is_abort(frame->esr) && (frame->esr & ESR_FNV) == 0;
}

/* The second exception overwrote ELR_EL1 before any frame held the first one's? */
static bool in_entry_path(uint64_t pc)
{
	uint64_t offset;
	const char *name = symbol_find(pc, &offset);

	return name != nullptr && (strcmp(name, "sp0_sync") == 0 || strcmp(name, "sp0_irq") == 0 ||
				   strcmp(name, "vectors") == 0 || strcmp(name, "enter_sp0") == 0);
}

/* From EL0 two instructions more would be paid by every system call. */
static bool in_el0_path(uint64_t pc)
{
	uint64_t offset;
	const char *name = symbol_find(pc, &offset);

	return name != nullptr && strncmp(name, "el0_", 4) == 0;
}

static void print_first_cause(const struct report_fatal *f)
{
	if (!trap_is_recursion(f->reason)) {
		kprintf("first cause: this exception\n");
		return;
	}
	if (in_el0_path(f->frame->elr)) {
		kprintf("first cause lost: an exception from EL0, whose entry keeps no ELR\n");
		return;
	}
	if (in_entry_path(f->frame->elr)) {
		kprintf("first cause: elr=%#llx", (unsigned long long)f->kept_elr);
		symbol_print(f->kept_elr);
		kprintf(" (kept in CNTP_CVAL_EL0; the entry path faulted before its frame was whole)\n");
		return;
	}
	kprintf("first cause: see the backtrace, below the exception if it shows one\n");
	kprintf("last exception from SP0: elr=%#llx", (unsigned long long)f->kept_elr);
	symbol_print(f->kept_elr);
	kprintf("\n");
}

static void print_stacks(unsigned cpu)
{
	const struct pcpu *p = (const struct pcpu *)lifeboat_slice[cpu];

	/* Only where the CPU's own slice is the pinned one does this look at memory that is. */
	if (p != nullptr && p == pcpu_slice[cpu] && !pcpu_stacks_intact(p)) {
		kprintf("stack overflow: a red zone of cpu%u is overwritten\n", cpu);
	}
}

void report_print_others(unsigned cpu)
{
	for (unsigned other = 0; other < pcpu_count(); other++) {
		if (other != cpu) {
			report_print_stopped(other);
		}
	}
	report_print_tail();
}

static void print_place(const char *what, uint64_t pc)
{
	kprintf("%s:", what);
	symbol_print(pc);
	kprintf("\n");
}

static void print_address(va_t far, const struct report_walk *first)
{
	struct report_walk now;

	kprintf("walk of %#llx when it happened:\n", (unsigned long long)far.v);
	report_print_walk(far, first);
	report_walk(far, &now);
	if (!report_walk_same(&now, first)) {
		kprintf("walk now that the others have stopped:\n");
		report_print_walk(far, &now);
	}
	report_print_owner(far);
	if (report_provoked) {
		(void)*(volatile const uint64_t *)UNMAPPED;
	}
	report_print_culprit(far, first);
}

void report_print(const struct report_fatal *f)
{
	const unsigned cpu = cpu_number_safe();

	if (trap_is_sync(f->reason)) {
		print_esr(f->frame->esr);
	}
	print_place("elr", f->frame->elr);
	print_place("x30", f->frame->x[30]);
	print_first_cause(f);
	print_stacks(cpu);
	if (report_has_far(f->frame, f->reason)) {
		print_address(va(f->frame->far), f->first);
	}
	report_print_backtrace(f->frame->elr, f->frame->x[29], cpu);
	report_print_others(cpu);
}

void report_panic(uint64_t fp, uint64_t stopped_not)
{
	const unsigned cpu = cpu_number_safe();
	uint64_t up = 0;
	uint64_t pc = 0;

	if (report_read(fp, &up) && report_read(fp + 8, &pc)) {
		report_print_backtrace(pc - 4, up, cpu); /* the call, not what follows it */
	}
	print_stacks(cpu);
	report_cpus(stopped_not);
	report_print_others(cpu);
}
