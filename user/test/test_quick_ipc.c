/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_quick_ipc.c - messages that the fast path leaves alone and that still pass no door
 * (kern/quick_ipc.c): one test for each thing that is decided there. All on one CPU, because that
 * is what it is for. What clears memory with FP registers is static: a server must have none.
 */
#include "user/test/test.h"

#define LESS (PRIORITY_DEFAULT - 2)
#define MIDDLE (PRIORITY_DEFAULT - 1)
#define PATTERN UINT64_C(0x1badb002deadbeef)
#define SHORT_NS (10 * MS)
#define LATE_NS (2000 * MS)

static struct ipc_message served; /* by the one server that there is at a time */

struct server {
	handle_t endpoint, reply;
	unsigned count;    /* messages to answer */
	void (*work)(void); /* before each answer; or nullptr */
	uint64_t priority; /* in force, when it was there */
	volatile uint64_t told; /* it stops waiting for whatever work() waits */
	enum kerr error;
};

static struct server server;
static volatile uint64_t turn; /* who comes first takes 1 */

static void stay_here(void)
{
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
}

static void serve(void *argument)
{
	uint64_t state, cpu, number;

	(void)argument;
	stay_here();
	server.error = sys_ipc_recv(server.endpoint, 0, server.reply, DEADLINE_NONE, &served);
	for (unsigned i = 1; server.error == KERR_OK; i++) {
		EXPECT_OK(sys_thread_info(HANDLE_NONE, &state, &server.priority, &cpu, &number));
		if (server.work != nullptr) {
			server.work();
		}
		if (i == server.count) {
			/* It may be late: the caller's test says what it got. */
			(void)sys_ipc_reply(IPC_INFO(1, 0), server.reply, &served);
			break;
		}
		server.error = sys_ipc_reply_recv(server.endpoint, IPC_INFO(1, 0), server.reply,
						  DEADLINE_NONE, &served);
	}
}

/* We are on its CPU, and it waits for us. */
static struct thread *begin(uint32_t priority, unsigned count, void (*work)(void))
{
	stay_here();
	turn = 0;
	server.reply = HANDLE_NONE;
	server.count = count;
	server.work = work;
	server.told = 0;
	EXPECT_OK(sys_endpoint_create(&server.endpoint));
	struct thread *const t = start_thread(serve, nullptr, priority);

	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	return t;
}

static void end(struct thread *t)
{
	thread_join(t);
	EXPECT_OK(server.error);
	EXPECT_OK(sys_handle_close(server.endpoint));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static enum kerr call(uint64_t deadline, struct ipc_message *m)
{
	return sys_ipc_call(server.endpoint, IPC_INFO(1, 0), HANDLE_NONE, deadline, m);
}

/* ---- priorities ---- */

static uint64_t priority_of(const struct thread *t)
{
	uint64_t state, priority, cpu, number;

	EXPECT_OK(sys_thread_info(thread_handle(t), &state, &priority, &cpu, &number));
	return priority;
}

#define LENT 4 /* calls */

static void borrow(void *argument)
{
	const struct thread *const t = argument;
	static struct ipc_message m;

	stay_here();
	for (unsigned i = 0; i < LENT; i++) {
		EXPECT_EQ(priority_of(t), LESS);
		EXPECT_OK(call(i % 2 == 0 ? DEADLINE_NONE : in_time(), &m));
		EXPECT_EQ(server.priority, PRIORITY_DEFAULT);
		await_state(thread_handle(t), i < LENT - 1 ? THREAD_IS_RECEIVING : THREAD_IS_DEAD);
	}
}

/* In assembly, and in C, which has the deadlines, and who has FP registers: we, not our thread. */
static void quick_call_lends_its_priority_until_the_next_receive(void)
{
	struct thread *t = begin(LESS, LENT, nullptr);

	borrow(t);
	end(t);
	t = begin(LESS, LENT, nullptr);
	thread_join(start_thread(borrow, t, PRIORITY_DEFAULT));
	end(t);
}

static void become_less(void)
{
	EXPECT_OK(sys_thread_set_priority(HANDLE_NONE, LESS - 1));
}

/* Its own priority changes while it has ours: that is what it has when it receives again. */
static void quick_answer_gives_back_what_is_its_own_by_then(void)
{
	struct thread *const t = begin(LESS, 2, become_less);
	struct ipc_message m = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		EXPECT_OK(call(DEADLINE_NONE, &m));
		EXPECT_EQ(server.priority, PRIORITY_DEFAULT);
		await_state(thread_handle(t), i == 0 ? THREAD_IS_RECEIVING : THREAD_IS_DEAD);
		if (i == 0) {
			EXPECT_EQ(priority_of(t), LESS - 1);
		}
	}
	end(t);
}

