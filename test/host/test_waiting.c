/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_waiting.c - queues of threads beside a flat list, crowds at an event, bindings. As
 * test_ipc.c, on a scheduler that only writes down (fake_sched.h).
 */
#include <string.h>

#include "ipi/park.h"
#include "kern/event.h"
#include "kern/ipc_wait.h"
#include "test/host/fake_sched.h"
#include "test/host/unit.h"

#define OPERATIONS 200000

static struct memcharge charge = { .limit_bytes = UINT64_MAX };

/* ---- a queue ---- */

static struct ipc_queue queue;
static struct kobj place;

/* What is in it, in order, by number; and the rank of each. */
static unsigned listed[THREADS];
static uint8_t rank[THREADS];
static unsigned length;

static void list_insert(unsigned at, unsigned t)
{
	memmove(&listed[at + 1], &listed[at], (length - at) * sizeof(listed[0]));
	listed[at] = t;
	length++;
}

static void list_remove(unsigned at)
{
	length--;
	memmove(&listed[at], &listed[at + 1], (length - at) * sizeof(listed[0]));
}

static unsigned somebody_else(void)
{
	unsigned t = (unsigned)any(THREADS);

	while (thread[t].ipc.wait_obj != nullptr) {
		t = (t + 1) % THREADS;
	}
	return t;
}

static void add(uint8_t priority)
{
	const unsigned t = somebody_else();
	unsigned at = length;

	thread[t].priority = rank[t] = priority;
	ipc_queue_add(&queue, &thread[t], &place);
	while (at > 0 && rank[listed[at - 1]] < priority) {
		at--;
	}
	list_insert(at, t);
}

/* Into an empty one, as ipc_fast.S does. */
static void add_fast(uint8_t priority)
{
	const unsigned t = somebody_else();

	thread[t].priority = rank[t] = priority;
	thread[t].ipc.next = thread[t].ipc.prev = nullptr;
	thread[t].ipc.wait_obj = &place;
	queue.first = queue.last = &thread[t];
	list_insert(0, t);
}

static void pop(bool and_return)
{
	struct thread *t = ipc_queue_pop(&queue);

	assert_ptr_equal(t, &thread[listed[0]]);
	assert_null(t->ipc.wait_obj);
	if (and_return) {
		ipc_queue_return(&queue, t, &place);
	} else {
		list_remove(0);
	}
}

static void leave(unsigned at)
{
	ipc_queue_remove(&queue, &thread[listed[at]]);
	list_remove(at);
}

/* How many runs are there, going over them as whoever looks for a place does? */
static unsigned runs(void)
{
	unsigned n = 0;

	for (struct thread *t = queue.last; t != nullptr; n++) {
		struct thread *first = t->place.run_end;

		assert_ptr_equal(first->place.run_end, t);
		assert_int_equal(first->place.rank, t->place.rank);
		t = first->ipc.prev;
	}
	return n;
}

static void looks_like_the_list(void)
{
	const struct thread *before = nullptr;
	unsigned n = 0, ranks = 0;

	for (const struct thread *t = queue.first; t != nullptr; before = t, t = t->ipc.next) {
		assert_true(n < length);
		assert_ptr_equal(t, &thread[listed[n]]);
		assert_ptr_equal(t->ipc.prev, before);
		ranks += n == 0 || rank[listed[n]] != rank[listed[n - 1]];
		n++;
	}
	assert_int_equal(n, length);
	assert_ptr_equal(queue.last, before);
	if (length > 1) {
		assert_int_equal(runs(), ranks);
	}
}

static void a_queue_is_in_order_and_its_runs_are_whole(void **state)
{
	(void)state;
	for (unsigned n = 0; n < OPERATIONS; n++) {
		const bool grows = n / 1000 % 2 == 0; /* full, then empty, again and again */
		const uint8_t priority = (uint8_t)any(n / 2000 % 3 == 0 ? 3 : THREAD_PRIORITIES);

		if (length == 0 && any(2) == 0) {
			add_fast(priority);
		} else if (length < THREADS - 1 && any(4) < (grows ? 3 : 1)) {
			add(priority);
		} else if (length > 0 && any(3) == 0) {
			pop(any(2) == 0);
		} else if (length > 0) {
			leave((unsigned)any(length));
		}
		looks_like_the_list();
	}
	while (length > 0) {
		leave(0);
	}
	looks_like_the_list();
}

/* ---- events ---- */

static struct event *fresh_event(void)
{
	struct event *ev = nullptr;

	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	return ev;
}

static void wait_for(unsigned t, struct event *ev, uint64_t bits)
{
	uint64_t taken;

	(void)event_wait(&thread[t], ev, bits, 0, &taken);
	assert_int_equal(thread[t].state, THREAD_EVENT_WAIT);
}

