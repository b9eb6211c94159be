/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/uart.h - the console UART, polled: PL011 or the BCM283x auxiliary ("mini") UART.
 *
 * One UART is the console. The functions take no lock, allocate nothing and touch only the
 * device and the static state in uart.c, so the panic path and the vectors may call them.
 */
#pragma once

#include <bootinfo.h>
#include <types.h>

/*
 * Make the UART at `base` (its registers as the CPU reaches them now) the console.
 * A UART that is enabled is left as the firmware set it: speed, format and FIFO. Call it again
 * when the registers move to another address. Returns false, and has no console, for UART_NONE.
 */
bool uart_init(enum uart_kind kind, va_t base);

/* Wait for room, then send one character; bounded, a dead UART loses it. No newline conversion. */
void uart_put(char c);

/* The next received character, -1, or UART_BREAK for a break (PL011 only). */
#define UART_BREAK 0x100
int uart_get(void);

/* Wait, bounded, until the last character has left the wire (before a reset). */
void uart_flush(void);

/* Raise the interrupt while received characters wait; disable; acknowledge what was raised. */
void uart_rx_irq_enable(void);
void uart_rx_irq_disable(void);
void uart_rx_irq_ack(void);
