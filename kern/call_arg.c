/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_arg.c - see kern/call_arg.h.
 */
#include "kern/call_arg.h"

#include <memmap.h>

#include "arch/arm64/timer.h"
#include "kern/task.h"
#include "kern/thread.h"

#define DUE_FIRST 2 /* ticks; less has a meaning of its own */

enum kerr arg_number(uint64_t x, handle_t *out)
{
	if (x > UINT32_MAX) {
		return KERR_HANDLE;
	}
	*out = (handle_t)x;
	return KERR_OK;
}

enum kerr arg_word(uint64_t x, uint64_t max, uint64_t align, uint64_t *out)
{
	if (x > max || !is_aligned(x, align)) {
		return KERR_INVALID;
	}
	*out = x;
	return KERR_OK;
}

enum kerr arg_flags(uint64_t x, uint64_t mask, uint64_t *out)
{
	if ((x & ~mask) != 0) {
		return KERR_INVALID;
	}
	*out = x;
	return KERR_OK;
}

enum kerr arg_range(const uint64_t *x, uint64_t align, uint64_t max, va_t *address, uint64_t *bytes)
{
	if (!is_aligned(x[0], align) || !is_aligned(x[1], align)) {
		return KERR_INVALID;
	}
	if (x[1] == 0 || x[1] > max || x[0] < USER_BASE || x[0] >= USER_END ||
	    x[1] > USER_END - x[0]) {
		return KERR_RANGE;
	}
	*address = va(x[0]);
	*bytes = x[1];
	return KERR_OK;
}

uint64_t arg_due(uint64_t deadline_ns)
{
	if (deadline_ns == DEADLINE_NONE || deadline_ns == DEADLINE_POLL) {
		return deadline_ns;
	}
	const uint64_t ticks = timer_ns_to_ticks(deadline_ns);

	return ticks < DUE_FIRST ? DUE_FIRST : ticks;
}

enum kerr arg_handle(struct thread *self, uint64_t x, enum kobj_type type, uint8_t rights,
		     struct handle_view *out)
{
	if (x > UINT32_MAX) {
		return KERR_HANDLE;
	}
	return handle_get(&self->task->handles, (handle_t)x, type, rights, out);
}

enum kerr arg_handle_or_none(struct thread *self, uint64_t x, enum kobj_type type, uint8_t rights,
			     struct handle_view *out)
{
	if (x == HANDLE_NONE) {
		*out = (struct handle_view){ 0 };
		return KERR_OK;
	}
	return arg_handle(self, x, type, rights, out);
}

enum kerr arg_task_or_own(struct thread *self, uint64_t x, uint8_t rights, struct handle_view *out)
{
	if (x == HANDLE_NONE) {
		*out = (struct handle_view){ .obj = &self->task->obj, .rights = RIGHT_ALL };
		return KERR_OK;
	}
	const enum kerr e = arg_handle(self, x, KOBJ_TASK, rights, out);

	return e == KERR_OK && task_is_dying((struct task *)out->obj) ? KERR_DEAD : e;
}

enum kerr arg_thread_or_own(struct thread *self, uint64_t x, uint8_t rights,
			    struct handle_view *out)
{
	if (x == HANDLE_NONE) {
		*out = (struct handle_view){ .obj = &self->obj, .rights = RIGHT_ALL };
		return KERR_OK;
	}
	return arg_handle(self, x, KOBJ_THREAD, rights, out);
}
