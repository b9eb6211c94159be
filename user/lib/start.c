/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/start.c - from the first instruction to main(), and from exit() to the end.
 *
 * THEORY   The C library wants a TLS block before its first call (errno lives there), then the
 *          constructors, then main(). At the end the parent is told and kills the task, so that
 *          its memory is gone when the parent goes on; without a parent the task kills itself.
 */
#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>

#include <picotls.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "user/lib/lib.h"

struct start_block start;

int main(int argc, char **argv);
void __libc_init_array(void);
void start_program(uint64_t argument);

static int arguments(char **argv)
{
	char *text = start.args;
	const char *const end = start.args + sizeof start.args;
	int argc = 0;

	start.args[sizeof start.args - 1] = '\0';
	while (argc < (int)start.args_count && argc < (int)START_ARGS_MAX && text < end) {
		argv[argc++] = text;
		text += strlen(text) + 1;
	}
	argv[argc] = nullptr;
	return argc;
}

/* The first C function of a program. Runs once, on the stack that the linker script made. */
void start_program(uint64_t argument)
{
	const struct start_block *const block = (const struct start_block *)(uintptr_t)argument;
	char *argv[START_ARGS_MAX + 1];

	if (argument == START_BLOCK_ADDRESS) { /* the first handle of a table is a smaller number */
		start = *block;
	} else {
		start.machine = (handle_t)argument;
	}
	thread_init_main();
	__libc_init_array();
	exit(main(arguments(argv), argv));
}

void _exit(int status)
{
	struct ipc_message message = { .word = { PARENT_EXIT, (uint64_t)status } };

	console_flush();
	if (start.parent != HANDLE_NONE) {
		(void)sys_ipc_call(start.parent, IPC_INFO(2, 0), HANDLE_NONE, DEADLINE_NONE,
				   &message);
	}
	for (;;) {
		(void)sys_task_kill(HANDLE_NONE);
	}
}
