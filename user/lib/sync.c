/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/sync.c - mutexes and condition variables on events, and the C library's locks.
 *
 * THEORY   A mutex's event keeps one bit: a signal that comes before the sleeper is not lost, and
 *          two that nobody took are one, which is right, for whoever wakes takes the word again
 *          and leaves it at HELD_SLEEPERS, so the next release signals once more.
 *          A condition's sleepers sleep each on its own event: signals can never be taken by a
 *          thread that came later, and are counted, because each takes one out of the queue.
 */
#include <perch/calls.h>
#include <perch/thread.h>

#include <stdatomic.h>
#include <sys/lock.h>

#include "user/lib/thread_impl.h"

enum mutex_state { FREE, HELD, HELD_SLEEPERS };

#define MUTEX_BIT 1u

/* The event, made now if nobody has yet. Two who try: the second's goes. */
static handle_t mutex_event(struct mutex *mutex)
{
	handle_t there = atomic_load_explicit(&mutex->event, memory_order_acquire);
	handle_t mine;

	if (there != HANDLE_NONE) {
		return there;
	}
	if (sys_event_create(&mine) != KERR_OK) {
		return HANDLE_NONE;
	}
	if (atomic_compare_exchange_strong(&mutex->event, &there, mine)) {
		return mine;
	}
	(void)sys_handle_close(mine);
	return there;
}

bool mutex_try_lock(struct mutex *mutex)
{
	uint32_t expected = FREE;

	return atomic_compare_exchange_strong_explicit(&mutex->state, &expected, HELD,
						       memory_order_acquire, memory_order_relaxed);
}

void mutex_lock(struct mutex *mutex)
{
	if (mutex_try_lock(mutex)) {
		return;
	}
	while (atomic_exchange_explicit(&mutex->state, HELD_SLEEPERS, memory_order_acquire) !=
	       FREE) {
		const handle_t event = mutex_event(mutex);
		uint64_t bits;

		/* Without memory for an event, and after any error, trying again is right. */
		if (event == HANDLE_NONE ||
		    sys_event_wait(event, MUTEX_BIT, DEADLINE_NONE, &bits) != KERR_OK) {
			(void)sys_thread_yield();
		}
	}
}

void mutex_unlock(struct mutex *mutex)
{
	if (atomic_exchange_explicit(&mutex->state, FREE, memory_order_release) == HELD_SLEEPERS) {
		const handle_t event = mutex_event(mutex);

		if (event != HANDLE_NONE) {
			(void)sys_event_signal(event, MUTEX_BIT);
		}
	}
}

void mutex_destroy(struct mutex *mutex)
{
	const handle_t event = atomic_exchange(&mutex->event, HANDLE_NONE);

	if (event != HANDLE_NONE) {
		(void)sys_handle_close(event);
	}
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
	struct thread *const self = thread_self();

	self->next = nullptr;
	atomic_store(&self->signalled, false);
	if (condition->last != nullptr) {
		condition->last->next = self;
	} else {
		condition->first = self;
	}
	condition->last = self;
	mutex_unlock(mutex);
	while (!atomic_load(&self->signalled)) {
		thread_sleep(self);
	}
	mutex_lock(mutex);
}

void condition_signal(struct condition *condition)
{
	struct thread *const thread = condition->first;

	if (thread == nullptr) {
		return;
	}
	condition->first = thread->next;
	if (condition->first == nullptr) {
		condition->last = nullptr;
	}
	atomic_store(&thread->signalled, true);
	thread_wake(thread);
}

void condition_broadcast(struct condition *condition)
{
	while (condition->first != nullptr) {
		condition_signal(condition);
	}
}

/*
 * The C library has one lock, which its owner may take again.
 */
struct __lock {
	struct mutex mutex;
	_Atomic(struct thread *) owner;
	uint32_t depth;
};

struct __lock __lock___libc_recursive_mutex;

void __retarget_lock_acquire_recursive(_LOCK_T lock)
{
	struct thread *const self = thread_self();

	if (atomic_load_explicit(&lock->owner, memory_order_relaxed) != self) {
		mutex_lock(&lock->mutex);
		atomic_store_explicit(&lock->owner, self, memory_order_relaxed);
	}
	lock->depth++;
}

void __retarget_lock_release_recursive(_LOCK_T lock)
{
	if (--lock->depth == 0) {
		atomic_store_explicit(&lock->owner, nullptr, memory_order_relaxed);
		mutex_unlock(&lock->mutex);
	}
}
