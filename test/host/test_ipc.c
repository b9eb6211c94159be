/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_ipc.c - messages, replies and events: both partners in each of their states. The
 * sources of kern/ run as they are, on a scheduler that only writes down (fake_sched.h).
 */
#include <stdlib.h>
#include <string.h>

#include "ipi/park.h"
#include "kern/event.h"
#include "kern/ipc.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "pcpu/pcpu.h"
#include "test/host/fake_sched.h"
#include "test/host/unit.h"

#define FAR_AWAY (UINT64_MAX / 2) /* ticks that never pass */

#define PLAYERS 4

/* Two tasks; threads 0 and 1 are in the first, 2 and 3 in the second. */
static struct task task[2];
static struct memcharge charge = { .limit_bytes = UINT64_MAX };

/* ---- helpers ---- */

/* Every CPU is quiet once, and some of what is due then is done. */
static void pass_quietly(void)
{
	pcpu_of(0)->quiet += 2;
	pcpu_of(1)->quiet += 2;
	reclaim_poll(8);
}

static void settle(void)
{
	for (unsigned n = 0; reclaim_pending(); n++) {
		assert_true(n < 1000);
		pass_quietly();
	}
}

/* Let t's deadline pass: what the timer's interrupt does. */
static void expire(struct thread *t)
{
	assert_int_equal(t->deadline.cpu, 1);
	t->deadline.cpu = 0;
	timers--;
	t->ipc.due = 1; /* long ago */
	t->deadline.fn(&t->deadline);
}

static struct endpoint *fresh_endpoint(void)
{
	struct endpoint *ep = nullptr;

	assert_int_equal(endpoint_create(&charge, &ep), KERR_OK);
	return ep;
}

static enum kerr send(unsigned t, struct endpoint *ep, uint64_t info, bool calls, uint64_t due)
{
	const struct ipc_message m = {
		.words = thread[t].regs.x, .info = info, .badge = 100 + t, .calls = calls
	};

	return ipc_send(&thread[t], ep, &m, due);
}

static enum kerr reply(unsigned t, struct reply *object, uint64_t info)
{
	const struct ipc_message m = { .words = thread[t].regs.x, .info = info };

	return ipc_reply(&thread[t], object, &m);
}

static void words(unsigned t, uint64_t base)
{
	for (unsigned i = 0; i < 18; i++) {
		thread[t].regs.x[i] = base + i;
	}
}

/* t holds the first `count` words from `base`, and nothing of anybody's after them. */
static void holds(unsigned t, uint64_t base, unsigned count, uint64_t badge)
{
	for (unsigned i = 0; i < IPC_WORDS; i++) {
		assert_int_equal(thread[t].regs.x[i], i < count ? base + i : 0);
	}
	assert_int_equal(thread[t].regs.x[9], badge);
	assert_int_equal(IPC_INFO_WORDS(thread[t].regs.x[10]), count);
	for (unsigned i = 11; i <= 17; i++) {
		assert_int_equal(thread[t].regs.x[i], 0);
	}
}

static bool waits(unsigned t)
{
	return thread[t].state != THREAD_RUNNING;
}

static int begin(void **state)
{
	(void)state;
	memset(wakes, 0, sizeof(wakes));
	excepted = nullptr;
	for (unsigned i = 0; i < PLAYERS; i++) {
		thread[i].state = THREAD_RUNNING;
		thread[i].priority = thread[i].base_priority = 10;
	}
	return 0;
}

/* Whatever a test did: nobody waits, no timer runs, everything that was made is gone. */
static int end(void **state)
{
	(void)state;
	settle();
	for (unsigned i = 0; i < PLAYERS; i++) {
		assert_int_equal(thread[i].state, THREAD_RUNNING);
		assert_int_equal(thread[i].ipc.own.caller, 0);
	}
	assert_int_equal(timers, 0);
	assert_int_equal(memcharge_used(&charge), 0);
	return 0;
}

/* ---- tests ---- */

static void a_call_finds_a_waiting_receiver(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_BUSY);
	assert_int_equal(thread[2].state, THREAD_RECEIVING);
	words(0, 1000);
	(void)send(0, ep, IPC_INFO(3, 0), true, 0);
	assert_int_equal(thread[0].state, THREAD_CALLING);
	assert_false(waits(2));
	holds(2, 1000, 3, 100);
	assert_true((thread[2].regs.x[10] & IPC_FLAG_CALL) != 0);

	words(2, 2000);
	assert_int_equal(reply(2, nullptr, IPC_INFO(8, 0)), KERR_OK);
	assert_false(waits(0));
	holds(0, 2000, 8, 0);
	assert_int_equal(thread[0].regs.x[8], KERR_OK);
	assert_int_equal(reply(2, nullptr, 0), KERR_ABSENT); /* once */
	assert_int_equal(wakes[0], 1);
	assert_int_equal(wakes[2], 1);
	kobj_put(&ep->obj);
}

