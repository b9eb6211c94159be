/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_ipc.c - messages: call, reply, receive, send, and what they carry.
 */
#include "user/test/test.h"

struct server {
	handle_t endpoint;
	handle_t reply; /* HANDLE_NONE: the thread's own */
	unsigned count; /* messages to answer */
	handle_t after; /* begin when this thread sends; HANDLE_NONE: at once */
	enum kerr error;
	struct ipc_message last;
};

/* Answer `count` messages by their words in reverse. */
static void serve(void *argument)
{
	struct server *const s = argument;
	struct ipc_message m;

	if (s->after != HANDLE_NONE) {
		await_state(s->after, THREAD_IS_SENDING);
	}
	s->error = sys_ipc_recv(s->endpoint, 0, s->reply, in_time(), &m);
	for (unsigned i = 1; s->error == KERR_OK; i++) {
		struct ipc_message answer = { 0 };

		s->last = m;
		for (unsigned w = 0; w < IPC_WORDS; w++) {
			answer.word[w] = m.word[IPC_WORDS - 1 - w];
		}
		if (i == s->count) {
			s->error = sys_ipc_reply(IPC_INFO(IPC_WORDS, 0), s->reply, &answer);
			break;
		}
		m = answer;
		s->error = sys_ipc_reply_recv(s->endpoint, IPC_INFO(IPC_WORDS, 0), s->reply,
					      in_time(), &m);
	}
}

static void begin(struct server *s, struct thread **thread)
{
	EXPECT_OK(sys_endpoint_create(&s->endpoint));
	*thread = start_thread(serve, s, PRIORITY_DEFAULT);
}

static void end(struct server *s, struct thread *thread)
{
	thread_join(thread);
	EXPECT_OK(s->error);
	EXPECT_OK(sys_handle_close(s->endpoint));
}

static void call_reversed(handle_t endpoint)
{
	struct ipc_message m = { .word = { 1, 2, 3, 4, 5, 6, 7, 8 } };

	EXPECT_OK(sys_ipc_call(endpoint, IPC_INFO(IPC_WORDS, 0), HANDLE_NONE, in_time(), &m));
	for (unsigned w = 0; w < IPC_WORDS; w++) {
		EXPECT_EQ(m.word[w], IPC_WORDS - w);
	}
	EXPECT_EQ(IPC_INFO_WORDS(m.info), IPC_WORDS);
}

static void ipc_call_to_one_who_waits(void)
{
	struct server s = { .count = 1 };
	struct thread *t;

	begin(&s, &t);
	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	call_reversed(s.endpoint);
	end(&s, t);
}

static void ipc_call_before_the_receiver(void)
{
	struct server s = { .count = 1, .after = start.self };
	struct thread *t;

	begin(&s, &t);
	call_reversed(s.endpoint);
	end(&s, t);
}

static void ipc_many_calls_in_a_row(void)
{
	struct server s = { .count = 1000 };
	struct thread *t;

	begin(&s, &t);
	for (unsigned i = 0; i < 1000; i++) {
		call_reversed(s.endpoint);
	}
	end(&s, t);
}

static void caller(void *argument)
{
	const handle_t *const endpoint = argument;

	for (unsigned i = 0; i < 100; i++) {
		call_reversed(*endpoint);
	}
}

static void ipc_many_callers_are_all_answered(void)
{
	struct server s = { .count = 400 };
	struct thread *t, *callers[4];

	begin(&s, &t);
	for (unsigned i = 0; i < 4; i++) {
		callers[i] = start_thread(caller, &s.endpoint, PRIORITY_DEFAULT - i);
	}
	for (unsigned i = 0; i < 4; i++) {
		thread_join(callers[i]);
	}
	end(&s, t);
}

/* A thread on CPU 0 that answers its caller after a call to another, who waits with a deadline. */
struct relay {
	handle_t first, second;
	uint64_t answer;
};

