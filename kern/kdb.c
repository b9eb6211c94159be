/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb.c - the debugger on the serial line: in, the prompt, out. See kern/kdb.h.
 *
 * THEORY   The prompt runs on the exception stack of the CPU that came in, on the lifeboat's root,
 *          with the other CPUs held (kern/hold.h): it depends on nothing that a change of the live
 *          tables can break. After a report it runs where the report ran, and nothing goes on.
 *          A fault of the debugger itself arrives as recursion; kdb_recover() takes it for what it
 *          is and goes back to the prompt.
 * INVARIANTS
 *   KD1  Input is polled, output takes no lock: who held the log's may be held.
 *   KD2  Between the prompt and the way out nothing unpinned is touched, `w` and `xv` apart.
 * LOCKING  The holder's CPU only.
 * NOT HERE What commands do: kdb_*.c. Breakpoint registers: arch/arm64/debug.c.
 */
#include "kern/kdb.h"

#include <arch/barrier.h>
#include <compiler.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/debug.h"
#include "arch/arm64/gic.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "arch/arm64/uart.h"
#include "kern/hold.h"
#include "kern/kdb_flow.h"
#include "kern/kdb_impl.h"
#include "kern/kdb_line.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/physread.h"
#include "kern/run.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/pin.h"

#define HOLD_SECONDS 1 /* that a CPU gets to come to be held */

struct kdb_session kdb;
static struct kdb_line line = { .put = uart_put };
static const struct trap_frame *failed; /* what a report was about */
static uint32_t console_intid;          /* 0: kdb=off, not yet, or lent */
static uint32_t lent_intid;             /* a program has the console's interrupt */
static uint64_t here[RECOVER_WORDS];
static bool armed; /* a fault of this CPU is the debugger's */

const struct trap_frame *kdb_frame_of(unsigned cpu)
{
	if (cpu == kdb.cpu) {
		return kdb.live ? kdb.frame : failed;
	}
	return kdb.live && hold_of(cpu)->fp != 0 ? hold_of(cpu)->frame : nullptr;
}

uint64_t kdb_pc_of(unsigned cpu)
{
	if (kdb.live) {
		return cpu == kdb.cpu ? kdb.pc : hold_of(cpu)->fp != 0 ? hold_of(cpu)->pc : 0;
	}
	return cpu == kdb.cpu && failed != nullptr ? failed->elr : 0;
}

static void read_line(void)
{
	kprintf("kdb> ");
	kdb_line_begin(&line);
	for (;;) {
		const int c = uart_get();

		if (c < 0) {
			stop_poll(); /* a panic of a CPU that is not held ends this */
			cpu_wfe();
		} else if (c != UART_BREAK && kdb_line_take(&line, (char)c)) {
			return;
		}
	}
}

static void prompt(void)
{
	kdb.leave = false;
	while (!kdb.leave) {
		(void)recover_point(here);
		armed = true;
		read_line();
		if (line.flaw == KDB_LINE_GOOD) {
			kdb_run_line(line.text);
		} else if (line.flaw == KDB_LINE_LONG) {
			kdb_error("a line of more than %u characters: ignored", KDB_LINE_BYTES - 1);
		} else {
			kdb_error("characters that nobody types: line ignored");
		}
		armed = false;
	}
}

static const char *exception_name(uint64_t esr)
{
	return trap_ec_name(ESR_EC(esr));
}

void kdb_recover(const struct trap_frame *frame)
{
	if (!armed || cpu_number_safe() != kdb.cpu) {
		failed = frame;
		return;
	}
	armed = false;
	kprintf("kdb: %s at %#llx", exception_name(frame->esr), (unsigned long long)frame->elr);
	symbol_print(frame->elr);
	kprintf(", address %#llx: the command is given up\n", (unsigned long long)frame->far);
	recover(here); /* on the lifeboat's root, as the prompt is */
}

/* From here on output takes no lock and the root is the lifeboat's; until it returns. */
static void session(const char *why)
{
	const uint64_t start = counter_now();
	/* Scratch registers of the way into a report, which a fault of ours takes. */
	const uint64_t tpidr_el0 = read_sysreg(tpidr_el0);

	log_bypass(true);
	const uint64_t root = lifeboat_enter();

	kprintf("\nkdb: cpu%u: %s", kdb.cpu, why);
	if (kdb.pc != 0) {
		kprintf(" at %#llx", (unsigned long long)kdb.pc);
		symbol_print(kdb.pc);
	}
	kprintf("\n");
	if (kdb.not_held != 0) {
		kprintf("kdb: CPUs that did not stop: %#llx\n", (unsigned long long)kdb.not_held);
	}
	prompt();
	lifeboat_leave(root);
	log_bypass(false);
	write_sysreg(tpidr_el0, tpidr_el0);
	this_cpu()->mask_since += counter_now() - start;
}

