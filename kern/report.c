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
		if (ESR_DFSC(esr) < 0x10) {
			kprintf(", level %u", ESR_DFSC(esr) & 3);
		}
		if (ESR_EC(esr) == ESR_EC_DABT_SAME) {
			kprintf(", %s", (esr & ESR_WNR) != 0 ? "write" : "read");
		}
		kprintf("%s", (esr & ESR_FNV) != 0 ? ", FAR not valid" : "");
	}
	kprintf("\n");
}

/*
 * Recursion in the entry path itself: the first exception's ELR was in a register that the second
 * has overwritten, and no frame holds it yet.
 */
static bool in_entry_path(uint64_t pc)
{
	uint64_t offset;
	const char *name = symbol_find(pc, &offset);

	return name != nullptr && (strcmp(name, "sp0_sync") == 0 || strcmp(name, "sp0_irq") == 0 ||
				   strcmp(name, "vectors") == 0 || strcmp(name, "enter_sp0") == 0);
}

static void print_first_cause(const struct trap_frame *frame, uint64_t reason)
{
	if (reason < TRAP_SPX_SYNC || reason > TRAP_SPX_SERROR) {
		kprintf("first cause: this exception\n");
	} else if (in_entry_path(frame->elr)) {
		kprintf("first cause lost: the entry path faulted before it stored ELR\n");
	} else {
		kprintf("first cause: see the backtrace, below the exception if it shows one\n");
	}
}

static void print_stacks(unsigned cpu)
{
	const struct pcpu *p = (const struct pcpu *)lifeboat_slice[cpu];

	/* Only where the CPU's own slice is the pinned one does this look at memory that is. */
	if (p != nullptr && p == pcpu_slice[cpu] && !pcpu_stacks_intact(p)) {
		kprintf("stack overflow: a red zone of cpu%u is overwritten\n", cpu);
	}
}

void report_print(const struct trap_frame *frame, uint64_t reason, const struct report_walk *first)
{
	const unsigned cpu = cpu_number_safe();
	struct report_walk now;

	print_esr(frame->esr);
	kprintf("elr:");
	symbol_print(frame->elr);
	kprintf("\nx30:");
	symbol_print(frame->x[30]);
	kprintf("\n");
	print_first_cause(frame, reason);
	print_stacks(cpu);
	if (is_abort(frame->esr) && (frame->esr & ESR_FNV) == 0) {
		kprintf("walk of %#llx when it happened:\n", (unsigned long long)frame->far);
		report_print_walk(va(frame->far), first);
		report_walk(va(frame->far), &now);
		if (now.level != first->level || now.cut != first->cut ||
		    memcmp(now.entry, first->entry, sizeof(now.entry)) != 0) {
			kprintf("walk now that the others have stopped:\n");
			report_print_walk(va(frame->far), &now);
		}
		report_print_owner(va(frame->far));
		if (report_provoked) {
			(void)*(volatile const uint64_t *)UNMAPPED;
		}
		report_print_culprit(va(frame->far), first);
	}
	report_print_backtrace(frame->elr, frame->x[29], cpu);
	for (unsigned other = 0; other < pcpu_count(); other++) {
		if (other != cpu) {
			report_print_stopped(other);
		}
	}
	report_print_tail();
}