static void a_receiver_finds_the_most_urgent_caller(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	thread[1].priority = 30;
	for (unsigned t = 0; t < 3; t++) {
		words(t, 1000 * t);
		(void)send(t, ep, IPC_INFO(1, 0), true, 0);
		assert_int_equal(thread[t].state, THREAD_SENDING);
	}
	assert_int_equal(ipc_recv(&thread[3], ep, nullptr, 0), KERR_OK);
	holds(3, 1000, 1, 101);
	assert_int_equal(thread[1].state, THREAD_CALLING);
	assert_int_equal(thread[3].priority, 30); /* the caller's */
	assert_int_equal(reply(3, nullptr, 0), KERR_OK);
	assert_int_equal(ipc_recv(&thread[3], ep, nullptr, 0), KERR_OK);
	holds(3, 0, 1, 100); /* of the others, the one that waits longest */
	assert_int_equal(thread[3].priority, 10);
	assert_int_equal(reply(3, nullptr, 0), KERR_OK);
	assert_int_equal(ipc_recv(&thread[3], ep, nullptr, 0), KERR_OK);
	assert_int_equal(reply(3, nullptr, 0), KERR_OK);
	kobj_put(&ep->obj);
}

static void a_send_goes_on_when_it_was_received(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	words(0, 7);
	(void)send(0, ep, IPC_INFO(8, 0), false, 0);
	assert_true(waits(0));
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
	assert_false(waits(0));
	holds(2, 7, 8, 100);
	assert_int_equal(reply(2, nullptr, 0), KERR_ABSENT); /* nobody waits for one */
	kobj_put(&ep->obj);
}

static void polls_do_not_wait(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	assert_int_equal(send(0, ep, 0, true, DEADLINE_POLL), KERR_TIMEOUT);
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, DEADLINE_POLL), KERR_TIMEOUT);
	assert_false(waits(0));
	assert_false(waits(2));
	kobj_put(&ep->obj);
}

static void a_deadline_ends_every_kind_of_wait_once(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct event *ev = nullptr;
	uint64_t bits;

	(void)state;
	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	(void)send(0, ep, 0, true, FAR_AWAY);
	expire(&thread[0]); /* no receiver came */
	assert_int_equal(thread[0].regs.x[8], KERR_TIMEOUT);

	(void)ipc_recv(&thread[2], ep, nullptr, FAR_AWAY);
	expire(&thread[2]);
	assert_int_equal(thread[2].regs.x[8], KERR_TIMEOUT);

	(void)ipc_recv(&thread[2], ep, nullptr, 0);
	(void)send(0, ep, 0, true, FAR_AWAY);
	expire(&thread[0]); /* no answer came */
	assert_int_equal(thread[0].regs.x[8], KERR_TIMEOUT);
	assert_int_equal(reply(2, nullptr, 0), KERR_ABSENT); /* too late */

	(void)event_wait(&thread[1], ev, 1, FAR_AWAY, &bits);
	expire(&thread[1]);
	assert_int_equal(thread[1].regs.x[8], KERR_TIMEOUT);
	assert_int_equal(wakes[0], 2);
	kobj_put(&ep->obj);
	kobj_put(&ev->obj);
}

/* The timer's function has begun when the answer comes: it finds a later wait, and leaves it. */
static void a_late_timer_does_not_end_the_next_wait(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	void (*fn)(struct timerq_node *);

	(void)state;
	(void)ipc_recv(&thread[2], ep, nullptr, FAR_AWAY);
	fn = thread[2].deadline.fn;
	(void)send(0, ep, 0, false, 0);
	(void)ipc_recv(&thread[2], ep, nullptr, FAR_AWAY);
	fn(&thread[2].deadline);
	assert_true(waits(2));
	assert_true(ipc_cancel(&thread[2], KERR_CANCELLED));
	assert_int_equal(thread[2].regs.x[8], KERR_CANCELLED);
	assert_false(ipc_cancel(&thread[2], KERR_CANCELLED));
	kobj_put(&ep->obj);
}

