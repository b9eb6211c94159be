/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_state.c - messages whose partner waits, leaves, is stopped or dies, in each state.
 *
 * THEORY   A partner is a thread that sends, calls or receives, and waits. The test does what it
 *          does when the kernel says that the partner is in the state: nothing depends on how long
 *          that takes.
 */
#include "user/test/test.h"

enum way { SENDS, CALLS, RECEIVES, WAYS };

struct partner {
	handle_t endpoint;
	enum way way;
	uint64_t word;
	enum kerr error;
	struct thread *thread;
};

static enum thread_report waits_as(enum way way)
{
	return way == RECEIVES ? THREAD_IS_RECEIVING : THREAD_IS_SENDING;
}

static void play(void *argument)
{
	struct partner *const p = argument;
	struct ipc_message m = { .word = { p->word } };

	switch (p->way) {
	case SENDS:
		p->error = sys_ipc_send(p->endpoint, IPC_INFO(1, 0), in_time(), &m);
		break;
	case CALLS:
		p->error = sys_ipc_call(p->endpoint, IPC_INFO(1, 0), HANDLE_NONE, in_time(), &m);
		break;
	default:
		p->error = sys_ipc_recv(p->endpoint, 0, HANDLE_NONE, in_time(), &m);
		break;
	}
}

/* The partner waits. */
static void begin(struct partner *p, enum way way, uint32_t priority)
{
	p->way = way;
	p->thread = start_thread(play, p, priority);
	await_state(thread_handle(p->thread), waits_as(way));
}

static void begin_alone(struct partner *p, enum way way)
{
	EXPECT_OK(sys_endpoint_create(&p->endpoint));
	begin(p, way, PRIORITY_DEFAULT);
}

static void finish(struct partner *p, enum kerr wanted)
{
	thread_join(p->thread);
	EXPECT_EQ(p->error, wanted);
	EXPECT_OK(sys_handle_close(p->endpoint));
}

/* The partner's call is received: it waits for the answer. */
static void begin_received(struct partner *p, handle_t reply)
{
	struct ipc_message m;

	begin_alone(p, CALLS);
	EXPECT_OK(sys_ipc_recv(p->endpoint, 0, reply, in_time(), &m));
	EXPECT(m.info & IPC_FLAG_CALL);
	await_state(thread_handle(p->thread), THREAD_IS_CALLING);
}

static enum kerr answer(handle_t reply)
{
	struct ipc_message m = { 0 };

	return sys_ipc_reply(IPC_INFO(0, 0), reply, &m);
}

/* ---- the endpoint goes ---- */

static void ipc_endpoint_revoked_wakes_both_sides(void)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct partner p = { 0 };

		begin_alone(&p, way);
		EXPECT_OK(sys_handle_revoke(p.endpoint));
		finish(&p, KERR_DEAD);
	}
}

static void ipc_endpoint_revoked_after_the_receive_can_be_answered(void)
{
	struct partner p = { 0 };

	begin_received(&p, HANDLE_NONE);
	EXPECT_OK(sys_handle_revoke(p.endpoint));
	EXPECT_OK(answer(HANDLE_NONE));
	finish(&p, KERR_OK);
}

/* ---- the partner is stopped, or killed ---- */

static void stop_and_resume(const struct partner *p)
{
	EXPECT_OK(sys_thread_stop(thread_handle(p->thread)));
	resume_thread(p->thread);
}

static void ipc_stop_cancels_a_wait(void)
{
	for (enum way way = 0; way < WAYS; way++) {
		struct partner p = { 0 };

		begin_alone(&p, way);
		stop_and_resume(&p);
		finish(&p, KERR_CANCELLED);
	}
}

static void ipc_stop_cancels_the_wait_for_an_answer(void)
{
	struct partner p = { 0 };

	begin_received(&p, HANDLE_NONE);
	stop_and_resume(&p);
	finish(&p, KERR_CANCELLED);
	EXPECT_EQ(answer(HANDLE_NONE), KERR_ABSENT);
}

static void bare_send(uint64_t endpoint)
{
	struct ipc_message m = { 0 };

	(void)sys_ipc_send((handle_t)endpoint, 0, DEADLINE_NONE, &m);
	(void)sys_thread_exit();
}

