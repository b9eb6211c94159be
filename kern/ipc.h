/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/ipc.h - messages between threads: endpoints, replies, and waits that end once.
 *
 * THEORY   A message goes from registers to registers while sender and receiver are both held
 *          still: one runs here, the other waits in the endpoint's queue. There is no buffer, so
 *          nothing can be lost or exhausted in between. A call leaves the caller in a *reply slot*:
 *          the receiver's own, or one in a reply object that can be passed on. Whoever takes the
 *          caller out of the slot, by one atomic exchange, owes it an answer and is the only one
 * that does. WAITING  A wait ends exactly once: by whoever takes the thread out of its queue, under
 *          the queue's lock, or out of its reply slot. A deadline, a stop, and the death of the
 *          partner compete for the same thread by the same rule, and the loser does nothing.
 * INVARIANTS
 *   IP1  All threads in an endpoint's queue send, or all receive.
 *   IP2  A slot's caller is in state CALLING, has `held` pointing to the slot, and is in no queue.
 *   IP3  Handles on their way hold references; they become handles of the receiver before it wakes,
 *        or the sender learns that they could not, and the receiver never saw the message.
 * LOCKING  [o] the lock of the endpoint or event that the thread waits in (LOCK_OBJECT)
 *          [a] atomic  [p] the thread's CPU while it runs, its waker while it waits
 *          [h] set while it waits, cleared by the one that ends the wait
 * NOT HERE The fast paths: kern/ipc_fast.
 */
#pragma once

#include <abi.h>
#include <kerr.h>
#include <types.h>

#include "kern/avl.h"
#include "kern/lock.h"
#include "kern/object.h"

struct thread;
struct event;

/*
 * Threads that wait, in order of rank: the priority that each had when it was put in. Those of one
 * rank are a run, and the two ends of a run point at each other, so that who looks for a place
 * steps over 63 runs at most, however many wait (R8). One that waits alone has neither rank nor
 * run: they are made when a second comes, so the fast paths, which put one into an empty queue,
 * need not know.
 */
struct ipc_queue {
	struct thread *first; /* most urgent, of these the one that waits longest */
	struct thread *last;
};

/* In every thread: where it is in such a queue. [o] */
struct ipc_place {
	struct thread *run_end; /* at an end of a run: the other end */
	struct avl_node node;   /* events: kern/event_queue.h */
	uint64_t wanted;        /* events: bits that it waits for, or somebody below the node */
	uint8_t rank;
};

struct endpoint {
	struct kobj obj;
	struct spinlock lock;   /* LOCK_OBJECT */
	struct ipc_queue queue; /* [l] */
	bool receivers;         /* [l] those in the queue receive, else they send */
};

/* Holds at most one caller. */
struct reply_slot {
	uint64_t caller; /* [a] struct thread *, 0: none */
};

struct reply {
	struct kobj obj;
	struct reply_slot slot;
};

/* A handle on its way: a reference, and what the receiver's handle will say. */
struct ipc_cap {
	struct kobj *obj;
	uint64_t badge;
	uint8_t rights;
};

/* In every thread. */
struct ipc_state {
	struct kobj *wait_obj;      /* [a] the endpoint or event in whose queue it is */
	struct thread *next, *prev; /* [o] */
	struct reply_slot own;      /* the caller of the message that it received last */
	struct reply_slot *slot;    /* [h] receiving: where the caller goes */
	struct reply *slot_object;  /* [h] the reply object that slot lies in, referenced */
	struct reply_slot *held;    /* [a] calling: the slot that it is in */
	const uint64_t *words;      /* [h] sending: IPC_WORDS words */
	uint64_t badge;             /* [h] sending: what the receiver sees */
	uint64_t info;              /* [h] sending: counts, and the kernel's flags */
	struct ipc_cap cap[IPC_HANDLES_MAX]; /* [h] sending */
	uint64_t event_bits;        /* [h] what it waits for in an event */
	uint64_t due;               /* [a] ticks of its deadline; 0: none */
	struct event *bound;        /* [a] wakes it while it receives; referenced */
	uint64_t excepted; /* [h] the kernel calls in its name: IPC_FLAG_EXCEPTION or _PAGER; 0 */
	uint64_t exception[IPC_WORDS];
};

/* One message and how it is sent. */
struct ipc_message {
	const uint64_t *words; /* IPC_WORDS of them, in pinned memory that lasts while it waits */
	uint64_t info;
	uint64_t badge;
	bool calls; /* an answer is waited for */
};

enum kerr endpoint_create(struct memcharge *payer, struct endpoint **out);
enum kerr reply_create(struct memcharge *payer, struct reply **out);

/*
 * The operations. `due`: ticks, DEADLINE_NONE, or DEADLINE_POLL. When the thread's state is no
 * longer RUNNING on return, it waits, and the result is of no importance: its waker writes x8.
 * Pre: self is this CPU's thread, no lock held, pinned memory only.
 */
enum kerr ipc_send(struct thread *self, struct endpoint *ep, const struct ipc_message *m,
		   uint64_t due);
/* reply: nullptr, the thread's own slot. */
enum kerr ipc_recv(struct thread *self, struct endpoint *ep, struct reply *reply, uint64_t due);
enum kerr ipc_reply(struct thread *self, struct reply *reply, const struct ipc_message *m);

/*
 * End t's wait, in whatever it waits, with `why` in its x8. False: it does not wait, or somebody
 * else ends the wait just now. Any context that may take LOCK_OBJECT.
 */
bool ipc_cancel(struct thread *t, enum kerr why);

/* t is dead: the caller that it owes an answer gets KERR_DEAD, its bound event is free. */
void ipc_thread_end(struct thread *t);

/*
 * The kernel calls in t's name: t's exception or page request, eight words in t->ipc.exception. The
 * answer goes to ipc_answer_exception() instead of t's registers.
 */
enum kerr ipc_send_exception(struct thread *t, struct endpoint *ep, uint64_t badge, uint64_t flag);