static struct {
	handle_t event;
	volatile uint64_t when;
} beside;

/* Ready once the server has a call, which is not more urgent than this. */
static void take_a_turn(void *argument)
{
	uint64_t bits;

	(void)argument;
	stay_here();
	EXPECT_OK(sys_event_wait(beside.event, 1, DEADLINE_NONE, &bits));
	beside.when = ++turn;
}

static void let_it_be_ready(void)
{
	EXPECT_OK(sys_event_signal(beside.event, 1));
}

static void call_once(void *argument)
{
	uint64_t *const when = argument;
	static struct ipc_message m;

	stay_here();
	EXPECT_OK(call(DEADLINE_NONE, &m));
	*when = ++turn;
}

/* The more urgent server answers and waits: who is ready and beats its caller is next. */
static void quick_answer_lets_the_more_urgent_run_first(void)
{
	struct thread *const t = begin(PRIORITY_DEFAULT, 2, let_it_be_ready);
	uint64_t called = 0;

	EXPECT_OK(sys_event_create(&beside.event));
	struct thread *const middle = start_thread(take_a_turn, nullptr, MIDDLE);

	await_state(thread_handle(middle), THREAD_IS_WAITING);
	struct thread *const caller = start_thread(call_once, &called, LESS);

	thread_join(caller);
	thread_join(middle);
	EXPECT_EQ(beside.when, 1);
	EXPECT_EQ(called, 2);
	EXPECT_OK(sys_handle_revoke(server.endpoint));
	thread_join(t);
	EXPECT_EQ(server.error, KERR_DEAD);
	EXPECT_OK(sys_handle_close(server.endpoint));
	EXPECT_OK(sys_handle_close(beside.event));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

static void send_once(void *argument)
{
	uint64_t *const when = argument;
	static struct ipc_message m;

	stay_here();
	EXPECT_OK(sys_ipc_send(server.endpoint, IPC_INFO(1, 0), DEADLINE_NONE, &m));
	*when = ++turn;
}

static void note_the_turn(void)
{
	beside.when = ++turn;
}

/* Whoever receives it, if it is more urgent, runs before the send is through. */
static void quick_send_lets_the_more_urgent_run_first(void)
{
	struct thread *const t = begin(PRIORITY_DEFAULT, 1, note_the_turn);
	uint64_t sent = 0;

	thread_join(start_thread(send_once, &sent, LESS));
	EXPECT_EQ(beside.when, 1);
	EXPECT_EQ(sent, 2);
	end(t);
}

/* ---- deadlines ---- */

/* In a kernel that forgets the deadline nobody tells: then the caller has its answer. */
static void wait_until_told(void)
{
	const uint64_t until = time_now_ns() + LATE_NS;

	while (server.told == 0 && time_now_ns() < until) {
		(void)time_sleep_ns(MS);
	}
}

/* The receiver has the call and does not answer; more urgent or less, with and without one. */
static void quick_call_is_given_up_at_its_deadline(void)
{
	static const uint32_t priority[] = { LESS, PRIORITY_DEFAULT };

	for (unsigned i = 0; i < 2; i++) {
		struct thread *const t = begin(priority[i], 1, wait_until_told);
		struct ipc_message m = { 0 };

		EXPECT_EQ(call(time_now_ns() + SHORT_NS, &m), KERR_TIMEOUT);
		server.told = 1;
		end(t);
	}
}

/* What was answered in time has no deadline: neither this call nor the next ends by it. */
static void quick_call_answered_in_time_forgets_its_deadline(void)
{
	struct thread *const t = begin(PRIORITY_DEFAULT, 50, nullptr);
	struct ipc_message m = { 0 };

	for (unsigned i = 0; i < 49; i++) {
		EXPECT_OK(call(in_time(), &m));
	}
	EXPECT_OK(call(DEADLINE_NONE, &m));
	end(t);
}

static void quick_receive_ends_at_its_deadline(void)
{
	handle_t endpoint;
	struct ipc_message m = { 0 };

	stay_here();
	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_EQ(sys_ipc_recv(endpoint, 0, HANDLE_NONE, time_now_ns() + SHORT_NS, &m),
		  KERR_TIMEOUT);
	EXPECT_EQ(sys_ipc_call(endpoint, 0, HANDLE_NONE, time_now_ns() + SHORT_NS, &m),
		  KERR_TIMEOUT);
	EXPECT_EQ(sys_ipc_send(endpoint, 0, time_now_ns() + SHORT_NS, &m), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(endpoint));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* ---- what travels, and what does not ---- */

static struct ipc_message seen;

static void look_at_it(void)
{
	for (unsigned i = 0; i < IPC_WORDS; i++) {
		seen.word[i] = served.word[i];
	}
	seen.info = served.info;
	seen.badge = served.badge;
}

/* To one who inherits: a word arrives, and zeros where the sender had others. */
static void quick_call_brings_its_words_and_no_more(void)
{
	handle_t badged;

	for (unsigned words = 0; words <= IPC_WORDS; words++) {
		struct thread *const t = begin(LESS, 1, look_at_it);
		struct ipc_message m = { .word = { 1, 2, 3, 4, 5, 6, 7, 8 } };

		EXPECT_OK(sys_endpoint_badge(server.endpoint, 77, &badged));
		EXPECT_OK(sys_ipc_call(badged, IPC_INFO(words, 0), HANDLE_NONE, DEADLINE_NONE, &m));
		for (unsigned i = 0; i < IPC_WORDS; i++) {
			EXPECT_EQ(seen.word[i], i < words ? i + 1 : 0);
		}
		EXPECT_EQ(seen.badge, 77);
		EXPECT_EQ(seen.info, IPC_INFO(words, 0) | IPC_FLAG_CALL);
		EXPECT_EQ(m.badge, 0);
		EXPECT_EQ(m.info, IPC_INFO(1, 0));
		EXPECT_OK(sys_handle_close(badged));
		end(t);
	}
}

/* A receiver finds who waits already: a call, which then waits for the answer, or a send. */
static void quick_receive_finds_who_sends(void)
{
	static void (*const way[])(void *) = { call_once, send_once };
	struct ipc_message m = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t when = 0;

		stay_here();
		turn = 0;
		EXPECT_OK(sys_endpoint_create(&server.endpoint));
		struct thread *const t = start_thread(way[i], &when, PRIORITY_DEFAULT);

		await_state(thread_handle(t), THREAD_IS_SENDING);
		EXPECT_OK(sys_ipc_recv(server.endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m));
		EXPECT_EQ(m.info, IPC_INFO(1, 0) | (i == 0 ? IPC_FLAG_CALL : 0));
		EXPECT_EQ(sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m),
			  i == 0 ? KERR_OK : KERR_ABSENT);
		thread_join(t);
		EXPECT_EQ(when, 1);
		EXPECT_OK(sys_handle_close(server.endpoint));
		EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
	}
}

