/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/task.h - tasks: an address space, handles, threads, and what all this may cost.
 *
 * THEORY   A task is what is protected from others: its threads share memory and handles. It lives
 *          as long as somebody has a handle on it or one of its threads lives. Killing it closes it
 *          for new threads and kills those that it has; with the last reference its handles are
 *          closed and its space is torn down, in bounded steps (kern/reclaim.h).
 * INVARIANTS
 *   TK1  A thread is on the list of its task from creation until it is DEAD.
 * LOCKING  LOCK_TASK: the list. The handles have their own lock.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/handle.h"
#include "kern/lock.h"
#include "kern/object.h"
#include "pcpu/memcharge.h"

struct thread;
struct pmap;

struct task {
	struct kobj obj;
	uint64_t number;              /* [c] for logs */
	struct memcharge charge;      /* what the task may use, and uses */
	struct handle_table handles;
	struct spinlock lock;         /* LOCK_TASK */
	struct thread *threads; /* [l] */
	uint64_t thread_count; /* [l] */
	bool dying; /* [l] takes no more threads */
	/* [l] where exceptions go: an endpoint, referenced; or nullptr */
	struct handle_view handler;
	struct pmap *pmap; /* [c] where its threads run; nullptr: nothing is mapped */
	uint64_t root;     /* [c] its root's physical address */
};

/* An empty task that may use `limit_bytes`; the caller's is the one reference. */
enum kerr task_create(uint64_t limit_bytes, struct memcharge *payer, struct task **out);

/* Its threads run in this map, which lives until task_end. Before its first thread starts. */
void task_set_pmap(struct task *task, struct pmap *pmap);

/* No more threads; those that it has are asked to die. */
void task_kill(struct task *task);

/* Where the exceptions of its threads go: a view of an endpoint, or of no object. KERR_DEAD. */
enum kerr task_set_handler(struct task *task, const struct handle_view *endpoint);

/* False: there is none. The object is good for this stay in the kernel. */
bool task_handler(struct task *task, struct handle_view *out);

/* For thread.c. False: it is dying. */
bool task_add(struct task *task, struct thread *t);
void task_remove(struct task *task, struct thread *t);
