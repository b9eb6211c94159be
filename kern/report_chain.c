/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report_chain.c - exceptions, the last first, and the stacks between them.
 *
 * THEORY   The exception that is reported is in a frame on the lifeboat. What it interrupted on
 *          SPx began with an exception too. That one's frame is the topmost thing on the stack if
 *          it came from SP0 (vectors.S), and its registers are in the thread if it came from EL0
 *          (el0.S): the return address at the bottom of the frames tells which. If the entry path
 *          itself faulted there is neither, and only the ELR in CNTP_CVAL_EL0 is left of it
 *          (docs/decisions/013).
 *          The stacks may lie in the mapping that broke: every word comes by report_read().
 */
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/sysreg.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/report.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "kern/thread.h"
#include "pcpu/pcpu.h"

#define BACKTRACE_MAX 24
#define SPSR_MODE(spsr) ((unsigned)(spsr) & 0xf)

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

bool report_is_abort(uint64_t esr)
{
	return ESR_EC(esr) == ESR_EC_DABT_SAME || ESR_EC(esr) == ESR_EC_IABT_SAME;
}

static void print_syndrome(uint64_t esr)
{
	kprintf("%s", trap_ec_name(ESR_EC(esr)));
	if (report_is_abort(esr)) {
		kprintf(", %s", fault_name(esr));
		if (ESR_DFSC(esr) < 0x10 || ESR_DFSC(esr) >> 2 == 5) {
			kprintf(", level %u", ESR_DFSC(esr) & 3);
		}
		if (ESR_EC(esr) == ESR_EC_DABT_SAME) {
			kprintf(", %s", (esr & ESR_WNR) != 0 ? "write" : "read");
		}
		kprintf("%s", (esr & ESR_FNV) != 0 ? ", FAR not valid" : "");
	}
}

/* Where an exception came from, and what was masked there. */
static void print_spsr(uint64_t spsr)
{
	static const char *const from[] = { [0] = "EL0", [4] = "SP0", [5] = "SPx" };
	static const char mask[] = "DAIF"; /* bits 9 to 6 */
	const unsigned mode = SPSR_MODE(spsr);

	kprintf("spsr=%#llx from %s, masked ", (unsigned long long)spsr,
		(spsr >> 4 & 1) != 0                              ? "AArch32"
		: mode < array_len(from) && from[mode] != nullptr ? from[mode]
								  : "no such mode");
	for (unsigned i = 0; i < 4; i++) {
		kprintf("%c", (spsr >> (9 - i) & 1) != 0 ? mask[i] : '-');
	}
}

static void print_vector(uint64_t reason)
{
	static const char *const group[] = { "sp0", "spx", "el0", "el0-32" };
	static const char *const kind[] = { "sync", "irq", "fiq", "serror" };

	if (reason < 16) {
		kprintf("vector: %s %s\n", group[reason / 4], kind[reason % 4]);
	} else {
		kprintf("vector: sp0, found by the checks of its entry\n");
	}
}

static void print_place(const char *what, uint64_t pc)
{
	kprintf("%s:", what);
	symbol_print(pc);
	kprintf("\n");
}