static void a_caller_is_never_forgotten(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct reply *object = nullptr;

	(void)state;
	/* The server receives again without having answered. */
	(void)ipc_recv(&thread[2], ep, nullptr, 0);
	(void)send(0, ep, 0, true, 0);
	(void)ipc_recv(&thread[2], ep, nullptr, 0);
	assert_int_equal(thread[0].regs.x[8], KERR_DEAD);
	/* The server dies. */
	(void)send(0, ep, 0, true, 0);
	ipc_thread_end(&thread[2]);
	assert_false(waits(0));
	assert_int_equal(thread[0].regs.x[8], KERR_DEAD);
	/* The reply object is closed for the last time. */
	assert_int_equal(reply_create(&charge, &object), KERR_OK);
	(void)ipc_recv(&thread[2], ep, object, 0);
	kobj_put(&object->obj); /* the receive holds it */
	settle();
	(void)send(0, ep, 0, true, 0);
	assert_false(waits(2));
	settle();
	assert_false(waits(0));
	assert_int_equal(thread[0].regs.x[8], KERR_DEAD);
	kobj_put(&ep->obj);
}

/* What thread_serve_request() does, on another CPU, at a moment when there is nothing to end. */
static void stop(struct thread *t)
{
	t->stop_pending = true;
	assert_false(ipc_cancel(t, KERR_CANCELLED));
}

static void kill(struct thread *t)
{
	t->kill_pending = true;
	stop(t);
}

/* Between the queue and the reply slot: the wait ends all the same. */
static void who_is_stopped_on_the_way_to_a_slot_does_not_wait(void **state)
{
	static void (*const request[])(struct thread *t) = { stop, kill };
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		(void)send(0, ep, 0, true, 0);
		at_change = request[i];
		assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
		at_change = nullptr;
		assert_false(waits(0));
		assert_int_equal(thread[0].regs.x[8], KERR_CANCELLED);
		assert_int_equal(reply(2, nullptr, 0), KERR_ABSENT);
		thread[0].not_plain = 0;
	}
	kobj_put(&ep->obj);
}

/* But for the answer to an exception: a thread that stops without it could not be resumed. */
static void who_is_stopped_in_an_exception_waits_for_the_answer(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	(void)ipc_send_exception(&thread[0], ep, 42, IPC_FLAG_EXCEPTION);
	thread[0].stop_pending = true;
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
	assert_true(waits(0));
	thread[2].regs.x[0] = EXC_RESUME;
	assert_int_equal(reply(2, nullptr, IPC_INFO(1, 0)), KERR_OK);
	assert_int_equal(verdict, EXC_RESUME);
	thread[0].not_plain = 0;
	kobj_put(&ep->obj);
}

static void a_reply_object_is_answered_by_another_thread_once(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct reply *object = nullptr;

	(void)state;
	assert_int_equal(reply_create(&charge, &object), KERR_OK);
	(void)ipc_recv(&thread[2], ep, object, 0);
	(void)send(0, ep, 0, true, 0);
	(void)ipc_recv(&thread[2], ep, nullptr, 0); /* does not drop it */
	assert_true(waits(0));
	words(3, 50);
	assert_int_equal(reply(3, object, IPC_INFO(2, 0)), KERR_OK);
	holds(0, 50, 2, 0);
	assert_int_equal(reply(2, object, 0), KERR_ABSENT);
	assert_true(ipc_cancel(&thread[2], KERR_CANCELLED));
	kobj_put(&object->obj);
	kobj_put(&ep->obj);
}

static void revoking_wakes_whoever_waits(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct event *ev = nullptr;
	uint64_t bits;

	(void)state;
	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	(void)send(0, ep, 0, true, FAR_AWAY);
	(void)send(1, ep, 0, false, 0);
	(void)event_wait(&thread[3], ev, 1, 0, &bits);
	kobj_revoke(&ep->obj);
	kobj_revoke(&ev->obj);
	assert_int_equal(thread[0].regs.x[8], KERR_DEAD);
	assert_int_equal(thread[1].regs.x[8], KERR_DEAD);
	assert_int_equal(thread[3].regs.x[8], KERR_DEAD);
	assert_int_equal(send(0, ep, 0, true, 0), KERR_DEAD);
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_DEAD);
	assert_int_equal(event_wait(&thread[3], ev, 1, 0, &bits), KERR_DEAD);
	kobj_put(&ep->obj);
	kobj_put(&ev->obj);
}

/* They are freed later: who is about to cancel a wait may have seen them in the thread. */
static void the_last_handle_closed_wakes_whoever_waits(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	(void)ipc_recv(&thread[2], ep, nullptr, 0);
	(void)ipc_recv(&thread[3], ep, nullptr, FAR_AWAY);
	kobj_put(&ep->obj);
	pass_quietly();
	pass_quietly(); /* the grace period is over, and they are woken */
	assert_int_not_equal(memcharge_used(&charge), 0);
	assert_int_equal(thread[2].regs.x[8], KERR_DEAD);
	assert_int_equal(thread[3].regs.x[8], KERR_DEAD);
}

