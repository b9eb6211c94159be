/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/mem_object.c - see kern/mem_object.h.
 */
#include "kern/mem_object.h"

#include "kern/assert.h"
#include "kern/ipc.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "pcpu/slab.h"
#include "vm/space.h"

static struct slab_class mem_objects = SLAB_CLASS("memory objects", struct mem_object);

/* What the memory keeps for as long as it exists, which may be longer than any handle does. */
struct mem_owner {
	struct reclaim_node reclaim;
	struct kobj *task;    /* [c] whose charge pays, referenced */
	struct endpoint *ep;  /* [c] MEM_PAGER: who brings the pages, referenced; or nullptr */
	uint64_t word;        /* [c] MEM_PAGER: in each request */
	struct memory_object *memory;
	struct memcharge *payer;
};

static struct slab_class owners = SLAB_CLASS("memory owners", struct mem_owner);

static bool mem_revoke(struct kobj *obj)
{
	bool done;

	/* BUSY: a CPU did not park in time, and is named in the log. Nothing may stay mapped. */
	(void)object_unmap_some(((struct mem_object *)obj)->memory, &done);
	return done;
}

static enum kobj_end mem_end(struct kobj *obj)
{
	object_unref(((struct mem_object *)obj)->memory);
	slab_free(&mem_objects, obj, obj->payer);
	return END_GONE;
}

static const struct kobj_ops mem_ops = { .type = KOBJ_MEMORY,
					 .revoke = mem_revoke,
					 .end = mem_end };

static struct mem_owner *owner_new(struct task *task, struct endpoint *ep, uint64_t word)
{
	struct mem_owner *o = slab_alloc(&owners, &task->charge);

	if (o == nullptr) {
		return nullptr;
	}
	if (ep != nullptr && !kobj_get(&ep->obj)) {
		slab_free(&owners, o, &task->charge);
		return nullptr;
	}
	/* The caller has one, which may be the last; it goes after this stay at the earliest. */
	if (!kobj_get(&task->obj)) {
		if (ep != nullptr) {
			kobj_put(&ep->obj);
		}
		slab_free(&owners, o, &task->charge);
		return nullptr;
	}
	o->task = &task->obj;
	o->ep = ep;
	o->word = word;
	o->payer = &task->charge;
	return o;
}

static void owner_free(struct mem_owner *o)
{
	struct kobj *task = o->task;

	if (o->ep != nullptr) {
		kobj_put(&o->ep->obj);
	}
	slab_free(&owners, o, o->payer);
	kobj_put(task);
}

/* One step; nobody looks at the memory, nor at its pager. */
static bool end_memory(struct reclaim_node *node)
{
	struct mem_owner *o = (struct mem_owner *)(void *)node; /* first */

	if (!object_end(o->memory)) {
		return false;
	}
	memcharge_return_ends(o->payer);
	owner_free(o);
	return true;
}

/*
 * Nobody names the memory any more; a fault that was under way may still look at its pager. What it
 * holds comes back in steps (R8), whatever becomes of who let go of it last.
 */
static void memory_ends(void *arg)
{
	struct mem_owner *o = arg;

	memcharge_return_begins(o->payer);
	reclaim_defer(&o->reclaim, end_memory);
}

/* ---- pagers ---- */

/* Called under locks: whoever faulted asks when it has let go of them. See pager_ask(). */
static enum kerr page_wanted(void *owner, uint64_t offset, unsigned access)
{
	(void)offset;
	(void)access;
	return kobj_is_dead(&((struct mem_owner *)owner)->ep->obj) ? KERR_DEAD : KERR_OK;
}

/* Nobody is told: whoever waits for the page waits for the pager's answer. */
static void page_came(void *owner, uint64_t offset)
{
	(void)owner;
	(void)offset;
}

static const struct pager_ops pager_ops = { .request = page_wanted, .ready = page_came };

static enum kerr make_memory(struct task *task, const struct mem_request *request,
			     struct mem_owner *owner)
{
	switch (request->kind) {
	case MEM_PAGER:
		return object_create_pager(request->bytes, &pager_ops, owner, &task->charge,
					   &owner->memory);
	case MEM_PHYS:
		return object_create_phys(pa(request->base), request->bytes, request->cached,
					  &task->charge, &owner->memory);
	default:
		return object_create(request->kind, request->bytes, &task->charge,
				     &task->space->budget, &owner->memory);
	}
}

enum kerr mem_object_create(struct task *task, const struct mem_request *request,
			    struct mem_object **out)
{
	struct mem_owner *owner = owner_new(task, request->pager, request->word);
	struct mem_object *m = slab_alloc(&mem_objects, &task->charge);
	const enum kerr e = owner == nullptr || m == nullptr ? KERR_NO_MEMORY
							     : make_memory(task, request, owner);

	if (e != KERR_OK) {
		if (m != nullptr) {
			slab_free(&mem_objects, m, &task->charge);
		}
		if (owner != nullptr) {
			owner_free(owner);
		}
		return e;
	}
	object_on_end(owner->memory, memory_ends, owner);
	kobj_init(&m->obj, &mem_ops, &task->charge);
	kobj_paid_by(&m->obj, &task->obj);
	m->memory = owner->memory;
	*out = m;
	return KERR_OK;
}

bool pager_ask(struct thread *self, void *pager, uint64_t offset, unsigned access)
{
	struct mem_owner *owner = pager;
	uint64_t *words = self->ipc.exception;

	words[PAGER_WORD_OFFSET] = offset;
	words[PAGER_WORD_ACCESS] = access;
	words[PAGER_WORD_OBJECT] = owner->word;
	for (unsigned i = PAGER_WORD_OBJECT + 1; i < IPC_WORDS; i++) {
		words[i] = 0;
	}
	if (ipc_send_exception(self, owner->ep, 0, IPC_FLAG_PAGER) == KERR_OK) {
		return true;
	}
	object_pager_gone(owner->memory);
	return false;
}
