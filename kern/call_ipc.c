/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_ipc.c - the calls on endpoints, replies, events, interrupts and timers
 * (include/calls.toml). What they do: kern/ipc.h, kern/event.h, kern/irq_object.h,
 * kern/timer_object.h.
 */
#include <gen/call_args.h>

#include "kern/event.h"
#include "kern/ipc.h"
#include "kern/irq_object.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/timer_object.h"

#define SENDER_RIGHTS (RIGHT_SEND | RIGHT_TRANSFER | RIGHT_DUPLICATE)

/* A handle for the creator, with every right; it takes the object over. */
static enum kerr publish(struct thread *self, struct kobj *obj, struct call_result *r)
{
	handle_t h;
	const enum kerr e = handle_new(&self->task->handles, obj, RIGHT_ALL, 0, &h);

	kobj_paid_by(obj, &self->task->obj);
	kobj_put(obj); /* the handle has a reference of its own */
	if (e == KERR_OK) {
		r->x[0] = h;
	}
	return e;
}

enum kerr call_endpoint_create(struct thread *self, struct call_result *r)
{
	struct endpoint *ep;
	const enum kerr e = endpoint_create(&self->task->charge, &ep);

	return e == KERR_OK ? publish(self, &ep->obj, r) : e;
}

enum kerr call_endpoint_badge(struct thread *self, const struct call_endpoint_badge_args *a,
			      struct call_result *r)
{
	handle_t h;
	const enum kerr e =
		handle_new(&self->task->handles, a->endpoint.obj, SENDER_RIGHTS, a->badge, &h);

	if (e == KERR_OK) {
		r->x[0] = h;
	}
	return e;
}

enum kerr call_reply_create(struct thread *self, struct call_result *r)
{
	struct reply *reply;
	const enum kerr e = reply_create(&self->task->charge, &reply);

	return e == KERR_OK ? publish(self, &reply->obj, r) : e;
}

/* The words of a message lie in the sender's registers, also while it waits. */
static struct ipc_message message_of(const struct thread *self, const struct handle_view *to,
				     uint64_t info, bool calls)
{
	return (struct ipc_message){
		.words = self->regs.x, .info = info, .badge = to->badge, .calls = calls
	};
}

enum kerr call_ipc_call(struct thread *self, const struct call_ipc_call_args *a,
			struct call_result *r)
{
	const struct ipc_message m = message_of(self, &a->endpoint, a->info, true);

	(void)r;
	return ipc_send(self, (struct endpoint *)a->endpoint.obj, &m, arg_due(a->deadline));
}

enum kerr call_ipc_send(struct thread *self, const struct call_ipc_send_args *a,
			struct call_result *r)
{
	const struct ipc_message m = message_of(self, &a->endpoint, a->info, false);

	(void)r;
	return ipc_send(self, (struct endpoint *)a->endpoint.obj, &m, arg_due(a->deadline));
}

enum kerr call_ipc_recv(struct thread *self, const struct call_ipc_recv_args *a,
			struct call_result *r)
{
	(void)r;
	return ipc_recv(self, (struct endpoint *)a->endpoint.obj, (struct reply *)a->reply.obj,
			arg_due(a->deadline));
}

enum kerr call_ipc_reply(struct thread *self, const struct call_ipc_reply_args *a,
			 struct call_result *r)
{
	const struct ipc_message m = message_of(self, &a->reply, a->info, false);

	(void)r;
	return ipc_reply(self, (struct reply *)a->reply.obj, &m);
}

enum kerr call_ipc_reply_recv(struct thread *self, const struct call_ipc_reply_recv_args *a,
			      struct call_result *r)
{
	struct reply *reply = (struct reply *)a->reply.obj;
	const struct ipc_message m = message_of(self, &a->reply, a->info, false);
	const enum kerr e = ipc_reply(self, reply, &m);

	(void)r;
	if (e != KERR_OK && e != KERR_ABSENT) {
		return e;
	}
	return ipc_recv(self, (struct endpoint *)a->endpoint.obj, reply, arg_due(a->deadline));
}

enum kerr call_event_create(struct thread *self, struct call_result *r)
{
	struct event *ev;
	const enum kerr e = event_create(&self->task->charge, &ev);

	return e == KERR_OK ? publish(self, &ev->obj, r) : e;
}

enum kerr call_event_signal(struct thread *self, const struct call_event_signal_args *a,
			    struct call_result *r)
{
	(void)self;
	(void)r;
	event_signal((struct event *)a->event.obj, a->bits);
	return KERR_OK;
}

enum kerr call_event_wait(struct thread *self, const struct call_event_wait_args *a,
			  struct call_result *r)
{
	if (a->bits == 0) {
		return KERR_INVALID;
	}
	return event_wait(self, (struct event *)a->event.obj, a->bits, arg_due(a->deadline),
			  &r->x[0]);
}

enum kerr call_event_bind(struct thread *self, const struct call_event_bind_args *a,
			  struct call_result *r)
{
	struct event *ev = (struct event *)a->event.obj;

	(void)self;
	(void)r;
	if (a->thread.obj == nullptr) {
		event_unbind_event(ev);
		return KERR_OK;
	}
	return event_bind(ev, (struct thread *)a->thread.obj);
}

enum kerr call_irq_claim(struct thread *self, const struct call_irq_claim_args *a,
			 struct call_result *r)
{
	struct irq_object *irq;
	const enum kerr e =
		irq_object_create(&self->task->charge, (uint32_t)a->number, a->edge != 0, &irq);

	return e == KERR_OK ? publish(self, &irq->obj, r) : e;
}

enum kerr call_irq_bind(struct thread *self, const struct call_irq_bind_args *a,
			struct call_result *r)
{
	(void)self;
	(void)r;
	if (a->bits == 0) {
		return KERR_INVALID;
	}
	return irq_object_bind((struct irq_object *)a->irq.obj, (struct event *)a->event.obj,
			       a->bits);
}

enum kerr call_irq_ack(struct thread *self, const struct call_irq_ack_args *a,
		       struct call_result *r)
{
	(void)self;
	(void)r;
	return irq_object_ack((struct irq_object *)a->irq.obj);
}

enum kerr call_timer_create(struct thread *self, const struct call_timer_create_args *a,
			    struct call_result *r)
{
	struct timer_object *timer;

	if (a->bits == 0) {
		return KERR_INVALID;
	}
	const enum kerr e = timer_object_create(&self->task->charge, (struct event *)a->event.obj,
						a->bits, &timer);

	return e == KERR_OK ? publish(self, &timer->obj, r) : e;
}

enum kerr call_timer_set(struct thread *self, const struct call_timer_set_args *a,
			 struct call_result *r)
{
	(void)self;
	(void)r;
	timer_object_set((struct timer_object *)a->timer.obj, arg_due(a->deadline));
	return KERR_OK;
}
