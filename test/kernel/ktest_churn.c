/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_churn.c - threads that are started, stopped, moved and killed at any moment.
 *
 * THEORY   Nothing here says what must happen to one thread. At the end all are dead, every object
 *          is gone, every byte is given back (task.c asserts it), and on the way no assertion of
 *          the scheduler or of IPC was hit. The sequence is that of a seed; the interleaving of
 *          the CPUs is not.
 */
#include <arch/atomic.h>
#include <compiler.h>

#include "arch/arm64/timer.h"
#include "kern/bootargs.h"
#include "kern/ipc.h"
#include "kern/run.h"
#include "kern/sched.h"
#include "test/kernel/ktest.h"
#include "test/kernel/stage.h"

#define STEPS 1200
#define SECONDS_MAX 5
#define TURNS_A_SECOND 1000
#define BADGE 5
#define PRIORITIES 12

static uint64_t state;
static handle_t to, from;
static uint64_t turn_ends; /* ticks */

static uint64_t below(uint64_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % limit;
}

static uint64_t some_cpus(void)
{
	const uint64_t cpus = below(UINT64_MAX) & ALL;

	return cpus != 0 ? cpus : ALL;
}

/* Any program; those that exchange messages more often than others. */
static void recast(unsigned slot)
{
	const struct {
		const char *at;
		uint64_t arg;
		bool other;
	} program[] = {
		{ el0_spin, 0, false },        { el0_keep, 0x100, true },
		{ el0_fp, 0x200, false },      { el0_wfi, 0, true },
		{ el0_client, to, false },     { el0_client, to, false },
		{ el0_server, from, true },    { el0_server, from, true },
		{ el0_count, WORD(3), false },
	};
	const unsigned p = (unsigned)below(array_len(program));
	const struct thread_start how = {
		.pc = STUB(program[p].at),
		.sp = WORD(1),
		.arg = program[p].arg,
		.affinity = some_cpus(),
		.priority = (uint8_t)below(PRIORITIES),
	};

	stage.crew_count = slot;
	(void)stage_cast(program[p].other ? stage.other : stage.task, &how);
	stage.crew_count = STAGE_CREW;
	(void)thread_start(stage.crew[slot], nullptr);
}

static void disturb(struct thread *t)
{
	switch (below(7)) {
	case 0:
		thread_ask(t, REQUEST_KILL);
		break;
	case 1:
		thread_ask(t, REQUEST_STOP);
		break;
	case 2:
	case 3:
		(void)thread_start(t, nullptr);
		break;
	case 4:
		sched_set_affinity(t, some_cpus());
		break;
	case 5:
		sched_set_base_priority(t, (uint8_t)below(PRIORITIES));
		break;
	default:
		(void)ipc_cancel(t, KERR_CANCELLED);
		break;
	}
}

static bool a_turn_is_over(void)
{
	return counter_now() >= turn_ends;
}

static void threads_are_disturbed_at_any_moment(void)
{
	struct endpoint *ep;

	state = bootargs.seed * 2 + 1;
	if (!stage_open()) {
		return;
	}
	if (endpoint_create(nullptr, &ep) != KERR_OK ||
	    handle_new(&stage.task->handles, &ep->obj, RIGHT_SEND, BADGE, &to) != KERR_OK ||
	    handle_new(&stage.other->handles, &ep->obj, RIGHT_RECEIVE, 0, &from) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "an endpoint");
		return;
	}
	stage.go_at = UINT64_MAX;
	stage.data[2] = 1000000; /* rounds of a client */
	for (unsigned slot = 0; slot < STAGE_CREW; slot++) {
		recast(slot);
	}
	/* An emulator that runs one CPU at a time takes long for a turn. */
	const uint64_t end = counter_now() + SECONDS_MAX * arch_counter_hz();

	for (unsigned step = 0; step < STEPS && counter_now() < end; step++) {
		const unsigned slot = (unsigned)below(STAGE_CREW);
		struct thread *t = stage.crew[slot];

		if (__atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == THREAD_DEAD) {
			kobj_put(&t->obj);
			recast(slot);
		} else {
			disturb(t);
		}
		turn_ends = counter_now() + arch_counter_hz() / TURNS_A_SECOND;
		stage_play(a_turn_is_over);
	}
	for (unsigned slot = 0; slot < STAGE_CREW; slot++) {
		thread_ask(stage.crew[slot], REQUEST_KILL);
	}
	stage_play(stage_all_dead);
	EXPECT_EQ(handle_close(&stage.task->handles, to), KERR_OK);
	EXPECT_EQ(handle_close(&stage.other->handles, from), KERR_OK);
	kobj_put(&ep->obj);
	stage_close();
}

static void a_refused_thread_holds_nothing_of_its_task(void)
{
	const struct thread_start how = { .affinity = 1 };
	struct task *child;
	struct thread *late;

	if (!stage_open()) {
		return;
	}
	const uint64_t used = memcharge_used(&stage.other->charge);

	EXPECT_EQ(task_create(64 * KIB, stage.other, &child), KERR_OK);
	task_kill(child);
	EXPECT_EQ(thread_create(child, &how, &late), KERR_DEAD);
	kobj_put(&child->obj);
	stage_settle();
	EXPECT_EQ(memcharge_used(&stage.other->charge), used);
	stage_close();
}

/* R8: the killer asks a few; those ask the others as they die, which this CPU has them do later. */
static void a_crowd_is_killed_a_few_at_a_time(void)
{
	const struct thread_start how = { .affinity = ME };
	unsigned asked = 0;

	if (!stage_open()) {
		return;
	}
	for (unsigned slot = 0; slot < STAGE_CREW; slot++) {
		if (stage_cast(stage.task, &how) == nullptr) {
			break;
		}
	}
	EXPECT_EQ(stage.crew_count, STAGE_CREW);
	task_kill(stage.task);
	for (unsigned slot = 0; slot < stage.crew_count; slot++) {
		asked += __atomic_load_n(&stage.crew[slot]->requests, __ATOMIC_ACQUIRE) != 0;
	}
	EXPECT(asked > 0 && asked <= 4);
	stage_play(stage_all_dead);
	EXPECT(stage_all_dead());
	stage_close();
}

const struct ktest ktest_churn[] = {
	{ "a_refused_thread_holds_nothing_of_its_task", a_refused_thread_holds_nothing_of_its_task,
	  1 },
	{ "a_crowd_is_killed_a_few_at_a_time", a_crowd_is_killed_a_few_at_a_time, 1 },
	{ "threads_are_disturbed_at_any_moment", threads_are_disturbed_at_any_moment, 1 },
	{ nullptr, nullptr, 0 },
};