static bool waits(unsigned t)
{
	return thread[t].state != THREAD_RUNNING;
}

static unsigned waiting(void)
{
	unsigned n = 0;

	for (unsigned t = 0; t < THREADS; t++) {
		n += waits(t);
	}
	return n;
}

static void bits_are_taken_by_whom_they_concern(void **state)
{
	struct event *ev = nullptr;
	uint64_t bits = 0;

	(void)state;
	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	event_signal(ev, 0x6);
	assert_int_equal(event_wait(&thread[0], ev, 0x3, 0, &bits), KERR_OK);
	assert_int_equal(bits, 0x2); /* 0x4 stays */
	assert_int_equal(event_wait(&thread[0], ev, 0x3, DEADLINE_POLL, &bits), KERR_TIMEOUT);
	(void)event_wait(&thread[0], ev, 0x1, 0, &bits);
	(void)event_wait(&thread[1], ev, 0x8, 0, &bits);
	event_signal(ev, 0x18);
	assert_true(waits(0));
	assert_false(waits(1));
	assert_int_equal(thread[1].regs.x[0], 0x8);
	event_signal(ev, 0x1);
	assert_int_equal(thread[0].regs.x[0], 0x1);
	assert_int_equal(event_wait(&thread[0], ev, UINT64_MAX, 0, &bits), KERR_OK);
	assert_int_equal(bits, 0x14); /* nothing was lost */
	kobj_put(&ev->obj);
}

/* The tree has those of the queue in the same order, and is as low as it can be but for little. */
static void the_tree_is_the_queue(const struct event *ev)
{
	const struct avl_node *node = ev->waiters.root;
	const struct thread *t = ev->queue.first;

	if (ev->queue.first == ev->queue.last) {
		return; /* one alone is in no tree */
	}
	assert_true(node->height <= 11); /* R8: of 200 a perfect one has 8 */
	while (node->left != nullptr) {
		node = node->left;
	}
	for (; node != nullptr; node = avl_next(node), t = t->ipc.next) {
		assert_ptr_equal(node, &t->place.node);
	}
	assert_null(t);
}

/* Whom should a bit wake? The first in the queue's order. */
static struct thread *first_who_wants(const struct event *ev, uint64_t bit)
{
	struct thread *t = ev->queue.first;

	while (t != nullptr && (t->ipc.event_bits & bit) == 0) {
		t = t->ipc.next;
	}
	return t;
}

static void signal_one_bit(struct event *ev)
{
	const uint64_t bit = UINT64_C(1) << any(64);
	struct thread *t = first_who_wants(ev, bit);

	event_signal(ev, bit);
	if (t != nullptr) {
		assert_int_equal(t->state, THREAD_RUNNING);
		assert_int_equal(t->regs.x[0], bit);
		assert_int_equal(ev->bits, 0);
	} else {
		assert_int_equal(ev->bits, bit);
		ev->bits = 0;
	}
}

static void the_first_whom_a_bit_concerns_wakes(void **state)
{
	struct event *ev = fresh_event();

	(void)state;
	for (unsigned n = 0; n < OPERATIONS / 4; n++) {
		const unsigned t = (unsigned)any(THREADS);
		const bool grows = n / 1000 % 2 == 0;

		if (!waits(t) && any(4) < (grows ? 3 : 1)) {
			thread[t].priority = (uint8_t)any(n % 2 == 0 ? 64 : 3);
			wait_for(t, ev, UINT64_C(1) << any(64) | UINT64_C(1) << any(64));
		} else if (any(3) == 0) {
			(void)ipc_cancel(&thread[t], KERR_CANCELLED);
		} else {
			signal_one_bit(ev);
		}
		the_tree_is_the_queue(ev);
	}
	kobj_revoke(&ev->obj);
	kobj_put(&ev->obj);
}

/* By their bits the most urgent of those whom it concerns; fake_sched.c: without the lock. */
static void a_signal_wakes_a_crowd_one_by_one(void **state)
{
	struct event *ev = fresh_event();

	(void)state;
	for (unsigned t = 0; t < THREADS; t++) {
		thread[t].priority = (uint8_t)(t / 64);
		wait_for(t, ev, UINT64_C(1) << t % 64);
	}
	for (unsigned left = THREADS; left > 64; left = waiting()) {
		event_signal(ev, UINT64_MAX);
		assert_int_equal(waiting(), left - 64);
	}
	assert_true(waits(0)); /* the least urgent, all of them before it */
	event_signal(ev, UINT64_MAX);
	assert_int_equal(waiting(), 0);
	kobj_put(&ev->obj);
}

static void the_timer_comes(void)
{
	assert_int_equal(timers, 1);
	timers = 0;
	timer_set->cpu = 0;
	timer_set->fn(timer_set);
}

