/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/object.c - see kern/object.h.
 */
#include "kern/object.h"

#include <arch/atomic.h>
#include <arch/barrier.h>

#include "kern/assert.h"

#define REVOKING 1 /* dead, and not all who wait were woken, nor all memory unmapped */
#define REVOKED 2
#define ENDING 3 /* dead, and its end has begun */
#define OBJECT_OF(node) ((struct kobj *)(void *)((char *)(node) - offsetof(struct kobj, reclaim)))

void kobj_init(struct kobj *obj, const struct kobj_ops *ops, struct memcharge *payer)
{
	obj->ops = ops;
	obj->payer = payer;
	obj->payer_task = nullptr;
	obj->dead = 0;
	store_release(&obj->refs, 1);
}

bool kobj_get(struct kobj *obj)
{
	uint64_t refs;

	do {
		refs = load_relaxed(&obj->refs);
		if (refs == 0) {
			return false; /* its end is deferred already */
		}
	} while (!cas_acquire(&obj->refs, refs, refs + 1));
	return true;
}

void kobj_paid_by(struct kobj *obj, struct kobj *task)
{
	const bool alive = kobj_get(task);

	KASSERT(alive);
	obj->payer_task = task;
}

static bool end_step(struct reclaim_node *node)
{
	struct kobj *obj = OBJECT_OF(node);
	struct kobj *payer_task = obj->payer_task;
	struct memcharge *payer = obj->payer;

	switch (obj->ops->end(obj)) {
	case END_MORE:
		return false;
	case END_LATER:
		reclaim_defer(node, end_step);
		return true;
	case END_GONE:
		break;
	}
	memcharge_return_ends(payer);
	if (payer_task != nullptr) {
		kobj_put(payer_task);
	}
	return true;
}

void kobj_put(struct kobj *obj)
{
	dmb_ish(); /* what this holder wrote, before the end reads it */
	const uint64_t refs = fetch_add_relaxed(&obj->refs, UINT64_MAX);

	KASSERT(refs != 0); /* R10: given back once */
	if (refs == 1) {
		memcharge_return_begins(obj->payer);
		reclaim_defer(&obj->reclaim, end_step);
	}
}

bool kobj_end_begins(struct kobj *obj)
{
	const bool first = load_relaxed(&obj->dead) != ENDING;

	store_relaxed(&obj->dead, ENDING);
	return first;
}

/* The reference that the steps hold keeps the node from being wanted for the end. */
static bool revoke_step(struct reclaim_node *node)
{
	struct kobj *obj = OBJECT_OF(node);

	if (!obj->ops->revoke(obj)) {
		return false;
	}
	store_release(&obj->dead, REVOKED);
	kobj_put(obj);
	return true;
}

void kobj_revoke(struct kobj *obj)
{
	if (!cas_acquire(&obj->dead, 0, REVOKING)) {
		return;
	}
	if (obj->ops->revoke == nullptr || obj->ops->revoke(obj)) {
		store_release(&obj->dead, REVOKED);
	} else if (kobj_get(obj)) {
		reclaim_defer(&obj->reclaim, revoke_step);
	} /* Without another reference it is at its end, which wakes whoever is left. */
}

bool kobj_is_being_revoked(const struct kobj *obj)
{
	return load_acquire(&obj->dead) == REVOKING;
}
