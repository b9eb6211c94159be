/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/ipc_message.c - see kern/ipc_message.h.
 */
#include "kern/ipc_message.h"

#include <compiler.h>

#include "kern/handle.h"
#include "kern/task.h"

#define X_BADGE 9
#define X_INFO 10
#define X_SCRUB_FIRST 11
#define X_SCRUB_LAST 17

static enum kerr take_cap(struct thread *self, handle_t h, struct ipc_cap *out)
{
	struct handle_view view;
	const enum kerr e = handle_get(&self->task->handles, h, KOBJ_NONE, RIGHT_TRANSFER, &view);

	if (e != KERR_OK) {
		return e;
	}
	if (!kobj_get(view.obj)) {
		return KERR_DEAD;
	}
	*out = (struct ipc_cap){ view.obj, view.badge, view.rights };
	return KERR_OK;
}

void ipc_discard(struct thread *t)
{
	const unsigned count = IPC_INFO_HANDLES(t->ipc.info);

	t->ipc.info = 0;
	for (unsigned i = 0; i < count; i++) {
		kobj_put(t->ipc.cap[i].obj);
	}
}

enum kerr ipc_prepare(struct thread *self, const struct ipc_message *m)
{
	const unsigned words = IPC_INFO_WORDS(m->info);
	const unsigned caps = IPC_INFO_HANDLES(m->info);

	if (words > IPC_WORDS || caps > IPC_HANDLES_MAX || caps > words) {
		return KERR_INVALID;
	}
	self->ipc.words = m->words;
	self->ipc.badge = m->badge;
	self->ipc.info = (m->info & ~IPC_SEND_MASK) | IPC_INFO(words, 0);
	for (unsigned i = 0; i < caps; i++) {
		const handle_t h = (handle_t)m->words[words - caps + i];
		const enum kerr e = take_cap(self, h, &self->ipc.cap[i]);

		if (e != KERR_OK) {
			ipc_discard(self);
			return e;
		}
		self->ipc.info += IPC_INFO(0, 1);
	}
	if (m->calls) {
		self->ipc.info |= IPC_FLAG_CALL;
	}
	return KERR_OK;
}

/* Make handles of what travels: all, or none. */
static enum kerr give_caps(struct thread *from, struct handle_table *to, handle_t *out)
{
	const unsigned caps = IPC_INFO_HANDLES(from->ipc.info);

	for (unsigned i = 0; i < caps; i++) {
		const struct ipc_cap *cap = &from->ipc.cap[i];
		const enum kerr e = handle_new(to, cap->obj, cap->rights, cap->badge, &out[i]);

		if (e != KERR_OK) {
			while (i-- > 0) {
				(void)handle_close(to, out[i]);
			}
			return e;
		}
	}
	return KERR_OK;
}

/* All registers of a message, and zeros in those that are no part of it. */
static void put_message(const struct thread *from, struct thread *to)
{
	for (unsigned i = 0; i < IPC_WORDS; i++) {
		to->regs.x[i] = from->ipc.words[i]; /* there are as many, used or not */
	}
	for (unsigned i = IPC_INFO_WORDS(from->ipc.info); i < IPC_WORDS; i++) {
		to->regs.x[i] = 0;
	}
	to->regs.x[X_BADGE] = from->ipc.badge;
	to->regs.x[X_INFO] = from->ipc.info;
	for (unsigned i = X_SCRUB_FIRST; i <= X_SCRUB_LAST; i++) {
		to->regs.x[i] = 0;
	}
}

static noinline enum kerr deliver_caps(struct thread *from, struct thread *to)
{
	const unsigned words = IPC_INFO_WORDS(from->ipc.info);
	const unsigned caps = IPC_INFO_HANDLES(from->ipc.info);
	handle_t handles[IPC_HANDLES_MAX];
	const enum kerr e = give_caps(from, &to->task->handles, handles);

	if (e != KERR_OK) {
		return e;
	}
	put_message(from, to);
	for (unsigned i = 0; i < caps; i++) {
		to->regs.x[words - caps + i] = handles[i];
	}
	ipc_discard(from); /* the receiver's handles have references of their own */
	return KERR_OK;
}

enum kerr ipc_deliver(struct thread *from, struct thread *to)
{
	if (IPC_INFO_HANDLES(from->ipc.info) != 0) {
		return deliver_caps(from, to);
	}
	put_message(from, to);
	from->ipc.info = 0;
	return KERR_OK;
}