static void handles_travel_with_their_badge_and_rights(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct handle_view view = { 0 };
	handle_t h = HANDLE_NONE;
	handle_t kept = HANDLE_NONE;
	const uint8_t rights = RIGHT_SEND | RIGHT_TRANSFER;

	(void)state;
	assert_int_equal(handle_new(&task[0].handles, &ep->obj, rights, 55, &h), KERR_OK);
	assert_int_equal(handle_new(&task[0].handles, &ep->obj, RIGHT_SEND, 0, &kept), KERR_OK);
	words(0, 0);
	thread[0].regs.x[1] = h;
	(void)send(0, ep, IPC_INFO(2, 1), false, 0);
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
	assert_int_equal(IPC_INFO_HANDLES(thread[2].regs.x[10]), 1);
	const handle_t arrived = (handle_t)thread[2].regs.x[1];

	assert_int_equal(handle_get(&task[1].handles, arrived, KOBJ_ENDPOINT, rights, &view),
			 KERR_OK);
	assert_ptr_equal(view.obj, &ep->obj);
	assert_int_equal(view.badge, 55);
	assert_int_equal(view.rights, rights);
	/* What may not travel, or is none, or is more than there is. */
	thread[0].regs.x[1] = kept;
	assert_int_equal(send(0, ep, IPC_INFO(2, 1), false, 0), KERR_DENIED);
	thread[0].regs.x[1] = 0x77777;
	assert_int_equal(send(0, ep, IPC_INFO(2, 1), false, 0), KERR_HANDLE);
	assert_int_equal(send(0, ep, IPC_INFO(1, 2), false, 0), KERR_INVALID);
	assert_int_equal(send(0, ep, IPC_INFO(9, 0), false, 0), KERR_INVALID);
	/* On its way when the sender gives up: no reference is left behind. */
	thread[0].regs.x[1] = h;
	(void)send(0, ep, IPC_INFO(2, 1), true, 0);
	assert_true(ipc_cancel(&thread[0], KERR_CANCELLED));
	assert_int_equal(handle_close(&task[0].handles, h), KERR_OK);
	assert_int_equal(handle_close(&task[0].handles, kept), KERR_OK);
	assert_int_equal(handle_close(&task[1].handles, arrived), KERR_OK);
	assert_int_equal(ep->obj.refs, 1);
	kobj_put(&ep->obj);
}

/* The receiver has no room: the sender is told, and the receiver never saw the message. */
static void a_full_table_is_the_senders_error(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	handle_t h = HANDLE_NONE;

	(void)state;
	assert_int_equal(handle_new(&task[0].handles, &ep->obj, RIGHT_ALL, 0, &h), KERR_OK);
	task[1].charge.limit_bytes = memcharge_used(&task[1].charge);
	const uint32_t free_before = task[1].handles.free;
	const uint32_t fresh_before = task[1].handles.fresh;

	task[1].handles.free = 0; /* no slot is left */
	task[1].handles.fresh = task[1].handles.pages * HANDLE_PAGE_SLOTS;
	(void)ipc_recv(&thread[2], ep, nullptr, FAR_AWAY);
	thread[0].regs.x[0] = h;
	assert_int_equal(send(0, ep, IPC_INFO(1, 1), true, 0), KERR_NO_MEMORY);
	assert_false(waits(0));
	assert_int_equal(thread[2].state, THREAD_RECEIVING);
	words(1, 9);
	(void)send(1, ep, IPC_INFO(1, 0), false, 0);
	holds(2, 9, 1, 101);
	/* The sender waits first. */
	thread[0].regs.x[0] = h;
	(void)send(0, ep, IPC_INFO(1, 1), true, 0);
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, DEADLINE_POLL), KERR_TIMEOUT);
	assert_int_equal(thread[0].regs.x[8], KERR_NO_MEMORY);
	task[1].handles.free = free_before;
	task[1].handles.fresh = fresh_before;
	task[1].charge.limit_bytes = UINT64_MAX;
	assert_int_equal(handle_close(&task[0].handles, h), KERR_OK);
	kobj_put(&ep->obj);
}

