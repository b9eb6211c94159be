/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init/init.c - the first program: starts the others, and ends the machine.
 *
 * THEORY   The kernel gives init the machine and nothing else. init opens the RAM disk, starts the
 *          console server, then the program that the boot arguments name: run=NAME, or init=NAME
 *          with run=init (default: stress). The program gets the boot arguments as its own. When it
 *          ends, or dies of an exception, the console is flushed and the machine switched off with
 *          its status.
 */
#include "user/init/init.h"

#include <perch/calls.h>
#include <perch/console.h>
#include <perch/spawn.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_CONSOLE 1u
#define NUMBER_PROGRAM 2u
#define LIMIT_CONSOLE (4 * MIB)
#define LIMIT_KEPT (16 * MIB) /* of our own, for the console and ourselves */
#define STATUS_NO_PROGRAM 110
#define STATUS_EXCEPTION 111
#define STATUS_VANISHED 112
#define WATCH_NS UINT64_C(1000000000)

static struct {
	struct boot_words words;
	struct ramdisk disk;
	handle_t endpoint; /* children report here */
	handle_t console_endpoint;
	handle_t console;  /* the program's; 0: the kernel's log */
	struct child program, console_server;
} init;

/* The console server is no more: who waits for it is woken, the kernel prints again. */
static void lose_console(void)
{
	child_end(&init.console_server);
	(void)sys_handle_revoke(init.console_endpoint);
	(void)sys_machine_console(start.machine, 0);
	start.console = HANDLE_NONE;
}

static void print_exception(const struct ipc_message *m)
{
	static const char *const kinds[] = { "exception",    "page fault", "undefined instruction",
					     "alignment",    "breakpoint", "step",
					     "unknown call", "hardware",   "no memory" };
	const uint64_t kind = m->word[EXC_WORD_KIND];

	printf("init: %s: thread %lu pc=%#lx address=%#lx esr=%#lx sp=%#lx lr=%#lx: killed\n",
	       kind < sizeof kinds / sizeof kinds[0] ? kinds[kind] : kinds[0],
	       (unsigned long)m->word[EXC_WORD_THREAD], (unsigned long)m->word[EXC_WORD_PC],
	       (unsigned long)m->word[EXC_WORD_ADDRESS], (unsigned long)m->word[EXC_WORD_ESR],
	       (unsigned long)m->word[EXC_WORD_SP], (unsigned long)m->word[EXC_WORD_LR]);
}

/* Wait for the program's end; its status. */
static int watch(void)
{
	for (;;) {
		struct ipc_message m;
		uint64_t state, priority, cpu, number;

		const enum kerr e =
			sys_ipc_recv(init.endpoint, 0, HANDLE_NONE, time_now_ns() + WATCH_NS, &m);
		if (e == KERR_OK) {
			message_drop_handles(&m);
		}
		if (e == KERR_OK && (m.info & IPC_FLAG_EXCEPTION) != 0) {
			const uint64_t who = m.badge; /* the reply overwrites the message */

			print_exception(&m);
			m.word[0] = EXC_KILL;
			(void)sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m);
			if (who == NUMBER_PROGRAM) {
				return STATUS_EXCEPTION;
			}
			lose_console();
		} else if (e == KERR_OK && m.badge == NUMBER_PROGRAM && m.word[0] == PARENT_EXIT) {
			return (int)m.word[1];
		} else if (e == KERR_OK && m.badge == NUMBER_CONSOLE && m.word[0] == PARENT_EXIT) {
			lose_console();
			printf("init: the console server ended with status %d\n", (int)m.word[1]);
		} else if (e == KERR_TIMEOUT &&
			   (sys_thread_info(init.program.thread, &state, &priority, &cpu,
					    &number) != KERR_OK ||
			    state == THREAD_IS_DEAD)) {
			printf("init: the program's first thread ended without a status\n");
			return STATUS_VANISHED;
		}
	}
}

/* The console server drives the UART from its first message on. */
static void start_console(void)
{
	struct elf_program program;
	const char *const words[] = { "console" };

	if (!ramdisk_program(init.disk.archive, init.disk.bytes, "console", &program) ||
	    sys_endpoint_create(&init.console_endpoint) != KERR_OK) {
		return;
	}
	const struct spawn_options options = {
		.limit_bytes = LIMIT_CONSOLE,
		.number = NUMBER_CONSOLE,
		.parent = init.endpoint,
		.machine = start.machine,
		.extra = init.console_endpoint,
		.priority = PRIORITY_DEFAULT + 8,
		.argc = 1,
		.argv = words,
	};
	const enum kerr e = spawn(&program, &options, &init.console_server);
	if (e != KERR_OK) {
		printf("init: console: cannot be started, error %d\n", (int)e);
		return;
	}
	if (sys_endpoint_badge(init.console_endpoint, NUMBER_CONSOLE, &start.console) == KERR_OK) {
		(void)sys_endpoint_badge(init.console_endpoint, NUMBER_PROGRAM, &init.console);
	}
}

static void stop_console(void)
{
	struct ipc_message m = { .word = { CONSOLE_WORD(CONSOLE_FLUSH, 0) } };

	fflush(stdout);
	if (start.console != HANDLE_NONE) {
		(void)sys_ipc_call(start.console, IPC_INFO(1, 0), HANDLE_NONE,
				   time_now_ns() + WATCH_NS, &m);
		(void)sys_machine_console(start.machine, 0);
	}
}

static int run(const char *name)
{
	struct elf_program program;
	uint64_t limit, used, threads, handles;

	if (!ramdisk_program(init.disk.archive, init.disk.bytes, name, &program)) {
		return STATUS_NO_PROGRAM;
	}
	enum kerr e = sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles);
	if (e == KERR_OK) {
		init.words.word[0] = name;
		const struct spawn_options options = {
			.limit_bytes = align_down(limit - used - LIMIT_KEPT, PAGE_BYTES),
			.number = NUMBER_PROGRAM,
			.parent = init.endpoint,
			.console = init.console,
			.ramdisk = init.disk.memory,
			.ramdisk_bytes = init.disk.bytes,
			.machine = start.machine,
			.argc = init.words.count,
			.argv = init.words.word,
		};
		e = spawn(&program, &options, &init.program);
	}
	if (e != KERR_OK) {
		printf("init: %s: cannot be started, error %d\n", name, (int)e);
		return STATUS_NO_PROGRAM;
	}
	const int status = watch();
	child_end(&init.program);
	return status;
}

static const char *program_name(void)
{
	const char *name = boot_words_value(&init.words, "run=");

	if (name == nullptr || strcmp(name, "init") == 0) {
		name = boot_words_value(&init.words, "init=");
	}
	return name != nullptr ? name : "stress";
}

int main(void)
{
	int status = STATUS_NO_PROGRAM;

	boot_words_read(&init.words);
	if (sys_endpoint_create(&init.endpoint) == KERR_OK && ramdisk_open(&init.disk)) {
		const char *const console = boot_words_value(&init.words, "console=");

		if (console == nullptr || strcmp(console, "kernel") != 0) {
			start_console();
		}
		status = run(program_name());
	}
	stop_console();
	(void)sys_machine_off(start.machine, (uint64_t)status & 0xff);
	return status;
}
