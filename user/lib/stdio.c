/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/stdio.c - stdin, stdout and stderr.
 *
 * THEORY   Each thread gathers its output in a line of its own, given to the console when it is
 *          complete, so that the lines of threads do not mix and a line costs few calls. The
 *          console is a server when the parent named one; before there is one, the kernel's log.
 */
#include <perch/calls.h>
#include <perch/console.h>
#include <perch/start.h>

#include <stdio.h>
#include <string.h>

#include "user/lib/lib.h"

#define LINE_BYTES 240u

static _Thread_local char line[LINE_BYTES];
static _Thread_local unsigned line_bytes;

static char input[CONSOLE_TEXT_BYTES];
static unsigned input_next, input_bytes;

/* The number of this thread, which nobody else has. */
static uint64_t stream(void)
{
	static _Thread_local uint64_t number;
	uint64_t state, priority, cpu;

	if (number == 0) {
		(void)sys_thread_info(HANDLE_NONE, &state, &priority, &cpu, &number);
	}
	return number;
}

/* False: there is no server. */
static bool console_send(const char *text, unsigned bytes)
{
	if (start.console == HANDLE_NONE) {
		return false;
	}
	while (bytes > 0) {
		const unsigned part = bytes < CONSOLE_TEXT_BYTES ? bytes : CONSOLE_TEXT_BYTES;
		struct ipc_message message = { .word = { CONSOLE_WORD(CONSOLE_WRITE, part) |
							 CONSOLE_STREAM_WORD(stream()) } };

		memcpy(&message.word[1], text, part);
		if (sys_ipc_call(start.console, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE, DEADLINE_NONE,
				 &message) != KERR_OK) {
			start.console = HANDLE_NONE; /* it is gone: back to the kernel's log */
			return false;
		}
		text += part;
		bytes -= part;
	}
	return true;
}

void console_flush(void)
{
	if (line_bytes > 0) {
		if (!console_send(line, line_bytes)) {
			(void)sys_console_write((uint64_t)(uintptr_t)line, line_bytes);
		}
		line_bytes = 0;
	}
}

static int put(char c, FILE *file)
{
	(void)file;
	line[line_bytes++] = c;
	if (c == '\n' || line_bytes == LINE_BYTES) {
		console_flush();
	}
	return (unsigned char)c;
}

static int get(FILE *file)
{
	(void)file;
	if (input_next == input_bytes) {
		struct ipc_message message = { .word = { CONSOLE_WORD(CONSOLE_READ, 0) } };

		console_flush();
		if (start.console == HANDLE_NONE ||
		    sys_ipc_call(start.console, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE,
				 &message) != KERR_OK) {
			return _FDEV_EOF;
		}
		input_next = 0;
		input_bytes = CONSOLE_BYTES(message.word[0]);
		if (input_bytes == 0 || input_bytes > CONSOLE_TEXT_BYTES) {
			input_bytes = 0;
			return _FDEV_EOF;
		}
		memcpy(input, &message.word[1], input_bytes);
	}
	return (unsigned char)input[input_next++];
}

static int flush(FILE *file)
{
	(void)file;
	console_flush();
	return 0;
}

static FILE console = FDEV_SETUP_STREAM(put, get, flush, _FDEV_SETUP_RW);

FILE *const stdin = &console;
FILE *const stdout = &console;
FILE *const stderr = &console;