static void pass_on(void *argument)
{
	struct relay *const r = argument;
	struct ipc_message m, to = { .word = { 41 } };

	EXPECT_OK(sys_ipc_recv(r->first, 0, HANDLE_NONE, in_time(), &m));
	/* Its priority is its caller's here, and no longer what its registers were loaded for. */
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_ipc_call(r->second, IPC_INFO(1, 0), HANDLE_NONE, DEADLINE_NONE, &to));
	r->answer = to.word[0];
	EXPECT_OK(sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m));
}

static void answer_in_time(void *argument)
{
	const struct relay *const r = argument;
	struct ipc_message m;

	EXPECT_OK(sys_ipc_recv(r->second, 0, HANDLE_NONE, in_time(), &m));
	m.word[0]++;
	/* Nobody calls again: the deadline of this wait is the one that passes. */
	EXPECT_EQ(
		sys_ipc_reply_recv(r->second, IPC_INFO(1, 0), HANDLE_NONE, time_now_ns() + MS, &m),
		KERR_TIMEOUT);
}

/* A receiver's deadline ends with its wait, whatever way the message took. */
static void ipc_one_who_inherits_calls_one_with_a_deadline(void)
{
	const struct thread_options low = { .cpus = 1, .priority = PRIORITY_DEFAULT - 6 };
	const struct thread_options high = { .cpus = 1, .priority = PRIORITY_DEFAULT };
	struct ipc_message m = { 0 };
	struct relay r = { 0 };
	struct thread *t[2];

	EXPECT_OK(sys_endpoint_create(&r.first));
	EXPECT_OK(sys_endpoint_create(&r.second));
	EXPECT_OK(thread_create(pass_on, &r, &low, &t[0]));
	EXPECT_OK(thread_create(answer_in_time, &r, &high, &t[1]));
	await_state(thread_handle(t[0]), THREAD_IS_RECEIVING);
	await_state(thread_handle(t[1]), THREAD_IS_RECEIVING);
	EXPECT_OK(sys_ipc_call(r.first, IPC_INFO(0, 0), HANDLE_NONE, in_time(), &m));
	EXPECT_EQ(r.answer, 42);
	thread_join(t[0]);
	thread_join(t[1]);
	EXPECT_OK(sys_handle_close(r.first));
	EXPECT_OK(sys_handle_close(r.second));
}

static void ipc_badge_tells_the_sender(void)
{
	struct server s = { .count = 1 };
	struct thread *t;
	handle_t badged;

	begin(&s, &t);
	EXPECT_OK(sys_endpoint_badge(s.endpoint, 0xb00c, &badged));
	call_reversed(badged);
	end(&s, t);
	EXPECT_EQ(s.last.badge, 0xb00c);
	EXPECT(s.last.info & IPC_FLAG_CALL);
	EXPECT_OK(sys_handle_close(badged));
}

