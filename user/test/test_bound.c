/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_bound.c - events that are bound to a thread which receives messages.
 */
#include "user/test/test.h"

#define ROUNDS 40u
#define SPINS 397u /* about as long as a message takes, which the binding is to meet anywhere */

struct listener {
	handle_t endpoint;
	enum kerr error[2];
	struct ipc_message got[2];
};

static void listen_twice(void *argument)
{
	struct listener *const l = argument;

	for (unsigned i = 0; i < 2; i++) {
		l->error[i] = sys_ipc_recv(l->endpoint, 0, HANDLE_NONE, in_time(), &l->got[i]);
	}
}

static void bound_event_wakes_the_receiver(void)
{
	struct listener l = { 0 };
	struct ipc_message m = { .word = { 42 } };
	handle_t event;

	EXPECT_OK(sys_endpoint_create(&l.endpoint));
	EXPECT_OK(sys_event_create(&event));
	struct thread *const t = start_thread(listen_twice, &l, PRIORITY_DEFAULT);
	EXPECT_OK(sys_event_bind(event, thread_handle(t)));
	EXPECT_EQ(sys_event_bind(event, thread_handle(t)), KERR_EXISTS);
	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	EXPECT_OK(sys_event_signal(event, 0x21));
	EXPECT_OK(sys_ipc_send(l.endpoint, IPC_INFO(1, 0), in_time(), &m));
	thread_join(t);
	EXPECT_OK(l.error[0]);
	EXPECT(l.got[0].info & IPC_FLAG_EVENT);
	EXPECT_EQ(l.got[0].word[0], 0x21);
	EXPECT_OK(l.error[1]);
	EXPECT_EQ(l.got[1].info & IPC_FLAG_EVENT, 0);
	EXPECT_EQ(l.got[1].word[0], 42);
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_handle_close(l.endpoint));
}

/* Its bits are there before it is bound, and who it is bound to waits by then. */
static void bound_event_that_has_bits_wakes_the_receiver(void)
{
	struct listener l = { 0 };
	struct ipc_message m = { .word = { 42 } };
	handle_t event;

	EXPECT_OK(sys_endpoint_create(&l.endpoint));
	EXPECT_OK(sys_event_create(&event));
	EXPECT_OK(sys_event_signal(event, 6));
	struct thread *const t = start_thread(listen_twice, &l, PRIORITY_DEFAULT);
	await_state(thread_handle(t), THREAD_IS_RECEIVING);
	EXPECT_OK(sys_event_bind(event, thread_handle(t)));
	EXPECT_OK(sys_ipc_send(l.endpoint, IPC_INFO(1, 0), in_time(), &m));
	thread_join(t);
	EXPECT(l.got[0].info & IPC_FLAG_EVENT);
	EXPECT_EQ(l.got[0].word[0], 6);
	EXPECT_EQ(l.got[1].word[0], 42);
	EXPECT_OK(sys_handle_close(event));
	EXPECT_OK(sys_handle_close(l.endpoint));
}

/* A client calls a server once a round, both on one CPU; meanwhile the server gets an event. */
struct meeting {
	handle_t endpoint, event, seen;
	uint64_t cpus; /* where the two run */
	volatile uint64_t round; /* the client calls when it changes */
	struct ipc_message last;
};

static void answer_and_listen(void *argument)
{
	struct meeting *const meeting = argument;
	struct ipc_message m;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, meeting->cpus));
	enum kerr e = sys_ipc_recv(meeting->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);

	while (e == KERR_OK) {
		if ((m.info & IPC_FLAG_EVENT) != 0) {
			meeting->last = m;
			EXPECT_OK(sys_event_bind(meeting->event, HANDLE_NONE));
			EXPECT_OK(sys_event_signal(meeting->seen, 1));
			e = sys_ipc_recv(meeting->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m);
		} else {
			e = sys_ipc_reply_recv(meeting->endpoint, IPC_INFO(0, 0), HANDLE_NONE,
					       DEADLINE_NONE, &m);
		}
	}
	EXPECT_EQ(e, KERR_DEAD);
}

/* It does not sleep until then: that would take far longer than a message. */
static void call_in_each_round(void *argument)
{
	const struct meeting *const meeting = argument;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, meeting->cpus));
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		while (meeting->round < round) {
			(void)sys_thread_yield();
		}
		EXPECT_OK(sys_ipc_call(meeting->endpoint, IPC_INFO(0, 0), HANDLE_NONE,
				       DEADLINE_NONE, &m));
	}
}

/* Signalled before it is bound, or right after: the server hears of it, whatever it does. */
static void bind_in_round(struct meeting *meeting, handle_t server, uint64_t round)
{
	const bool before = round % 2 == 0;
	uint64_t bits;

	if (before) {
		EXPECT_OK(sys_event_signal(meeting->event, round));
	}
	meeting->round = round;
	for (uint64_t i = 0; i < round * 31 % SPINS; i++) {
		__asm__ volatile("" : : : "memory");
	}
	EXPECT_OK(sys_event_bind(meeting->event, server));
	if (!before) {
		EXPECT_OK(sys_event_signal(meeting->event, round));
	}
	EXPECT_OK(sys_event_wait(meeting->seen, 1, in_time(), &bits));
	EXPECT_EQ(meeting->last.word[0], round);
}

static void bound_event_reaches_who_begins_to_receive(void)
{
	struct meeting meeting = { .cpus = cpus_online() > 1 ? 2 : 1 };

	EXPECT_OK(sys_endpoint_create(&meeting.endpoint));
	EXPECT_OK(sys_event_create(&meeting.event));
	EXPECT_OK(sys_event_create(&meeting.seen));
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	struct thread *const server = start_thread(answer_and_listen, &meeting, PRIORITY_DEFAULT);
	struct thread *const client = start_thread(call_in_each_round, &meeting, PRIORITY_DEFAULT);
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		bind_in_round(&meeting, thread_handle(server), round);
	}
	thread_join(client);
	EXPECT_OK(sys_handle_revoke(meeting.endpoint));
	thread_join(server);
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
	EXPECT_OK(sys_handle_close(meeting.seen));
	EXPECT_OK(sys_handle_close(meeting.event));
	EXPECT_OK(sys_handle_close(meeting.endpoint));
}

const struct test tests_bound[] = {
	TEST(bound_event_wakes_the_receiver),
	TEST(bound_event_that_has_bits_wakes_the_receiver),
	TEST(bound_event_reaches_who_begins_to_receive),
	TEST_END,
};
