/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/init.c - see kern/init.h and include/init_image.h.
 *
 * THEORY   init is a task like any other, and is made with what other tasks are made with: memory
 *          objects, mapped as its segments say. The kernel only fills the pages, through its linear
 *          map. The task may use all memory that is free now.
 */
#include "kern/init.h"

#include <arch/atomic.h>
#include <arch/cpu.h>
#include <arch/page.h>
#include <init_image.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "kern/handle.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/machine_object.h"
#include "kern/mem_object.h"
#include "kern/reclaim.h"
#include "kern/run.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "vm/fault.h"
#include "vm/frame.h"
#include "vm/memory.h"
#include "vm/pmap_user.h"
#include "vm/space.h"

#define INIT_STATUS 3 /* init came to an end by itself */
#define SETTLE_STEPS 64
#define SETTLE_SECONDS 60 /* far more than a busy host needs: an object that never ends is said */

static struct task *init_task;

/* A page of a segment: bring it in, and write what the image has for it. */
static enum kerr fill_page(uint64_t at, const char *from, uint64_t bytes)
{
	pte_t entry;
	uint64_t leaf_bytes;

	if (fault_touch(init_task->space, va(at), VM_READ) != FAULT_RESOLVED ||
	    !pmap_user_query(&init_task->space->pmap, va(at), &entry, &leaf_bytes)) {
		return KERR_NO_MEMORY;
	}
	/* A contiguous run has an entry for each page; a block has one. */
	const uint64_t entry_bytes = leaf_bytes < BLOCK_BYTES ? PAGE_BYTES : BLOCK_BYTES;
	const pa_t frame = pa(pte_pa(entry).v + at % entry_bytes);

	memcpy((void *)(LINEAR_BASE + frame.v), from, bytes);
	arch_frame_sync_code(frame);
	return KERR_OK;
}

static enum kerr map_segment(const struct mem_object *memory, uint64_t at, uint64_t bytes,
			     unsigned prot)
{
	const struct space_request request = {
		.object = memory->memory,
		.at = at,
		.bytes = bytes,
		.prot = prot | VM_FIXED,
		.prot_max = prot,
	};
	va_t out;

	return space_map(init_task->space, &request, &out);
}

static enum kerr load_segment(unsigned i)
{
	const uint64_t at = init_image.segment[i].address;
	const uint64_t bytes = init_image.segment[i].bytes;
	const uint64_t fill = init_image.segment[i].fill_bytes;
	const char *from = (const char *)&init_image + init_image.segment[i].offset;
	const struct mem_request request = { .kind = MEM_ANON, .bytes = bytes };
	struct mem_object *memory;
	enum kerr e = mem_object_create(init_task, &request, &memory);

	if (e != KERR_OK) {
		return e;
	}
	e = map_segment(memory, at, bytes, (unsigned)init_image.segment[i].flags);
	kobj_put(&memory->obj); /* the region keeps the memory */
	for (uint64_t done = 0; e == KERR_OK && done < fill; done += PAGE_BYTES) {
		e = fill_page(at + done, from + done,
			      fill - done < PAGE_BYTES ? fill - done : PAGE_BYTES);
	}
	return e;
}

static enum kerr load(void)
{
	enum kerr e = task_create(frame_stats().free * PAGE_BYTES, nullptr, &init_task);

	if (e == KERR_OK && init_image.magic != INIT_IMAGE_MAGIC) {
		e = KERR_INVALID;
	}
	for (unsigned i = 0; e == KERR_OK && i < init_image.segment_count; i++) {
		e = load_segment(i);
	}
	return e;
}

static enum kerr start(void)
{
	handle_t machine;
	struct thread *t;
	enum kerr e = handle_new(&init_task->handles, machine_object(), RIGHT_ALL, 0, &machine);

	if (e == KERR_OK) {
		const struct thread_start how = {
			.pc = init_image.entry,
			.arg = machine,
			.affinity = UINT64_MAX,
			.priority = PRIORITY_COUNT - 1,
		};

		e = thread_create(init_task, &how, &t);
	}
	return e == KERR_OK ? thread_start(t, nullptr) : e;
}

/* ---- a visit ---- */

static struct {
	const char *args; /* nullptr: init is here to stay */
	uint64_t gone;    /* [a] init has gone: everything else goes, too */
	unsigned status;
} visit;

const char *init_args(void)
{
	return visit.args != nullptr ? visit.args : bootinfo.args;
}

bool init_goes(unsigned status)
{
	if (visit.args == nullptr) {
		return false;
	}
	visit.status = status;
	store_release(&visit.gone, 1);
	task_kill_all();
	return true;
}

/* Every thread has ended: for a CPU that was given to threads. */
static bool nobody_is_left(void *arg)
{
	(void)arg;
	return thread_alive_count() == 0;
}

static void give_cpu(void *arg)
{
	sched_give(nobody_is_left, arg);
}

/* What the machine has given away when the first program starts. */
static void say_memory(void)
{
	const struct memory_use use = memory_use();

	log_printf("init", "memory: in_use=%lluK pinned_heap_free=%lluK pool_free=%lluK",
		   (unsigned long long)(use.in_use / KIB),
		   (unsigned long long)(use.heap_free / KIB),
		   (unsigned long long)(use.pool_free / KIB));
}

static unsigned run_init(void)
{
	enum kerr e = load();

	if (e == KERR_OK) {
		e = start();
	}
	if (e != KERR_OK) {
		log_printf("init", "init cannot be started: %s", kerr_name(e));
		return INIT_STATUS;
	}
	if (visit.args == nullptr) {
		say_memory();
	}
	this_cpu()->masked_max = 0; /* R8: the boot's own stretches kept nobody waiting */
	work_start(work_cpus(), give_cpu, nullptr);
	give_cpu(nullptr);
	(void)work_wait(work_cpus(), 0);
	if (load_acquire(&visit.gone) == 0) {
		log_printf("init", "init has ended, and did not switch the machine off");
		return INIT_STATUS;
	}
	return visit.status;
}

unsigned init_main(void)
{
	return run_init();
}

static bool at_once(void *arg)
{
	(void)arg;
	return true;
}

/*
 * The last thread has gone, its task has not: that ends after grace periods. And a thread that was
 * asked to die, but ended by itself, is kept by the request until its CPU looks: this one too must
 * be lent out for that. So all is free when there is no task any more, and then nothing deferred.
 */
static void settle(void)
{
	const uint64_t limit = counter_now() + SETTLE_SECONDS * arch_counter_hz();

	task_kill_all(); /* if init died: its memory names it, so it does not end by itself */
	kobj_put(&init_task->obj);
	while (task_any() || reclaim_pending()) {
		if (counter_now() > limit) {
			log_printf("init", "tasks of the visit are left behind");
			return;
		}
		sched_give(at_once, nullptr);
		reclaim_poll_quiet(SETTLE_STEPS);
	}
}

unsigned init_visit(const char *args)
{
	visit.args = args;
	visit.gone = 0;
	const unsigned status = run_init();

	visit.args = nullptr;
	settle();
	return status;
}
