/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress.h - the promotion stress: arenas, load, workloads.
 *
 * THEORY   An arena is physical memory with a pattern, counters and code in every page, mapped
 *          twice in the kernel map: read-write and read-execute. While one CPU (or several) changes
 *          the size of its mappings, the others read, write, count and execute in it, and check
 *          everything they touch. A workload is a named way of changing; a cycle is one round of
 *          it.
 * NOT HERE The pmap. Everything goes through its public functions, and is checked by access.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/bootargs.h"

#define ARENA_CODE 2048     /* offset of a page's function: returns the page's number */
#define ARENA_COUNTER 64    /* offset of a page's shared counter */
#define ARENA_SLOTS 512     /* offset of the CPUs' own words, 8 bytes each */

struct arena {
	va_t rw; /* read-write alias */
	va_t rx; /* read-execute alias */
	pa_t pa;
	uint64_t size;
	unsigned order; /* of its frames */
};

/* What the CPUs of a load do. */
#define LOAD_READ (1u << 0)
#define LOAD_WRITE (1u << 1)
#define LOAD_COUNT (1u << 2) /* exclusives, and LSE atomics where the CPU has them */
#define LOAD_EXEC (1u << 3)
#define LOAD_EXTRACT (1u << 4)
#define LOAD_TIMER (1u << 5) /* with a timer interrupt storm */
#define LOAD_ALL (LOAD_READ | LOAD_WRITE | LOAD_COUNT | LOAD_EXEC)

struct stress {
	uint64_t random;      /* state of the generator */
	uint64_t cycles;      /* done */
	uint64_t cycle_limit; /* 0: none */
	uint64_t deadline;    /* counter, 0: none */
	uint64_t corruptions;
	uint64_t failures; /* facts that did not hold, each logged */
	uint64_t busy;
	const char *workload;
	struct arena main; /* 2 MiB, always mapped */
	struct arena big;  /* 32 MiB; size 0 without the memory */
};

extern struct stress stress;

/* A fact that must hold in a workload: logged with its place when it does not; the run goes on. */
#define CHECK(e)                                             \
	do {                                                 \
		if (!(e)) {                                  \
			stress_fail(__FILE__, __LINE__, #e); \
		}                                            \
	} while (0)
void stress_fail(const char *file, int line, const char *fact);

/* Frames that are free, or that the pinned heap has taken, which it may do at any time. */
uint64_t stress_frames(void);
uint64_t stress_random(void);
uint64_t stress_below(uint64_t limit);

/* stress_load.c */
/* Frames, addresses, pattern; mapped in both aliases with the largest leaves. */
enum kerr arena_make(struct arena *a, uint64_t size);
void arena_drop(struct arena *a);
/* Pattern and code of every page are what they were, read through the alias. */
bool arena_is_intact(const struct arena *a);
uint64_t arena_pattern(const struct arena *a, uint64_t page);

/* Let every other CPU work on the arena until load_stop(). No change if they do already. */
void load_start(const struct arena *a, unsigned what);
void load_stop(void);
/* CPUs under load now. */
uint64_t load_cpus(void);
/* Did a CPU that acknowledged this CPU's last window stand in the access loop of that arena? */
bool load_was_busy(const struct arena *a);
/* Bytes of the leaf at va, 0: not mapped. */
uint64_t stress_leaf(va_t va);
/* One round of demotion and promotion of the block at va; counts busy. */
void change_block(const struct arena *a, va_t block);

/* Workloads: one cycle each. */
void work_fill(void);
void work_mismatch(void);
void work_protect(void);
void work_storm(void);
void work_irq(void);
void work_duel(void);
void work_nomem(void);
void work_table_inside(void);
void work_self(void);
void work_extract(void);
void work_pinned(void);
void work_exec(void);
void work_contig(void);
void work_hotplug(void);
void work_lost(void);
void work_locks(void);
void work_user_fill(void);
void work_user_mismatch(void);
void work_user_protect(void);
void work_user_storm(void);
void work_user_duel(void);
void work_user_asid(void);
void work_user_spaces(void);
void work_space(void);
void work_pressure(void);
void work_share(void);
void work_secret(void);
void work_hostile(void);
void work_pager(void);
void work_el0(void);
