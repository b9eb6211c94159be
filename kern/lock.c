/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/lock.c - see kern/lock.h.
 */
#include "kern/lock.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>

#include "kern/assert.h"
#include "kern/lock_open.h"

static bool (*wait_hook)(void);
static void (*slow_hook)(const struct spinlock *lock, uint64_t ticks);
static uint64_t slow_ticks = UINT64_MAX;

void lock_set_wait_hook(bool (*hook)(void))
{
	wait_hook = hook;
}

void lock_set_slow_hook(uint64_t least_ticks,
			void (*hook)(const struct spinlock *lock, uint64_t ticks))
{
	slow_hook = hook;
	slow_ticks = least_ticks;
}

void wait_round(void)
{
	/*
	 * A park waits with WFE too, and takes the events of whatever happens meanwhile: look
	 * again. Where interrupts are on, one that is taken between the two ends the WFE: its
	 * return is an event (Arm ARM D1.6.1).
	 */
	const uint64_t state = arch_irq_mask();
	const bool parked = wait_hook != nullptr && wait_hook();

	arch_irq_restore(state);
	if (!parked) {
		cpu_wfe();
	}
}

static always_inline void mask_begin(struct cpubase *cpu, uint64_t state, uint64_t place)
{
	if (cpu->mask_depth++ == 0) {
		cpu->mask_state = state;
		cpu->mask_since = counter_now();
		cpu->mask_pc = place;
	}
}

/* `depth`: cpu->mask_depth, not 0 */
static always_inline void mask_end(struct cpubase *cpu, uint32_t depth)
{
	if (depth == 1) {
		masked_note(cpu, cpu->mask_pc);
	}
	cpu->mask_depth = depth - 1;
	if (depth == 1) {
		arch_irq_restore(cpu->mask_state);
	}
}

void irq_mask(void)
{
	mask_begin(this_cpu(), arch_irq_mask(), caller_pc());
}

void irq_unmask(void)
{
	struct cpubase *cpu = this_cpu();

	KASSERT(cpu->mask_depth > 0);
	mask_end(cpu, cpu->mask_depth);
}

/* What lies on the list of locks below those that an interrupt takes. */
static struct spinlock interrupted = SPINLOCK("interrupt", LOCK_INTERRUPT);

void interrupt_begin(struct interrupted *was)
{
	struct cpubase *cpu = this_cpu();

	*was = (struct interrupted){ cpu->lock_count, cpu->mask_depth };
	KASSERT(was->locks + 2 < LOCKS_HELD_MAX);
	/* The place on top is left out: SP0 may be filling it, or has just emptied it. */
	cpu->lock[was->locks + 1] = &interrupted;
	cpu->lock_count = was->locks + 2;
	/* A pseudo-NMI may arrive in a masked stretch: that stretch is being measured already. */
	if (was->masks == 0) {
		cpu->mask_since = counter_now();
	}
	cpu->mask_depth = was->masks + 1; /* mask_state stays SP0's */
}

void interrupt_end(const struct interrupted *was, uint64_t place)
{
	struct cpubase *cpu = this_cpu();

	KASSERT(cpu->lock_count == was->locks + 2);
	KASSERT(cpu->mask_depth == was->masks + 1);
	cpu->lock_count = was->locks;
	cpu->mask_depth = was->masks;
	if (was->masks == 0) {
		masked_note(cpu, place);
	}
}

static struct spinlock *contended; /* [a] a stack that only grows */

const struct spinlock *spin_contended(void)
{
	return __atomic_load_n(&contended, __ATOMIC_ACQUIRE);
}

/* The lock is ours, and with it its statistics. Locks of objects come and go: not listed. */
static void note_wait(struct spinlock *lock, uint64_t ticks)
{
	if (lock->contended++ == 0 && (uint64_t)(uintptr_t)lock >= IMAGE_BASE) {
		struct spinlock *head = __atomic_load_n(&contended, __ATOMIC_RELAXED);

		do {
			lock->next_contended = head;
		} while (!__atomic_compare_exchange_n(&contended, &head, lock, false,
						      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	}
	lock->wait_ticks += ticks;
	if (ticks > lock->wait_max) {
		lock->wait_max = ticks;
	}
}

noinline void lock_wait_for(struct spinlock *lock, uint64_t ticket)
{
	struct cpubase *cpu = this_cpu();
	struct spinlock *outer = cpu->lock_wanted; /* of what this interrupts */
	const struct wait wait = wait_begin();

	cpu->lock_wanted = lock;
	do {
		wait_round();
	} while (load_acquire(&lock->serving) != ticket);
	cpu->lock_wanted = outer;
	lock_own(lock, cpu, cpu->lock_count);
	const uint64_t ticks = wait_end(&wait);

	note_wait(lock, ticks);
	if (ticks >= slow_ticks) {
		slow_hook(lock, ticks);
	}
}

/*
 * The facts that a lock is taken and given under, one by one. Whoever sees them violated says so
 * here as its last act, and needs no frame for it when they hold.
 */
noinline void lock_may_not_take(const struct spinlock *lock)
{
	const struct cpubase *cpu = this_cpu();
	const uint32_t held = cpu->lock_count;

	KASSERT(held < LOCKS_HELD_MAX);
	KASSERT(held == 0 || cpu->lock[held - 1]->rank < lock->rank); /* R7 */
	KASSERT(lock_may_take_open(cpu, held));
}

noinline void lock_may_not_give(const struct spinlock *lock)
{
	const struct cpubase *cpu = this_cpu();
	const uint32_t held = cpu->lock_count;

	KASSERT(held > 0 && cpu->lock[held - 1] == lock);
}

static noinline void is_not_masked(void)
{
	KASSERT(this_cpu()->mask_depth > 0);
}

/* Interrupts are masked, `state` was before. */
static always_inline void take_masked(struct spinlock *lock, uint64_t state, uint64_t place)
{
	struct cpubase *cpu = this_cpu();
	const uint32_t held = cpu->lock_count;

	mask_begin(cpu, state, place);
	lock_take(lock, cpu, held, lock_may_take(cpu, held, lock));
}

static noinline void take_by_priority(struct spinlock *lock, uint64_t place)
{
	take_masked(lock, arch_irq_mask_priority(), place);
}

void spin_lock_at(struct spinlock *lock, uint64_t place) __attribute__((no_thread_safety_analysis))
{
	if (spin_is_open(lock)) {
		spin_lock_open(lock);
		return;
	}
	if (unlikely(arch_irqs_by_priority != 0)) {
		take_by_priority(lock, place);
		return;
	}
	take_masked(lock, arch_irq_mask(), place);
}

void spin_unlock(struct spinlock *lock) __attribute__((no_thread_safety_analysis))
{
	const uint32_t depth = this_cpu()->mask_depth;

	if (unlikely(!lock_give(lock)) || spin_is_open(lock)) {
		return;
	}
	if (unlikely(depth == 0)) {
		is_not_masked();
		return;
	}
	mask_end(this_cpu(), depth);
}
