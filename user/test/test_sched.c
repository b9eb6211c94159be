/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_sched.c - who runs, where: priorities, what is inherited, affinity, sharing.
 */
#include "user/test/test.h"

#include <stdatomic.h>

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
	for (unsigned i = 0; i < 3; i++) {
		await_state(thread_handle(t[i]), THREAD_IS_WAITING);
	}
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
	await_state(thread_handle(waiter), THREAD_IS_WAITING);
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

struct spinner {
	volatile uint64_t count;
	_Atomic(bool) over;
};

static void spin(void *argument)
{
	struct spinner *const s = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while (!s->over) {
		s->count = s->count + 1;
	}
}

static void run_on_cpu_0(void *argument)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	atomic_fetch_add((_Atomic(unsigned) *)argument, 1);
}

static void priority_preempts_one_who_never_calls(void)
{
	struct spinner s = { 0 };
	_Atomic(unsigned) ran = 0;

	struct thread *const slow = start_thread(spin, &s, PRIORITY_DEFAULT - 6);
	EXPECT(await_change(&s.count, 0));
	thread_join(start_thread(run_on_cpu_0, &ran, PRIORITY_DEFAULT - 4));
	EXPECT_EQ(ran, 1);
	s.over = true;
	thread_join(slow);
}

/* Two alike on CPU 0: each must come to run, again and again, while `wait` waits for it. */
static void share_a_cpu(bool (*wait)(const volatile uint64_t *word, uint64_t old))
{
	struct spinner s[2] = { 0 };
	struct thread *t[2];
	bool runs = true;

	for (unsigned i = 0; i < 2; i++) {
		t[i] = start_thread(spin, &s[i], PRIORITY_DEFAULT - 4);
	}
	for (unsigned round = 0; runs && round < 6; round++) {
		runs = wait(&s[round % 2].count, s[round % 2].count);
	}
	EXPECT(runs);
	for (unsigned i = 0; i < 2; i++) {
		s[i].over = true;
		thread_join(t[i]);
	}
}

static void equal_priorities_share_a_cpu(void)
{
	share_a_cpu(await_change);
}

/* Preempts who runs here many times in each slice, over fifty slices at least. */
static bool preempt_until_change(const volatile uint64_t *word, uint64_t old)
{
	for (unsigned i = 0; *word == old && i < 2000; i++) {
		EXPECT_OK(time_sleep_ns(MS / 4));
	}
	return *word != old;
}

static void equal_priorities_share_a_cpu_though_preempted(void)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	share_a_cpu(preempt_until_change);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static uint64_t own_priority(void)
{
	uint64_t state, priority = 0, cpu, number;

	EXPECT_OK(sys_thread_info(HANDLE_NONE, &state, &priority, &cpu, &number));
	return priority;
}

/* Takes a call, asks the next one if there is one, answers, and looks whether somebody calls. */
struct helper {
	handle_t endpoint, next;
	uint64_t while_serving, afterwards;
};

static void help(void *argument)
{
	struct helper *const h = argument;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_ipc_recv(h->endpoint, 0, HANDLE_NONE, in_time(), &m));
	h->while_serving = own_priority();
	if (h->next != HANDLE_NONE) {
		EXPECT_OK(sys_ipc_call(h->next, 0, HANDLE_NONE, in_time(), &m));
	}
	EXPECT_OK(sys_ipc_reply(0, HANDLE_NONE, &m));
	EXPECT_EQ(sys_ipc_recv(h->endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_TIMEOUT);
	h->afterwards = own_priority();
}

static void priority_is_inherited_through_a_call(void)
{
	struct ipc_message m = { 0 };
	struct helper h = { 0 };

	EXPECT_OK(sys_endpoint_create(&h.endpoint));
	struct thread *const t = start_thread(help, &h, 4);
	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	EXPECT_OK(sys_ipc_call(h.endpoint, 0, HANDLE_NONE, in_time(), &m));
	thread_join(t);
	EXPECT_EQ(h.while_serving, PRIORITY_DEFAULT);
	EXPECT_EQ(h.afterwards, 4);
	EXPECT_OK(sys_handle_close(h.endpoint));
}

static void priority_goes_along_when_the_server_calls(void)
{
	struct helper h[2] = { 0 };
	struct ipc_message m = { 0 };
	struct thread *t[2];

	for (unsigned i = 0; i < 2; i++) {
		EXPECT_OK(sys_endpoint_create(&h[i].endpoint));
	}
	h[0].next = h[1].endpoint;
	for (unsigned i = 0; i < 2; i++) {
		t[i] = start_thread(help, &h[i], 5 - i);
	}
	EXPECT_OK(sys_ipc_call(h[0].endpoint, 0, HANDLE_NONE, in_time(), &m));
	for (unsigned i = 0; i < 2; i++) {
		thread_join(t[i]);
		EXPECT_EQ(h[i].while_serving, PRIORITY_DEFAULT);
		EXPECT_EQ(h[i].afterwards, 5 - i);
		EXPECT_OK(sys_handle_close(h[i].endpoint));
	}
}

static void spin_anywhere(uint64_t counter)
{
	volatile uint64_t *const count = (volatile uint64_t *)(uintptr_t)counter;

	for (;;) {
		*count = *count + 1;
	}
}

static void affinity_moves_a_thread_that_runs(void)
{
	const uint64_t cpus = cpus_online();
	volatile uint64_t count = 0;

	const handle_t t = start_bare(spin_anywhere, (uint64_t)(uintptr_t)&count);
	for (uint64_t i = 0; i < 2 * cpus; i++) {
		uint64_t state, priority, cpu = cpus, number;

		EXPECT_OK(sys_thread_set_affinity(t, UINT64_C(1) << i % cpus));
		for (const uint64_t until = in_time(); cpu != i % cpus && time_now_ns() < until;) {
			(void)time_sleep_ns(MS / 4);
			EXPECT_OK(sys_thread_info(t, &state, &priority, &cpu, &number));
		}
		EXPECT_EQ(cpu, i % cpus);
		EXPECT(await_change(&count, count));
	}
	end_bare(t);
}

const struct test tests_sched[] = {
	TEST(priority_decides_who_runs_first),
	TEST(priority_preempts_at_once),
	TEST(priority_preempts_one_who_never_calls),
	TEST(priority_above_ones_own_is_refused),
	TEST(priority_is_inherited_through_a_call),
	TEST(priority_goes_along_when_the_server_calls),
	TEST(equal_priorities_share_a_cpu),
	TEST(equal_priorities_share_a_cpu_though_preempted),
	TEST(affinity_moves_the_thread),
	TEST(affinity_moves_a_thread_that_runs),
	TEST_END,
};
