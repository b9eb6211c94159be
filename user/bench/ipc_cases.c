/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/ipc_cases.c - messages that the fast path leaves alone: one case for each reason.
 *
 * THEORY   Client and server are two programs on one CPU, as those of bench.c; what a case is about
 *          is a row of a table. Each stamps before its SVC and after it, so whoever runs next says
 *          how long it took to come to him: there (client to server), back, or how long one's own
 *          call was, if nobody else ran. A case's first messages tell the server, and are not
 *          counted.
 */
#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <stdio.h>

#include "user/bench/message.h"

#define WARM_UP 2u
#define UNUSED_ID 61u /* of samples that are no case's: IDS - 3 in test/bench/count.c */
#define FAR 130u      /* handles: the next one is not of the table's first page */
#define LESS (PRIORITY_DEFAULT - 2)
#define LEAST (PRIORITY_DEFAULT - 4)
/* Calls are slow while something waits to be reclaimed: the threads of the case before. */
#define SETTLE_NS UINT64_C(2000000)
#define FAR_FUTURE (UINT64_C(1) << 62) /* ns: a deadline that does not pass */

/* How the server answers and receives. */
enum way {
	AT_ONCE,    /* ipc_reply_recv */
	IN_TWO,     /* ipc_reply, ipc_recv */
	AFTER_TURN, /* the same, and in between others run, and send */
	BESIDE,     /* others run, and send; then ipc_reply_recv */
};

/* What a figure is taken from. */
enum span {
	NOTHING,
	THERE,  /* the client's SVC, until the server goes on */
	BACK,   /* the server's, until the client does */
	OWN,    /* the client's own */
	FIRST,  /* the server's own: its reply, or both at once */
	SECOND, /* its receive */
	WAITS,  /* the client's, until the server goes on that yielded to it */
};

struct ipc_case {
	const char *name, *back; /* of what goes there, and of what the server does */
	enum span is, back_is;
	enum way way;
	uint32_t priority;        /* the client's; 0: as the server's */
	uint32_t server_priority; /* from here on; 0: as it is */
	bool fp, server_fp;       /* have they used FP registers? The server's stay. */
	bool far, deadline, handle, sends;
	bool reply, server_deadline;
	bool two; /* another client beside */
};

static const struct ipc_case cases[] = {
	{ "ipc_call_deadline", "ipc_reply_recv_to_deadline", THERE, BACK, .deadline = true },
	{ "ipc_call_far_handle", nullptr, THERE, NOTHING, .far = true },
	{ "ipc_call_to_deadline", "ipc_reply_recv_deadline", THERE, BACK, .server_deadline = true },
	{ "ipc_call_to_reply", "ipc_reply_recv_reply", THERE, BACK, .reply = true },
	{ "ipc_call_up", "ipc_reply_recv_down", THERE, BACK, .priority = LESS },
	{ "ipc_call_fp_to_none", "ipc_reply_recv_none_to_fp", THERE, BACK, .fp = true },
	{ "ipc_call_handle", nullptr, THERE, NOTHING, .handle = true },
	{ "ipc_send", nullptr, OWN, NOTHING, .sends = true },
	{ nullptr, "ipc_recv_waits", NOTHING, BACK, .way = IN_TWO },
	{ "ipc_call_waits", "ipc_reply", WAITS, FIRST, .way = AFTER_TURN },
	{ nullptr, "ipc_recv_finds", NOTHING, SECOND, .way = AFTER_TURN },
	{ nullptr, "ipc_reply_recv_next", NOTHING, FIRST, .way = BESIDE, .two = true },
	{ "ipc_call_inherits", "ipc_reply_recv_inherited", THERE, BACK, .server_priority = LEAST },
	{ "ipc_call_none_to_fp", "ipc_reply_recv_fp_to_none", THERE, BACK, .priority = LEAST,
	  .server_fp = true },
};

/* ---- the server ---- */

