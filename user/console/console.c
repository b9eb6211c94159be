/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/console/console.c - the console server: a driver in EL0 for the machine's UART.
 *
 * THEORY   One thread does it all. The interrupt's event is bound to it, so one receive waits for
 *          clients and for the device. What is to be sent lies in a ring; the transmitter is filled
 *          whenever there is room, and its interrupt is on only while the ring is not empty. A
 *          client's text is kept until its line is complete, so lines of clients do not mix.
 *          A reader whose line has not come yet waits in a reply object of its own.
 *          The kernel is silent from machine_console() on; a panic takes the UART back without
 *          asking, so nothing here is needed to see one.
 */
#include <perch/calls.h>
#include <perch/console.h>
#include <perch/start.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/console/uart.h"

#define RING_BYTES 8192u /* a power of two */
#define CLIENTS 32u
#define LINE_BYTES 512u
#define INPUT_BYTES 256u
#define EVENT_IRQ 1u
#define BACKSPACE 0x08
#define DELETE 0x7f

struct client {
	uint64_t badge, stream;
	unsigned bytes; /* 0: free */
	char line[LINE_BYTES];
};

static struct {
	struct uart uart;
	handle_t irq, event;
	handle_t reply;   /* that the next message goes to */
	handle_t waiting; /* a reader's, or none */
	char ring[RING_BYTES];
	unsigned head, tail; /* sent up to tail */
	struct client client[CLIENTS];
	char input[INPUT_BYTES];
	unsigned input_bytes; /* of which the first input_ready are whole lines */
	unsigned input_ready;
} console;

static bool ring_is_empty(void)
{
	return console.head == console.tail;
}

/* Fill the transmitter. */
static void pump(void)
{
	while (!ring_is_empty() &&
	       uart_put(&console.uart, console.ring[console.tail % RING_BYTES])) {
		console.tail++;
	}
	uart_listen(&console.uart, !ring_is_empty());
}

static void send(const char *text, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) {
			while (console.head - console.tail == RING_BYTES) {
				pump();
			}
			console.ring[console.head++ % RING_BYTES] = '\r';
		}
		while (console.head - console.tail == RING_BYTES) {
			pump(); /* a client that writes more than the line carries waits for it */
		}
		console.ring[console.head++ % RING_BYTES] = text[i];
	}
}

/* The buffer of a sender; the one of another is given up for it when all are taken. */
static struct client *client_of(uint64_t badge, uint64_t stream)
{
	struct client *spare = &console.client[stream % CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *const c = &console.client[i];

		if (c->bytes > 0 && c->badge == badge && c->stream == stream) {
			return c;
		}
		if (c->bytes == 0) {
			spare = c;
		}
	}
	send(spare->line, spare->bytes);
	spare->badge = badge;
	spare->stream = stream;
	spare->bytes = 0;
	return spare;
}

static void take_text(struct client *c, const char *text, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		c->line[c->bytes++] = text[i];
		if (text[i] == '\n' || c->bytes == LINE_BYTES) {
			send(c->line, c->bytes);
			c->bytes = 0;
		}
	}
}

/* Lines that have come, into a message. */
static void give_input(struct ipc_message *m)
{
	const unsigned bytes = console.input_ready < CONSOLE_TEXT_BYTES ? console.input_ready
									: CONSOLE_TEXT_BYTES;

	*m = (struct ipc_message){ .word = { CONSOLE_WORD(CONSOLE_READ, bytes) } };
	memcpy(&m->word[1], console.input, bytes);
	memmove(console.input, console.input + bytes, console.input_bytes - bytes);
	console.input_bytes -= bytes;
	console.input_ready -= bytes;
}

static void take_character(char c)
{
	if (c == '\r') {
		c = '\n';
	}
	if (c == BACKSPACE || c == DELETE) {
		if (console.input_bytes > console.input_ready) {
			console.input_bytes--;
			send("\b \b", 3);
		}
		return;
	}
	if (console.input_bytes == INPUT_BYTES) {
		return; /* nobody reads */
	}
	console.input[console.input_bytes++] = c;
	if (c == '\n' || console.input_bytes == INPUT_BYTES) {
		console.input_ready = console.input_bytes;
	}
	send(&c, 1);
}

