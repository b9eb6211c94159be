/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/work.h - run a function on the CPUs; otherwise they idle before the door.
 *
 * THEORY   A CPU that the kernel's own programs (run=, test/kernel) give a function runs it to its
 *          end. Otherwise it runs threads, and with none it idles before the door (kern/sched.h).
 * LOCKING  One CPU hands out work (the boot CPU). Items are published with release, in pinned
 *          memory.
 */
#pragma once

#include <types.h>

typedef void work_fn(void *arg);

/* Give every online CPU of `cpus` but this one fn(arg). Pre: they are idle (work_wait()). */
void work_start(uint64_t cpus, work_fn *fn, void *arg);

/* Wait until they are done. False after `timeout_ticks` (0: never). */
bool work_wait(uint64_t cpus, uint64_t timeout_ticks);

/* What a secondary does: work as it comes, idle between. Never returns. */
_Noreturn void work_loop(void);

/* CPUs that run work_loop(), a bit each, without the boot CPU. */
uint64_t work_cpus(void);

/*
 * This CPU will not return from its function: it counts as done, and takes no more. Then it goes
 * off.
 */
void work_finish(void);
