/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_mem.c - the calls on memory (include/calls.toml). What they do: vm/space.h,
 * vm/object.h.
 */
#include <gen/call_args.h>
#include <bootinfo.h>
#include <memmap.h>

#include "kern/ipc.h"
#include "kern/mem_object.h"
#include "kern/run.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/usercopy.h"
#include "vm/space.h"

static struct space *space_of(const struct handle_view *task)
{
	return ((struct task *)task->obj)->space;
}

static struct memory_object *memory_of(const struct handle_view *memory)
{
	return memory->obj != nullptr ? ((struct mem_object *)memory->obj)->memory : nullptr;
}

/* What the kind needs besides: the machine, or an endpoint. */
static enum kerr check_by(const struct handle_view *by, enum kobj_type type, uint8_t rights)
{
	if (by->obj == nullptr || by->obj->ops->type != type) {
		return KERR_HANDLE;
	}
	return (by->rights & rights) == rights ? KERR_OK : KERR_DENIED;
}

/* Nobody: the caller's task pays. */
static enum kerr check_payer(const struct handle_view *by)
{
	const enum kerr e = by->obj == nullptr ? KERR_OK : check_by(by, KOBJ_TASK, RIGHT_MANAGE);

	return e == KERR_OK && by->obj != nullptr && task_is_dying((struct task *)by->obj)
		       ? KERR_DEAD
		       : e;
}

/* The boot loader's RAM disk is memory; everything else that can be given away is devices. */
static bool is_initrd(uint64_t base, uint64_t bytes)
{
	const uint64_t first = align_down(bootinfo.initrd_base, PAGE_BYTES);
	const uint64_t last = align_up(bootinfo.initrd_base + bootinfo.initrd_size, PAGE_BYTES);

	return base >= first && base < last && bytes <= last - base;
}

/* What the kind wants of `by` and `base`. */
static enum kerr request_of(const struct call_mem_create_args *a, struct mem_request *m)
{
	*m = (struct mem_request){ .kind = (enum memory_kind)a->kind, .bytes = a->bytes };
	switch (m->kind) {
	case MEM_PHYS:
		m->base = a->base;
		m->cached = is_initrd(a->base, a->bytes);
		return check_by(&a->by, KOBJ_MACHINE, RIGHT_MANAGE);
	case MEM_PAGER:
		m->pager = (struct endpoint *)a->by.obj;
		m->word = a->base;
		return check_by(&a->by, KOBJ_ENDPOINT, RIGHT_SEND);
	case MEM_ANON:
		return a->base != 0 ? KERR_INVALID : check_payer(&a->by);
	case MEM_DMA:
		return a->base != 0 ? KERR_INVALID : check_by(&a->by, KOBJ_MACHINE, RIGHT_MANAGE);
	default:
		return a->base != 0 ? KERR_INVALID : a->by.obj != nullptr ? KERR_HANDLE : KERR_OK;
	}
}

enum kerr call_mem_create(struct thread *self, const struct call_mem_create_args *a,
			  struct call_result *r)
{
	const bool other = a->kind == MEM_ANON && a->by.obj != nullptr;
	struct task *payer = other ? (struct task *)a->by.obj : self->task;
	struct mem_request request;
	struct mem_object *object;
	handle_t h;
	enum kerr e = request_of(a, &request);

	if (e == KERR_OK) {
		e = mem_object_create(payer, &request, &object);
	}
	if (e != KERR_OK) {
		return e;
	}
	e = handle_new(&self->task->handles, &object->obj, RIGHT_ALL, 0, &h);
	kobj_put(&object->obj);
	if (e == KERR_OK) {
		r->x[0] = h;
	}
	return e;
}

enum kerr call_mem_map(struct thread *self, const struct call_mem_map_args *a,
		       struct call_result *r)
{
	static_assert((RIGHT_READ | RIGHT_WRITE | RIGHT_EXEC) == VM_PROT_MASK); /* bit by bit */
	const struct space_request request = {
		.object = memory_of(&a->memory),
		.offset = a->offset,
		.at = a->address,
		.bytes = a->bytes,
		.prot = (unsigned)a->flags,
		.prot_max = a->memory.rights & VM_PROT_MASK,
	};
	va_t at;
	const enum kerr e = space_map(space_of(&a->task), &request, &at);

