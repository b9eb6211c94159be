/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call.h - calls from EL0: the way from the SVC to call_NAME() and back.
 *
 * THEORY   The table is made of include/calls.toml. A call decodes its arguments, which has no side
 *          effect, then does its work. It ends in one of four ways: with an error and perhaps
 *          results; by blocking, when it leaves its registers to whoever wakes it; with
 *          KERR_FAULT, when a user page was missing; or with `again`, when it is long and something
 *          more urgent waits. In the last two the thread's pc stays on the SVC, so that the call
 *          begins anew: it must have left arguments in its registers that go on where it was.
 */
#pragma once

#include <types.h>

struct thread;

/* Run the call that self asks for. `esr`: its ESR_EL1. Pre: SP0, interrupts on. */
void call_dispatch(struct thread *self, uint64_t esr);
