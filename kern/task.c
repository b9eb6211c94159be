/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/task.c - see kern/task.h.
 */
#include "kern/task.h"

#include <arch/atomic.h>
#include <arch/barrier.h>

#include "kern/assert.h"
#include "kern/thread.h"
#include "kern/reclaim.h"
#include "pcpu/heap.h"
#include "pcpu/slab.h"
#include "vm/space.h"

#define HANDLES_A_STEP 32 /* closed in one bounded step of the end */
#define ASKED_A_STEP 4    /* threads asked to die while the lock is held */

static struct slab_class tasks = SLAB_CLASS("task", struct task);
static uint64_t last_number; /* [a] */
static struct spinlock all_lock = SPINLOCK("tasks", LOCK_OBJECT);
static struct task *all; /* [l] of all_lock: but for those in */
static struct task *killed; /* [l] the same: whom task_kill_all() has been at */

#define TASK_OF(kobj) ((struct task *)(void *)(kobj)) /* obj is first */

static bool task_revoke(struct kobj *obj)
{
	task_kill(TASK_OF(obj));
	return true;
}

/* One step; nobody uses the task's handles or its space any more. True: both are gone. */
static bool empty_out(struct task *task)
{
	KASSERT(task->threads == nullptr);
	if (task->handler.obj != nullptr) {
		kobj_put(task->handler.obj);
		task->handler.obj = nullptr;
	}
	if (!handle_table_end(&task->handles, HANDLES_A_STEP)) {
		return false;
	}
	if (task->space != nullptr) {
		if (!space_end(task->space)) {
			return false;
		}
		task->space = nullptr;
	}
	return true;
}

static struct task *parent_of(const struct task *task)
{
	return TASK_OF(task->obj.payer_task);
}

/* With the lock held, if it is in the list of its parent's. */
static void leave_parent(struct task *task)
{
	if (!task->is_child) {
		return;
	}
	if (task->child_next != nullptr) {
		task->child_next->child_prev = task->child_prev;
	}
	if (task->child_prev != nullptr) {
		task->child_prev->child_next = task->child_next;
	} else {
		parent_of(task)->children = task->child_next;
	}
	task->is_child = false;
}

/*
 * What a task pays for ends with it: the tasks that it made, and by the same way theirs. One of
 * them; false: there is none.
 */
static bool kill_a_child(struct task *task)
{
	spin_lock(&all_lock);
	struct task *child = task->children;
	bool alive = false;

	if (child != nullptr) {
		leave_parent(child);
		alive = kobj_get(&child->obj); /* else its end is on its way */
	}
	spin_unlock(&all_lock);
	if (alive) {
		task_kill(child);
		kobj_put(&child->obj);
	}
	return child != nullptr;
}

/* One step: the task was killed and its last thread has gone; calls that saw it alive are over. */
static bool tear_down(struct reclaim_node *node)
{
	struct task *task = (struct task *)(void *)((char *)node - offsetof(struct task, teardown));

	if (kill_a_child(task) || !empty_out(task)) {
		return false;
	}
	kobj_put(&task->obj);
	return true;
}

/* With the lock held. */
static void list_add(struct task **list, struct task *task)
{
	task->all_next = *list;
	task->all_at = list;
	if (*list != nullptr) {
		(*list)->all_at = &task->all_next;
	}
	*list = task;
}

/* With the lock held: out of whichever list it is in. */
static void list_remove(struct task *task)
{
	*task->all_at = task->all_next;
	if (task->all_next != nullptr) {
		task->all_next->all_at = task->all_at;
	}
}

static void all_add(struct task *task)
{
	spin_lock(&all_lock);
	list_add(&all, task);
	if (task->obj.payer_task != nullptr) {
		struct task *parent = parent_of(task);

		task->child_next = parent->children;
		if (task->child_next != nullptr) {
			task->child_next->child_prev = task;
		}
		parent->children = task;
		task->is_child = true;
	}
	spin_unlock(&all_lock);
}

static void all_remove(struct task *task)
{
	spin_lock(&all_lock);
	leave_parent(task);
	list_remove(task);
	spin_unlock(&all_lock);
}

static enum kobj_end task_end(struct kobj *obj)
{
	struct task *task = TASK_OF(obj);
	const uint64_t limit = task->charge.limit_bytes;
	struct memcharge *payer = obj->payer;

	if (!empty_out(task)) {
		return END_MORE;
	}
	KASSERT(memcharge_used(&task->charge) == 0); /* R10 */
	all_remove(task);
	slab_free(&tasks, task, payer);
	memcharge_give(payer, limit);
	return END_GONE;
}

static const struct kobj_ops task_ops = {
	.type = KOBJ_TASK,
	.revoke = task_revoke,
	.end = task_end,
};

