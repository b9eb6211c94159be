/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/timerq.h - per CPU, what is to happen when.
 *
 * THEORY   A leftist heap of nodes by deadline, one for each CPU, intrusive and pinned. There is no
 *          tick: the CPU's one timer is set to the first deadline, or to the end of the time slice
 *          when somebody waits for the CPU (kern/sched.c).
 *          Adding and taking out are logarithmic each time: with a lock held, in an interrupt, an
 *          average helps nobody (R8).
 * RACE     A function may begin while another CPU cancels its node: timerq_cancel() says so, and
 *          the function must then find out by itself, under the lock of what it acts on, that
 *          nobody wants it any more.
 * LOCKING  LOCK_TIMERQ inside. fn runs on SPx in the CPU's interrupt, without a lock; pinned data
 *          only.
 */
#pragma once

#include <types.h>

struct timerq_node {
	uint64_t deadline; /* counter ticks */
	void (*fn)(struct timerq_node *node);
	struct timerq_node *left, *right; /* [l] neither is due before this one */
	struct timerq_node *parent;       /* [l] */
	uint64_t rank; /* [l] nodes on the way to the right, this one included; none: 0 */
	uint64_t cpu;   /* [a] whose queue it is in, + 1; 0: none */
};

/* Call fn(node) on this CPU at `deadline` or soon after. Pre: the node is in no queue. */
void timerq_add(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *));

/* Take it out. False: it was in no queue, or its function has begun. Any CPU. */
bool timerq_cancel(struct timerq_node *node);

/* The first deadline of this CPU; UINT64_MAX: none. */
uint64_t timerq_first(void);

/*
 * The first node of this CPU, if it is due, with the queue locked; nullptr: none is, or the lock is
 * taken. Then either of the two: take it out, its function is not called, and the timer is set to
 * what comes next; or leave it. Pre: the timer's interrupt, on SPx.
 */
struct timerq_node *timerq_try_due(void);
void timerq_take_unlock(struct timerq_node *due);
void timerq_leave(void);

/*
 * For who has other locks besides: lock this CPU's queue if it is free, until timerq_leave(). Then,
 * as often as one likes, timerq_add(), and timerq_cancel() of a node that is in no other queue.
 * Pre: on SPx.
 */
bool timerq_try_enter(void);
void timerq_add_held(struct timerq_node *node, uint64_t deadline, void (*fn)(struct timerq_node *));
void timerq_cancel_held(struct timerq_node *node);

/*
 * Run the first that is due, if one is. Programs choose how many deadlines pass together, and each
 * may wake a thread (R8): what is left interrupts again as soon as it can, because its deadline is
 * past when the timer is set to it. Pre: this CPU's timer interrupt, on SPx.
 */
void timerq_run(void);
