/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/message.h - what the cases of messages share: a client and a server in two programs,
 * each of which stamps a page that both have mapped.
 */
#pragma once

#include "user/bench/bench.h"

/* The page that client and server share. */
struct stamps {
	volatile uint64_t received; /* by the server, right after its receive */
	volatile uint64_t replies;  /* by the server, right before the reply before that */
	volatile uint64_t yielding; /* the server yields all the time */
	volatile uint64_t reply_id; /* of the case that the way back is */
	volatile uint64_t fp;       /* the server uses FP registers */
	/* ipc_cases.c */
	volatile uint64_t way;      /* enum way: how it answers and receives */
	volatile uint64_t reply;    /* it has its callers in a reply object */
	volatile uint64_t deadline; /* of its receives */
	volatile uint64_t priority; /* it takes this one, if that is less than its own */
	volatile uint64_t other_id; /* of a second thing that it measures by itself */
	volatile uint64_t first;    /* ticks of the one, */
	volatile uint64_t second;   /* and of the other */
	volatile uint64_t resumed;  /* by it, when somebody it yielded to waits */
};

/* One half of a message's way there and back. */
struct half {
	uint64_t number; /* of the call */
	handle_t endpoint;
	handle_t reply;
	uint64_t deadline;
	uint64_t id;   /* of the case that begins with it */
	uint64_t word; /* in and out: the first; what the others are is all the same */
	uint64_t info; /* in and out */
	uint64_t before, after;
};

/* From SVC to SVC: a message that is in its registers already. */
enum kerr exchange(struct half *h);

/* Start this program once more in that role; it has the other end of bench.endpoint and .stamps. */
bool start_server(const char *program_name, const char *role);

/* A line for what bench.back has. */
void report_back(const char *name, const char *goal);

/* What leaves the fast path, client and server: ipc_cases.c. */
void measure_ipc_cases(void);
void serve_ipc_cases(void *stamps);
