/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_arg.h - what the decoders of calls are made of (scripts/abi).
 *
 * THEORY   Decoding looks at registers and handles, and changes nothing: a call whose arguments are
 *          refused has had no effect. What it finds is good for this stay in the kernel. Nothing
 *          here may assert what a program controls.
 */
#pragma once

#include <abi.h>
#include <kerr.h>
#include <types.h>

#include "kern/handle.h"

struct thread;

#define CALL_RESULTS 4

/*
 * Goes to x0-x3 if the call ends well, as many as the call has results: IPC calls have none, they
 * write registers themselves.
 */
struct call_result {
	uint64_t x[CALL_RESULTS];
	bool again; /* run the call anew: it is not done, and has left its progress in registers */
};

/* One call: how it is run, and what a tracer prints of it. */
struct call_entry {
	const char *name;
	const char *args; /* their names, a space between */
	unsigned results; /* words of struct call_result that go to x0... */
	enum kerr (*run)(struct thread *self, const uint64_t *x, struct call_result *r);
};

/* A handle as a number: at most 32 bits. KERR_HANDLE. */
enum kerr arg_number(uint64_t x, handle_t *out);

/* KERR_INVALID: above `max`, or not a multiple of `align`. */
enum kerr arg_word(uint64_t x, uint64_t max, uint64_t align, uint64_t *out);

/* KERR_INVALID: a bit outside `mask`. */
enum kerr arg_flags(uint64_t x, uint64_t mask, uint64_t *out);

/*
 * x[0] an address, x[1] bytes. KERR_INVALID: not aligned; KERR_RANGE: empty, longer than `max`, or
 * not in [USER_BASE, USER_END).
 */
enum kerr arg_range(const uint64_t *x, uint64_t align, uint64_t max, va_t *address,
		    uint64_t *bytes);

/* Nanoseconds of a deadline to ticks of the counter; NONE and POLL stay as they are. */
uint64_t arg_due(uint64_t deadline_ns);

/* A handle of the caller's table. KERR_HANDLE, KERR_DENIED, KERR_DEAD. */
enum kerr arg_handle(struct thread *self, uint64_t x, enum kobj_type type, uint8_t rights,
		     struct handle_view *out);

/* The same; 0 gives a view of no object. */
enum kerr arg_handle_or_none(struct thread *self, uint64_t x, enum kobj_type type, uint8_t rights,
			     struct handle_view *out);

/* The same; 0 gives the caller's own, with every right. */
enum kerr arg_task_or_own(struct thread *self, uint64_t x, uint8_t rights, struct handle_view *out);
enum kerr arg_thread_or_own(struct thread *self, uint64_t x, uint8_t rights,
			    struct handle_view *out);
