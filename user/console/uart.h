/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/console/uart.h - the two kinds of UART, as a program drives them.
 */
#pragma once

#include <types.h>

enum uart_kind_number { UART_IS_NONE, UART_IS_PL011, UART_IS_BCM_AUX }; /* MACHINE_UART, word 0 */

struct uart {
	volatile uint32_t *data;
	volatile uint32_t *status;
	volatile uint32_t *enable; /* interrupts */
	volatile uint32_t *clear;  /* nullptr: reading and writing data is enough */
	uint32_t room_mask, room_value;   /* room to send when (status & mask) == value */
	uint32_t ready_mask, ready_value; /* a character has arrived */
	uint32_t idle_mask, idle_value;   /* the last one is on the line */
	uint32_t rx_interrupt, tx_interrupt;
};

/* The device at `base`, mapped. False: no such kind. */
bool uart_open(struct uart *u, uint64_t kind, uint64_t base);

bool uart_put(const struct uart *u, char c); /* false: no room */
bool uart_get(const struct uart *u, char *c); /* false: nothing has arrived */
bool uart_is_idle(const struct uart *u);

/* Interrupt when a character arrives and, if `sending`, when there is room. Clears what is due. */
void uart_listen(const struct uart *u, bool sending);
void uart_silence(const struct uart *u);
