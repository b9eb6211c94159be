/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/uart.c - the console UART, polled.
 *
 * THEORY   PL011 (Arm DDI 0183) and the BCM283x auxiliary UART (BCM2835 peripherals, chapter 2)
 *          differ in where the data, status and interrupt bits are, and in polarity. A register
 *          access is 32 bits wide: the Pi's bus ignores narrower ones.
 *          Waiting is bounded, so that a UART without a clock costs characters and not the boot.
 *          The auxiliary UART's own registers begin 0x40 above the block that enables it; the
 *          tree gives the former, and both are in one 4 KiB page.
 * LOCKING  None here: the log's lock, or none in a panic.
 * NOT HERE Modem lines, DMA, transmit interrupts, speed changes.
 */
#include "arch/arm64/uart.h"

#include "arch/arm64/mmio.h"

#define POLL_LIMIT 1000000 /* reads; a character at 9600 baud takes far fewer */

#define PL011_DR 0x00
#define PL011_DR_BREAK (1U << 10)
#define PL011_FR 0x18
#define PL011_FR_BUSY (1U << 3)
#define PL011_FR_RXFE (1U << 4)
#define PL011_FR_TXFF (1U << 5)
#define PL011_IBRD 0x24
#define PL011_FBRD 0x28
#define PL011_LCRH 0x2c
#define PL011_LCRH_FEN (1U << 4)
#define PL011_LCRH_8BIT (3U << 5)
#define PL011_CR 0x30
#define PL011_CR_UARTEN (1U << 0)
#define PL011_CR_TXE (1U << 8)
#define PL011_CR_RXE (1U << 9)
#define PL011_IFLS 0x34
#define PL011_IMSC 0x38
#define PL011_ICR 0x44
#define PL011_INT_RX ((1U << 4) | (1U << 6)) /* FIFO level, receive timeout */
#define PL011_INT_ALL 0x7ffU

/* 115200 baud from 48 MHz, the Pi's clock: 26 + 3/64. QEMU has no baud rate. */
#define PL011_DEFAULT_IBRD 26
#define PL011_DEFAULT_FBRD 3

#define AUX_ENABLES_FROM_UART (0x40 - 0x04) /* AUX_ENABLES lies this far below the UART */
#define AUX_ENABLES_UART (1U << 0)
#define AUX_MU_IO 0x00
#define AUX_MU_IER 0x04
#define AUX_MU_IER_RX 0x05 /* receive, and bit 2, without which it is not delivered */
#define AUX_MU_LCR 0x0c
#define AUX_MU_LCR_8BIT 3U
#define AUX_MU_LSR 0x14
#define AUX_MU_LSR_RX_READY (1U << 0)
#define AUX_MU_LSR_TX_ROOM (1U << 5)
#define AUX_MU_LSR_TX_IDLE (1U << 6)
#define AUX_MU_CNTL 0x20
#define AUX_MU_CNTL_ENABLE 3U
#define AUX_MU_BAUD 0x28
#define AUX_MU_DEFAULT_BAUD 541 /* 115200 from the Pi 4's 500 MHz core clock */

/* The device, with what tells the two kinds apart when polled. */
static struct {
	enum uart_kind kind;
	va_t base;
	unsigned status; /* offset of the status register */
	uint32_t tx_room_mask; /* room when (status & mask) == value, the same for the others */
	uint32_t tx_room_value;
	uint32_t tx_idle_mask;
	uint32_t tx_idle_value;
	uint32_t rx_ready_mask;
	uint32_t rx_ready_value;
} uart;

static_assert(PL011_DR == 0 && AUX_MU_IO == 0, "the data register is the first of both");

static void pl011_init(va_t base)
{
	uart.status = PL011_FR;
	uart.tx_room_mask = PL011_FR_TXFF;
	uart.tx_room_value = 0;
	uart.tx_idle_mask = PL011_FR_BUSY;
	uart.tx_idle_value = 0;
	uart.rx_ready_mask = PL011_FR_RXFE;
	uart.rx_ready_value = 0;

	if ((mmio_read32(base, PL011_CR) & PL011_CR_UARTEN) != 0) {
		return;
	}
	if (mmio_read32(base, PL011_IBRD) == 0) {
		mmio_write32(base, PL011_IBRD, PL011_DEFAULT_IBRD);
		mmio_write32(base, PL011_FBRD, PL011_DEFAULT_FBRD);
	}
	/* The write to LCRH is what takes the divisor over. */
	mmio_write32(base, PL011_LCRH, PL011_LCRH_8BIT | PL011_LCRH_FEN);
	mmio_write32(base, PL011_IMSC, 0);
	mmio_write32(base, PL011_ICR, PL011_INT_ALL);
	mmio_write32(base, PL011_CR, PL011_CR_UARTEN | PL011_CR_TXE | PL011_CR_RXE);
}

