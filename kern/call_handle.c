/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_handle.c - the calls on handles (include/calls.toml).
 */
#include <gen/call_args.h>

#include "kern/task.h"
#include "kern/thread.h"

enum kerr call_handle_close(struct thread *self, const struct call_handle_close_args *a,
			    struct call_result *r)
{
	(void)r;
	return handle_close(&self->task->handles, a->handle);
}

enum kerr call_handle_dup(struct thread *self, const struct call_handle_dup_args *a,
			  struct call_result *r)
{
	struct task *to = (struct task *)a->task.obj;
	const bool leaves = to != self->task;
	const uint8_t needs =
		(uint8_t)(RIGHT_DUPLICATE | a->rights | (leaves ? RIGHT_TRANSFER : 0));
	struct handle_view view;
	handle_t h;
	enum kerr e = handle_get(&self->task->handles, a->handle, KOBJ_NONE, needs, &view);

	if (e != KERR_OK) {
		return e;
	}
	e = handle_new(&to->handles, view.obj, (uint8_t)a->rights, view.badge, &h);
	if (e == KERR_OK) {
		r->x[0] = h;
	}
	return e;
}

/*
 * The revocation goes on by itself (kern/object.h); the call is made again until it is over, so
 * that nobody reaches the memory when it returns. Whoever revokes it besides is told that it is
 * dead.
 */
enum kerr call_handle_revoke(struct thread *self, const struct call_handle_revoke_args *a,
			     struct call_result *r)
{
	const bool again = self->revokes != HANDLE_NONE && self->revokes == a->handle;
	struct handle_view view;
	enum kerr e = handle_get_dead(&self->task->handles, a->handle, RIGHT_MANAGE, &view);

	self->revokes = HANDLE_NONE;
	if (e != KERR_OK) {
		return again ? KERR_OK : e; /* it was closed meanwhile */
	}
	if (!again && kobj_is_dead(view.obj)) {
		return KERR_DEAD;
	}
	kobj_revoke(view.obj);
	if (kobj_is_being_revoked(view.obj)) {
		self->revokes = a->handle;
		r->again = true;
	}
	return KERR_OK;
}

enum kerr call_handle_info(struct thread *self, const struct call_handle_info_args *a,
			   struct call_result *r)
{
	struct handle_view view;
	const enum kerr e = handle_get(&self->task->handles, a->handle, KOBJ_NONE, 0, &view);

	if (e == KERR_OK) {
		r->x[0] = view.obj->ops->type;
		r->x[1] = view.rights;
		r->x[2] = view.badge;
	}
	return e;
}