static void on_interrupt(void)
{
	struct ipc_message m;
	char c;

	while (uart_get(&console.uart, &c)) {
		take_character(c);
	}
	uart_silence(&console.uart);
	pump();
	(void)sys_irq_ack(console.irq);
	if (console.waiting != HANDLE_NONE && console.input_ready > 0) {
		give_input(&m);
		(void)sys_ipc_reply(IPC_INFO(IPC_WORDS, 0), console.waiting, &m);
		(void)sys_handle_close(console.waiting);
		console.waiting = HANDLE_NONE;
	}
}

/* Keep the reader until a line comes. A second one is told that there is nothing. */
static bool hold_reader(struct ipc_message *m)
{
	handle_t fresh;

	if (console.waiting != HANDLE_NONE || sys_reply_create(&fresh) != KERR_OK) {
		m->word[0] = CONSOLE_WORD(CONSOLE_READ, 0);
		return false;
	}
	console.waiting = console.reply;
	console.reply = fresh;
	return true;
}

/* True: the answer is in *m. */
static bool serve(struct ipc_message *m)
{
	char text[CONSOLE_TEXT_BYTES];
	const unsigned bytes = CONSOLE_BYTES(m->word[0]);

	switch (CONSOLE_REQUEST(m->word[0])) {
	case CONSOLE_WRITE:
		memcpy(text, &m->word[1], sizeof text);
		take_text(client_of(m->badge, CONSOLE_STREAM(m->word[0])), text,
			  bytes < sizeof text ? bytes : sizeof text);
		pump();
		return true;
	case CONSOLE_READ:
		if (console.input_ready == 0) {
			return !hold_reader(m);
		}
		give_input(m);
		return true;
	case CONSOLE_FLUSH:
		for (unsigned i = 0; i < CLIENTS; i++) {
			send(console.client[i].line, console.client[i].bytes);
			console.client[i].bytes = 0;
		}
		while (!ring_is_empty() || !uart_is_idle(&console.uart)) {
			pump();
		}
		return true;
	default:
		return true; /* not ours: the words go back as they came */
	}
}

static enum kerr open_device(void)
{
	uint64_t kind, base, bytes, irq, at;
	handle_t memory;

	enum kerr e = sys_machine_info(start.machine, MACHINE_UART, &kind, &base, &bytes, &irq);
	if (e == KERR_OK) {
		e = sys_machine_console(start.machine, 1);
	}
	if (e != KERR_OK) {
		return e;
	}
	const uint64_t first = align_down(base, PAGE_BYTES);
	e = sys_mem_create(MEM_PHYS, PAGE_BYTES, start.machine, first, &memory);
	if (e == KERR_OK) {
		e = sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at);
	}
	if (e == KERR_OK && !uart_open(&console.uart, kind, at + base - first)) {
		e = KERR_UNSUPPORTED;
	}
	if (e == KERR_OK) {
		e = sys_event_create(&console.event);
	}
	if (e == KERR_OK) {
		e = sys_irq_claim(start.machine, irq, 0, &console.irq);
	}
	return e;
}

/* The kernel is silent first, so that nobody else touches the device. */
static enum kerr take_device(void)
{
	enum kerr e = open_device();

	if (e != KERR_OK) {
		return e;
	}
	uart_silence(&console.uart);
	e = sys_irq_bind(console.irq, console.event, EVENT_IRQ);
	if (e == KERR_OK) {
		e = sys_event_bind(console.event, start.self);
	}
	if (e == KERR_OK) {
		e = sys_reply_create(&console.reply);
	}
	pump();
	return e;
}

int main(void)
{
	struct ipc_message m;
	bool answer = false;

	const enum kerr taken = take_device();
	if (taken != KERR_OK) {
		(void)sys_machine_console(start.machine, 0);
		printf("console: no device to drive, error %d\n", (int)taken);
		return EXIT_FAILURE;
	}
	for (;;) {
		const enum kerr e =
			answer ? sys_ipc_reply_recv(start.extra, IPC_INFO(IPC_WORDS, 0),
						    console.reply, DEADLINE_NONE, &m)
			       : sys_ipc_recv(start.extra, 0, console.reply, DEADLINE_NONE, &m);

		if (e == KERR_OK && (m.info & IPC_FLAG_EVENT) != 0) {
			on_interrupt();
			answer = false;
		} else if (e == KERR_OK) {
			answer = serve(&m);
		} else {
			answer = false;
		}
	}
}
