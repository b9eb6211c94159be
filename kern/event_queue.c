/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/event_queue.c - see kern/event_queue.h.
 */
#include "kern/event_queue.h"

#include "kern/ipc_wait.h"

static struct thread *thread_of(const struct avl_node *node)
{
	const uintptr_t at = (uintptr_t)node - offsetof(struct thread, place.node);

	return node != nullptr ? (struct thread *)at : nullptr;
}

static uint64_t wanted(const struct avl_node *node)
{
	return node != nullptr ? thread_of(node)->place.wanted : 0;
}

static void sum_up_bits(struct avl_node *node)
{
	struct thread *t = thread_of(node);

	t->place.wanted = t->ipc.event_bits | wanted(node->left) | wanted(node->right);
}

void event_queue_init(struct event *ev)
{
	ev->waiters = (struct avl_tree){ .sum_up = sum_up_bits };
}

/*
 * Behind the one before it in the queue: to that one's right, or, if there is something, to the
 * left of what is first there, which is the one behind it.
 */
static void put_into_tree(struct event *ev, struct thread *t)
{
	struct thread *prev = t->ipc.prev;
	struct thread *next = t->ipc.next;

	if (prev != nullptr && prev->place.node.right == nullptr) {
		avl_hang(&ev->waiters, &prev->place.node, false, &t->place.node);
	} else {
		avl_hang(&ev->waiters, next != nullptr ? &next->place.node : nullptr, true,
			 &t->place.node);
	}
	avl_retrace(&ev->waiters, &t->place.node);
}

void event_queue_add(struct event *ev, struct thread *t)
{
	struct thread *alone = ev->queue.first == ev->queue.last ? ev->queue.first : nullptr;

	ipc_queue_add(&ev->queue, t, &ev->obj);
	if (alone != nullptr) {
		avl_hang(&ev->waiters, nullptr, false, &alone->place.node);
		avl_retrace(&ev->waiters, &alone->place.node);
	}
	if (ev->queue.first != ev->queue.last) {
		put_into_tree(ev, t);
	}
}

void event_queue_remove(struct event *ev, struct thread *t)
{
	if (ev->queue.first != ev->queue.last) {
		avl_retrace(&ev->waiters, avl_take_out(&ev->waiters, &t->place.node));
	}
	ipc_queue_remove(&ev->queue, t);
}

struct thread *event_queue_find(const struct event *ev, uint64_t bits)
{
	struct thread *first = ev->queue.first;
	const struct avl_node *node = ev->waiters.root;

	if (first == nullptr || first->ipc.next == nullptr) {
		return first != nullptr && (first->ipc.event_bits & bits) != 0 ? first : nullptr;
	}
	while (node != nullptr && (wanted(node) & bits) != 0) {
		if ((wanted(node->left) & bits) != 0) {
			node = node->left;
		} else if ((thread_of(node)->ipc.event_bits & bits) != 0) {
			return thread_of(node);
		} else {
			node = node->right;
		}
	}
	return nullptr;
}
