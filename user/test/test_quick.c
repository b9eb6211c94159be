/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_quick.c - signals, waits, yields, which have a short way when nothing is unusual
 * (arch/arm64/quick_fast.S): one test for each reason to leave it, and for what it leaves behind.
 */
#include "user/test/test.h"

#define PSTATE_SS (UINT64_C(1) << 21)
#define ROUNDS 50u
#define LESS (PRIORITY_DEFAULT - 2)

struct waiter {
	handle_t event;
	uint64_t bits, cpus; /* what it waits for, and where */
	uint64_t got;
	volatile uint64_t woke;
};

static void wait_for_bits(void *argument)
{
	struct waiter *const w = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, w->cpus)); /* it stays where it is */
	EXPECT_OK(sys_event_wait(w->event, w->bits, DEADLINE_NONE, &w->got));
	w->woke = 1;
}

static struct thread *start_waiter(struct waiter *w, uint32_t priority)
{
	struct thread *const t = start_thread(wait_for_bits, w, priority);

	await_state(thread_handle(t), THREAD_IS_WAITING);
	return t;
}

static void event_signal_needs_a_handle_of_an_event(void)
{
	handle_t event, endpoint, reader, gone;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_handle_dup(event, RIGHT_READ, HANDLE_NONE, &reader));
	EXPECT_OK(sys_handle_dup(event, RIGHT_WRITE, HANDLE_NONE, &gone));
	EXPECT_OK(sys_handle_close(gone));
	EXPECT_EQ(sys_event_signal(endpoint, 1), KERR_HANDLE);
	EXPECT_EQ(sys_event_signal(HANDLE_NONE, 1), KERR_HANDLE);
	EXPECT_EQ(sys_event_signal(gone, 1), KERR_HANDLE);
	EXPECT_EQ(sys_event_signal(reader, 1), KERR_DENIED);
	EXPECT_OK(sys_event_signal(event, 0));
	EXPECT_EQ(sys_event_wait(event, UINT64_MAX, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_revoke(event));
	EXPECT_EQ(sys_event_signal(event, 1), KERR_DEAD);
	EXPECT_OK(sys_handle_close(reader));
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_handle_close(endpoint));
}

static void event_wait_needs_a_handle_that_reads(void)
{
	handle_t event, writer;
	uint64_t bits = 0;

	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_handle_dup(event, RIGHT_WRITE, HANDLE_NONE, &writer));
	EXPECT_OK(sys_event_signal(event, 1));
	EXPECT_EQ(sys_event_wait(writer, 1, DEADLINE_POLL, &bits), KERR_DENIED);
	EXPECT_EQ(sys_event_wait(HANDLE_NONE, 1, DEADLINE_POLL, &bits), KERR_HANDLE);
	EXPECT_EQ(sys_irq_ack(event), KERR_HANDLE);
	EXPECT_OK(sys_event_wait(event, 1, DEADLINE_POLL, &bits));
	EXPECT_EQ(bits, 1);
	EXPECT_OK(sys_handle_close(writer));
	EXPECT_OK(sys_handle_close(event));
}

/* Of the first page of the table, and beyond it. */
static void event_signal_takes_any_handle(void)
{
	static handle_t more[200];
	handle_t event;
	uint64_t bits;

	EXPECT_OK(sys_event_create(&event));
	for (unsigned i = 0; i < 200; i++) {
		EXPECT_OK(sys_handle_dup(event, RIGHT_WRITE, HANDLE_NONE, &more[i]));
	}
	for (unsigned i = 0; i < 200; i++) {
		EXPECT_OK(sys_event_signal(more[i], i + 1));
		EXPECT_OK(sys_event_wait(event, UINT64_MAX, DEADLINE_POLL, &bits));
		EXPECT_EQ(bits, i + 1);
		EXPECT_OK(sys_handle_close(more[i]));
	}
	EXPECT_OK(sys_handle_close(event));
}

