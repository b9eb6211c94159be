/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/runq.c - see kern/runq.h.
 */
#include "kern/runq.h"

#define STEAL_LOOKS 16 /* R8: under the lock of another CPU */

struct runq runq_all[MAX_CPUS] = {
	[0 ... MAX_CPUS - 1] = { .lock = SPINLOCK("runq", LOCK_SCHED), .running = RUNQ_TAKEN },
};

struct thread *runq_steal(struct runq *q, unsigned cpu, const struct thread *not_this)
{
	unsigned looks = 0;

	for (uint64_t left = q->ready; left != 0;) {
		const int p = 63 - __builtin_clzll(left);

		left &= ~(UINT64_C(1) << p);
		for (struct thread *t = q->head[p]; t != nullptr; t = t->next) {
			if ((t->affinity >> cpu & 1) != 0 && t != not_this) {
				runq_remove(q, t);
				return t;
			}
			if (++looks == STEAL_LOOKS) {
				return nullptr;
			}
		}
	}
	return nullptr;
}