/* ---- handles beyond the first page of the table ---- */

#define PAGE_SLOTS 128 /* of the table */
#define TABLE_END 0x2000u /* no index has that bit, or a higher one */

static handle_t near[PAGE_SLOTS]; /* what keeps the first page from being used */
static unsigned near_count;

static handle_t far_handle(handle_t of, uint64_t rights)
{
	handle_t h = HANDLE_NONE;

	for (;;) {
		EXPECT_OK(sys_handle_dup(of, rights, HANDLE_NONE, &h));
		if ((h & UINT16_MAX) >= PAGE_SLOTS || near_count == PAGE_SLOTS) {
			EXPECT((h & UINT16_MAX) >= PAGE_SLOTS);
			return h;
		}
		near[near_count++] = h;
	}
}

static void close_near_handles(void)
{
	while (near_count != 0) {
		EXPECT_OK(sys_handle_close(near[--near_count]));
	}
}

/* What is no handle for a message there is none for a signal. */
static void expect_no_handle(handle_t h)
{
	struct ipc_message m = { 0 };

	EXPECT_EQ(sys_ipc_call(h, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m), KERR_HANDLE);
	EXPECT_EQ(sys_ipc_reply_recv(h, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m),
		  KERR_HANDLE);
	EXPECT_EQ(sys_event_signal(h, 1), KERR_HANDLE);
}