static void close_what_came(const struct half *h)
{
	if (IPC_INFO_HANDLES(h->info) != 0) {
		(void)sys_handle_close((handle_t)h->word);
	}
}

/* What was asked for with this message. A caller in the other slot is answered from there. */
static void become(struct stamps *stamps, struct half *h, handle_t reply, uint64_t *priority)
{
	const handle_t slot = stamps->reply != 0 ? reply : HANDLE_NONE;
	struct ipc_message m;

	if (slot != h->reply) {
		(void)sys_ipc_reply(IPC_INFO(0, 0), h->reply, &m);
	}
	h->reply = slot;
	h->deadline = stamps->deadline;
	if (stamps->fp != 0) {
		__asm__ volatile("fmov d0, xzr" : : : "v0");
	}
	if (stamps->priority != 0 && stamps->priority < *priority) {
		*priority = stamps->priority;
		(void)sys_thread_set_priority(HANDLE_NONE, (uint32_t)*priority);
	}
}

static enum kerr answer_in_two(struct stamps *stamps, struct half *h)
{
	const handle_t endpoint = h->endpoint;

	h->number = CALL_IPC_REPLY;
	h->endpoint = HANDLE_NONE;
	h->info = IPC_INFO(0, 0);
	h->id = stamps->reply_id;
	(void)exchange(h); /* the first time there is nobody to answer */
	stamps->first = h->after - h->before;
	if (stamps->way == AFTER_TURN) {
		(void)sys_thread_yield();
		stamps->resumed = stamp_end();
	}
	h->number = CALL_IPC_RECV;
	h->endpoint = endpoint;
	h->info = 0;
	h->id = stamps->other_id;
	const enum kerr e = exchange(h);
	stamps->second = h->after - h->before;
	return e;
}

static enum kerr answer_at_once(struct stamps *stamps, struct half *h)
{
	if (stamps->way == BESIDE) {
		(void)sys_thread_yield();
	}
	h->number = CALL_IPC_REPLY_RECV;
	h->info = IPC_INFO(0, 0);
	h->id = stamps->reply_id;
	const enum kerr e = exchange(h);
	stamps->first = h->after - h->before;
	return e;
}

void serve_ipc_cases(void *argument)
{
	struct stamps *const stamps = argument;
	static struct half h; /* the compiler clears those on a stack with FP registers */
	uint64_t priority = PRIORITY_DEFAULT;
	handle_t reply = HANDLE_NONE;
	enum kerr e = sys_reply_create(&reply);

	h.endpoint = start.extra;
	if (e == KERR_OK) {
		e = sys_thread_set_affinity(HANDLE_NONE, 1);
	}
	while (e == KERR_OK) {
		become(stamps, &h, reply, &priority);
		e = stamps->way == IN_TWO || stamps->way == AFTER_TURN ? answer_in_two(stamps, &h)
								       : answer_at_once(stamps, &h);
		stamps->received = h.after;
		stamps->replies = h.before;
		close_what_came(&h);
	}
}

/* ---- the client ---- */

/* The figures of one case, while it is measured. */
static struct {
	const struct ipc_case *now;
	handle_t far, given;
	volatile bool over;
} run;

static uint64_t ticks_of(enum span span, const struct half *h, uint64_t back)
{
	switch (span) {
	case THERE:
		return bench.stamps->received - h->before;
	case BACK: /* of the one before: only now we learn when it began */
		return back - bench.stamps->replies;
	case OWN:
		return h->after - h->before;
	case FIRST:
		return bench.stamps->first;
	case SECOND:
		return bench.stamps->second;
	case WAITS:
		return bench.stamps->resumed - h->before;
	case NOTHING:
		break;
	}
	return 0;
}

