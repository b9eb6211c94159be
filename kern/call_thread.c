/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_thread.c - the calls on tasks and threads (include/calls.toml).
 */
#include <gen/call_args.h>

#include <memmap.h>

#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/usercopy.h"

static_assert(THREAD_PRIORITIES == PRIORITY_COUNT);
static_assert(sizeof(struct user_regs) == sizeof(struct thread_regs));
static_assert(offsetof(struct user_regs, tls) == offsetof(struct thread_regs, tls));
static_assert((int)THREAD_IS_STOPPED == (int)THREAD_STOPPED);
static_assert((int)THREAD_IS_CALLING == (int)THREAD_CALLING);
static_assert((int)THREAD_IS_DEAD == (int)THREAD_DEAD);

static struct thread *thread_in(const struct handle_view *view)
{
	return (struct thread *)(void *)view->obj;
}

static struct task *task_in(const struct handle_view *view)
{
	return (struct task *)(void *)view->obj;
}

enum kerr call_null(struct thread *self, struct call_result *r)
{
	(void)self;
	(void)r;
	return KERR_OK; /* el0.S answers it before it comes here */
}

/* The creator's handle on a thread, which has a reference on itself; without one it goes. */
static enum kerr give(struct thread *self, struct thread *t, struct call_result *r)
{
	handle_t h;
	const enum kerr e = handle_new(&self->task->handles, &t->obj, RIGHT_ALL, 0, &h);

	if (e == KERR_OK) {
		r->x[0] = h;
	} else {
		thread_ask(t, REQUEST_KILL);
	}
	return e;
}

enum kerr call_task_create(struct thread *self, const struct call_task_create_args *a,
			   struct call_result *r)
{
	struct task *task;
	handle_t h;
	enum kerr e = task_create(a->limit_bytes, self->task, &task);

	if (e != KERR_OK) {
		return e;
	}
	e = handle_new(&self->task->handles, &task->obj, RIGHT_ALL, 0, &h);
	kobj_put(&task->obj);
	if (e == KERR_OK) {
		r->x[0] = h;
	}
	return e;
}

enum kerr call_thread_create(struct thread *self, const struct call_thread_create_args *a,
			     struct call_result *r)
{
	const struct thread_start how = { .affinity = UINT64_MAX,
					  .priority = (uint8_t)a->priority };
	struct thread *t;

	if (a->priority > self->base_priority) {
		return KERR_DENIED;
	}
	const enum kerr e = thread_create(task_in(&a->task), &how, &t);

	if (e != KERR_OK) {
		return e;
	}
	return give(self, t, r);
}

enum kerr call_thread_start(struct thread *self, const struct call_thread_start_args *a,
			    struct call_result *r)
{
	const struct thread_start how = {
		.pc = a->pc, .sp = a->stack, .arg = a->argument, .tls = a->tls
	};

	(void)self;
	(void)r;
	return thread_start(thread_in(&a->thread), &how);
}

enum kerr call_thread_resume(struct thread *self, const struct call_thread_resume_args *a,
			     struct call_result *r)
{
	(void)self;
	(void)r;
	return thread_start(thread_in(&a->thread), nullptr);
}

enum kerr call_thread_stop(struct thread *self, const struct call_thread_stop_args *a,
			   struct call_result *r)
{
	(void)self;
	(void)r;
	thread_ask(thread_in(&a->thread), REQUEST_STOP);
	return thread_in(&a->thread)->state == THREAD_DEAD ? KERR_DEAD : KERR_OK;
}

enum kerr call_thread_exit(struct thread *self, struct call_result *r)
{
	(void)r;
	thread_die(self, 0);
	return KERR_OK;
}

enum kerr call_thread_yield(struct thread *self, struct call_result *r)
{
	(void)self;
	(void)r;
	sched_yield();
	return KERR_OK;
}

enum kerr call_thread_regs_read(struct thread *self, const struct call_thread_regs_read_args *a,
				struct call_result *r)
{
	struct thread_regs regs;
	const enum kerr e = thread_read_regs(thread_in(&a->thread), &regs);

	(void)self;
	(void)r;
	return e == KERR_OK ? copy_to_user(va(a->buffer), &regs, sizeof(regs)) : e;
}

enum kerr call_thread_regs_write(struct thread *self, const struct call_thread_regs_write_args *a,
				 struct call_result *r)
{
	struct thread_regs regs;
	const enum kerr e = copy_from_user(&regs, va(a->buffer), sizeof(regs));

	(void)self;
	(void)r;
	return e == KERR_OK ? thread_write_regs(thread_in(&a->thread), &regs) : e;
}

enum kerr call_thread_set_priority(struct thread *self,
				   const struct call_thread_set_priority_args *a,
				   struct call_result *r)
{
	(void)r;
	if (a->priority > self->base_priority) {
		return KERR_DENIED;
	}
	sched_set_base_priority(thread_in(&a->thread), (uint8_t)a->priority);
	return KERR_OK;
}

enum kerr call_thread_set_affinity(struct thread *self,
				   const struct call_thread_set_affinity_args *a,
				   struct call_result *r)
{
	(void)self;
	(void)r;
	if ((a->cpus & sched_cpus()) == 0) {
		return KERR_INVALID;
	}
	sched_set_affinity(thread_in(&a->thread), a->cpus);
	return KERR_OK;
}

enum kerr call_thread_info(struct thread *self, const struct call_thread_info_args *a,
			   struct call_result *r)
{
	const struct thread *t = thread_in(&a->thread);

	(void)self;
	r->x[0] = (uint64_t)t->state;
	r->x[1] = t->priority;
	r->x[2] = t->cpu;
	r->x[3] = t->number;
	return KERR_OK;
}

enum kerr call_task_kill(struct thread *self, const struct call_task_kill_args *a,
			 struct call_result *r)
{
	(void)self;
	(void)r;
	task_kill(task_in(&a->task));
	return KERR_OK;
}

enum kerr call_task_info(struct thread *self, const struct call_task_info_args *a,
			 struct call_result *r)
{
	const struct task *task = task_in(&a->task);

	(void)self;
	r->x[0] = task->charge.limit_bytes;
	r->x[1] = memcharge_used(&task->charge);
	r->x[2] = task->thread_count;
	r->x[3] = handle_count(&task->handles);
	return KERR_OK;
}

enum kerr call_task_set_exception(struct thread *self, const struct call_task_set_exception_args *a,
				  struct call_result *r)
{
	(void)self;
	(void)r;
	return task_set_handler(task_in(&a->task), &a->endpoint);
}