static void a_bound_event_ends_a_receive(void **state)
{
	struct endpoint *ep = fresh_endpoint();
	struct event *ev = nullptr;

	(void)state;
	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	assert_int_equal(event_bind(ev, &thread[2]), KERR_OK);
	assert_int_equal(event_bind(ev, &thread[3]), KERR_EXISTS);
	words(2, 1);
	(void)ipc_recv(&thread[2], ep, nullptr, FAR_AWAY);
	event_signal(ev, 0x30);
	assert_false(waits(2));
	assert_int_equal(thread[2].regs.x[0], 0x30);
	assert_int_equal(thread[2].regs.x[10], IPC_FLAG_EVENT);
	assert_int_equal(thread[2].regs.x[11], 0);
	event_signal(ev, 0x1); /* while it does not receive */
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
	assert_int_equal(thread[2].regs.x[0], 0x1);
	(void)ipc_recv(&thread[2], ep, nullptr, 0);
	(void)send(0, ep, 0, false, 0); /* messages come as before */
	assert_false(waits(2));
	ipc_thread_end(&thread[2]); /* unbinds */
	event_signal(ev, 0x2);
	assert_int_equal(event_bind(ev, &thread[3]), KERR_OK);
	(void)ipc_recv(&thread[3], ep, nullptr, DEADLINE_POLL);
	assert_int_equal(thread[3].regs.x[0], 0x2);
	event_unbind_event(ev);
	kobj_put(&ev->obj);
	kobj_put(&ep->obj);
}

static void an_exception_is_a_call_that_keeps_the_registers(void **state)
{
	struct endpoint *ep = fresh_endpoint();

	(void)state;
	words(0, 4000);
	thread[0].ipc.exception[0] = 3;
	(void)ipc_send_exception(&thread[0], ep, 42, IPC_FLAG_EXCEPTION);
	assert_int_equal(ipc_recv(&thread[2], ep, nullptr, 0), KERR_OK);
	assert_int_equal(thread[2].regs.x[0], 3);
	assert_int_equal(thread[2].regs.x[9], 42);
	assert_true((thread[2].regs.x[10] & IPC_FLAG_EXCEPTION) != 0);
	thread[2].regs.x[0] = EXC_SKIP;
	assert_int_equal(reply(2, nullptr, IPC_INFO(1, 0)), KERR_OK);
	assert_ptr_equal(excepted, &thread[0]);
	assert_int_equal(verdict, EXC_SKIP);
	for (unsigned i = 0; i < 18; i++) {
		assert_int_equal(thread[0].regs.x[i], 4000 + i);
	}
	/* The endpoint ends: there is no answer any more. */
	excepted = nullptr;
	(void)ipc_send_exception(&thread[0], ep, 42, IPC_FLAG_EXCEPTION);
	kobj_revoke(&ep->obj);
	assert_ptr_equal(excepted, &thread[0]);
	assert_int_equal(verdict, EXC_KILL);
	assert_int_equal(thread[0].regs.x[8], 4008);
	kobj_put(&ep->obj);
}

static const struct kobj_ops no_ops = { .type = KOBJ_THREAD };

static int boot(void **state)
{
	(void)state;
	sim_boot();
	sim_set_now(10); /* so that there is a past */
	token_acquire();
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		pcpu_of(cpu)->quiet = 0;
		park_set_online(cpu, true);
	}
	token_release();
	for (unsigned i = 0; i < 2; i++) {
		task[i].charge.limit_bytes = UINT64_MAX;
		handle_table_init(&task[i].handles, &task[i].charge);
	}
	for (unsigned i = 0; i < PLAYERS; i++) {
		kobj_init(&thread[i].obj, &no_ops, nullptr);
		thread[i].task = &task[i / 2];
	}
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_finds_a_waiting_receiver),
		TEST(a_receiver_finds_the_most_urgent_caller),
		TEST(a_send_goes_on_when_it_was_received),
		TEST(polls_do_not_wait),
		TEST(a_deadline_ends_every_kind_of_wait_once),
		TEST(a_late_timer_does_not_end_the_next_wait),
		TEST(a_caller_is_never_forgotten),
		TEST(who_is_stopped_on_the_way_to_a_slot_does_not_wait),
		TEST(who_is_stopped_in_an_exception_waits_for_the_answer),
		TEST(a_reply_object_is_answered_by_another_thread_once),
		TEST(revoking_wakes_whoever_waits),
		TEST(the_last_handle_closed_wakes_whoever_waits),
		TEST(handles_travel_with_their_badge_and_rights),
		TEST(a_full_table_is_the_senders_error),
		TEST(a_bound_event_ends_a_receive),
		TEST(an_exception_is_a_call_that_keeps_the_registers),
	};

	return cmocka_run_group_tests(tests, boot, nullptr);
}
