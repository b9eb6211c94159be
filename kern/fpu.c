/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/fpu.c - see kern/fpu.h.
 */
#include "kern/fpu.h"

#include "arch/arm64/fpu.h"
#include "kern/assert.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "pcpu/slab.h"

static struct slab_class areas = SLAB_CLASS("fpu", struct fpu_state);

bool fpu_first_use(struct thread *t)
{
	KASSERT(t->fpu == nullptr);
	t->fpu = slab_alloc(&areas, &t->task->charge);
	if (t->fpu == nullptr) {
		return false;
	}
	fpu_come(t);
	sched_poke(); /* its key changes */
	return true;
}

void fpu_leave(struct thread *t)
{
	if (t->fpu != nullptr) {
		arch_fpu_save(t->fpu);
	}
}

void fpu_come(const struct thread *t)
{
	if (t->fpu != nullptr) {
		arch_fpu_open(true);
		arch_fpu_load(t->fpu);
	} else {
		arch_fpu_open(false);
	}
}

void fpu_free(struct thread *t)
{
	if (t->fpu != nullptr) {
		slab_free(&areas, t->fpu, &t->task->charge);
		t->fpu = nullptr;
	}
}
