/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/lock.h - ranked spinlocks that answer parks while they wait (R5, R7).
 *
 * THEORY   A CPU that spins with interrupts masked would never acknowledge a park, and the CPU
 *          that holds the lock may be the one that waits for the acknowledgement. So the wait
 *          loop calls a hook, which ipi/ sets, that answers. Locks are taken in rising rank;
 *          a rank that does not rise is a deadlock waiting for its day, and panics on the first.
 *          Tickets: whoever waits longest is next, so nobody starves behind a CPU that takes the
 *          lock again and again.
 *          *Open* locks are those of memory, LOCK_SPACE to LOCK_PMAP, under which much is done: no
 *          interrupt takes one, so interrupts stay on while one is held or waited for (R8). An
 *          interrupt that comes meanwhile takes its locks as if none were held. So none of those
 *          that an interrupt takes may be held when an open lock is taken: its holder may be
 *          interrupted, and want the first one then. The rank says so, and it is asserted.
 * LOCKING  Interrupts are masked from acquire to release, and only there; not by open locks.
 */
#pragma once

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <compiler.h>
#include <types.h>

#include "kern/assert.h"

enum lock_rank {
	LOCK_INTERRUPT,  /* none: an interrupt begins */
	LOCK_STRESS,     /* test programs' own */
	LOCK_OBJECT,     /* an endpoint, event, timer or interrupt object */
	LOCK_TASK,       /* a task's handles */
	LOCK_SPACE,      /* the regions of an address space */
	LOCK_MEMOBJ,     /* a memory object: its pages, the regions that map it */
	LOCK_RESERV,     /* reservations */
	LOCK_KMAP,       /* address ranges of the dynamic kernel map */
	LOCK_PMAP,       /* translation tables */
	LOCK_SLAB,       /* a class of small objects */
	LOCK_HEAP,       /* pinned heap */
	LOCK_FRAME,      /* physical frames */
	LOCK_TIMERQ,     /* a CPU's timers */
	LOCK_SCHED,      /* a CPU's run queue */
	LOCK_ASID,       /* the numbers of address spaces: a switch may need a new one */
	LOCK_RECLAIM,    /* what waits for a grace period */
	LOCK_HOTPLUG,
	LOCK_LOG,
};

/* The open ones. */
#define LOCK_OPEN_FIRST LOCK_SPACE
#define LOCK_OPEN_LAST LOCK_PMAP

struct __attribute__((capability("mutex"))) spinlock {
	uint64_t next;    /* the ticket that the next CPU draws */
	uint64_t serving; /* the ticket whose turn it is */
	uint64_t owner;   /* 0: free, else the CPU's slice */
	enum lock_rank rank;
	const char *name;
	uint64_t contended; /* acquisitions that had to wait */
	uint64_t wait_ticks; /* their waits, and the longest: [the lock itself] */
	uint64_t wait_max;
	struct spinlock *next_contended; /* of the list that spin_contended() begins */
};

#define SPINLOCK(lock_name, lock_rank) { .rank = (lock_rank), .name = (lock_name) }

/* `place`: who masks interrupts with it, if it does. */
void spin_lock_at(struct spinlock *lock, uint64_t place) __attribute__((acquire_capability(*lock)));
static always_inline void spin_lock(struct spinlock *lock)
	__attribute__((acquire_capability(*lock)))
{
	spin_lock_at(lock, arch_this_place());
}
void spin_unlock(struct spinlock *lock) __attribute__((release_capability(*lock)));

/* Are interrupts on while it is held and waited for? */
static always_inline bool spin_is_open(const struct spinlock *lock)
{
	return lock->rank >= LOCK_OPEN_FIRST && lock->rank <= LOCK_OPEN_LAST;
}

/* Does *this* CPU hold it? */
static inline bool spin_is_held(const struct spinlock *lock)
{
	return load_relaxed(&lock->owner) == (uint64_t)(uintptr_t)this_cpu();
}

/* For reports: the kernel's own locks that were ever waited for, newest first. */
const struct spinlock *spin_contended(void);
#define KASSERT_HELD(l) KASSERT(spin_is_held(l))

/*
 * Called in every round of every wait loop, with interrupts masked. True: it parked meanwhile, and
 * may have slept through the event that the loop waits for. Set once by ipi/.
 */
void lock_set_wait_hook(bool (*hook)(void));

/*
 * Called after a wait for a lock that took `least_ticks` or more, with the lock held. Set once by
 * ipi/, which records it.
 */
