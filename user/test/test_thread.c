/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_thread.c - threads and the scheduler: order, CPUs, registers, locks.
 */
#include "user/test/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static uint64_t cpus_online(void)
{
	uint64_t count = 1, hz, midr, unused;

	EXPECT_OK(sys_machine_info(start.machine, MACHINE_CPUS, &count, &hz, &midr, &unused));
	return count;
}

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

/* A store-exclusive after a switch must fail. */
static void exclusive_monitor_is_cleared_on_a_switch(void)
{
	uint64_t word = 0;
	uint32_t failed;

	__asm__ volatile("ldxr x0, [%1]\n\tmov x19, %1\n\tmov x8, %2\n\tsvc #0\n\t"
			 "stxr %w0, x0, [x19]"
			 : "=&r"(failed)
			 : "r"(&word), "r"((uint64_t)CALL_THREAD_YIELD)
			 : "x0", "x1", "x2", "x3", "x8", "x19", SVC_SCRUBBED);
	EXPECT_EQ(failed, 1);
}

struct order {
	handle_t go;
	_Atomic(unsigned) *next;
	unsigned place;
};

static void note_place(void *argument)
{
	struct order *const o = argument;
	uint64_t bits;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_wait(o->go, 1, in_time(), &bits));
	o->place = atomic_fetch_add(o->next, 1);
}

static void priority_decides_who_runs_first(void)
{
	_Atomic(unsigned) next = 0;
	struct order o[3];
	struct thread *t[3];

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	for (unsigned i = 0; i < 3; i++) {
		o[i] = (struct order){ .next = &next };
		EXPECT_OK(sys_event_create(&o[i].go));
		t[i] = start_thread(note_place, &o[i], 8 + i);
	}
	EXPECT_OK(time_sleep_ns(20 * MS)); /* all of them wait now */
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_OK(sys_event_signal(o[i].go, 1)); /* less urgent than we: they stay ready */
	}
	EXPECT_EQ(next, 0);
	for (unsigned i = 0; i < 3; i++) {
		thread_join(t[i]);
		EXPECT_OK(sys_handle_close(o[i].go));
	}
	EXPECT_EQ(o[2].place, 0);
	EXPECT_EQ(o[1].place, 1);
	EXPECT_EQ(o[0].place, 2);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

struct urgent {
	struct order order;
	unsigned seen; /* by the less urgent one, right after its signal */
};

static void signal_the_urgent(void *argument)
{
	struct urgent *const u = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_signal(u->order.go, 1));
	u->seen = *u->order.next;
}

static void priority_preempts_at_once(void)
{
	_Atomic(unsigned) next = 0;
	struct urgent u = { .order.next = &next };

	EXPECT_OK(sys_event_create(&u.order.go));
	struct thread *const waiter = start_thread(note_place, &u.order, PRIORITY_DEFAULT - 2);
	EXPECT_OK(time_sleep_ns(20 * MS)); /* it waits now */
	struct thread *const t = start_thread(signal_the_urgent, &u, PRIORITY_DEFAULT - 4);
	thread_join(t);
	thread_join(waiter);
	EXPECT_EQ(u.seen, 1);
	EXPECT_OK(sys_handle_close(u.order.go));
}

static void priority_above_ones_own_is_refused(void)
{
	uint64_t state, priority, cpu, number;
	handle_t thread;

	EXPECT_OK(sys_thread_info(HANDLE_NONE, &state, &priority, &cpu, &number));
	EXPECT_EQ(state, THREAD_IS_RUNNING);
	EXPECT_EQ(sys_thread_create(HANDLE_NONE, PRIORITY_COUNT - 1, &thread), KERR_DENIED);
	EXPECT_EQ(sys_thread_create(HANDLE_NONE, PRIORITY_COUNT, &thread), KERR_INVALID);
	EXPECT_EQ(sys_thread_set_priority(HANDLE_NONE, PRIORITY_COUNT - 1), KERR_DENIED);
}

static void affinity_moves_the_thread(void)
{
	const uint64_t cpus = cpus_online();

	for (uint64_t i = 0; i < cpus; i++) {
		uint64_t state, priority, cpu, number;

		EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_C(1) << i));
		EXPECT_OK(sys_thread_info(HANDLE_NONE, &state, &priority, &cpu, &number));
		EXPECT_EQ(cpu, i);
	}
	EXPECT_EQ(sys_thread_set_affinity(HANDLE_NONE, 0), KERR_INVALID);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static void spin_for_ever(void *argument)
{
	volatile uint64_t *const count = argument;

	for (;;) {
		*count = *count + 1;
	}
}

/* A thread that never calls the kernel is stopped, looked at, changed, and made to end. */
static void registers_can_be_read_and_written(void)
{
	volatile uint64_t count = 0;
	struct user_regs regs;

	struct thread *const t =
		start_thread(spin_for_ever, (void *)(uintptr_t)&count, PRIORITY_DEFAULT);
	EXPECT_OK(time_sleep_ns(30 * MS));
	EXPECT_EQ(sys_thread_regs_write(thread_handle(t), 0x10), KERR_FAULT);
	EXPECT_OK(sys_thread_stop(thread_handle(t)));
	enum kerr e;
	do {
		e = sys_thread_regs_read(thread_handle(t), (uint64_t)(uintptr_t)&regs);
	} while (e == KERR_BUSY);
	EXPECT_OK(e);
	const uint64_t seen = count;
	EXPECT(seen > 0);
	EXPECT(regs.sp != 0 && regs.pc != 0);
	EXPECT_OK(time_sleep_ns(10 * MS));
	EXPECT_EQ(count, seen);
	regs.pc = (uint64_t)(uintptr_t)thread_finish;
	EXPECT_OK(sys_thread_regs_write(thread_handle(t), (uint64_t)(uintptr_t)&regs));
	resume_thread(t);
	thread_join(t);
}

const struct test tests_thread[] = {
	TEST(thread_runs_and_is_joined),
	TEST(mutex_excludes),
	TEST(condition_hands_over),
	TEST(thread_local_data_is_its_own),
	TEST(vector_registers_survive_switches),
	TEST(vector_registers_survive_migration),
	TEST(exclusive_monitor_is_cleared_on_a_switch),
	TEST(priority_decides_who_runs_first),
	TEST(priority_preempts_at_once),
	TEST(priority_above_ones_own_is_refused),
	TEST(affinity_moves_the_thread),
	TEST(registers_can_be_read_and_written),
	TEST_END,
};
