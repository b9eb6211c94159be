/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/task.h - tasks: an address space, handles, threads, and what all this may cost.
 *
 * THEORY   A task is what is protected from others: its threads share memory and handles. It lives
 *          as long as somebody has a handle on it or one of its threads lives. Killing it closes it
 *          for new threads and kills those that it has; when the last of them is gone its handles
 *          are closed and its space is torn down, in bounded steps (kern/reclaim.h). That is not
 *          left to the last reference, because the task may itself hold handles on it. The tasks
 *          that it made are killed then, too: their memory is its own.
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

struct space;
struct thread;
struct pmap;

struct task {
	struct kobj obj;
	/* [c] for the switch to its threads: the space's map, and its root's physical address */
	struct pmap *pmap;
	uint64_t root;
	uint64_t number;              /* [c] for logs */
	struct memcharge charge;      /* what the task may use, and uses */
	struct handle_table handles;
	struct spinlock lock;         /* LOCK_TASK */
	struct thread *threads; /* [l] */
	uint64_t thread_count; /* [l] */
	uint64_t dying; /* [a] takes no more threads */
	struct thread *unasked; /* [l] dying: those from here on were not asked to die yet */
	/* [l] where exceptions go: an endpoint, referenced; or nullptr */
	struct handle_view handler;
	uint64_t handler_changes; /* [a] so often has it begun or ended to change; odd: it does */
	struct space *space; /* [c] until the teardown */
	struct reclaim_node teardown;
	bool ending; /* [l] the teardown is on its way, or done */
	struct task *all_next, **all_at; /* of all tasks, and what points at us there */
	struct task *children;            /* those that it made and has not killed */
	struct task *child_next, *child_prev;
	bool is_child; /* it is in such a list */
};

/*
 * An empty task that may use `limit_bytes`, which count as used by `parent` until it ends; nullptr:
 * the kernel gives them. The caller's is the one reference. KERR_NO_MEMORY: the parent's limit, or
 * the task's own is too small for a space.
 */
enum kerr task_create(uint64_t limit_bytes, struct task *parent, struct task **out);

/* Was it killed? Then its handles and its space end soon, not within this stay in the kernel. */
bool task_is_dying(const struct task *task);

/* No more threads; those that it has are asked to die. */
void task_kill(struct task *task);

/* The same for every task that there is. Pre: none is created meanwhile. */
void task_kill_all(void);

/* Is there a task that has not ended, to its last byte? */
bool task_any(void);

/* Where the exceptions of its threads go: a view of an endpoint, or of no object. KERR_DEAD. */
enum kerr task_set_handler(struct task *task, const struct handle_view *endpoint);

/* False: there is none. The object is good for this stay in the kernel. */
bool task_handler(struct task *task, struct handle_view *out);

/* For thread.c. False: it is dying. */
bool task_add(struct task *task, struct thread *t);
void task_remove(struct task *task, struct thread *t);