static void send_one(struct half *h)
{
	const struct ipc_case *const c = run.now;

	h->number = c->sends ? CALL_IPC_SEND : CALL_IPC_CALL;
	h->info = c->handle ? IPC_INFO(1, 1) : IPC_INFO(0, 0);
	h->word = run.given;
	bench.failed = bench.failed || exchange(h) != KERR_OK;
	if (c->sends) {
		(void)sys_thread_yield(); /* it receives, and waits again */
	}
}

static void sample_case(void *argument)
{
	const struct ipc_case *const c = run.now;
	struct half h = { .endpoint = c->far ? run.far : bench.endpoint,
			  .deadline = c->deadline ? FAR_FUTURE : DEADLINE_NONE,
			  .id = UNUSED_ID };

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	for (unsigned i = 0; i < WARM_UP; i++) {
		send_one(&h);
	}
	h.id = c->name != nullptr ? bench.id : UNUSED_ID;
	for (unsigned i = 0; i <= SAMPLES; i++) {
		const uint64_t back = h.after;

		send_one(&h);
		bench.sample[i % SAMPLES] = less_overhead(ticks_of(c->is, &h, back));
		bench.back[i % SAMPLES] = less_overhead(ticks_of(c->back_is, &h, back));
	}
	run.over = true;
}

/* Calls as well. It is not measured. */
static void call_beside(void *argument)
{
	static struct half h;

	(void)argument;
	h.endpoint = bench.endpoint;
	h.id = UNUSED_ID;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while (!run.over) {
		send_one(&h);
	}
}

/* What the server does from its next message on. */
static void tell_server(const struct ipc_case *c)
{
	struct stamps *const stamps = bench.stamps;
	const uint64_t next_id = c->name != nullptr ? bench.id + 1 : bench.id;
	const uint64_t back_id = c->back != nullptr ? next_id : UNUSED_ID;

	stamps->way = c->way;
	stamps->fp = c->server_fp;
	stamps->reply = c->reply;
	stamps->deadline = c->server_deadline ? FAR_FUTURE : DEADLINE_NONE;
	stamps->priority = c->server_priority;
	/* What goes back to the client begins with the last that the server does. */
	stamps->reply_id = c->way == IN_TWO || c->back_is == SECOND ? UNUSED_ID : back_id;
	stamps->other_id = c->way == IN_TWO || c->back_is == SECOND ? back_id : UNUSED_ID;
}

static void measure_case(const struct ipc_case *c)
{
	struct thread *other = nullptr, *client;

	run.now = c;
	run.over = false;
	tell_server(c);
	(void)time_sleep_ns(SETTLE_NS);
	if (c->fp) {
		sample_case(nullptr); /* this thread has used them, in the library */
	} else {
		const struct thread_options options = { .priority = c->priority };

		if (c->two && thread_create(call_beside, nullptr, nullptr, &other) != KERR_OK) {
			bench.failed = true;
		}
		if (thread_create(sample_case, nullptr, &options, &client) == KERR_OK) {
			thread_join(client);
		} else {
			bench.failed = true;
		}
	}
	if (other != nullptr) {
		thread_join(other);
	}
	if (c->name != nullptr) {
		report(c->name, 1, "240");
	}
	if (c->back != nullptr) {
		report_back(c->back, "260");
	}
}

void measure_ipc_cases(void)
{
	static handle_t near[FAR];

	bench.failed = sys_event_create(&run.given) != KERR_OK;
	for (unsigned i = 0; i < FAR; i++) {
		(void)sys_handle_dup(run.given, RIGHT_READ, HANDLE_NONE, &near[i]);
	}
	(void)sys_handle_dup(bench.endpoint, RIGHT_SEND, HANDLE_NONE, &run.far);
	for (unsigned i = 0; i < FAR; i++) {
		(void)sys_handle_close(near[i]);
	}
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		measure_case(&cases[i]);
	}
	(void)sys_handle_close(run.far);
	(void)sys_handle_close(run.given);
	if (bench.failed) {
		printf("bench: failed: a message of ipc_cases was lost\n");
	}
}
