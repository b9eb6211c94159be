/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_thread.c - threads: their registers, their data, locks. Who runs: test_sched.c.
 */
#include "user/test/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static void bump(void *argument)
{
	atomic_fetch_add((_Atomic(unsigned) *)argument, 1);
}

static void thread_runs_and_is_joined(void)
{
	_Atomic(unsigned) count = 0;

	for (unsigned i = 0; i < 50; i++) {
		thread_join(start_thread(bump, &count, PRIORITY_DEFAULT));
	}
	EXPECT_EQ(count, 50);
}

struct shared {
	struct mutex mutex;
	struct condition condition;
	uint64_t count, turn;
};

static void add_under_mutex(void *argument)
{
	struct shared *const s = argument;

	for (unsigned i = 0; i < 2000; i++) {
		mutex_lock(&s->mutex);
		const uint64_t seen = *(volatile uint64_t *)&s->count;
		if (i % 100 == 0) {
			(void)sys_thread_yield();
		}
		*(volatile uint64_t *)&s->count = seen + 1;
		mutex_unlock(&s->mutex);
	}
}

static void mutex_excludes(void)
{
	struct shared s = { .mutex = MUTEX_INIT };
	struct thread *t[4];

	for (unsigned i = 0; i < 4; i++) {
		t[i] = start_thread(add_under_mutex, &s, PRIORITY_DEFAULT);
	}
	for (unsigned i = 0; i < 4; i++) {
		thread_join(t[i]);
	}
	EXPECT_EQ(s.count, 8000);
	mutex_destroy(&s.mutex);
}

static void take_turns(void *argument)
{
	struct shared *const s = argument;

	mutex_lock(&s->mutex);
	for (unsigned i = 0; i < 100; i++) {
		while (s->turn != 1) {
			condition_wait(&s->condition, &s->mutex);
		}
		s->turn = 0;
		s->count++;
		condition_signal(&s->condition);
	}
	mutex_unlock(&s->mutex);
}

static void condition_hands_over(void)
{
	struct shared s = { .mutex = MUTEX_INIT, .condition = CONDITION_INIT };
	struct thread *const t = start_thread(take_turns, &s, PRIORITY_DEFAULT);

	mutex_lock(&s.mutex);
	for (unsigned i = 0; i < 100; i++) {
		s.turn = 1;
		condition_signal(&s.condition);
		while (s.turn != 0) {
			condition_wait(&s.condition, &s.mutex);
		}
	}
	mutex_unlock(&s.mutex);
	thread_join(t);
	EXPECT_EQ(s.count, 100);
	mutex_destroy(&s.mutex);
}

static _Thread_local int mine = 5;

static void change_mine(void *argument)
{
	EXPECT_EQ(mine, 5);
	for (int i = 0; i < 100; i++) {
		mine = *(const int *)argument;
		errno = mine;
		(void)sys_thread_yield();
		EXPECT_EQ(mine, *(const int *)argument);
		EXPECT_EQ(errno, mine);
	}
}

static void thread_local_data_is_its_own(void)
{
	const int values[] = { 10, 20, 30 };
	struct thread *t[3];

	for (unsigned i = 0; i < 3; i++) {
		t[i] = start_thread(change_mine, (void *)(uintptr_t)&values[i], PRIORITY_DEFAULT);
	}
	for (unsigned i = 0; i < 3; i++) {
		thread_join(t[i]);
	}
	EXPECT_EQ(mine, 5);
}

static void thread_local_data_survives_migration(void)
{
	const uint64_t cpus = cpus_online();

	mine = 99;
	for (uint64_t i = 0; i < 4 * cpus; i++) {
		EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_C(1) << i % cpus));
		EXPECT_EQ(mine, 99);
	}
	mine = 5;
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* Keep a pattern in every vector register across yields. */
static void hold_vectors(void *argument)
{
	const double seed = *(const double *)argument;
	double v[16];

	for (unsigned i = 0; i < 16; i++) {
		v[i] = seed * (i + 1);
	}
	for (unsigned round = 0; round < 200; round++) {
		double q0, q31;

		__asm__ volatile("fmov d0, %d2\n\tfmov d31, %d3\n\t"
				 "mov x8, %4\n\tsvc #0\n\t"
				 "fmov %d0, d0\n\tfmov %d1, d31"
				 : "=&w"(q0), "=&w"(q31)
				 : "w"(v[round % 16]), "w"(v[15 - round % 16]),
				   "r"((uint64_t)CALL_THREAD_YIELD)
				 : "d0", "d31", "x0", "x1", "x2", "x3", "x8", SVC_SCRUBBED);
		EXPECT(q0 == v[round % 16]);
		EXPECT(q31 == v[15 - round % 16]);
	}
}

