/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stage.h - where the tests let threads run: two tasks over the same two pages.
 *
 * THEORY   The programs are those of el0_stub.S, in one page that EL0 may execute; a second page is
 *          their memory. A thread ends with UDF: it dies, its registers stay to be looked at
 *          until the test gives its reference back. The boot CPU gives itself to threads until
 *          something has happened, or a time limit is reached that says that something is wrong.
 */
#pragma once

#include <arch/cpu.h>

#include "kern/task.h"
#include "kern/thread.h"
#include "kern/work.h"

#define STAGE_CREW 16
#define CODE_VA UINT64_C(0x10000)
#define DATA_VA UINT64_C(0x11000)
#define STUB(name) (CODE_VA + (uint64_t)((name) - el0_stub))
#define WORD(n) (DATA_VA + (n) * 16)
#define GO 7 /* the word that is set at stage.go_at */

#define ME (UINT64_C(1) << cpu_number())
#define ALL (ME | work_cpus())

extern const char el0_stub[], el0_stub_end[];
extern const char el0_driver[], el0_server[], el0_client[], el0_null[], el0_spin_until[],
	el0_keep[], el0_fp[], el0_spin[], el0_count[], el0_wfi[];

extern struct stage {
	struct task *task;
	struct task *other; /* the same memory, another address space */
	char *code;
	uint64_t *data;
	struct thread *crew[STAGE_CREW];
	unsigned crew_count;
	uint64_t go_at;      /* ticks: the word GO is set then */
	uint32_t pend;       /* an interrupt that comes every millisecond; 0: none */
	uint64_t limit;      /* ticks: the boot CPU gives up */
	bool (*until)(void); /* what it waits for */
} stage;

/* False: the test has failed, or is skipped. */
bool stage_open(void);
void stage_close(void);

/*
 * Until nothing is deferred any more. This CPU holds no pointer to an object from here on,
 * whatever happens meanwhile.
 */
void stage_settle(void);

/* A thread, stopped, with a reference of the test's; it is stage.crew[stage.crew_count - 1]. */
struct thread *stage_cast(struct task *task, const struct thread_start *how);

/* The boot CPU runs threads until `until`, asked every millisecond and oftener. */
void stage_play(bool (*until)(void));
bool stage_all_dead(void);