/* Somebody waits for both, so that a wrong handle that is taken does something. */
static void quick_calls_take_the_far_handles_that_there_are(void)
{
	struct ipc_message m = { 0 };
	uint64_t bits;

	EXPECT_OK(sys_event_create(&beside.event));
	struct thread *const t = begin(PRIORITY_DEFAULT, 2, look_at_it);

	const handle_t sends = far_handle(server.endpoint, RIGHT_SEND);
	const handle_t receives = far_handle(server.endpoint, RIGHT_RECEIVE);
	const handle_t writes = far_handle(beside.event, RIGHT_WRITE);
	const handle_t reads = far_handle(beside.event, RIGHT_READ);

	expect_no_handle(sends ^ 0x10000u); /* of another generation */
	expect_no_handle(server.endpoint | TABLE_END); /* it begins anew behind its end? */
	expect_no_handle(beside.event | TABLE_END);
	expect_no_handle(server.endpoint | 0xff80u);
	expect_no_handle((sends & ~0xffffu) | (TABLE_END - 1)); /* no such page */
	EXPECT_EQ(sys_ipc_call(writes, 0, HANDLE_NONE, DEADLINE_NONE, &m), KERR_HANDLE);
	EXPECT_EQ(sys_event_signal(sends, 1), KERR_HANDLE);
	EXPECT_EQ(sys_ipc_call(receives, 0, HANDLE_NONE, DEADLINE_NONE, &m), KERR_DENIED);
	EXPECT_EQ(sys_ipc_reply_recv(sends, 0, HANDLE_NONE, DEADLINE_NONE, &m), KERR_DENIED);
	EXPECT_EQ(sys_event_signal(reads, 1), KERR_DENIED);
	EXPECT_EQ(sys_event_wait(beside.event, UINT64_MAX, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	EXPECT_OK(sys_event_signal(writes, 6));
	EXPECT_OK(sys_event_wait(beside.event, UINT64_MAX, DEADLINE_POLL, &bits));
	EXPECT_EQ(bits, 6);
	for (unsigned i = 0; i < 2; i++) {
		m = (struct ipc_message){ .word = { PATTERN + i } };
		EXPECT_OK(sys_ipc_call(sends, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m));
		EXPECT_EQ(seen.word[0], PATTERN + i);
		EXPECT_EQ(m.info, IPC_INFO(1, 0));
	}
	EXPECT_OK(sys_handle_close(sends));
	EXPECT_OK(sys_handle_close(writes));
	expect_no_handle(sends);
	expect_no_handle(writes);
	EXPECT_OK(sys_handle_close(receives));
	EXPECT_OK(sys_handle_close(reads));
	close_near_handles();
	end(t);
	EXPECT_OK(sys_handle_close(beside.event));
}

/* The server receives by one that has a badge, which an answer has not. */
static void quick_answer_goes_by_a_far_handle(void)
{
	handle_t badged;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_endpoint_create(&server.endpoint));
	EXPECT_OK(sys_endpoint_badge(server.endpoint, 99, &badged));
	const handle_t endpoint = server.endpoint;
	const handle_t sends = far_handle(badged, RIGHT_SEND);
	const handle_t receives = far_handle(endpoint, RIGHT_RECEIVE);

	stay_here();
	server.reply = HANDLE_NONE;
	server.count = 9;
	server.work = look_at_it;
	server.endpoint = receives;
	struct thread *const t = start_thread(serve, nullptr, PRIORITY_DEFAULT);

	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	for (unsigned i = 0; i < 9; i++) {
		EXPECT_OK(sys_ipc_call(sends, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &m));
		EXPECT_EQ(seen.badge, 99);
		EXPECT_EQ(m.badge, 0);
	}
	EXPECT_OK(sys_handle_close(sends));
	EXPECT_OK(sys_handle_close(badged));
	EXPECT_OK(sys_handle_close(endpoint));
	close_near_handles();
	end(t);
}

/* ---- FP registers on one side ---- */

static uint64_t its_register;

static void look_at_register(void)
{
	__asm__ volatile("fmov %0, d8" : "=r"(its_register));
	__asm__ volatile("fmov d8, xzr" : : : "v8");
}

/*
 * The server's first use of them is in the call: it finds nothing of ours, and we find ours. One
 * that is as urgent as we is the fast path's, which knows this too.
 */
static void quick_call_keeps_fp_registers_apart(void)
{
	static const uint32_t priority[] = { LESS, PRIORITY_DEFAULT };
	static struct ipc_message m;
	uint64_t back;

	for (unsigned i = 0; i < 2; i++) {
		struct thread *const t = begin(priority[i], 2, look_at_register);

		for (unsigned n = 0; n < 2; n++) {
			its_register = PATTERN;
			__asm__ volatile("fmov d8, %0" : : "r"(PATTERN) : "v8");
			EXPECT_OK(call(DEADLINE_NONE, &m));
			__asm__ volatile("fmov %0, d8" : "=r"(back) : : "v8");
			EXPECT_EQ(its_register, 0);
			EXPECT_EQ(back, PATTERN);
			await_state(thread_handle(t),
				    n == 0 ? THREAD_IS_RECEIVING : THREAD_IS_DEAD);
		}
		end(t);
	}
}

const struct test tests_quick_ipc[] = {
	TEST(quick_call_lends_its_priority_until_the_next_receive),
	TEST(quick_answer_gives_back_what_is_its_own_by_then),
	TEST(quick_answer_lets_the_more_urgent_run_first),
	TEST(quick_send_lets_the_more_urgent_run_first),
	TEST(quick_call_is_given_up_at_its_deadline),
	TEST(quick_call_answered_in_time_forgets_its_deadline),
	TEST(quick_receive_ends_at_its_deadline),
	TEST(quick_call_brings_its_words_and_no_more),
	TEST(quick_receive_finds_who_sends),
	TEST(quick_calls_take_the_far_handles_that_there_are),
	TEST(quick_answer_goes_by_a_far_handle),
	TEST(quick_call_keeps_fp_registers_apart),
	TEST_END,
};
