/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/thread_impl.h - what the parts of the thread library share.
 */
#pragma once

#include <perch/thread.h>

#define EVENT_DONE 1u
#define EVENT_WAKE 2u
#define EVENT_NEVER 4u

struct thread {
	handle_t handle; /* of the first thread: none */
	handle_t event;  /* its sleep, and its end */
	void (*function)(void *);
	void *argument;
	uint64_t mapping, mapping_bytes; /* guard, stack and this */
	struct thread *next;             /* in a condition's queue */
	_Atomic(bool) signalled;         /* it was taken out of the queue */
};

struct thread *thread_self(void);

/* Sleep until thread_wake(self), which may have been before. May return too early. */
void thread_sleep(struct thread *self);
void thread_wake(struct thread *thread);
