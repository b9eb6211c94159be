/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/lock_open.h - an open lock, taken and given inline: for the shortest of the calls under one.
 *
 * THEORY   An open lock masks nothing, so to take it is to draw a ticket and to note it, and what
 *          is rare is a call. kern/lock.c is made of the same pieces.
 */
#pragma once

#include "kern/lock.h"

void lock_wait_for(struct spinlock *lock, uint64_t ticket);
void lock_may_not_take(const struct spinlock *lock);
void lock_may_not_give(const struct spinlock *lock);

static always_inline void lock_own(struct spinlock *lock, struct cpubase *cpu, uint32_t held)
{
	store_relaxed(&lock->owner, (uint64_t)(uintptr_t)cpu);
	cpu->lock[held] = lock;
	cpu->lock_count = held + 1;
}

static always_inline bool lock_may_take(const struct cpubase *cpu, uint32_t held,
					const struct spinlock *lock)
{
	return held == 0 || (held < LOCKS_HELD_MAX && cpu->lock[held - 1]->rank < lock->rank);
}

/* An interrupt may want what lies below, while whoever has this one waits for us. */
static always_inline bool lock_may_take_open(const struct cpubase *cpu, uint32_t held)
{
	return held == 0 || cpu->lock[held - 1]->rank >= LOCK_OPEN_FIRST ||
	       cpu->lock[held - 1]->rank == LOCK_STRESS;
}

/* What is rare is called last: no frame is needed. */
static always_inline void lock_take(struct spinlock *lock, struct cpubase *cpu, uint32_t held,
				    bool may)
{
	if (unlikely(!may)) {
		lock_may_not_take(lock);
		return;
	}
	/* Drawn before `serving` is read: pairs with ticket_pass(). */
	const uint64_t ticket = fetch_add_seq_cst(&lock->next, 1);

	if (unlikely(load_seq_cst(&lock->serving) != ticket)) {
		lock_wait_for(lock, ticket);
		return;
	}
	lock_own(lock, cpu, held);
}

/* Hand it on. False: it is not the one that was taken last, and that has been said. */
static always_inline bool lock_give(struct spinlock *lock)
{
	struct cpubase *cpu = this_cpu();
	const uint32_t held = cpu->lock_count;

	if (unlikely(held == 0 || cpu->lock[held - 1] != lock)) {
		lock_may_not_give(lock);
		return false;
	}
	cpu->lock_count = held - 1;
	store_relaxed(&lock->owner, 0);
	ticket_pass(&lock->next, &lock->serving, lock->serving);
	return true;
}

/* spin_lock() and spin_unlock(). Pre: spin_is_open(lock). */
static always_inline void spin_lock_open(struct spinlock *lock)
	__attribute__((acquire_capability(*lock))) __attribute__((no_thread_safety_analysis))
{
	struct cpubase *cpu = this_cpu();
	const uint32_t held = cpu->lock_count;

	lock_take(lock, cpu, held, lock_may_take(cpu, held, lock) && lock_may_take_open(cpu, held));
}

static always_inline void spin_unlock_open(struct spinlock *lock)
	__attribute__((release_capability(*lock))) __attribute__((no_thread_safety_analysis))
{
	(void)lock_give(lock);
}
