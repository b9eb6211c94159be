/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/crowd.h - a task full of threads that wait for one thing.
 *
 * They have a page of code in common and nothing else: no stack, no library, no FP registers. Each
 * makes one call, which waits, and ends when the wait does. All are of the first CPU, where the
 * fast paths are taken among them, and where what is asked of all of them comes together.
 */
#pragma once

#include "user/test/test.h"

enum crowd_role {
	CROWD_CALLS,    /* the endpoint; `own`: the second word, and a deadline; 0: none */
	CROWD_RECEIVES, /* from the endpoint; `own`: a deadline; 0: none */
	CROWD_SERVES,   /* receives, and answers for ever */
	CROWD_ASKS,     /* calls, and is answered at once */
	CROWD_AWAITS,   /* `own`: bits of the event */
	CROWD_SLEEPS,   /* `own`: a deadline, soon, for a bit of the event that nobody sets */
	CROWD_CLOSES,   /* does not wait: closes the task's handle to the object */
	CROWD_ROLES,
};

#define CROWD_LIMIT (4 * MIB)
#define CROWD_SLEEP_BIT (UINT64_C(1) << 63)

struct crowd {
	handle_t task;
	uint64_t code;   /* where it is in that task */
	handle_t object; /* the endpoint or event, in that task's table: its first handle */
	uint64_t before; /* bytes of this task that were in use */
};

/* An empty one, whose threads will wait in an endpoint or event of this task. */
void crowd_begin(struct crowd *c, handle_t object, uint64_t rights);

/* A thread of it; returns when that thread waits, if it does so for long. */
void crowd_add(const struct crowd *c, enum crowd_role role, uint32_t priority, uint64_t own);

/* Wait until so many of its threads are left. */
void crowd_await(const struct crowd *c, uint64_t threads);

/* Kill it, and see the memory back. */
void crowd_end(const struct crowd *c);
