/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb.h - the debugger on the serial line: its entrances. docs/debugging.md is its manual.
 */
#pragma once

#include <types.h>

struct trap_frame;

/* The break key: Ctrl-\. A BREAK on the line (PL011) does the same. */
#define KDB_KEY 0x1c

/*
 * An exception from SP0 that may be the debugger's: a breakpoint, a step, a BRK instruction while
 * kdb=on or run=kdb. True: it was, go on with the frame. On SPx.
 */
bool kdb_exception(struct trap_frame *frame);

/*
 * The console's receive interrupt: true if it was that. Enters at the break key. `frame`: nullptr
 * if it interrupted EL0 (at pc) or an idle CPU (0). On SPx.
 */
bool kdb_interrupt(uint32_t intid, uint64_t pc, struct trap_frame *frame);

/*
 * A run that failed is about to end the machine. Enters, for good, when kdb=on or run=kdb, or when
 * the break key was pressed. On SPx or the lifeboat.
 */
void kdb_at_end(unsigned status);

/*
 * An exception that is about to be reported as fatal, first thing: if it is the debugger's own,
 * says so and goes back to the prompt; else remembers the frame for `regs` and `bt`.
 */
void kdb_recover(const struct trap_frame *frame);

/*
 * A program takes the console and its interrupt, or gives them back: meanwhile the break key is the
 * program's. On SP0.
 */
void kdb_lend_console(bool lend);

/* run=kdb. Returns never; `reboot` ends it. On SP0. */
unsigned kdb_main(void);

/* Take the console's interrupt, unless kdb=off. Boot CPU, once, after machine_init(). */
void kdb_init(uint32_t uart_intid);