static void vector_registers_survive_switches(void)
{
	const double seeds[] = { 1.5, -2.25, 1e300, 3.75 };
	struct thread *t[4];

	for (unsigned i = 0; i < 4; i++) {
		t[i] = start_thread(hold_vectors, (void *)(uintptr_t)&seeds[i], PRIORITY_DEFAULT);
	}
	for (unsigned i = 0; i < 4; i++) {
		thread_join(t[i]);
	}
}

static void vector_registers_survive_migration(void)
{
	const uint64_t cpus = cpus_online();
	volatile double sum = 0;

	for (uint64_t i = 0; i < 4 * cpus; i++) {
		EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_C(1) << i % cpus));
		sum = sum + 0.5;
	}
	EXPECT(sum == 2.0 * (double)cpus);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

struct partner {
	_Atomic(uint64_t) turns;
	_Atomic(bool) over;
};

static void yield_beside(void *argument)
{
	struct partner *const p = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while (!p->over) {
		p->turns++;
		(void)sys_thread_yield();
	}
}

/* A store-exclusive must fail when another thread ran on this CPU since the load. */
static void exclusive_monitor_is_cleared_on_a_switch(void)
{
	struct partner p = { 0 };
	uint64_t word = 0;
	uint32_t failed;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	struct thread *const t = start_thread(yield_beside, &p, PRIORITY_DEFAULT);
	while (p.turns == 0) {
		(void)time_sleep_ns(MS / 4);
	}
	const uint64_t before = p.turns;
	__asm__ volatile("ldxr x0, [%1]\n\tmov x19, %1\n\tmov x8, %2\n\tsvc #0\n\t"
			 "stxr %w0, x0, [x19]"
			 : "=&r"(failed)
			 : "r"(&word), "r"((uint64_t)CALL_THREAD_YIELD)
			 : "x0", "x1", "x2", "x3", "x8", "x19", SVC_SCRUBBED);
	EXPECT(p.turns > before);
	EXPECT_EQ(failed, 1);
	p.over = true;
	thread_join(t);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static void spin_for_ever(void *argument)
{
	volatile uint64_t *const count = argument;

	for (;;) {
		*count = *count + 1;
	}
}

static void spin_bare(uint64_t counter)
{
	spin_for_ever((void *)(uintptr_t)counter);
}

/* A thread that never calls the kernel is stopped, looked at, changed, and made to end. */
static void registers_can_be_read_and_written(void)
{
	volatile uint64_t count = 0;
	struct user_regs regs;

	struct thread *const t =
		start_thread(spin_for_ever, (void *)(uintptr_t)&count, PRIORITY_DEFAULT);
	EXPECT(await_change(&count, 0));
	EXPECT_EQ(sys_thread_regs_write(thread_handle(t), 0x10), KERR_FAULT);
	EXPECT_OK(sys_thread_stop(thread_handle(t)));
	await_state(thread_handle(t), THREAD_IS_STOPPED);
	EXPECT_OK(sys_thread_regs_read(thread_handle(t), (uint64_t)(uintptr_t)&regs));
	const uint64_t seen = count;
	EXPECT(regs.sp != 0 && regs.pc != 0);
	EXPECT_OK(time_sleep_ns(10 * MS));
	EXPECT_EQ(count, seen);
	regs.pc = (uint64_t)(uintptr_t)thread_finish;
	EXPECT_OK(sys_thread_regs_write(thread_handle(t), (uint64_t)(uintptr_t)&regs));
	resume_thread(t);
	thread_join(t);
}

static void registers_of_one_who_runs_are_busy(void)
{
	volatile uint64_t count = 0;
	struct user_regs regs = { 0 };

	const handle_t t = start_bare(spin_bare, (uint64_t)(uintptr_t)&count);
	EXPECT(await_change(&count, 0));
	EXPECT_EQ(sys_thread_regs_read(t, (uint64_t)(uintptr_t)&regs), KERR_BUSY);
	EXPECT_EQ(sys_thread_regs_write(t, (uint64_t)(uintptr_t)&regs), KERR_BUSY);
	end_bare(t);
}

/*
 * What a debugger writes for PSTATE: AArch32, EL1, EL2, masked interrupts, PAN and the like. Of all
 * that only the flags stay, and the thread goes on in AArch64 EL0, with interrupts.
 */
static void state_of_the_kernel_and_aarch32_cannot_be_entered(void)
{
	static const uint64_t states[] = {
		0x10,
		0x13,
		0x1f,
		0x30,         /* AArch32 User, Supervisor, System, Thumb */
		0x04,
		0x05,
		0x08,
		0x09,
		0x0d,   /* EL1t, EL1h, EL2t, EL2h, EL3h */
		0x3c0,
		0x100000,
		0x400000,      /* DAIF, IL, PAN */
		UINT64_MAX & ~(UINT64_C(1) << 21), /* all but the single step */
	};
	const uint64_t flags = UINT64_C(0xf) << 28;
	volatile uint64_t count = 0;
	struct user_regs regs;

	const handle_t t = start_bare(spin_bare, (uint64_t)(uintptr_t)&count);
	for (unsigned i = 0; i < sizeof states / sizeof states[0]; i++) {
		const uint64_t seen = count;

		EXPECT_OK(sys_thread_stop(t));
		await_state(t, THREAD_IS_STOPPED);
		EXPECT_OK(sys_thread_regs_read(t, (uint64_t)(uintptr_t)&regs));
		regs.pstate = states[i];
		EXPECT_OK(sys_thread_regs_write(t, (uint64_t)(uintptr_t)&regs));
		EXPECT_OK(sys_thread_regs_read(t, (uint64_t)(uintptr_t)&regs));
		EXPECT_EQ(regs.pstate, states[i] & flags);
		EXPECT_OK(sys_thread_resume(t));
		EXPECT(await_change(&count, seen));
	}
	end_bare(t);
}

/* What a call leaves in the registers that no result is in: what was there, or zero. */
static void registers_show_nothing_of_the_kernel_after_a_call(void)
{
	static const uint64_t calls[] = { CALL_NULL, CALL_THREAD_YIELD, CALL_EVENT_SIGNAL };

	for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		uint64_t left = 0, kept = 0;

		__asm__ volatile("mov x8, %2\n\tmov x0, #0\n\tmov x19, #77\n\t"
				 "mov x9, #1\n\tmov x10, #1\n\tmov x11, #1\n\tmov x12, #1\n\t"
				 "mov x13, #1\n\tmov x14, #1\n\tmov x15, #1\n\tmov x16, #1\n\t"
				 "mov x17, #1\n\tsvc #0\n\t"
				 "orr x9, x9, x10\n\torr x9, x9, x11\n\torr x9, x9, x12\n\t"
				 "orr x9, x9, x13\n\torr x9, x9, x14\n\torr x9, x9, x15\n\t"
				 "orr x9, x9, x16\n\torr %0, x9, x17\n\tmov %1, x19"
				 : "=&r"(left), "=&r"(kept)
				 : "r"(calls[i])
				 : "x0", "x1", "x2", "x3", "x8", "x19", SVC_SCRUBBED);
		EXPECT(left <= 1);
		EXPECT_EQ(kept, 77);
	}
}