static void bare_call(uint64_t endpoint)
{
	struct ipc_message m = { 0 };

	(void)sys_ipc_call((handle_t)endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	(void)sys_thread_exit();
}

static void bare_receive(uint64_t endpoint)
{
	struct ipc_message m;

	(void)sys_ipc_recv((handle_t)endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
	(void)sys_thread_exit();
}

static void ipc_kill_takes_a_thread_out_of_the_queue(void)
{
	static void (*const functions[WAYS])(uint64_t) = { bare_send, bare_call, bare_receive };

	for (enum way way = 0; way < WAYS; way++) {
		struct ipc_message m = { 0 };
		handle_t endpoint;

		EXPECT_OK(sys_endpoint_create(&endpoint));
		const handle_t thread = start_bare(functions[way], endpoint);
		await_state(thread, waits_as(way));
		end_bare(thread);
		await_alone();
		EXPECT_EQ(way == RECEIVES
				  ? sys_ipc_send(endpoint, 0, DEADLINE_POLL, &m)
				  : sys_ipc_recv(endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m),
			  KERR_TIMEOUT);
		EXPECT_OK(sys_handle_close(endpoint));
	}
}

static void ipc_kill_of_a_caller_leaves_nobody_to_answer(void)
{
	struct ipc_message m;
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	const handle_t thread = start_bare(bare_call, endpoint);
	EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
	end_bare(thread);
	await_alone();
	EXPECT_EQ(answer(HANDLE_NONE), KERR_ABSENT);
	EXPECT_OK(sys_handle_close(endpoint));
}

static void receive_and_leave(void *argument)
{
	const handle_t *const endpoint = argument;
	struct ipc_message m;

	EXPECT_OK(sys_ipc_recv(*endpoint, 0, HANDLE_NONE, in_time(), &m));
}

static void ipc_receiver_dies_caller_wakes(void)
{
	struct ipc_message m = { 0 };
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	struct thread *const t = start_thread(receive_and_leave, &endpoint, PRIORITY_DEFAULT);
	EXPECT_EQ(sys_ipc_call(endpoint, 0, HANDLE_NONE, in_time(), &m), KERR_DEAD);
	thread_join(t);
	EXPECT_OK(sys_handle_close(endpoint));
}

/* ---- answers ---- */

static void ipc_reply_object_answers_later(void)
{
	struct partner p = { 0 };
	struct ipc_message m;
	handle_t reply;

	EXPECT_OK(sys_reply_create(&reply));
	begin_received(&p, reply);
	EXPECT_EQ(sys_ipc_recv(p.endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_TIMEOUT);
	EXPECT_OK(answer(reply));
	EXPECT_EQ(answer(reply), KERR_ABSENT);
	EXPECT_OK(sys_handle_close(reply));
	finish(&p, KERR_OK);
}

static void ipc_reply_object_dropped_wakes_the_caller(void)
{
	struct partner p = { 0 };
	handle_t reply;

	EXPECT_OK(sys_reply_create(&reply));
	begin_received(&p, reply);
	EXPECT_OK(sys_handle_close(reply));
	finish(&p, KERR_DEAD);
}

static void ipc_receiving_again_wakes_the_caller_unanswered(void)
{
	struct partner p = { 0 };
	struct ipc_message m;

	begin_received(&p, HANDLE_NONE);
	EXPECT_EQ(sys_ipc_recv(p.endpoint, 0, HANDLE_NONE, DEADLINE_POLL, &m), KERR_TIMEOUT);
	finish(&p, KERR_DEAD);
}

struct late {
	handle_t endpoint, go;
	_Atomic(bool) received;
	enum kerr answered;
};

static void answer_late(void *argument)
{
	struct late *const l = argument;
	struct ipc_message m;
	uint64_t bits;

	EXPECT_OK(sys_ipc_recv(l->endpoint, 0, HANDLE_NONE, in_time(), &m));
	l->received = true;
	EXPECT_OK(sys_event_wait(l->go, 1, in_time(), &bits));
	l->answered = answer(HANDLE_NONE);
}

static void ipc_deadline_covers_the_answer(void)
{
	struct ipc_message m = { 0 };
	struct late l = { 0 };

	EXPECT_OK(sys_endpoint_create(&l.endpoint));
	EXPECT_OK(sys_event_create(&l.go));
	struct thread *const t = start_thread(answer_late, &l, PRIORITY_DEFAULT);
	/* A deadline that passes before the call was received proves nothing: a later one. */
	for (uint64_t ns = 10 * MS; !l.received && ns < LONG_NS; ns *= 2) {
		EXPECT_EQ(sys_ipc_call(l.endpoint, 0, HANDLE_NONE, time_now_ns() + ns, &m),
			  KERR_TIMEOUT);
	}
	EXPECT_OK(sys_event_signal(l.go, 1));
	thread_join(t);
	EXPECT(l.received);
	EXPECT_EQ(l.answered, KERR_ABSENT);
	EXPECT_OK(sys_handle_close(l.go));
	EXPECT_OK(sys_handle_close(l.endpoint));
}

/* ---- the queue ---- */

static void expect_order(const uint32_t *priority, const uint64_t *order)
{
	struct partner p[3] = { 0 };
	struct ipc_message m;
	handle_t endpoint;

	EXPECT_OK(sys_endpoint_create(&endpoint));
	for (unsigned i = 0; i < 3; i++) {
		p[i] = (struct partner){ .endpoint = endpoint, .word = i };
		begin(&p[i], SENDS, priority[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_OK(sys_ipc_recv(endpoint, 0, HANDLE_NONE, in_time(), &m));
		EXPECT_EQ(m.word[0], order[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		thread_join(p[i].thread);
		EXPECT_OK(p[i].error);
	}
	EXPECT_OK(sys_handle_close(endpoint));
}

static void ipc_most_urgent_sender_is_received_first(void)
{
	expect_order((const uint32_t[]){ 6, 12, 9 }, (const uint64_t[]){ 1, 2, 0 });
}

static void ipc_equal_senders_are_received_in_their_order(void)
{
	expect_order((const uint32_t[]){ 9, 9, 9 }, (const uint64_t[]){ 0, 1, 2 });
}

const struct test tests_state[] = {
	TEST(ipc_endpoint_revoked_wakes_both_sides),
	TEST(ipc_endpoint_revoked_after_the_receive_can_be_answered),
	TEST(ipc_stop_cancels_a_wait),
	TEST(ipc_stop_cancels_the_wait_for_an_answer),
	TEST(ipc_kill_takes_a_thread_out_of_the_queue),
	TEST(ipc_kill_of_a_caller_leaves_nobody_to_answer),
	TEST(ipc_receiver_dies_caller_wakes),
	TEST(ipc_reply_object_answers_later),
	TEST(ipc_reply_object_dropped_wakes_the_caller),
	TEST(ipc_receiving_again_wakes_the_caller_unanswered),
	TEST(ipc_deadline_covers_the_answer),
	TEST(ipc_most_urgent_sender_is_received_first),
	TEST(ipc_equal_senders_are_received_in_their_order),
	TEST_END,
};
