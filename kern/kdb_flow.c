/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_flow.c - commands that let the machine go on, and run=kdb. See kern/kdb_flow.h.
 *
 * THEORY   A breakpoint stops before its instruction, so going on from one takes a step first, with
 *          this CPU's breakpoints off. `step` keeps the other CPUs held; `cont` lets them go first,
 *          because the one instruction may wait for them.
 *          Breakpoints and steps reach code on SP0: vectors, interrupts, park and window run with
 *          debug exceptions masked.
 */
#include "kern/kdb_flow.h"

#include <arch/barrier.h>
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/debug.h"
#include "kern/kdb.h"
#include "kern/kdb_impl.h"
#include "kern/kdb_line.h"
#include "kern/log.h"
#include "kern/machine.h"
#include "kern/run.h"
#include "kern/symbols.h"
#include "pcpu/pcpu.h"
#include "test/kernel/programs.h"

#define STEPS_MOST 100000
#define BRK_NUMBER(esr) ((unsigned)(esr) & 0xffff)

extern char _image_start[], _text_end[];

static uint64_t steps_left; /* of `step`, on kdb.cpu */
static bool is_main;
static bool requested;                /* `stress` */
static char request[KDB_LINE_BYTES]; /* its arguments */

const char *kdb_flow_brk_name(uint64_t esr)
{
	switch (BRK_NUMBER(esr)) {
	case KDB_BRK_MAIN:
		return "run=kdb";
	case KDB_BRK_END:
		return "the run failed; cont ends the machine";
	default:
		return "breakpoint instruction";
	}
}

bool kdb_flow_is_main(void)
{
	return is_main || strcmp(bootargs.run, "kdb") == 0;
}

static bool has_breakpoint(uint64_t at)
{
	for (unsigned i = 0; i < debug_breakpoint_count(); i++) {
		if (debug_breakpoint(i).v == at) {
			return true;
		}
	}
	return false;
}

static void step_from(struct trap_frame *frame)
{
	frame->spsr = (frame->spsr | SPSR_SS) & ~SPSR_D;
	debug_step_next();
}

bool kdb_flow_prepare(struct trap_frame *frame)
{
	if (frame != nullptr && (steps_left > 0 || has_breakpoint(frame->elr))) {
		step_from(frame);
	} else {
		debug_sync();
	}
	return steps_left > 0;
}

bool kdb_flow_stepped(struct trap_frame *frame)
{
	/* Another CPU may just be stepping off a breakpoint. */
	const bool asked = steps_left > 0 && cpu_number() == kdb.cpu;

	frame->spsr &= ~SPSR_SS;
	if (asked && --steps_left > 0) {
		step_from(frame);
		return false;
	}
	debug_sync();
	return asked;
}

/* May the machine go on at all? */
static bool can_go_on(void)
{
	if (!kdb.live) {
		kdb_error("the machine has failed: nothing goes on, reboot ends it");
		return false;
	}
	return true;
}

static void cmd_cont(const struct kdb_words *w)
{
	(void)w;
	kdb.leave = can_go_on();
}

static void cmd_step(const struct kdb_words *w)
{
	uint64_t count = 1;

	if (!can_go_on() || (w->count > 1 && !kdb_number(w->word[1], &count))) {
		return;
	}
	if (count == 0 || count > STEPS_MOST) {
		kdb_error("%llu steps: 1 to %u", (unsigned long long)count, STEPS_MOST);
		return;
	}
	if (kdb.frame == nullptr) {
		kdb_error("cpu%u was in EL0 or idle: there is no kernel code to step", kdb.cpu);
		return;
	}
	steps_left = count;
	kdb.leave = true;
}

static void list_breakpoints(void)
{
	unsigned set = 0;

	for (unsigned i = 0; i < debug_breakpoint_count(); i++) {
		const uint64_t at = debug_breakpoint(i).v;

		if (at != 0) {
			kprintf("  %u %#llx", i, (unsigned long long)at);
			symbol_print(at);
			kprintf("\n");
			set++;
		}
	}
	kprintf("  %u of %u breakpoints set\n", set, debug_breakpoint_count());
}

static void set_breakpoint(uint64_t at)
{
	if (at - (uint64_t)(uintptr_t)_image_start >= (uint64_t)(_text_end - _image_start) ||
	    at % 4 != 0) {
		kdb_error("%#llx is no instruction of the kernel", (unsigned long long)at);
		return;
	}
	if (has_breakpoint(at)) {
		kdb_error("there is one at %#llx", (unsigned long long)at);
		return;
	}
	for (unsigned i = 0; i < debug_breakpoint_count(); i++) {
		if (debug_breakpoint(i).v == 0) {
			debug_breakpoint_set(i, va(at));
			return;
		}
	}
	kdb_error("all %u breakpoints of this CPU are set", debug_breakpoint_count());
}

static void cmd_break(const struct kdb_words *w)
{
	uint64_t n;

	if (w->count == 1) {
		list_breakpoints();
	} else if (w->word[1][0] == '-') {
		if (!kdb_number(&w->word[1][1], &n)) {
			return;
		}
		if (n >= debug_breakpoint_count() || debug_breakpoint((unsigned)n).v == 0) {
			kdb_error("there is no breakpoint %llu", (unsigned long long)n);
			return;
		}
		debug_breakpoint_set((unsigned)n, va(0));
	} else if (kdb_address(w->word[1], &n)) {
		set_breakpoint(n);
	}
}

static void cmd_reboot(const struct kdb_words *w)
{
	(void)w;
	machine_reboot(kdb.live ? 0 : 1);
}

static void cmd_stress(const struct kdb_words *w)
{
	char *to = request;

	if (!can_go_on()) {
		return;
	}
	if (!is_main) {
		kdb_error("only where nothing else runs: boot with run=kdb");
		return;
	}
	for (unsigned i = 1; i < w->count; i++) {
		const size_t length = strlen(w->word[i]);

		memcpy(to, w->word[i], length);
		to[length] = ' ';
		to += length + 1;
	}
	*to = '\0';
	requested = true;
	kdb.leave = true;
}

static void report_bad_word(const char *text)
{
	kprintf("kdb: %s\n", text);
}

unsigned kdb_main(void)
{
	is_main = true;
	for (;;) {
		__asm__ volatile("brk %0" ::"i"(KDB_BRK_MAIN) : "memory");
		/* After `cont`: until the break key brings a request. */
		while (!*(volatile bool *)&requested) {
			cpu_wfe();
		}
		requested = false;
		bootargs.cycles = 0;
		bootargs.seconds = 0;
		bootargs.only[0] = '\0';
		(void)bootargs_parse(request, &bootargs, report_bad_word);
		kprintf("kdb: stress ended with status %u\n", stress_main());
	}
}

const struct kdb_command kdb_flow_commands[] = {
	{ "break", "[ADDR | -NUMBER]", "list, set, or remove a breakpoint in code on SP0", 0, 1,
	  cmd_break },
	{ "cont", "", "go on", 0, 0, cmd_cont },
	{ "step", "[COUNT]", "execute instructions, the other CPUs held", 0, 1, cmd_step },
	{ "stress", "[KEY=VALUE...]", "run the stress (run=kdb): only= seed= cycles= seconds=", 0,
	  KDB_WORDS - 1, cmd_stress },
	{ "reboot", "", "end everything: reset, or power off", 0, 0, cmd_reboot },
	{ nullptr, nullptr, nullptr, 0, 0, nullptr },
};