static void ipc_rights_are_checked(void)
{
	handle_t endpoint, sender;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_endpoint_badge(endpoint, 1, &sender));
	EXPECT_EQ(sys_ipc_recv(sender, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_DENIED);
	EXPECT_EQ(sys_endpoint_badge(sender, 2, &sender), KERR_DENIED);
	EXPECT_OK(sys_handle_close(sender));
	EXPECT_OK(sys_handle_dup(endpoint, RIGHT_RECEIVE, HANDLE_NONE, &sender));
	EXPECT_EQ(sys_ipc_call(sender, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_DENIED);
	EXPECT_OK(sys_handle_close(sender));
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_poll_and_deadline_time_out(void)
{
	handle_t endpoint;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_EQ(sys_ipc_call(endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_TIMEOUT);
	EXPECT_EQ(sys_ipc_send(endpoint, 0, DEADLINE_POLL, &m), KERR_TIMEOUT);
	EXPECT_EQ(sys_ipc_recv(endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_TIMEOUT);
	const uint64_t until = time_now_ns() + 10 * MS;
	EXPECT_EQ(sys_ipc_call(endpoint, 0, HANDLE_NONE, until, &m), KERR_TIMEOUT);
	EXPECT(time_now_ns() >= until);
	EXPECT_EQ(sys_ipc_recv(endpoint, 0, HANDLE_NONE, until + 10 * MS, &m), KERR_TIMEOUT);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void send_five(void *argument)
{
	const handle_t *const endpoint = argument;

	for (uint64_t i = 0; i < 5; i++) {
		struct ipc_message m = { .word = { i, i + 1 } };
		EXPECT_OK(sys_ipc_send(*endpoint, IPC_INFO(2, 0), in_time(), &m));
	}
}

static void ipc_send_needs_no_answer(void)
{
	struct ipc_message m;
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	struct thread *const t = start_thread(send_five, &endpoint, PRIORITY_DEFAULT);
	for (uint64_t i = 0; i < 5; i++) {
		EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
		EXPECT_EQ(m.word[0], i);
		EXPECT_EQ(m.word[1], i + 1);
		EXPECT_EQ(m.info & IPC_FLAG_CALL, 0);
		EXPECT_EQ(sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m), KERR_ABSENT);
	}
	thread_join(t);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_words_beyond_the_count_are_zero(void)
{
	struct ipc_message m;
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	struct thread *const t = start_thread(send_five, &endpoint, PRIORITY_DEFAULT);
	for (unsigned i = 0; i < 5; i++) {
		memset(&m, 0xff, sizeof m);
		EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
		EXPECT_EQ(IPC_INFO_WORDS(m.info), 2);
		for (unsigned w = 2; w < IPC_WORDS; w++) {
			EXPECT_EQ(m.word[w], 0);
		}
	}
	thread_join(t);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_malformed_info_is_refused(void)
{
	static const uint64_t wrong[] = { 9, 15, 0x300, 0x100, 0x201, 0x10000, UINT64_C(1) << 63 };
	handle_t endpoint;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_endpoint_create(&endpoint));
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		EXPECT_EQ(sys_ipc_call(endpoint, wrong[i], HANDLE_NONE, DEADLINE_POLL, &m),
			  KERR_INVALID);
	}
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_transfers_handles(void)
{
	handle_t endpoint, event, arrived;
	struct ipc_message m = { 0 };
	uint64_t bits;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_event_create(&event));
	struct server s = { .endpoint = endpoint, .count = 1 };
	struct thread *const t = start_thread(serve, &s, PRIORITY_DEFAULT);
	m.word[0] = 77;
	m.word[1] = event;
	EXPECT_OK(sys_ipc_call(endpoint, IPC_INFO(2, 1), HANDLE_NONE, in_time(), &m));
	thread_join(t);
	EXPECT_EQ(IPC_INFO_HANDLES(s.last.info), 1);
	EXPECT_EQ(s.last.word[0], 77);
	arrived = (handle_t)s.last.word[1];
	EXPECT(arrived != HANDLE_NONE);
	EXPECT_OK(sys_event_signal(arrived, 4));
	if (arrived != event) {
		EXPECT_OK(sys_event_wait(event, 4, DEADLINE_POLL, &bits));
		EXPECT_OK(sys_handle_close(arrived));
	}
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_handle_close(endpoint));
}

static void receive_once(void *argument)
{
	const handle_t *const endpoint = argument;
	struct ipc_message m;

	EXPECT_OK(sys_ipc_recv(*endpoint, 0, HANDLE_NONE, in_time(), &m));
}

static void ipc_transfer_needs_its_right(void)
{
	handle_t endpoint, event, kept;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_handle_dup(event, RIGHT_READ, HANDLE_NONE, &kept));
	struct thread *const t = start_thread(receive_once, &endpoint, PRIORITY_DEFAULT);
	m.word[0] = kept;
	EXPECT_EQ(sys_ipc_send(endpoint, IPC_INFO(1, 1), in_time(), &m), KERR_DENIED);
	m.word[0] = 0x7fff7fff;
	EXPECT_EQ(sys_ipc_send(endpoint, IPC_INFO(1, 1), in_time(), &m), KERR_HANDLE);
	EXPECT_OK(sys_ipc_send(endpoint, 0, in_time(), &m));
	thread_join(t);
	EXPECT_OK(sys_handle_close(kept));
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_transfers_two_handles_at_once(void)
{
	handle_t endpoint, event[2];
	struct ipc_message m = { .word = { 5 } };
	uint64_t bits;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	for (unsigned i = 0; i < 2; i++) {
		EXPECT_OK(sys_event_create(&event[i]));
		m.word[1 + i] = event[i];
	}
	struct server s = { .endpoint = endpoint, .count = 1 };
	struct thread *const t = start_thread(serve, &s, PRIORITY_DEFAULT);
	EXPECT_OK(sys_ipc_call(endpoint, IPC_INFO(3, 2), HANDLE_NONE, in_time(), &m));
	thread_join(t);
	EXPECT_EQ(IPC_INFO_HANDLES(s.last.info), 2);
	for (unsigned i = 0; i < 2; i++) {
		const handle_t arrived = (handle_t)s.last.word[1 + i];

		EXPECT_OK(sys_event_signal(arrived, UINT64_C(1) << i));
		EXPECT_OK(sys_event_wait(event[i], UINT64_C(1) << i, DEADLINE_POLL, &bits));
		EXPECT_OK(sys_handle_close(arrived));
		EXPECT_OK(sys_handle_close(event[i]));
	}
	EXPECT_OK(sys_handle_close(endpoint));
}

/* All of x13 to x17, which a call does not keep, ored. They are 1 before it. */
static uint64_t lost_registers_after(uint64_t number, handle_t endpoint, enum kerr *e)
{
	register uint64_t x8 __asm__("x8") = number;
	register uint64_t x9 __asm__("x9") = endpoint;
	register uint64_t x10 __asm__("x10") = IPC_INFO(1, 0);
	register uint64_t x11 __asm__("x11") = HANDLE_NONE;
	register uint64_t x12 __asm__("x12") = DEADLINE_NONE;
	register uint64_t x13 __asm__("x13") = 1;
	register uint64_t x14 __asm__("x14") = 1;
	register uint64_t x15 __asm__("x15") = 1;
	register uint64_t x16 __asm__("x16") = 1;
	register uint64_t x17 __asm__("x17") = 1;

	__asm__ volatile("svc #0"
			 : "+r"(x8), "+r"(x9), "+r"(x10), "+r"(x11), "+r"(x12), "+r"(x13),
			   "+r"(x14), "+r"(x15), "+r"(x16), "+r"(x17)
			 :
			 : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "memory");
	*e = (enum kerr)x8;
	return x13 | x14 | x15 | x16 | x17;
}

static void refused_message_leaves_nothing_of_the_kernel_in_registers(void)
{
	static const uint64_t calls[] = { CALL_IPC_CALL, CALL_IPC_REPLY_RECV };
	handle_t endpoint, mute;
	enum kerr e;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_handle_dup(endpoint, RIGHT_TRANSFER, HANDLE_NONE, &mute));
	for (unsigned i = 0; i < 2; i++) {
		EXPECT_EQ(lost_registers_after(calls[i], mute, &e) >> 1, 0);
		EXPECT_EQ(e, KERR_DENIED);
	}
	EXPECT_OK(sys_handle_close(mute));
	EXPECT_OK(sys_handle_close(endpoint));
}

const struct test tests_ipc[] = {
	TEST(ipc_call_to_one_who_waits),
	TEST(ipc_call_before_the_receiver),
	TEST(ipc_many_calls_in_a_row),
	TEST(ipc_many_callers_are_all_answered),
	TEST(ipc_one_who_inherits_calls_one_with_a_deadline),
	TEST(ipc_badge_tells_the_sender),
	TEST(ipc_rights_are_checked),
	TEST(ipc_poll_and_deadline_time_out),
	TEST(ipc_send_needs_no_answer),
	TEST(ipc_words_beyond_the_count_are_zero),
	TEST(ipc_malformed_info_is_refused),
	TEST(ipc_transfers_handles),
	TEST(ipc_transfer_needs_its_right),
	TEST(ipc_transfers_two_handles_at_once),
	TEST(refused_message_leaves_nothing_of_the_kernel_in_registers),
	TEST_END,
};
