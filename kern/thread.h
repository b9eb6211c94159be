/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/thread.h - threads: what runs in EL0.
 *
 * THEORY   A thread is a set of registers, a place in the scheduler and a reason to wait. The
 *          kernel has no stack for it: it runs in EL0, or is being served by the CPU that it was
 *          on, or is a record in pinned memory that others may change.
 *          A thread belongs to one CPU (`cpu`). Stopping and killing are requests that this CPU
 *          carries out itself, on its way out of the kernel: nobody changes a thread that runs.
 * STATES   STOPPED -> READY -> RUNNING -> (a wait) -> READY ...; any -> DEAD, which is final.
 *          Only pick() in sched.c makes a thread RUNNING, so a call that finds its own thread in
 *          another state has blocked it, and leaves its registers to whoever wakes it.
 * LOCKING  [q] the run queue of `cpu` (LOCK_SCHED)  [o] the lock of wait_obj  [c] const after
 *          creation  [p] the CPU it runs on, or whoever holds it off the CPUs  [a] atomic
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/ipc.h"
#include "kern/object.h"
#include "kern/timerq.h"

#define THREAD_PRIORITIES 64
#define THREAD_REGS_ALIGN 64

struct task;
struct fpu_state;
struct park_space;

/* EL0's registers; el0.S saves and restores them by offset. */
struct thread_regs {
	uint64_t x[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate;
	uint64_t tls; /* TPIDR_EL0 */
};

enum thread_state {
	THREAD_STOPPED,
	THREAD_READY,
	THREAD_RUNNING,
	THREAD_SENDING,    /* waits for a receiver */
	THREAD_RECEIVING,  /* waits for a message */
	THREAD_CALLING,    /* waits for a reply */
	THREAD_EVENT_WAIT, /* waits for an event */
	THREAD_PAGER_WAIT, /* waits for a page, or for its exception handler */
	THREAD_DEAD,
};

/* What others may ask of a thread; bits. */
enum thread_request {
	REQUEST_STOP = 1,
	REQUEST_KILL = 2,
	REQUEST_EVENT = 4, /* see whether the event that it was just bound to has bits for it */
	REQUEST_LISTED = 8, /* thread.c's own */
};

struct thread {
	struct kobj obj;
	uint64_t number; /* [c] for logs and exception messages; never used twice */
	_Alignas(THREAD_REGS_ALIGN) struct thread_regs regs; /* [p] */
	uint64_t key; /* [q] thread_key(), while it waits; el0.h knows what stands up to ipc */
	struct task *task; /* [c] */
	/* [c] for the fast paths: where its map is named, and its root (struct task) */
	const struct park_space *space;
	uint64_t root;
	uint64_t zeros[2]; /* [c] what they load into registers that are no part of a message */
	struct ipc_state ipc;
	enum thread_state state; /* [q] */
	uint8_t priority; /* [q] in force */
	uint8_t base_priority; /* [q] its own */
	bool queued; /* [q] in the run queue */
	union {
		struct {
			bool stop_pending; /* [q] stop instead of waking */
			bool kill_pending; /* [q] and die of it */
			bool steps; /* [q] takes an exception after its next instruction */
		};
		uint32_t not_plain; /* any of these */
	};
	uint32_t cpu; /* [q] */
	uint64_t affinity; /* [q] CPUs it may run on, a bit each */
	struct fpu_state *fpu; /* [p] nullptr: has never used it */

	struct thread *next, *prev; /* [q] in the run queue */
	uint64_t slice_left; /* [q] ticks, when it was preempted within its slice; 0: a whole one */
	struct thread *task_next, *task_prev; /* the task's lock: its threads */
	uint64_t requests; /* [a] enum thread_request */
	struct thread *request_next;

