/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/thread.h - threads, mutexes and condition variables.
 *
 * THEORY   Each thread has an event of its own, on which it sleeps whenever the library makes it
 *          wait. A mutex is one word: free, held, held with sleepers; only the last needs calls. A
 *          condition variable is a queue of sleepers, so that each signal wakes exactly one.
 */
#pragma once

#include <abi.h>
#include <kerr.h>

#define THREAD_STACK_DEFAULT UINT64_C(0x10000)

struct thread;

/* How to start one; all zero means: as the library thinks best. */
struct thread_options {
	uint64_t stack_bytes; /* rounded up to pages; an unmapped page lies below */
	uint64_t cpus;        /* that it may run on; 0: any */
	uint32_t priority;    /* 0: PRIORITY_DEFAULT */
};

/*
 * Run function(argument) in a thread of its own. Everyone who creates one joins it.
 * Errors: KERR_NO_MEMORY, KERR_DENIED (priority), KERR_INVALID (no such CPU).
 */
enum kerr thread_create(void (*function)(void *), void *argument,
			const struct thread_options *options, struct thread **out);

/* Wait for its end and free what it had. Nobody may use `thread` afterwards. */
void thread_join(struct thread *thread);

/* The kernel's handle of a thread, for the calls that want one. */
handle_t thread_handle(const struct thread *thread);

/* End the calling thread, which is not the first one. */
_Noreturn void thread_finish(void);

struct mutex {
	_Atomic(uint32_t) state;
	_Atomic(handle_t) event; /* made by the first who has to sleep */
};

#define MUTEX_INIT { 0, 0 }

void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

/* Nobody uses it any more. */
void mutex_destroy(struct mutex *mutex);

struct condition {
	struct thread *first, *last; /* who sleeps; under the mutex that goes with it */
};

#define CONDITION_INIT { nullptr, nullptr }

/* Let go of the mutex, sleep until signalled, take it again. Check what you wait for in a loop. */
void condition_wait(struct condition *condition, struct mutex *mutex);

/* Pre: the mutex is held. */
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);