/* Is this stack in the lifeboat's map? Not with pcpu=scattered. */
static bool stack_is_pinned(void)
{
	const uint64_t sp = (uint64_t)(uintptr_t)__builtin_frame_address(0);

	return pin_overlaps_va(va(sp), 1) != nullptr;
}

/* Hold the others and prompt. False: another CPU debugs; this one was held meanwhile. */
static bool enter(struct trap_frame *frame, uint64_t pc, const char *why)
{
	const uint64_t hz = arch_counter_hz();
	const bool holding = stop_holder(load_relaxed(&stop_wanted)) ==
			     (uint64_t)cpu_number() + 1; /* a step just done */

	if (!holding && !hold_others(stop_running(), HOLD_SECONDS * hz, &kdb.not_held)) {
		hold_here(frame, pc);
		return false;
	}
	kdb.cpu = cpu_number();
	kdb.frame = frame;
	kdb.pc = pc;
	kdb.live = true;
	session(why);
	if (!kdb_flow_prepare(frame)) {
		hold_release(HOLD_SECONDS * hz);
	}
	return true;
}

static bool is_asked_for(void)
{
	return bootargs.kdb == KDB_ON || kdb_flow_is_main();
}

bool kdb_exception(struct trap_frame *frame)
{
	switch (ESR_EC(frame->esr)) {
	case ESR_EC_STEP_SAME:
		if (kdb_flow_stepped(frame)) {
			enter(frame, frame->elr, "step");
		}
		return true;
	case ESR_EC_BREAKPOINT_SAME:
		enter(frame, frame->elr, "breakpoint");
		return true;
	case ESR_EC_BRK:
		if (!is_asked_for() || !stack_is_pinned()) {
			return false;
		}
		if (enter(frame, frame->elr, kdb_flow_brk_name(frame->esr))) {
			frame->elr += 4;
		}
		return true;
	default:
		return false;
	}
}

/* Take what was typed; true if the break key was among it. */
static bool key_pressed(void)
{
	bool pressed = false;
	int c;

	while ((c = uart_get()) >= 0) {
		pressed = pressed || c == KDB_KEY || c == UART_BREAK;
	}
	return pressed;
}

bool kdb_interrupt(uint32_t intid, uint64_t pc, struct trap_frame *frame)
{
	if (intid != console_intid || intid == 0) {
		return false;
	}
	const bool pressed = key_pressed();

	uart_rx_irq_ack();
	if (pressed && !stack_is_pinned()) {
		kprintf("kdb: pcpu=scattered: the exception stack is not pinned\n");
	} else if (pressed) {
		enter(frame, pc, "break key");
	}
	return true;
}

void kdb_at_end(unsigned status)
{
	if ((console_intid | lent_intid) == 0 || status == 0 ||
	    (!is_asked_for() && !key_pressed())) {
		return;
	}
	if (!stop_is_mine()) {
		if (!arch_on_spx() && is_asked_for()) {
			__asm__ volatile("brk %0" ::"i"(KDB_BRK_END) : "memory");
		}
		return;
	}
	kdb.cpu = cpu_number_safe();
	kdb.frame = nullptr;
	kdb.pc = 0;
	kdb.live = false;
	session("the machine has failed, see the report: nothing goes on");
}

void kdb_lend_console(bool lend)
{
	if (lend && console_intid != 0) {
		lent_intid = console_intid;
		console_intid = 0;
		gic_disable(lent_intid);
		uart_rx_irq_disable();
	} else if (!lend && lent_intid != 0) {
		console_intid = lent_intid;
		lent_intid = 0;
		uart_rx_irq_enable();
		gic_enable(console_intid);
	}
}

void kdb_init(uint32_t uart_intid)
{
	if (bootargs.kdb == KDB_OFF || uart_intid == 0) {
		return;
	}
	hold_set_hook(debug_sync);
	console_intid = uart_intid;
	uart_rx_irq_enable();
	gic_enable(uart_intid);
}