	struct ipc_place place; /* where it waits */
	struct timerq_node deadline; /* of its wait */
	handle_t revokes; /* [p] whose revocation its call waits for; HANDLE_NONE */
	uint64_t exit_reason; /* ESR of what killed it; 0: it ended by itself or was killed */
};

/* The thread whose deadline that is. */
static inline struct thread *thread_of_deadline(struct timerq_node *node)
{
	return (struct thread *)(void *)((char *)node - offsetof(struct thread, deadline));
}

/* Does it wait for something? [q] */
static inline bool thread_waits(const struct thread *t)
{
	return t->state >= THREAD_SENDING && t->state <= THREAD_PAGER_WAIT;
}

/*
 * What the fast paths compare (arch/arm64/ipc_fast.S): CPU, priority, whether there are FP
 * registers to switch. If there is any reason for the slow path (a stop or a kill, a priority that
 * is not its own, a CPU that it must leave, a wait that a message alone does not end, a predictor
 * to empty), the key is one that is like no other thread's: not even that of another slow one, for
 * a thread may run with a key that was made while it waited. Pre: its queue's lock, or it runs
 * here.
 */
#define THREAD_KEY_FPU (UINT64_C(1) << 17) /* alike on both sides */
/* Plain but for this: the answer that it waits for is one to an exception, or a page. */
#define THREAD_KEY_EXCEPTED (UINT64_C(1) << 61)
#define THREAD_KEY_SLOW (UINT64_C(1) << 62) /* below it the thread's number */
#define THREAD_KEY_NUMBER_SHIFT 8 /* keys are alike up to 63 */
uint64_t thread_key(const struct thread *t);

/* The key of a thread that the fast paths have to leave alone. */
static inline uint64_t thread_key_slow(const struct thread *t)
{
	return THREAD_KEY_SLOW | t->number << THREAD_KEY_NUMBER_SHIFT;
}

/*
 * As the fast paths compare: is the one of the same CPU, as plain, with FP registers if the other
 * has some, and not less urgent?
 */
static inline bool thread_key_serves(uint64_t key, uint64_t instead_of)
{
	return key - instead_of < THREAD_PRIORITIES;
}

/* The thread whose call is being served, or that was interrupted. Pre: this CPU runs threads. */
struct thread *thread_this(void);

/*
 * A new thread, STOPPED, registers zero but for pc, sp and x0. KERR_NO_MEMORY: its task's limit.
 */
struct thread_start {
	uint64_t pc;
	uint64_t sp;
	uint64_t arg; /* x0 */
	uint64_t tls; /* TPIDR_EL0 */
	uint64_t affinity;
	uint8_t priority;
};
enum kerr thread_create(struct task *task, const struct thread_start *how, struct thread **out);

/*
 * STOPPED -> READY, from these registers (x0, pc, sp, tls), nullptr: from where it is.
 * KERR_BUSY: it is not stopped; KERR_DEAD: too late.
 */
enum kerr thread_start(struct thread *t, const struct thread_start *how);

/*
 * The registers of a thread that is stopped or waits. Writing: stopped, or waiting for the answer
 * to its exception; of the state EL0 chooses the flags and single step. KERR_BUSY, KERR_DEAD.
 */
enum kerr thread_read_regs(struct thread *t, struct thread_regs *out);
enum kerr thread_write_regs(struct thread *t, const struct thread_regs *regs);

/*
 * Ask the thread's CPU for something: soon, not at once. When it stops or dies, a wait in a call
 * ends with KERR_CANCELLED; if it waits for its page or its exception's answer it stops when it has
 * it.
 */
void thread_ask(struct thread *t, enum thread_request request);

/* Threads that are not DEAD, of all tasks. */
uint64_t thread_alive_count(void);

/* End the thread that this CPU serves; `reason`: an ESR, 0 for a wish of its own. */
void thread_die(struct thread *self, uint64_t reason);

/*
 * The exception endpoint has answered, or (count 0) never will: resume t, skip, or kill it.
 * Pre: t waits, and the caller took it out of its reply slot.
 */
void thread_exception_reply(struct thread *t, const uint64_t *words, unsigned count);

/* Do what t was asked, if it is still this CPU's; else pass it on. On SPx, masked: sched_cpu.c. */
void thread_serve_request(struct thread *t);
