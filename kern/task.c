/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/task.c - see kern/task.h.
 */
#include "kern/task.h"

#include <arch/atomic.h>

#include "kern/assert.h"
#include "kern/thread.h"
#include "pcpu/heap.h"
#include "pcpu/slab.h"
#include "vm/pmap.h"

#define HANDLES_A_STEP 32 /* closed in one bounded step of the end */

static struct slab_class tasks = SLAB_CLASS("task", struct task);
static uint64_t last_number; /* [a] */

#define TASK_OF(kobj) ((struct task *)(void *)(kobj)) /* obj is first */

static void task_revoke(struct kobj *obj)
{
	task_kill(TASK_OF(obj));
}

static enum kobj_end task_end(struct kobj *obj)
{
	struct task *task = TASK_OF(obj);

	KASSERT(task->threads == nullptr);
	if (task->handler.obj != nullptr) {
		kobj_put(task->handler.obj);
		task->handler.obj = nullptr;
	}
	if (!handle_table_end(&task->handles, HANDLES_A_STEP)) {
		return END_MORE;
	}
	KASSERT(memcharge_used(&task->charge) == 0); /* R10 */
	slab_free(&tasks, task, obj->payer);
	return END_GONE;
}

static const struct kobj_ops task_ops = {
	.type = KOBJ_TASK,
	.revoke = task_revoke,
	.end = task_end,
};

enum kerr task_create(uint64_t limit_bytes, struct memcharge *payer, struct task **out)
{
	struct task *task = slab_alloc(&tasks, payer);

	if (task == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&task->obj, &task_ops, payer);
	task->number = fetch_add_relaxed(&last_number, 1) + 1;
	task->charge = (struct memcharge){ .limit_bytes = limit_bytes };
	task->lock = (struct spinlock)SPINLOCK("task", LOCK_TASK);
	handle_table_init(&task->handles, &task->charge);
	*out = task;
	return KERR_OK;
}

void task_set_pmap(struct task *task, struct pmap *pmap)
{
	task->pmap = pmap;
	task->root = heap_pa(pmap->root).v;
}

bool task_add(struct task *task, struct thread *t)
{
	spin_lock(&task->lock);
	const bool alive = !task->dying;

	if (alive) {
		t->task_next = task->threads;
		if (task->threads != nullptr) {
			task->threads->task_prev = t;
		}
		task->threads = t;
		task->thread_count++;
	}
	spin_unlock(&task->lock);
	return alive;
}

void task_remove(struct task *task, struct thread *t)
{
	spin_lock(&task->lock);
	if (t->task_next != nullptr) {
		t->task_next->task_prev = t->task_prev;
	}
	if (t->task_prev != nullptr) {
		t->task_prev->task_next = t->task_next;
	} else {
		task->threads = t->task_next;
	}
	task->thread_count--;
	spin_unlock(&task->lock);
}

enum kerr task_set_handler(struct task *task, const struct handle_view *endpoint)
{
	struct kobj *old;

	if (endpoint->obj != nullptr && !kobj_get(endpoint->obj)) {
		return KERR_DEAD;
	}
	spin_lock(&task->lock);
	old = task->handler.obj;
	task->handler = *endpoint;
	spin_unlock(&task->lock);
	if (old != nullptr) {
		kobj_put(old);
	}
	return KERR_OK;
}

bool task_handler(struct task *task, struct handle_view *out)
{
	spin_lock(&task->lock);
	*out = task->handler;
	spin_unlock(&task->lock);
	return out->obj != nullptr;
}

void task_kill(struct task *task)
{
	spin_lock(&task->lock);
	task->dying = true;
	for (struct thread *t = task->threads; t != nullptr; t = t->task_next) {
		thread_ask(t, REQUEST_KILL);
	}
	spin_unlock(&task->lock);
}
