/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/exception.h - what a thread did that it cannot go on from by itself.
 *
 * THEORY   A page fault is the memory system's first. What it cannot resolve, and every other
 *          exception, becomes a call in the thread's name to its task's exception endpoint
 *          (include/abi.h has the words). The thread waits for the answer like any caller, and its
 *          registers can be read and written meanwhile; the answer resumes it, skips the
 *          instruction, or kills it. Without an endpoint, or without an answer, the thread
 *          dies and the log says why.
 *          The pc is that of the instruction, of a call's SVC too; after a single step it is the
 *          next one's.
 */
#pragma once

#include <abi.h>
#include <types.h>

#include "kern/thread.h"

/*
 * self met an exception. It is dead or waits when this returns. `address`: as EXC_WORD_ADDRESS
 * says.
 * Pre: self is this CPU's, RUNNING; SP0.
 */
void exception_raise(struct thread *self, enum exception_kind kind, uint64_t address, uint64_t esr);

/*
 * A page fault of self, at EL0, or (from_el0 false) of a copy in one of its calls. True: the page
 * is there, or the heap has grown for it, or self waits for its pager: try again then. False: self
 * waits for its exception's handler, or is dead; or, from a copy, the call is to fail.
 */
bool exception_page(struct thread *self, uint64_t address, uint64_t esr, bool from_el0);

/* ESR_EL1 of anything from EL0 that is neither a call nor handled by the kernel itself. */
void exception_from_el0(struct thread *self, uint64_t esr, uint64_t far);