	(void)self;
	if (e == KERR_OK) {
		r->x[0] = at.v;
	}
	return e;
}

/* Nobody who is more urgent waits for it: a step after the other. What is left: see mem_advise. */
enum kerr call_mem_unmap(struct thread *self, const struct call_mem_unmap_args *a,
			 struct call_result *r)
{
	const uint64_t end = a->address.v + a->bytes;
	enum kerr e = space_check_range(a->address, a->bytes);
	uint64_t at = a->address.v;

	if (e != KERR_OK) {
		return e;
	}
	do {
		e = space_unmap_some(space_of(&a->task), &at, end);
	} while (e == KERR_OK && at < end && !sched_is_asked());
	if (at < end) {
		self->regs.x[1] = at;
		self->regs.x[2] = end - at;
		r->again = e == KERR_OK;
	}
	return e;
}

enum kerr call_mem_protect(struct thread *self, const struct call_mem_protect_args *a,
			   struct call_result *r)
{
	(void)self;
	(void)r;
	return space_protect(space_of(&a->task), a->address, a->bytes, (unsigned)a->flags);
}

/* Advice that one stay in the kernel follows: whoever wants the CPU waits so long. */
#define ADVICE_STEP BLOCK_BYTES

/* The range may be terabytes, whatever is in it. The progress is kept in the registers. */
enum kerr call_mem_advise(struct thread *self, const struct call_mem_advise_args *a,
			  struct call_result *r)
{
	const uint64_t most = ADVICE_STEP - a->address.v % ADVICE_STEP;
	const uint64_t bytes = a->bytes < most ? a->bytes : most;
	const enum kerr e =
		space_advise(space_of(&a->task), a->address, bytes, (enum memory_advice)a->advice);

	if (e != KERR_OK || bytes == a->bytes) {
		return e;
	}
	self->regs.x[1] += bytes;
	self->regs.x[2] -= bytes;
	r->again = true;
	return KERR_OK;
}

enum kerr call_mem_query(struct thread *self, const struct call_mem_query_args *a,
			 struct call_result *r)
{
	struct space_info info;
	const enum kerr e = space_query(space_of(&a->task), va(a->address), &info);

	(void)self;
	if (e == KERR_OK) {
		r->x[0] = info.leaf_bytes;
		r->x[1] = info.prot;
		r->x[2] = info.offset;
		r->x[3] = info.physical.v;
	}
	return e;
}

/* One page: from user memory, through the frame's place in the linear map. */
static enum kerr supply_page(struct memory_object *memory, uint64_t offset, va_t from)
{
	pa_t frame;
	enum kerr e = object_supply_frame(memory, offset, &frame);

	if (e != KERR_OK) {
		return e;
	}
	e = copy_from_user((void *)(LINEAR_BASE + frame.v), from, PAGE_BYTES);
	if (e != KERR_OK) {
		object_supply_drop(memory, frame);
		return e;
	}
	return object_supply(memory, offset, frame);
}

/*
 * A page at a time: the progress is kept in the registers, and the call begins anew with the rest,
 * so a fault, a preemption or an error in the middle leaves whole pages.
 */
enum kerr call_pager_supply(struct thread *self, const struct call_pager_supply_args *a,
			    struct call_result *r)
{
	struct memory_object *memory = memory_of(&a->memory);
	enum kerr e;

	if (object_kind(memory) != MEM_PAGER) {
		return KERR_UNSUPPORTED;
	}
	if (a->bytes == 0 || a->offset >= object_bytes(memory) ||
	    a->bytes > object_bytes(memory) - a->offset) {
		return KERR_RANGE;
	}
	if (a->from == 0) {
		e = object_supply_fail(memory, a->offset);
	} else {
		e = supply_page(memory, a->offset, va(a->from));
	}
	if (e != KERR_OK || a->bytes == PAGE_BYTES) {
		return e;
	}
	self->regs.x[1] += PAGE_BYTES;
	self->regs.x[2] -= PAGE_BYTES;
	self->regs.x[3] += a->from != 0 ? PAGE_BYTES : 0;
	r->again = true;
	return KERR_OK;
}
