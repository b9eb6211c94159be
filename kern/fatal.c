/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fatal.c - exceptions without a way back: recursion, SError, a bad stack or x18.
 *
 * THEORY   We run on the lifeboat stack, in pinned memory, and trust neither SP nor x18. The first
 *          line can be found by a script. A second failure in here gets a shorter report, a third
 *          none: the stack is cut in halves, so that no depth of failure overwrites the first.
 */
#include <arch/barrier.h>

#include "arch/arm64/boot.h"
#include "arch/arm64/cpu.h"
#include "kern/machine.h"
#include "arch/arm64/sysreg.h"
#include "kern/trap.h"
#include "ipi/park.h"
#include "kern/log.h"
#include "kern/report.h"
#include "kern/stop.h"
#include "pcpu/recorder.h"
#include "vm/pmap.h"

#define HALF_LIFEBOAT ((SLICE_LIFEBOAT_TOP - SLICE_LIFEBOAT) / 2)

uint64_t lifeboat_sp[MAX_CPUS];
uint64_t lifeboat_slice[MAX_CPUS];
static unsigned depth[MAX_CPUS];

const char *trap_ec_name(unsigned ec)
{
	switch (ec) {
	case 0x00:
		return "undefined instruction";
	case 0x07:
		return "FP/SIMD access";
	case 0x0e:
		return "illegal execution state";
	case 0x15:
		return "SVC";
	case 0x18:
		return "system register access";
	case ESR_EC_IABT_SAME:
		return "instruction abort";
	case 0x22:
		return "PC alignment";
	case ESR_EC_DABT_SAME:
		return "data abort";
	case 0x26:
		return "SP alignment";
	case 0x2f:
		return "SError";
	case 0x3c:
		return "breakpoint instruction";
	default:
		return "exception";
	}
}

static const char *reason_name(uint64_t reason)
{
	static const char *const name[] = {
		[TRAP_SP0_FIQ] = "fiq",
		[TRAP_SP0_SERROR] = "serror",
		[TRAP_SPX_SYNC] = "sync",
		[5] = "irq",
		[6] = "fiq",
		[TRAP_SPX_SERROR] = "serror",
		[TRAP_BAD_STACK] = "stack",
		[TRAP_BAD_X18] = "x18",
		[TRAP_BAD_SP0] = "sp0",
	};

	return reason < array_len(name) && name[reason] != nullptr ? name[reason] : "vector";
}

void trap_print(const struct trap_frame *frame)
{
	for (unsigned i = 0; i < 30; i += 3) {
		kprintf("  x%-2u %016llx  x%-2u %016llx  x%-2u %016llx\n", i,
			(unsigned long long)frame->x[i], i + 1, (unsigned long long)frame->x[i + 1],
			i + 2, (unsigned long long)frame->x[i + 2]);
	}
	kprintf("  x30 %016llx  sp  %016llx  elr %016llx\n", (unsigned long long)frame->x[30],
		(unsigned long long)frame->sp, (unsigned long long)frame->elr);
	kprintf("  spsr %llx  esr %llx (%s)  far %016llx\n", (unsigned long long)frame->spsr,
		(unsigned long long)frame->esr, trap_ec_name(ESR_EC(frame->esr)),
		(unsigned long long)frame->far);
}

static uint64_t mailbox_word(unsigned cpu, size_t offset)
{
	uint64_t word;

	return report_read((uint64_t)(uintptr_t)pcpu_slice[cpu] + SLICE_MAILBOX + offset, &word)
		       ? word
		       : UINT64_MAX;
}

/* The other CPUs: who stopped, and where each stood; -1: its mailbox cannot be read. */
static void report_cpus(uint64_t stopped_not)
{
	static const char *const door[] = { "off", "idle", "el0", "kernel" };

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (pcpu_slice[cpu] == nullptr) {
			continue;
		}
		const uint64_t state = mailbox_word(cpu, offsetof(struct mailbox, door));

		kprintf("  cpu%u %s request=%lld ack=%lld release=%lld door=%s\n", cpu,
			(stopped_not >> cpu & 1) != 0 ? "DID NOT STOP" : "stopped",
			(long long)mailbox_word(cpu, offsetof(struct mailbox, request)),
			(long long)mailbox_word(cpu, offsetof(struct mailbox, ack)),
			(long long)mailbox_word(cpu, offsetof(struct mailbox, release)),
			state < array_len(door) ? door[state] : "unreadable");
	}
}

/* The first line, for scripts: what, where, and the entry that the walk of FAR ends in. */
static void print_head(const struct trap_frame *frame, uint64_t reason, unsigned level,
		       const struct report_walk *first)
{
	const unsigned cpu = cpu_number_safe();

	if (reason >= TRAP_SPX_SYNC && reason <= TRAP_SPX_SERROR) {
		kprintf("RECURSION cpu%u depth=%u cause=%s/%s", cpu, level + 1, reason_name(reason),
			trap_ec_name(ESR_EC(frame->esr)));
	} else {
		kprintf("FATAL cpu%u reason=%s/%s", cpu, reason_name(reason),
			trap_ec_name(ESR_EC(frame->esr)));
	}
	kprintf(" va=%#llx elr=%#llx esr=%#llx entry=L%u[%u]\n", (unsigned long long)frame->far,
		(unsigned long long)frame->elr, (unsigned long long)frame->esr, first->level,
		level_index(va(frame->far), first->level));
}

_Noreturn void trap_fatal(struct trap_frame *frame, uint64_t reason, uint64_t x18)
{
	const unsigned cpu = cpu_number_safe();
	const unsigned level = ++depth[cpu];
	struct report_walk first;

	if (level == 1) {
		lifeboat_sp[cpu] -= HALF_LIFEBOAT;
	}
	if (level > 2 || !stop_take_over_safe(cpu)) {
		stop_forever(cpu);
	}
	/* x18 is the pinned slice now. */
	if (reason >= TRAP_SPX_SYNC && reason <= TRAP_SPX_SERROR) {
		count(CTR_recursions);
	}
	log_panic(cpu);
	report_walk(va(frame->far), &first);
	print_head(frame, reason, level, &first);
	if (level == 1) {
		kprintf("x18=%#llx slice=%#llx tpidr=%#llx recursions=%llu\n",
			(unsigned long long)x18, (unsigned long long)lifeboat_slice[cpu],
			(unsigned long long)read_sysreg(tpidr_el1),
			(unsigned long long)pcpu_this()->counter[CTR_recursions]);
		trap_print(frame);
		report_cpus(stop_others_safe(cpu));
		report_print(frame, reason, &first);
	}
	kprintf("REPORT END\n");
	arch_machine_end(1);
}