enum kerr task_create(uint64_t limit_bytes, struct task *parent, struct task **out)
{
	struct memcharge *payer = parent != nullptr ? &parent->charge : nullptr;
	struct task *task = slab_alloc(&tasks, payer);

	if (task == nullptr) {
		return KERR_NO_MEMORY;
	}
	task->charge = (struct memcharge){ .limit_bytes = limit_bytes };
	if (!memcharge_take(payer, limit_bytes)) {
		slab_free(&tasks, task, payer);
		return KERR_NO_MEMORY;
	}
	if (space_create(&task->charge, &task->space) != KERR_OK) {
		memcharge_give(payer, limit_bytes);
		slab_free(&tasks, task, payer);
		return KERR_NO_MEMORY;
	}
	task->pmap = &task->space->pmap;
	task->root = heap_pa(task->space->pmap.root).v;
	kobj_init(&task->obj, &task_ops, payer);
	if (parent != nullptr) {
		kobj_paid_by(&task->obj, &parent->obj);
	}
	task->number = fetch_add_relaxed(&last_number, 1) + 1;
	task->lock = (struct spinlock)SPINLOCK("task", LOCK_TASK);
	handle_table_init(&task->handles, &task->charge);
	all_add(task);
	*out = task;
	return KERR_OK;
}

bool task_is_dying(const struct task *task)
{
	return load_acquire(&task->dying) != 0;
}

/* With the lock held: is it time to tear down? Once. */
static bool ends_now(struct task *task)
{
	const bool now = task->dying != 0 && task->threads == nullptr && !task->ending;

	task->ending = task->ending || now;
	return now;
}

/* A last handle may have been closed since the caller looked it up: then the end is on its way. */
static void begin_teardown(struct task *task)
{
	if (kobj_get(&task->obj)) {
		reclaim_defer(&task->teardown, tear_down);
	}
}

bool task_add(struct task *task, struct thread *t)
{
	spin_lock(&task->lock);
	const bool alive = task->dying == 0;

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

/* With the lock held: ask some of those that were not asked yet. */
static void ask_some(struct task *task)
{
	for (unsigned n = 0; n < ASKED_A_STEP && task->unasked != nullptr; n++) {
		struct thread *t = task->unasked;

		task->unasked = t->task_next;
		thread_ask(t, REQUEST_KILL);
	}
}

/*
 * Each that dies asks some more (R8). While somebody has not been asked, there is one who was and
 * has not died, so they all come to it, whatever becomes of who killed the task.
 */
void task_remove(struct task *task, struct thread *t)
{
	spin_lock(&task->lock);
	if (task->unasked == t) {
		task->unasked = t->task_next;
	}
	if (t->task_next != nullptr) {
		t->task_next->task_prev = t->task_prev;
	}
	if (t->task_prev != nullptr) {
		t->task_prev->task_next = t->task_next;
	} else {
		task->threads = t->task_next;
	}
	task->thread_count--;
	ask_some(task);
	const bool last = ends_now(task);

	spin_unlock(&task->lock);
	if (last) {
		begin_teardown(task);
	}
}

enum kerr task_set_handler(struct task *task, const struct handle_view *endpoint)
{
	struct kobj *old;

	if (endpoint->obj != nullptr && !kobj_get(endpoint->obj)) {
		return KERR_DEAD;
	}
	spin_lock(&task->lock);
	old = task->handler.obj;
	store_relaxed(&task->handler_changes, task->handler_changes + 1);
	dmb_ish(); /* odd first; pairs with the LDARs of fault_fast.S */
	task->handler = *endpoint;
	store_release(&task->handler_changes, task->handler_changes + 1);
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
	if (task->dying == 0) {
		store_release(&task->dying, 1); /* from here on no thread is added */
		task->unasked = task->threads;
	}
	ask_some(task);
	const bool last = ends_now(task);

	spin_unlock(&task->lock);
	if (last) {
		begin_teardown(task);
	}
}

/* One more (R8); false: there is none. One whose end is on its way needs no killing. */
static bool kill_next(void)
{
	spin_lock(&all_lock);
	struct task *task = all;
	bool alive = false;

	if (task != nullptr) {
		list_remove(task);
		list_add(&killed, task);
		alive = kobj_get(&task->obj);
	}
	spin_unlock(&all_lock);
	if (alive) {
		task_kill(task);
		kobj_put(&task->obj);
	}
	return task != nullptr;
}

void task_kill_all(void)
{
	while (kill_next()) {
	}
}

bool task_any(void)
{
	spin_lock(&all_lock);
	const bool any = all != nullptr || killed != nullptr;

	spin_unlock(&all_lock);
	return any;
}