/* The stack pointer is only a number to the kernel, whatever EL0 made of it. */
static void misaligned_stack_survives_calls(void)
{
	uint64_t before, after;

	__asm__ volatile("mov x19, sp\n\tsub x20, x19, #200\n\tand x20, x20, #~15\n\t"
			 "add x20, x20, #4\n\tmov sp, x20\n\t"
			 "mov x8, %2\n\tsvc #0\n\tmov x8, %3\n\tsvc #0\n\t"
			 "mov %1, sp\n\tmov %0, x20\n\tmov sp, x19"
			 : "=&r"(before), "=&r"(after)
			 : "r"((uint64_t)CALL_NULL), "r"((uint64_t)CALL_THREAD_YIELD)
			 : "x0", "x1", "x2", "x3", "x8", "x19", "x20", SVC_SCRUBBED);
	EXPECT_EQ(after, before);
	EXPECT_EQ(after % 16, 4);
}

static void misaligned_stack_and_pc_are_refused_at_the_start(void)
{
	const uint64_t pc = (uint64_t)(uintptr_t)spin_bare;
	handle_t thread;

	EXPECT_OK(sys_thread_create(HANDLE_NONE, PRIORITY_DEFAULT, &thread));
	EXPECT_EQ(sys_thread_start(thread, pc, 8, 0, 0), KERR_INVALID);
	EXPECT_EQ(sys_thread_start(thread, pc + 2, 0, 0, 0), KERR_INVALID);
	end_bare(thread);
}

const struct test tests_thread[] = {
	TEST(thread_runs_and_is_joined),
	TEST(mutex_excludes),
	TEST(condition_hands_over),
	TEST(thread_local_data_is_its_own),
	TEST(thread_local_data_survives_migration),
	TEST(vector_registers_survive_switches),
	TEST(vector_registers_survive_migration),
	TEST(exclusive_monitor_is_cleared_on_a_switch),
	TEST(registers_can_be_read_and_written),
	TEST(registers_of_one_who_runs_are_busy),
	TEST(state_of_the_kernel_and_aarch32_cannot_be_entered),
	TEST(registers_show_nothing_of_the_kernel_after_a_call),
	TEST(misaligned_stack_survives_calls),
	TEST(misaligned_stack_and_pc_are_refused_at_the_start),
	TEST_END,
};
