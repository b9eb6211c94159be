/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fatal.c - exceptions without a way back: recursion, SError, a bad stack or x18, a fault.
 *
 * THEORY   We run on the lifeboat: its root, its stack, the pinned slice. Nothing that the live
 *          tables say is trusted, and neither SP nor x18 as they were. Who is not here already
 *          (the exception came from SP0 and was examined in C) goes there first, trap_die().
 *          The first line can be found by a script. How deep a failure may go: kern/stop.h.
 * LOCKING  None: one CPU reports (stop_take_over()), the others have been stopped.
 */
#include "arch/arm64/cpu.h"
#include "arch/arm64/sysreg.h"
#include "kern/kdb.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/report.h"
#include "kern/stop.h"
#include "kern/trap.h"
#include "pcpu/pcpu.h"

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
		[TRAP_SP0_SYNC] = "fault",
		[TRAP_SP0_FIQ] = "fiq",
		[TRAP_SP0_SERROR] = "serror",
		[TRAP_SPX_SYNC] = "sync",
		[5] = "irq",
		[6] = "fiq",
		[TRAP_SPX_SERROR] = "serror",
		[10] = "el0-fiq",
		[11] = "el0-serror",
		[14] = "el0-32-fiq",
		[15] = "el0-32-serror",
		[TRAP_BAD_STACK] = "stack",
		[TRAP_BAD_X18] = "x18",
		[TRAP_BAD_SP0] = "sp0",
	};

	reason &= ~(uint64_t)TRAP_BY_INTERRUPT;
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

bool trap_is_recursion(uint64_t reason)
{
	return reason >= TRAP_SPX_SYNC && reason <= TRAP_SPX_SERROR;
}

/* The first line, for scripts: what, where, and the entry that the walk of FAR ends in. */
static void print_head(const struct trap_frame *frame, uint64_t reason, unsigned level,
		       const struct report_walk *first)
{
	const unsigned cpu = cpu_number_safe();

	if (trap_is_recursion(reason)) {
		kprintf("RECURSION cpu%u depth=%u cause=%s", cpu, level + 1, reason_name(reason));
	} else {
		kprintf("FATAL cpu%u reason=%s", cpu, reason_name(reason));
	}
	if (trap_is_sync(reason)) {
		kprintf("/%s", trap_ec_name(ESR_EC(frame->esr)));
	}
	if (report_has_far(frame, reason)) {
		kprintf(" va=%#llx", (unsigned long long)frame->far);
	}
	kprintf(" elr=%#llx", (unsigned long long)frame->elr);
	if (trap_is_sync(reason)) {
		kprintf(" esr=%#llx", (unsigned long long)frame->esr);
	}
	if (report_has_far(frame, reason)) {
		kprintf(" entry=L%u[%u]", first->level, level_index(va(frame->far), first->level));
	}
	kprintf("\n");
}

_Noreturn void trap_fatal(const struct trap_frame *frame, uint64_t reason, uint64_t x18)
{
	const unsigned cpu = cpu_number_safe();
	const uint64_t kept_elr = read_sysreg(cntp_cval_el0);
	struct report_walk first;

	kdb_recover(frame); /* does not return if it was the debugger's own */
	stop_take_over(cpu);
	const unsigned level = stop_deeper(cpu);

	/* x18 is the pinned slice now. */
	if (trap_is_recursion(reason)) {
		count(CTR_recursions);
	}
	report_walk(va(frame->far), &first);
	const uint64_t stopped_not = stop_others_safe(cpu);

	log_panic(cpu);
	print_head(frame, reason, level, &first);
	if (level == 1) {
		kprintf("x18=%#llx slice=%#llx tpidr=%#llx recursions=%llu\n",
			(unsigned long long)x18, (unsigned long long)lifeboat_slice[cpu],
			(unsigned long long)read_sysreg(tpidr_el1),
			(unsigned long long)pcpu_this()->counter[CTR_recursions]);
		trap_print(frame);
		report_cpus(stopped_not);
		report_print(&(struct report_fatal){ frame, reason, kept_elr, &first });
	}
	kprintf("REPORT END\n");
	arch_machine_end(1);
}

/* In the image: the stack that the frame lies on may be what broke. One CPU reports. */
static struct {
	struct trap_frame frame;
	uint64_t reason;
	uint64_t x18;
} dying;

static void die(uint64_t unused)
{
	(void)unused;
	trap_fatal(&dying.frame, dying.reason, dying.x18);
}

_Noreturn void trap_die(const struct trap_frame *frame, uint64_t reason, uint64_t x18)
{
	stop_take_over(cpu_number_safe());
	dying.frame = *frame;
	dying.reason = reason;
	dying.x18 = x18;
	arch_lifeboat(die, 0);
}