static void aux_init(va_t base)
{
	va_t enables = va(base.v - AUX_ENABLES_FROM_UART);
	uint32_t enabled = mmio_read32(enables, 0);

	uart.status = AUX_MU_LSR;
	uart.tx_room_mask = AUX_MU_LSR_TX_ROOM;
	uart.tx_room_value = AUX_MU_LSR_TX_ROOM;
	uart.tx_idle_mask = AUX_MU_LSR_TX_IDLE;
	uart.tx_idle_value = AUX_MU_LSR_TX_IDLE;
	uart.rx_ready_mask = AUX_MU_LSR_RX_READY;
	uart.rx_ready_value = AUX_MU_LSR_RX_READY;

	if ((enabled & AUX_ENABLES_UART) != 0) {
		return;
	}
	mmio_write32(enables, 0, enabled | AUX_ENABLES_UART);
	mmio_write32(base, AUX_MU_IER, 0);
	mmio_write32(base, AUX_MU_LCR, AUX_MU_LCR_8BIT);
	if (mmio_read32(base, AUX_MU_BAUD) == 0) {
		mmio_write32(base, AUX_MU_BAUD, AUX_MU_DEFAULT_BAUD);
	}
	mmio_write32(base, AUX_MU_CNTL, AUX_MU_CNTL_ENABLE);
}

bool uart_init(enum uart_kind kind, va_t base)
{
	uart.kind = kind;
	uart.base = base;
	switch (kind) {
	case UART_NONE:
		return false;
	case UART_PL011:
		pl011_init(base);
		return true;
	case UART_BCM_AUX:
		aux_init(base);
		return true;
	}
	uart.kind = UART_NONE;
	return false;
}

static bool poll(uint32_t mask, uint32_t value)
{
	for (unsigned i = 0; i < POLL_LIMIT; i++) {
		if ((mmio_read32(uart.base, uart.status) & mask) == value) {
			return true;
		}
	}
	return false;
}

void uart_put(char c)
{
	if (uart.kind != UART_NONE && poll(uart.tx_room_mask, uart.tx_room_value)) {
		mmio_write32(uart.base, PL011_DR, (uint8_t)c);
	}
}

int uart_get(void)
{
	if (uart.kind == UART_NONE ||
	    (mmio_read32(uart.base, uart.status) & uart.rx_ready_mask) != uart.rx_ready_value) {
		return -1;
	}
	const uint32_t data = mmio_read32(uart.base, PL011_DR);

	if (uart.kind == UART_PL011 && (data & PL011_DR_BREAK) != 0) {
		return UART_BREAK;
	}
	return (int)(data & 0xff);
}

void uart_flush(void)
{
	if (uart.kind != UART_NONE) {
		(void)poll(uart.tx_idle_mask, uart.tx_idle_value);
	}
}

void uart_rx_irq_enable(void)
{
	if (uart.kind == UART_PL011) {
		/* The lowest level: an interrupt at 1/8 of the FIFO, or on the receive timeout. */
		mmio_write32(uart.base, PL011_IFLS, 0);
		mmio_write32(uart.base, PL011_IMSC, PL011_INT_RX);
	} else if (uart.kind == UART_BCM_AUX) {
		mmio_write32(uart.base, AUX_MU_IER, AUX_MU_IER_RX);
	}
}

void uart_rx_irq_disable(void)
{
	if (uart.kind == UART_PL011) {
		mmio_write32(uart.base, PL011_IMSC, 0);
	} else if (uart.kind == UART_BCM_AUX) {
		mmio_write32(uart.base, AUX_MU_IER, 0);
	}
}

void uart_rx_irq_ack(void)
{
	/* The auxiliary UART's is level-sensitive: reading the characters acknowledges it. */
	if (uart.kind == UART_PL011) {
		mmio_write32(uart.base, PL011_ICR, PL011_INT_RX);
	}
}