/* Whatever an interrupt signals, it wakes one; the timer comes for the others, one each. */
static void an_interrupt_wakes_one_of_a_crowd(void **state)
{
	struct event *ev = fresh_event();

	(void)state;
	for (unsigned t = 0; t < THREADS; t++) {
		wait_for(t, ev, UINT64_C(3) << t % 32);
	}
	event_signal_interrupt(ev, 0x55);
	assert_int_equal(waiting(), THREADS - 1);
	event_signal_interrupt(ev, 0x100); /* meanwhile: there is one timer for both */
	assert_int_equal(waiting(), THREADS - 2);
	assert_int_equal(ev->obj.refs, 2); /* it cannot go before all are woken */
	for (unsigned woken = 3; woken <= 5; woken++) {
		the_timer_comes();
		assert_int_equal(waiting(), THREADS - woken);
	}
	assert_int_equal(timers, 0);
	assert_int_equal(ev->obj.refs, 1);
	assert_int_equal(ev->bits, 0);
	kobj_revoke(&ev->obj);
	kobj_put(&ev->obj);
}

/* ---- the end of what they wait in ---- */

static void pass_quietly(void)
{
	pcpu_of(0)->quiet += 2;
	reclaim_poll(1);
}

/* Whoever waits wakes with KERR_DEAD, a few at once: nobody waits for all of it. */
static void a_crowd_is_revoked_in_steps(void **state)
{
	struct event *ev = fresh_event();
	unsigned before = THREADS, steps = 0;

	(void)state;
	for (unsigned t = 0; t < THREADS; t++) {
		wait_for(t, ev, 1);
	}
	kobj_revoke(&ev->obj);
	kobj_put(&ev->obj);
	for (; waiting() > 0; steps++) {
		assert_true(before - waiting() <= 16);
		assert_true(steps < 100);
		before = waiting();
		pass_quietly();
	}
	assert_true(steps >= THREADS / 16);
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(thread[t].regs.x[8], KERR_DEAD);
	}
}

/* Whatever a test did: nobody waits, everything that was made is gone. */
static int end(void **state)
{
	(void)state;
	for (unsigned n = 0; reclaim_pending(); n++) {
		assert_true(n < 1000);
		pass_quietly();
	}
	assert_int_equal(waiting(), 0);
	assert_int_equal(timers, 0);
	assert_int_equal(memcharge_used(&charge), 0);
	return 0;
}

static const struct kobj_ops no_ops = { .type = KOBJ_THREAD };

static int boot(void **state)
{
	(void)state;
	sim_boot();
	token_acquire();
	pcpu_of(0)->quiet = 0;
	park_set_online(0, true);
	token_release();
	return 0;
}

/* What a test that failed has left does not matter. */
static int begin(void **state)
{
	(void)state;
	this_cpu()->lock_count = 0;
	this_cpu()->mask_depth = 0;
	memset(thread, 0, sizeof(thread));
	timers = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		kobj_init(&thread[i].obj, &no_ops, nullptr);
		thread[i].state = THREAD_RUNNING;
		thread[i].priority = thread[i].base_priority = 10;
	}
	return 0;
}

/* ---- a binding ---- */

/* As ipc_reply_recv in assembly: it saw no binding, and is in the queue only after it was bound. */
static void a_binding_meets_who_begins_to_receive(void **state)
{
	struct endpoint *ep = nullptr;
	struct event *ev = nullptr;

	(void)state;
	asked = nullptr;
	assert_int_equal(endpoint_create(&charge, &ep), KERR_OK);
	assert_int_equal(event_create(&charge, &ev), KERR_OK);
	event_signal(ev, 0x30);
	assert_int_equal(event_bind(ev, &thread[2]), KERR_OK);
	thread[2].ipc.bound = nullptr;
	(void)ipc_recv(&thread[2], ep, nullptr, DEADLINE_NONE);
	thread[2].ipc.bound = ev;
	assert_int_equal(thread[2].state, THREAD_RECEIVING);
	assert_ptr_equal(asked, &thread[2]); /* its CPU looks, as soon as that is over */
	ipc_wake_bound(&thread[2]);
	assert_int_equal(thread[2].state, THREAD_RUNNING);
	assert_int_equal(thread[2].regs.x[0], 0x30);
	event_unbind_event(ev);
	kobj_put(&ev->obj);
	kobj_put(&ep->obj);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_queue_is_in_order_and_its_runs_are_whole),
		TEST(bits_are_taken_by_whom_they_concern),
		TEST(the_first_whom_a_bit_concerns_wakes),
		TEST(a_signal_wakes_a_crowd_one_by_one),
		TEST(an_interrupt_wakes_one_of_a_crowd),
		TEST(a_crowd_is_revoked_in_steps),
		TEST(a_binding_meets_who_begins_to_receive),
	};

	return cmocka_run_group_tests(tests, boot, nullptr);
}
