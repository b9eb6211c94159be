/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_budget.c - who is billed for the time for which the others are held.
 *
 * THEORY   A thread that never ran is put in the place of one that makes a call, and the call is
 *          dispatched here, while another CPU stands past the door: a secret parks it.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <gen/call_nr.h>

#include "arch/arm64/timer.h"
#include "kern/call.h"
#include "kern/handle.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "test/kernel/stage.h"
#include "vm/space.h"

#define LIMIT_SECONDS 20
#define X_CALL 8

static uint64_t there; /* CPUs past the door */
static uint64_t done;

static void stand_past_the_door(void *arg)
{
	(void)arg;
	fetch_add_relaxed(&there, 1);
	while (load_acquire(&done) == 0) {
		__asm__ volatile("yield" ::: "memory");
	}
}

static enum kerr make_call(struct thread *t, uint64_t number, uint64_t a, uint64_t b)
{
	t->regs.x[X_CALL] = number;
	t->regs.x[0] = a;
	t->regs.x[1] = b;
	t->regs.x[2] = HANDLE_NONE;
	t->regs.x[3] = 0;
	t->state = THREAD_RUNNING;
	pcpu_this()->current = t;
	call_dispatch(t, 0);
	pcpu_this()->current = nullptr;
	t->state = THREAD_STOPPED;
	return (enum kerr)t->regs.x[X_CALL];
}

static void a_call_is_billed_for_the_time_of_others(void)
{
	if (!stage_open()) {
		return;
	}
	struct thread *t = stage_cast(
		stage.task,
		&(struct thread_start){ .pc = STUB(el0_null), .affinity = ME, .priority = 10 });
	const struct window_budget *budget = &stage.task->space->budget;
	const uint64_t others = work_cpus();

	REQUIRE(t != nullptr);
	store_release(&there, 0);
	store_release(&done, 0);
	work_start(others, stand_past_the_door, nullptr);
	while (load_acquire(&there) != (uint64_t)__builtin_popcountll(others)) {
		__asm__ volatile("yield" ::: "memory");
	}
	/* Its own memory costs nobody else anything. */
	EXPECT_EQ(make_call(t, CALL_MEM_CREATE, MEM_ANON, PAGE_BYTES), KERR_OK);
	EXPECT_EQ(handle_close(&stage.task->handles, (handle_t)t->regs.x[0]), KERR_OK);
	EXPECT_EQ(budget->paid_at, 0);
	const uint64_t start = counter_now();
	const uint64_t held = budget_meter();

	EXPECT_EQ(make_call(t, CALL_MEM_CREATE, MEM_SECRET, PAGE_BYTES), KERR_OK);
	EXPECT(budget_meter() > held);
	EXPECT(budget->paid_at >= start + BUDGET_SHARE * (budget_meter() - held));
	EXPECT_EQ(handle_close(&stage.task->handles, (handle_t)t->regs.x[0]), KERR_OK);
	store_release(&done, 1);
	EXPECT(work_wait(others, LIMIT_SECONDS * arch_counter_hz()));
	thread_ask(t, REQUEST_KILL);
	stage_play(stage_all_dead);
	stage_close();
}

const struct ktest ktest_budget[] = {
	{ "a_call_is_billed_for_the_time_of_others", a_call_is_billed_for_the_time_of_others, 2 },
	{ nullptr, nullptr, 0 },
};
