/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/ipc_message.h - moving a message from one thread to another.
 */
#pragma once

#include "kern/ipc.h"
#include "kern/thread.h"

/*
 * Write the message and its handles down in self, so that it may wait with it. KERR_INVALID,
 * KERR_HANDLE, KERR_DENIED: it is malformed, nothing was taken.
 */
enum kerr ipc_prepare(struct thread *self, const struct ipc_message *m);

/* It is not going to be sent: give the references back. */
void ipc_discard(struct thread *t);

/*
 * Move what `from` prepared into the registers and the handle table of `to`. KERR_NO_MEMORY: the
 * handles find no place; nothing was moved, `from` may be told. Pre: both are held still.
 */
enum kerr ipc_deliver(struct thread *from, struct thread *to);
