/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/dbg/dbg.c - a small debugger: another task's exceptions arrive here as messages.
 *
 * THEORY   dbg starts its target (this program once more) with its own endpoint for exceptions, so
 *          it holds the target's thread and can read and write registers while that waits for the
 *          answer. At a breakpoint it shows where and what; then it steps instruction by
 *          instruction, changes a register, and in the end lets the target run or kills it.
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET_LIMIT (4 * MIB)
#define TARGET_NUMBER 1u
#define PSTATE_SS (UINT64_C(1) << 21)
#define STEPS 5u
#define WAIT_NS UINT64_C(120000000000) /* a busy host starves the machine for many seconds */

/* The target: its status is what the debugger put into x0 behind the breakpoint. */
static int target(void)
{
	register uint64_t x0 __asm__("x0") = 1;

	__asm__ volatile("brk #7\n\tadd x0, x0, #1\n\tadd x0, x0, #1\n\tadd x0, x0, #1\n\t"
			 "add x0, x0, #1\n\tadd x0, x0, #1"
			 : "+r"(x0));
	const int status = (int)x0;
	__asm__ volatile("udf #0"); /* skipped by the debugger */
	return status;
}

static struct {
	struct child child;
	handle_t endpoint;
	unsigned steps, breakpoints, undefined;
	uint64_t last_pc;
	bool in_order; /* each step was one instruction further */
} dbg = { .in_order = true };

static void show(const char *what, const struct user_regs *regs)
{
	printf("dbg: %s at pc=%#lx x0=%#lx sp=%#lx\n", what, (unsigned long)regs->pc,
	       (unsigned long)regs->x[0], (unsigned long)regs->sp);
}

/* Look at the target's registers, change them, and say how it goes on. */
static enum exception_verdict handle(const struct ipc_message *m)
{
	struct user_regs regs;

	if (sys_thread_regs_read(dbg.child.thread, (uint64_t)(uintptr_t)&regs) != KERR_OK) {
		return EXC_KILL;
	}
	switch (m->word[EXC_WORD_KIND]) {
	case EXC_BREAKPOINT:
		show("breakpoint", &regs);
		dbg.breakpoints++;
		regs.pc += 4;
		regs.x[0] = 100;
		regs.pstate |= PSTATE_SS;
		break;
	case EXC_STEP:
		dbg.steps++;
		show("step", &regs);
		dbg.in_order = dbg.in_order && regs.pc == dbg.last_pc + 4 &&
			       regs.x[0] == 100 + dbg.steps;
		if (dbg.steps < STEPS) {
			regs.pstate |= PSTATE_SS;
		} else {
			regs.pstate &= ~PSTATE_SS;
		}
		break;
	case EXC_UNDEFINED:
		dbg.undefined++;
		show("undefined instruction", &regs);
		return EXC_SKIP;
	default:
		show("exception", &regs);
		return EXC_KILL;
	}
	dbg.last_pc = regs.pc;
	return sys_thread_regs_write(dbg.child.thread, (uint64_t)(uintptr_t)&regs) == KERR_OK
		       ? EXC_RESUME
		       : EXC_KILL;
}

/* Until the target's end: its status, or -1. */
static int serve(void)
{
	struct ipc_message m;

	while (sys_ipc_recv(dbg.endpoint, 0, HANDLE_NONE, time_now_ns() + WAIT_NS, &m) == KERR_OK) {
		if ((m.info & IPC_FLAG_EXCEPTION) == 0) {
			return (int)m.word[1];
		}
		const enum exception_verdict verdict = handle(&m);
		m.word[0] = verdict;
		(void)sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m);
		if (verdict == EXC_KILL) {
			break;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	const char *const words[] = { "dbg", "role=target" };
	struct elf_program program;
	const void *archive;
	size_t bytes;

	if (argc > 1 && strcmp(argv[1], "role=target") == 0) {
		return target();
	}
	if (sys_endpoint_create(&dbg.endpoint) != KERR_OK ||
	    ramdisk_map(&archive, &bytes) != KERR_OK ||
	    !ramdisk_program(archive, bytes, "dbg", &program)) {
		printf("dbg: result=fail: no program\n");
		return EXIT_FAILURE;
	}
	const struct spawn_options options = {
		.limit_bytes = TARGET_LIMIT,
		.number = TARGET_NUMBER,
		.parent = dbg.endpoint,
		.console = start.console,
		.argc = 2,
		.argv = words,
	};
	if (spawn(&program, &options, &dbg.child) != KERR_OK) {
		printf("dbg: result=fail: no target\n");
		return EXIT_FAILURE;
	}
	const int status = serve();
	child_end(&dbg.child);
	const bool pass = status == 100 + (int)STEPS && dbg.steps == STEPS && dbg.in_order &&
			  dbg.breakpoints == 1 && dbg.undefined == 1;
	printf("dbg: result=%s status=%d steps=%u breakpoints=%u undefined=%u\n",
	       pass ? "pass" : "fail", status, dbg.steps, dbg.breakpoints, dbg.undefined);
	return pass ? EXIT_SUCCESS : EXIT_FAILURE;
}