static bool is_in(uint64_t pc, const char *const *name, size_t count)
{
	uint64_t offset;
	const char *found = symbol_find(pc, &offset);

	for (size_t i = 0; found != nullptr && i < count; i++) {
		if (strcmp(found, name[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* Entry paths whose vector has kept ELR: an exception in them overwrote ELR_EL1. */
static const char *const keeping[] = { "sp0_sync",      "sp0_irq",    "vectors",
				       "enter_sp0",     "el0_fault",  "el0_irq",
				       "el0_32_sync",   "el0_32_irq", "el0_fault_entry",
				       "el0_irq_entry", "el0_aarch32" };
/* What a system call runs through before its registers are in the thread. */
static const char *const of_calls[] = { "el0_sync",      "el0_svc",
					"el0_quick",     "el0_yield",
					"el0_signal",    "el0_sync_slow",
					"ipc_call_fast", "ipc_reply_recv_fast" };

/* The thread that this CPU runs, or was entered from; its words may be out of reach. */
static bool read_thread(unsigned cpu, uint64_t *number, uint64_t *pc)
{
	uint64_t thread;

	return pcpu_slice[cpu] != nullptr &&
	       report_read((uint64_t)(uintptr_t)&pcpu_slice[cpu]->current, &thread) &&
	       thread != 0 && report_read(thread + offsetof(struct thread, number), number) &&
	       report_read(thread + offsetof(struct thread, regs.pc), pc);
}

static void print_kept(const struct report_fatal *f)
{
	kprintf("elr=%#llx", (unsigned long long)f->kept_elr);
	symbol_print(f->kept_elr);
	kprintf("%s", f->kept_elr >> 48 == 0 ? " in EL0" : "");
}

static void print_first_cause(const struct report_fatal *f)
{
	if (!trap_is_recursion(f->reason)) {
		kprintf("first cause: this exception\n");
	} else if (is_in(f->frame->elr, of_calls, array_len(of_calls))) {
		kprintf("first cause lost: a system call of EL0, x8=%llu x30=%#llx, which keeps no ELR\n",
			(unsigned long long)f->frame->x[8], (unsigned long long)f->frame->x[30]);
	} else if (is_in(f->frame->elr, keeping, array_len(keeping))) {
		kprintf("first cause: ");
		print_kept(f);
		kprintf(" (kept in CNTP_CVAL_EL0; the entry path faulted before its frame was whole)\n");
	} else {
		kprintf("first cause: see the backtrace, below the exception if it shows one\n"
			"last exception from SP0 or EL0: ");
		print_kept(f);
		kprintf("\n");
	}
}

void report_print_cause(const struct report_fatal *f)
{
	print_vector(f->reason);
	if (trap_is_sync(f->reason)) {
		kprintf("esr: ");
		print_syndrome(f->frame->esr);
		kprintf("\n");
	}
	print_place("elr", f->frame->elr);
	print_place("x30", f->frame->x[30]);
	print_spsr(f->frame->spsr);
	kprintf("\n");
	print_first_cause(f);
}

static void print_pc(unsigned depth, uint64_t pc, uint64_t back)
{
	kprintf("  #%u %#llx", depth, (unsigned long long)pc);
	symbol_print(pc - back);
	kprintf("\n");
}

/* Was this frame on the exception stack, so that the chain ends below an exception's frame? */
static bool on_spx(unsigned cpu, uint64_t fp)
{
	const uint64_t slice = (uint64_t)(uintptr_t)pcpu_slice[cpu];

	return fp - (slice + SLICE_SPX) < SLICE_SPX_TOP - SLICE_SPX;
}

/* Word by word, as all that may be out of reach. */
static bool read_frame(unsigned cpu, struct trap_frame *frame)
{
	const uint64_t from = (uint64_t)(uintptr_t)pcpu_slice[cpu] + SLICE_SPX_TOP - sizeof(*frame);
	uint64_t *word = (uint64_t *)frame;

	for (size_t i = 0; i < sizeof(*frame) / sizeof(*word); i++) {
		if (!report_read(from + i * sizeof(*word), &word[i])) {
			kprintf("  the exception's frame cannot be read\n");
			return false;
		}
	}
	return true;
}

static void print_from_el0(unsigned cpu)
{
	uint64_t number;
	uint64_t pc;

	if (read_thread(cpu, &number, &pc)) {
		kprintf("  -- exception from EL0: thread %llu, saved pc %#llx --\n",
			(unsigned long long)number, (unsigned long long)pc);
	} else {
		kprintf("  -- exception from EL0, of no thread that is current --\n");
	}
}

/*
 * The exception at the bottom of the frames, if there is one, and where it came from. `handler`: in
 * what the entry called; `entry`: where that returns to. False: nothing of the kernel lies below.
 */
static bool print_exception(unsigned cpu, uint64_t handler, uint64_t entry,
			    struct trap_frame *frame)
{
	uint64_t offset;
	const char *const by = symbol_find(handler, &offset);
	const char *const at = symbol_find(entry, &offset);

	if (at == nullptr || strcmp(at, "enter_sp0") != 0) {
		if (at != nullptr && strncmp(at, "el0_", 4) == 0) {
			print_from_el0(cpu);
		}
		return false;
	}
	if (!read_frame(cpu, frame)) {
		return false;
	}
	kprintf("  -- exception: ");
	if (by != nullptr && strcmp(by, "trap_irq") == 0) {
		kprintf("interrupt");
	} else {
		print_syndrome(frame->esr);
		kprintf(", far=%#llx", (unsigned long long)frame->far);
	}
	kprintf(", ");
	print_spsr(frame->spsr);
	kprintf(" --\n");
	return true;
}

/* Follow frame pointers from fp, in a function that was called near pc. */
static void follow(uint64_t fp, uint64_t pc, unsigned cpu, unsigned depth)
{
	struct trap_frame frame;

	while (depth < BACKTRACE_MAX && fp != 0) {
		const uint64_t inner = pc;
		uint64_t up;

		/* Where more registers are kept, x29 and x30 need not lie at a multiple of 16. */
		if (fp % 8 != 0 || !report_read(fp, &up) || !report_read(fp + 8, &pc)) {
			kprintf("  the stack at %#llx cannot be read\n", (unsigned long long)fp);
			return;
		}
		if (pc != 0) {
			print_pc(depth++, pc, 4);
		}
		if (up == 0) {
			if (!print_exception(cpu, inner, pc - 4, &frame)) {
				return; /* from EL0, or where the CPU began */
			}
			pc = frame.elr;
			up = frame.x[29];
			print_pc(depth++, pc, 0);
		} else if (up <= fp && on_spx(cpu, up) == on_spx(cpu, fp)) {
			return; /* the end, or a chain that does not rise */
		}
		fp = up;
	}
}

void report_print_backtrace(uint64_t pc, uint64_t fp, unsigned cpu)
{
	kprintf("backtrace cpu%u:\n", cpu);
	print_pc(0, pc, 0);
	if (pcpu_slice[cpu] != nullptr) {
		follow(fp, pc, cpu, 1);
	}
}

void report_print_stack(uint64_t fp, unsigned cpu)
{
	follow(fp, 0, cpu, 0);
}

void report_print_stopped(unsigned cpu)
{
	if (stop_frame[cpu] != 0 && pcpu_slice[cpu] != nullptr) {
		kprintf("backtrace cpu%u, stopped:\n", cpu);
		follow(stop_frame[cpu], 0, cpu, 0);
	}
}
