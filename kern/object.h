/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/object.h - what every kernel object has: a type, references, and who paid.
 *
 * THEORY   Objects lie in pinned slabs. A reference is held by each handle, and by each object or
 *          waiting thread that points to it beyond one stay in the kernel. A look-up within a stay
 *          needs none (kern/reclaim.h). When the last reference goes, the type's `end` runs after
 *          a grace period, in bounded steps. Revocation comes before that and does not wait: the
 *          object is marked dead, look-ups refuse it from then on, and whoever waits in it is woken
 *          with KERR_DEAD, the first few at once, a crowd in steps as an end is. That does not
 *          depend on who revoked, who may be killed on the way.
 * INVARIANTS
 *   KO1  refs = handles + pointers that outlive a stay in the kernel.
 *   KO2  A dead object never becomes alive again.
 */
#pragma once

#include <abi.h>
#include <arch/atomic.h>
#include <kerr.h>
#include <types.h>

#include "kern/reclaim.h"
#include "pcpu/memcharge.h"

struct kobj;

enum kobj_end {
	END_MORE,  /* call again */
	END_LATER, /* call again after another grace period: it is out of reach only now */
	END_GONE,  /* it is freed */
};

struct kobj_ops {
	enum kobj_type type;
	/*
	 * One bounded step of waking whoever waits in it; it is dead already. False: call again.
	 * nullptr: nobody waits in this type.
	 */
	bool (*revoke)(struct kobj *obj);
	/* One bounded step of freeing it, no reference left, a grace period later. */
	enum kobj_end (*end)(struct kobj *obj);
};

/* First in every object. */
struct kobj {
	const struct kobj_ops *ops; /* [c] */
	struct memcharge *payer;    /* [c] who paid for it; lives as long */
	struct kobj *payer_task; /* [c] the task that has that charge, referenced; or nullptr */
	uint64_t refs; /* [a] */
	uint64_t dead; /* [a] revoked, or at its end */
	struct reclaim_node reclaim;
};

/* A fresh object, with one reference: the caller's. */
void kobj_init(struct kobj *obj, const struct kobj_ops *ops, struct memcharge *payer);

/* It was paid for from the charge of `task`, which lives at least as long from now on. */
void kobj_paid_by(struct kobj *obj, struct kobj *task);

/*
 * One more reference. Pre: the caller has one, or looked obj up in this stay. False: it is at its
 * end.
 */
bool kobj_get(struct kobj *obj);

/* One reference less; the last one defers the end. Any context where LOCK_RECLAIM may be taken. */
void kobj_put(struct kobj *obj);

/* Mark it dead, once, and wake who waits, soon. Pre: no lock held; obj cannot end meanwhile. */
void kobj_revoke(struct kobj *obj);

/* Is it dead, and not all of that done yet? */
bool kobj_is_being_revoked(const struct kobj *obj);

/*
 * For an `end` whose object others may have seen where no reference is counted, in a thread's wait
 * or a table: true the first time, when nobody finds it there any more. They are through with it
 * after one more grace period (END_LATER).
 */
bool kobj_end_begins(struct kobj *obj);

static inline bool kobj_is_dead(const struct kobj *obj)
{
	return load_acquire(&obj->dead) != 0;
}