void lock_set_slow_hook(uint64_t least_ticks,
			void (*hook)(const struct spinlock *lock, uint64_t ticks));

/*
 * One round of waiting: answer what must be answered, then wait for an event. Everything that
 * waits with interrupts masked waits with this.
 */
void wait_round(void);

/*
 * Hand a ticket lock on; the caller is the one that is served, and drew `mine`. Whoever waits
 * sleeps in WFE without watching the line: the store buffer is drained, then they wake. Nobody
 * waits if no ticket was drawn after ours: we store `serving`, then load `next`; a waiter draws
 * from `next`, then loads `serving`; each in the order of STLR and LDAR, so one of the two sees the
 * other.
 */
static inline void ticket_pass(uint64_t *next, uint64_t *serving, uint64_t mine)
{
	const uint64_t now = mine + 1;

	store_seq_cst(serving, now);
	if (load_seq_cst(next) != now) {
		dsb_ishst();
		cpu_sev();
	}
}

/*
 * For the quick calls: the lock if it is free, else false. Nothing is measured, and it is
 * not among the locks that this CPU holds, so the stretch must be short and may take no ordinary
 * lock of a rank that is not higher; spin_is_held() is true. Whoever waits for it meanwhile waits
 * as for any other.
 * Pre: interrupts are masked, as on SPx, or by another lock. Release: spin_unlock_bare().
 */
static inline bool spin_try_bare(struct spinlock *lock) __attribute__((no_thread_safety_analysis))
{
	const uint64_t ticket = load_relaxed(&lock->next);

	/* Served, and not drawn by anybody until it is ours. */
	if (load_acquire(&lock->serving) != ticket ||
	    !cas_acquire(&lock->next, ticket, ticket + 1)) {
		return false;
	}
	store_relaxed(&lock->owner, (uint64_t)(uintptr_t)this_cpu());
	return true;
}

static inline void spin_unlock_bare(struct spinlock *lock)
	__attribute__((no_thread_safety_analysis))
{
	store_relaxed(&lock->owner, 0);
	ticket_pass(&lock->next, &lock->serving, lock->serving);
}

/*
 * For what only ever runs on SPx: bare if it is free, else as any other. What it returns goes to
 * spin_unlock_spx(). Pre: as spin_try_bare().
 */
static inline bool spin_lock_spx(struct spinlock *lock) __attribute__((no_thread_safety_analysis))
{
	const bool bare = spin_try_bare(lock);

	if (unlikely(!bare)) {
		spin_lock(lock);
	}
	return bare;
}

static inline void spin_unlock_spx(struct spinlock *lock, bool bare)
	__attribute__((no_thread_safety_analysis))
{
	if (likely(bare)) {
		spin_unlock_bare(lock);
	} else {
		spin_unlock(lock);
	}
}

/* Masked stretches, nested; the outermost is measured and its place kept (R8). */
void irq_mask(void);
void irq_unmask(void);

/*
 * A stretch of this CPU that began at mask_since, less what it waited, is over. Pre: masked still,
 * as where mask_since was set; an interrupt has a stretch of its own.
 */
static always_inline void masked_note(struct cpubase *cpu, uint64_t place)
{
	const uint64_t ticks = counter_now() - cpu->mask_since;

	if (unlikely(ticks > cpu->masked_max)) {
		cpu->masked_max = ticks;
		cpu->masked_max_pc = place;
	}
}

/*
 * An interrupt from SP0: between the two it takes locks as if none were held, and its stretch is
 * measured; `place` says what it is. Pre: on SPx.
 */
struct interrupted {
	uint32_t locks;
	uint32_t masks;
};
void interrupt_begin(struct interrupted *was);
void interrupt_end(const struct interrupted *was, uint64_t place);

/*
 * A wait for other CPUs inside a masked stretch: accounted apart. What is answered while waiting
 * (a park) lies inside the wait and is not counted twice.
 */
struct wait {
	uint64_t start;  /* counter */
	uint64_t since;  /* mask_since then */
};

static inline struct wait wait_begin(void)
{
	return (struct wait){ .start = counter_now(), .since = this_cpu()->mask_since };
}

/* Returns the ticks waited. */
static inline uint64_t wait_end(const struct wait *w)
{
	struct cpubase *cpu = this_cpu();
	const uint64_t ticks = counter_now() - w->start;

	cpu->mask_since = w->since + ticks;
	if (unlikely(ticks > cpu->wait_max)) {
		cpu->wait_max = ticks;
	}
	return ticks;
}
