/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/entry.h - the calls that a vector may make into the kernel: the one upward edge of arch/.
 * All run on SPx with interrupts masked and touch pinned memory only.
 */
#pragma once

#include <types.h>

void entry_timer(void);
void entry_interrupt(uint32_t intid);

/*
 * From el0.S. The thread whose registers were saved, and what is to run next; nullptr: the kernel
 * program that gave its CPU away.
 */
struct thread;
struct thread *entry_el0_irq(struct thread *t, uint32_t iar);
struct thread *entry_el0_aarch32(struct thread *t);
struct thread *entry_el0_exit(void);

/*
 * What entry_el0_irq() (kern/quick_irq.c) leaves alone: an interrupt that gic_ack() has named
 * (kern/el0.c).
 */
struct thread *interrupt_from_el0(const struct thread *t, uint32_t iar);

/*
 * Calls that pass no door (kern/quick.c), on SPx; the registers are saved as far as el0.S says.
 * The one: enum quick. The other: the thread to run now, nullptr: nothing has happened, be slow.
 */
uint64_t entry_el0_signal(struct thread *self);
uint64_t entry_el0_wait(struct thread *self);
uint64_t entry_el0_ack(struct thread *self);
struct thread *entry_el0_yield(struct thread *self);

/*
 * Messages (kern/quick_ipc.c), on SPx, all registers saved: the thread to run now; nullptr: nothing
 * has happened, be slow; or QUICK_LEAVE, done, and the CPU looks for another thread.
 */
struct thread *entry_el0_ipc(struct thread *self);

/* The same where ipc_fast.S has read the arguments, and locked the endpoint. Unlock it. */
struct endpoint;
struct thread *entry_el0_call_locked(struct thread *self, struct endpoint *ep, uint64_t badge);
struct thread *entry_el0_reply_recv_locked(struct thread *self, struct endpoint *ep);

/*
 * quick_fast.S has signalled, but for what it left to C: a CPU is idle that may take `woken`, or,
 * that nullptr, somebody was bound to the event just then. QUICK_DONE or _LEAVE.
 */
struct event;
uint64_t entry_el0_signal_rest(const struct thread *woken, struct event *ev);

/* A fast path has begun to switch spaces, and gave up: this CPU runs in none. */
void entry_el0_no_space(void);

/* On SP0, past the door, interrupts on: a call or a fault. ESR_EL1 and FAR_EL1 as they were. */
void entry_el0_sync(struct thread *t, uint64_t esr, uint64_t far);
