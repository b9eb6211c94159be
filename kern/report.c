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

#define UNMAPPED UINT64_C(0x0000100000000000)

bool report_provoked;

bool report_has_far(const struct trap_frame *frame, uint64_t reason)
{
	return trap_is_sync(reason) && report_is_abort(frame->esr) && (frame->esr & ESR_FNV) == 0;
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

	report_print_cause(f);
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
