/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/console/uart.c - PL011 (Arm DDI 0183) and the Pi's mini-UART (BCM2835 peripherals, 2.2).
 *
 * THEORY   Speed and line format are as the kernel left them. The two differ in where bits are, so
 *          one struct of masks serves both. The PL011 tells of an empty transmitter once, when its
 *          level falls: whoever enables that interrupt has filled it before.
 */
#include "user/console/uart.h"

#define PL011_FR (0x18 / 4)
#define PL011_IFLS (0x34 / 4)
#define PL011_IMSC (0x38 / 4)
#define PL011_ICR (0x44 / 4)
#define PL011_FR_BUSY (1u << 3)
#define PL011_FR_RXFE (1u << 4)
#define PL011_FR_TXFF (1u << 5)
#define PL011_INT_RX (1u << 4)
#define PL011_INT_TX (1u << 5)
#define PL011_INT_RX_TIMEOUT (1u << 6)

#define AUX_IER (0x04 / 4)
#define AUX_LSR (0x14 / 4)
#define AUX_IER_RX 0x5u /* and bit 2, without which it is not delivered */
#define AUX_IER_TX 0x2u
#define AUX_LSR_READY (1u << 0)
#define AUX_LSR_ROOM (1u << 5)
#define AUX_LSR_IDLE (1u << 6)

bool uart_open(struct uart *u, uint64_t kind, uint64_t base)
{
	volatile uint32_t *const r = (volatile uint32_t *)(uintptr_t)base;

	switch (kind) {
	case UART_IS_PL011:
		*u = (struct uart){
			.data = r,
			.status = r + PL011_FR,
			.enable = r + PL011_IMSC,
			.clear = r + PL011_ICR,
			.room_mask = PL011_FR_TXFF,
			.ready_mask = PL011_FR_RXFE,
			.idle_mask = PL011_FR_BUSY,
			.rx_interrupt = PL011_INT_RX | PL011_INT_RX_TIMEOUT,
			.tx_interrupt = PL011_INT_TX,
		};
		r[PL011_IFLS] = 0; /* interrupt early: one eighth full, one eighth left */
		return true;
	case UART_IS_BCM_AUX:
		*u = (struct uart){
			.data = r,
			.status = r + AUX_LSR,
			.enable = r + AUX_IER,
			.room_mask = AUX_LSR_ROOM,
			.room_value = AUX_LSR_ROOM,
			.ready_mask = AUX_LSR_READY,
			.ready_value = AUX_LSR_READY,
			.idle_mask = AUX_LSR_IDLE,
			.idle_value = AUX_LSR_IDLE,
			.rx_interrupt = AUX_IER_RX,
			.tx_interrupt = AUX_IER_TX,
		};
		return true;
	default:
		return false;
	}
}

bool uart_put(const struct uart *u, char c)
{
	if ((*u->status & u->room_mask) != u->room_value) {
		return false;
	}
	*u->data = (unsigned char)c;
	return true;
}

bool uart_get(const struct uart *u, char *c)
{
	if ((*u->status & u->ready_mask) != u->ready_value) {
		return false;
	}
	*c = (char)*u->data;
	return true;
}

bool uart_is_idle(const struct uart *u)
{
	return (*u->status & u->idle_mask) == u->idle_value;
}

void uart_listen(const struct uart *u, bool sending)
{
	*u->enable = u->rx_interrupt | (sending ? u->tx_interrupt : 0);
}

void uart_silence(const struct uart *u)
{
	*u->enable = 0;
	if (u->clear != nullptr) {
		*u->clear = u->rx_interrupt | u->tx_interrupt;
	}
}