/* Less urgent, of this CPU: it is ready at once, and runs when we wait. */
static void event_signal_wakes_who_is_less_urgent_later(void)
{
	struct waiter w = { .bits = 7, .cpus = 1 };

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_waiter(&w, LESS);

	EXPECT_OK(sys_event_signal(w.event, 5));
	EXPECT_EQ(w.woke, 0);
	await_state(thread_handle(t), THREAD_IS_DEAD);
	thread_join(t);
	EXPECT_EQ(w.woke, 1);
	EXPECT_EQ(w.got, 5);
	EXPECT_OK(sys_handle_close(w.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

struct signaller {
	struct waiter *waiter;
	uint64_t seen; /* by it, right after its signal */
};

static void signal_beside(void *argument)
{
	struct signaller *const s = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_signal(s->waiter->event, 1));
	s->seen = s->waiter->woke;
}

static void event_signal_lets_the_more_urgent_run_at_once(void)
{
	struct waiter w = { .bits = 1, .cpus = 1 };
	struct signaller s = { .waiter = &w };

	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_waiter(&w, PRIORITY_DEFAULT);

	thread_join(start_thread(signal_beside, &s, LESS));
	EXPECT_EQ(s.seen, 1);
	thread_join(t);
	EXPECT_OK(sys_handle_close(w.event));
}

static void event_signal_gives_each_waiter_its_bits(void)
{
	struct waiter one = { .bits = 1, .cpus = 1 };
	struct waiter two = { .bits = 2, .cpus = 1 };
	uint64_t bits;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&one.event));
	two.event = one.event;
	struct thread *const first = start_waiter(&one, LESS);
	struct thread *const second = start_waiter(&two, LESS);

	EXPECT_OK(sys_event_signal(one.event, 8)); /* nobody's */
	EXPECT_OK(sys_event_signal(one.event, 3 | 16));
	thread_join(first);
	thread_join(second);
	EXPECT_EQ(one.got, 1);
	EXPECT_EQ(two.got, 2);
	EXPECT_OK(sys_event_wait(one.event, UINT64_MAX, DEADLINE_POLL, &bits));
	EXPECT_EQ(bits, 8 | 16);
	EXPECT_OK(sys_handle_close(one.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* Bits that are set already, and bits that the only waiter does not wait for, are kept. */
static void event_signal_keeps_what_nobody_waits_for(void)
{
	struct waiter w = { .bits = 1, .cpus = 1 };
	uint64_t bits;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_waiter(&w, LESS);

	EXPECT_OK(sys_event_signal(w.event, 4));
	EXPECT_EQ(w.woke, 0);
	EXPECT_OK(sys_event_signal(w.event, 1));
	EXPECT_OK(sys_event_wait(w.event, UINT64_MAX, DEADLINE_POLL, &bits));
	EXPECT_EQ(bits, 4);
	thread_join(t);
	EXPECT_EQ(w.got, 1);
	EXPECT_OK(sys_handle_close(w.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* Ready on a CPU that has better to do: one that has nothing to do takes it, and soon. */
static void event_signal_tells_an_idle_cpu(void)
{
	struct waiter w = { .bits = 1, .cpus = UINT64_MAX };
	const uint64_t until = in_time();

	if (cpus_online() == 1) {
		return;
	}
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_waiter(&w, LESS);

	EXPECT_OK(sys_event_signal(w.event, 1));
	while (w.woke == 0 && time_now_ns() < until) { /* no call: we keep our CPU */
	}
	EXPECT_EQ(w.woke, 1);
	thread_join(t);
	EXPECT_OK(sys_handle_close(w.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* A waiter of another CPU has no place in our queue. */
static void event_signal_wakes_on_another_cpu(void)
{
	struct waiter w = { .bits = 1, .cpus = 2 };
	const uint64_t until = in_time();

	if (cpus_online() == 1) {
		return;
	}
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_create(&w.event));
	struct thread *const t = start_waiter(&w, LESS);

	EXPECT_OK(sys_event_signal(w.event, 1));
	while (w.woke == 0 && time_now_ns() < until) {
	}
	EXPECT_EQ(w.woke, 1);
	thread_join(t);
	EXPECT_OK(sys_handle_close(w.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* ---- yields ---- */

__attribute__((naked)) uint64_t yield_and_compare(uint64_t seed)
{
	__asm__("stp x29, x30, [sp, #-112]!\n\t"
		"stp x19, x20, [sp, #16]\n\t"
		"stp x21, x22, [sp, #32]\n\t"
		"stp x23, x24, [sp, #48]\n\t"
		"stp x25, x26, [sp, #64]\n\t"
		"stp x27, x28, [sp, #80]\n\t"
		"str x0, [sp, #96]\n\t"
		".irp n, 4,5,6,7,18,19,20,21,22,23,24,25,26,27,28,29,30\n\t"
		"add x\\n, x0, #\\n\n\t"
		".endr\n\t"
		"mov x8, #14\n\t"
		"svc #0\n\t"
		"ldr x0, [sp, #96]\n\t"
		"mov x9, x8\n\t"
		".irp n, 4,5,6,7,18,19,20,21,22,23,24,25,26,27,28,29,30\n\t"
		"sub x1, x\\n, x0\n\t"
		"cmp x1, #\\n\n\t"
		"cinc x9, x9, ne\n\t"
		".endr\n\t"
		"mov x0, x9\n\t"
		"ldp x27, x28, [sp, #80]\n\t"
		"ldp x25, x26, [sp, #64]\n\t"
		"ldp x23, x24, [sp, #48]\n\t"
		"ldp x21, x22, [sp, #32]\n\t"
		"ldp x19, x20, [sp, #16]\n\t"
		"ldp x29, x30, [sp], #112\n\t"
		"ret");
}
static_assert(CALL_THREAD_YIELD == 14);

/* Threads that have never used FP registers: else the short way is not theirs. */
void yield_in_turn(volatile struct turns *turns, uint64_t seed, volatile uint64_t *mine)
{
	const uint64_t until = in_time();

	if (sys_thread_set_affinity(HANDLE_NONE, 1) != KERR_OK) {
		turns->wrong++;
	}
	while (!turns->over && time_now_ns() < until) {
		turns->wrong += yield_and_compare(seed + (*mine << 8));
		++*mine;
	}
}

static void yield_as_second(void *argument)
{
	volatile struct turns *const turns = argument;

	yield_in_turn(turns, UINT64_C(0x2222) << 32, &turns->second);
}

/* Until it has had its turns, and the other one as many. */
static void yield_as_first(void *argument)
{
	volatile struct turns *const turns = argument;
	const uint64_t until = in_time();

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while ((turns->first < ROUNDS || turns->second < ROUNDS) && time_now_ns() < until) {
		turns->wrong += yield_and_compare((UINT64_C(0x1111) << 32) + (turns->first << 8));
		turns->first++;
	}
	EXPECT(turns->second >= ROUNDS);
	turns->over = 1;
}

/* Two threads on CPU 0 take turns; neither finds a register that is not as it was. */
static void take_turns_with(void (*function)(void *argument))
{
	volatile struct turns turns = { 0 };
	struct thread *const second =
		start_thread(yield_as_second, (void *)(uintptr_t)&turns, PRIORITY_DEFAULT);
	struct thread *const first =
		start_thread(function, (void *)(uintptr_t)&turns, PRIORITY_DEFAULT);

	thread_join(first);
	thread_join(second);
	EXPECT_EQ(turns.wrong, 0);
}

static void thread_yield_keeps_all_registers(void)
{
	take_turns_with(yield_as_first);
}

static void yield_with_vectors(void *argument)
{
	volatile struct turns *const turns = argument;
	const uint64_t until = in_time();

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while ((turns->first < ROUNDS || turns->second < ROUNDS) && time_now_ns() < until) {
		const uint64_t pattern = (UINT64_C(0x4444) << 32) + turns->first;
		uint64_t found;

		__asm__ volatile("fmov d8, %1\n\tmov x8, #14\n\tsvc #0\n\tfmov %0, d8"
				 : "=&r"(found)
				 : "r"(pattern)
				 : "d8", "x0", "x1", "x2", "x3", "x8", SVC_SCRUBBED);
		turns->wrong += found != pattern;
		turns->first++;
	}
	EXPECT(turns->second >= ROUNDS);
	turns->over = 1;
}

/* One that uses FP registers and one that never did: they are not alike. */
static void thread_yield_between_unlike_threads(void)
{
	take_turns_with(yield_with_vectors);
}

static void play_yielder(void *argument)
{
	struct role_result result;

	if (run_role("yielder", *(const handle_t *)argument, 4 * MIB, &result)) {
		EXPECT(result.ended && result.status == 0);
	}
}

static void thread_yield_switches_address_spaces(void)
{
	handle_t memory;
	uint64_t at;

	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at));
	volatile struct turns *const turns = (volatile struct turns *)(uintptr_t)at;

	turns->first = 0; /* the page is there */
	struct thread *const other = start_thread(play_yielder, &memory, PRIORITY_DEFAULT);
	struct thread *const first =
		start_thread(yield_as_first, (void *)(uintptr_t)at, PRIORITY_DEFAULT);

	thread_join(first);
	thread_join(other);
	EXPECT_EQ(turns->wrong, 0);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
}

/* A thread that was stopped, is to take a step, and is the next in turn. */
struct stepper {
	volatile uint64_t turns;
	uint64_t seen, after; /* before it goes on, and after a yield to it */
};

static void yield_bare(uint64_t argument)
{
	struct stepper *const s = (struct stepper *)(uintptr_t)argument;

	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	for (;;) {
		s->turns = s->turns + 1;
		(void)sys_thread_yield();
	}
}

static struct user_regs step_regs;

static void step_beside(void *argument)
{
	struct stepper *const s = argument;
	const handle_t t = start_bare(yield_bare, (uint64_t)(uintptr_t)s);

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while (s->turns < 3) {
		(void)sys_thread_yield();
	}
	EXPECT_OK(sys_thread_stop(t));
	await_state(t, THREAD_IS_STOPPED);
	EXPECT_OK(sys_thread_regs_read(t, (uint64_t)(uintptr_t)&step_regs));
	step_regs.pstate |= PSTATE_SS;
	EXPECT_OK(sys_thread_regs_write(t, (uint64_t)(uintptr_t)&step_regs));
	s->seen = s->turns;
	EXPECT_OK(sys_thread_resume(t));
	(void)sys_thread_yield();
	s->after = s->turns;
	end_bare(t);
}

static void thread_yield_to_one_that_steps(void)
{
	struct stepper s = { 0 };
	struct catcher c;

	catcher_begin(&c, EXC_KILL, nullptr); /* it has no further turn */
	struct thread *const t = start_thread(step_beside, &s, PRIORITY_DEFAULT);

	thread_join(t);
	EXPECT_EQ(s.after, s.seen);
	catcher_end(&c);
}

const struct test tests_quick[] = {
	TEST(event_signal_needs_a_handle_of_an_event),
	TEST(event_wait_needs_a_handle_that_reads),
	TEST(event_signal_takes_any_handle),
	TEST(event_signal_wakes_who_is_less_urgent_later),
	TEST(event_signal_lets_the_more_urgent_run_at_once),
	TEST(event_signal_gives_each_waiter_its_bits),
	TEST(event_signal_keeps_what_nobody_waits_for),
	TEST(event_signal_tells_an_idle_cpu),
	TEST(event_signal_wakes_on_another_cpu),
	TEST(thread_yield_keeps_all_registers),
	TEST(thread_yield_between_unlike_threads),
	TEST(thread_yield_switches_address_spaces),
	TEST(thread_yield_to_one_that_steps),
	TEST_END,
};
