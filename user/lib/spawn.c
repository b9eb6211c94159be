/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/spawn.c - see perch/spawn.h.
 *
 * THEORY   Each segment is a fresh object, filled through a mapping of our own and then mapped in
 *          the child as it asks to be: nobody ever has it writable and executable, and the parent
 *          keeps nothing. The child pays for them out of its limit, which is set aside for it: what
 *          its parent has left, while other children of it come and go, is no matter to it. The
 *          pages that we fill are asked for before, so that we are told when the limit is too
 *          small, and do not die of it.
 *          Instructions were written as data: the caches are told (Arm ARM B2.7.4).
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/time.h>

#include <memmap.h>
#include <string.h>

#define HANDLES_GROWN 4096u /* half of the most: the other half serves while these rest */
#define STEP_NS UINT64_C(500000)
#define RETRY_NS UINT64_C(50000000)
#define SETTLE_NS UINT64_C(3000000000)
#define PATIENCE_NS UINT64_C(60000000000) /* a busy host starves the machine for many seconds */

/* Make what was written at [at, at + bytes) visible to instruction fetches of all CPUs. */
static void sync_code(uint64_t at, uint64_t bytes)
{
	uint64_t ctr;

	__asm__("mrs %0, ctr_el0" : "=r"(ctr));
	const uint64_t data_line = UINT64_C(4) << (ctr >> 16 & 0xf);
	const uint64_t code_line = UINT64_C(4) << (ctr & 0xf);
	for (uint64_t line = align_down(at, data_line); line < at + bytes; line += data_line) {
		__asm__ volatile("dc cvau, %0" : : "r"(line) : "memory");
	}
	__asm__ volatile("dsb ish" : : : "memory");
	for (uint64_t line = align_down(at, code_line); line < at + bytes; line += code_line) {
		__asm__ volatile("ic ivau, %0" : : "r"(line) : "memory");
	}
	__asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

/* What an object of a child begins with: `data` from `offset` on, and zeroes. */
struct contents {
	uint64_t bytes; /* of the object */
	uint64_t offset;
	const void *data;
	uint64_t data_bytes;
};

/* Through a mapping of our own. */
static enum kerr fill(handle_t memory, const struct contents *c)
{
	uint64_t at;

	enum kerr e = sys_mem_map(HANDLE_NONE, memory, 0, 0, c->bytes, VM_READ | VM_WRITE, &at);
	if (e != KERR_OK) {
		return e;
	}
	const uint64_t first = align_down(at + c->offset, PAGE_BYTES);
	const uint64_t end = align_up(at + c->offset + c->data_bytes, PAGE_BYTES);
	e = sys_mem_advise(HANDLE_NONE, first, end - first, VM_WILLNEED);
	if (e == KERR_OK) {
		memcpy((void *)(uintptr_t)(at + c->offset), c->data, c->data_bytes);
		sync_code(at + c->offset, c->data_bytes);
	}
	(void)sys_mem_unmap(HANDLE_NONE, at, c->bytes);
	return e;
}

/* An object that the child pays for, with its contents. */
static enum kerr filled_memory(handle_t task, const struct contents *c, handle_t *out)
{
	handle_t memory;

	enum kerr e = sys_mem_create(MEM_ANON, c->bytes, task, 0, &memory);
	if (e == KERR_OK && c->data_bytes > 0) {
		e = fill(memory, c);
		if (e != KERR_OK) {
			(void)sys_handle_close(memory);
		}
	}
	if (e == KERR_OK) {
		*out = memory;
	}
	return e;
}

static enum kerr map_in_child(handle_t task, uint64_t address, uint64_t bytes, uint64_t flags,
			      handle_t memory)
{
	uint64_t at;
	const enum kerr e = sys_mem_map(task, memory, 0, address, bytes, flags | VM_FIXED, &at);

	(void)sys_handle_close(memory);
	return e;
}

static enum kerr load(handle_t task, const struct elf_program *program)
{
	for (unsigned i = 0; i < program->segment_count; i++) {
		const struct elf_segment *const s = &program->segment[i];
		const struct contents c = { s->bytes, s->fill - s->address, s->data,
					    s->fill_bytes };
		handle_t memory;

		enum kerr e = filled_memory(task, &c, &memory);
		if (e == KERR_OK) {
			e = map_in_child(task, s->address, s->bytes, s->flags, memory);
		}
		if (e != KERR_OK) {
			return e;
		}
	}
	return KERR_OK;
}

/* What loading it takes at least. */
static uint64_t filled_bytes(const struct elf_program *program)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < program->segment_count; i++) {
		bytes += program->segment[i].fill_bytes;
	}
	return bytes;
}

/* A copy of a handle for the child; none stays none. */
static enum kerr give(handle_t task, handle_t handle, handle_t *out)
{
	uint64_t type, rights, badge;

	*out = HANDLE_NONE;
	if (handle == HANDLE_NONE) {
		return KERR_OK;
	}
	const enum kerr e = sys_handle_info(handle, &type, &rights, &badge);
	return e != KERR_OK ? e : sys_handle_dup(handle, rights, task, out);
}

static enum kerr pack_arguments(const struct spawn_options *o, struct start_block *block)
{
	size_t used = 0;

	if (o->argc > START_ARGS_MAX) {
		return KERR_RANGE;
	}
	for (uint32_t i = 0; i < o->argc; i++) {
		const size_t bytes = strlen(o->argv[i]) + 1;

		if (bytes > sizeof block->args - used) {
			return KERR_RANGE;
		}
		memcpy(block->args + used, o->argv[i], bytes);
		used += bytes;
	}
	block->args_count = o->argc;
	return KERR_OK;
}

/* The badged handle of the parent's endpoint: for the child's exceptions, and for the child. */
static enum kerr give_parent(handle_t task, const struct spawn_options *o, handle_t *out)
{
	handle_t badged;

	*out = HANDLE_NONE;
	if (o->parent == HANDLE_NONE) {
		return KERR_OK;
	}
	enum kerr e = sys_endpoint_badge(o->parent, o->number, &badged);
	if (e != KERR_OK) {
		return e;
	}
	e = sys_task_set_exception(task, badged);
	if (e == KERR_OK) {
		e = give(task, badged, out);
	}
	(void)sys_handle_close(badged);
	return e;
}

static enum kerr make_block(const struct child *child, const struct spawn_options *o)
{
	const handle_t task = child->task;
	struct start_block block = {
		.number = o->number,
		.ramdisk_bytes = o->ramdisk_bytes,
		.word = o->word,
	};
	const struct {
		handle_t from;
		handle_t *to;
	} handles[] = {
		{ o->console, &block.console }, { o->ramdisk, &block.ramdisk },
		{ o->machine, &block.machine }, { o->extra, &block.extra },
		{ child->thread, &block.self },
	};
	handle_t memory;

	enum kerr e = pack_arguments(o, &block);
	for (unsigned i = 0; i < sizeof handles / sizeof handles[0] && e == KERR_OK; i++) {
		e = give(task, handles[i].from, handles[i].to);
	}
	if (e == KERR_OK) {
		e = give_parent(task, o, &block.parent);
	}
	if (e == KERR_OK) {
		const struct contents c = { align_up(sizeof block, PAGE_BYTES), 0, &block,
					    sizeof block };

		e = filled_memory(task, &c, &memory);
	}
	if (e == KERR_OK) {
		e = map_in_child(task, START_BLOCK_ADDRESS, align_up(sizeof block, PAGE_BYTES),
				 VM_READ, memory);
	}
	return e;
}

uint64_t used_bytes(void)
{
	uint64_t limit, used = 0, threads, handles;

	(void)sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles);
	return used;
}

/*
 * Wait until *used is not what is used any more; false: for so long it stayed the same. Each call
 * takes a step of what is to end, and sleeping between them lets the others run who must pass.
 */
static bool used_changes(uint64_t *used, uint64_t patience_ns)
{
	const uint64_t until = time_now_ns() + patience_ns, before = *used;

	do {
		(void)time_sleep_ns(STEP_NS);
		*used = used_bytes();
	} while (*used == before && time_now_ns() < until);
	return *used != before;
}

uint64_t used_falls_to(uint64_t bytes)
{
	uint64_t used = used_bytes();

	while (used > bytes && used_changes(&used, PATIENCE_NS)) {
	}
	return used;
}

uint64_t used_settled(uint64_t bytes)
{
	uint64_t used = used_falls_to(bytes);

	while (used_changes(&used, SETTLE_NS)) {
	}
	return used;
}

void handles_grow(void)
{
	static handle_t handle[HANDLES_GROWN];
	unsigned count = 1;

	if (sys_event_create(&handle[0]) != KERR_OK) {
		return;
	}
	while (count < HANDLES_GROWN &&
	       sys_handle_dup(handle[0], RIGHT_READ, HANDLE_NONE, &handle[count]) == KERR_OK) {
		count++;
	}
	while (count > 0) {
		(void)sys_handle_close(handle[--count]);
	}
}

static enum kerr try_spawn(const struct elf_program *program, const struct spawn_options *options,
			   struct child *out)
{
	const uint32_t priority = options->priority != 0 ? options->priority : PRIORITY_DEFAULT;
	struct child child = { 0 };

	enum kerr e = sys_task_create(options->limit_bytes, &child.task);
	if (e != KERR_OK) {
		return e;
	}
	e = load(child.task, program);
	if (e == KERR_OK) {
		e = sys_thread_create(child.task, priority, &child.thread);
	}
	if (e == KERR_OK) {
		e = make_block(&child, options);
	}
	if (e == KERR_OK) {
		e = sys_thread_start(child.thread, program->entry, 0, START_BLOCK_ADDRESS, 0);
	}
	if (e != KERR_OK) {
		child_end(&child);
		return e;
	}
	*out = child;
	return KERR_OK;
}

/*
 * The limit of a child that was killed, and the place of a handle that was closed, come back after
 * grace periods. So what cannot be had is asked for again, for a while.
 */
enum kerr spawn(const struct elf_program *program, const struct spawn_options *options,
		struct child *out)
{
	const uint64_t until = time_now_ns() + PATIENCE_NS;

	if (filled_bytes(program) > options->limit_bytes) {
		return KERR_NO_MEMORY; /* it will never fit */
	}
	enum kerr e = try_spawn(program, options, out);

	while (e == KERR_NO_MEMORY && time_now_ns() < until) {
		uint64_t used = used_bytes();

		(void)used_changes(&used, RETRY_NS);
		e = try_spawn(program, options, out);
	}
	return e;
}

void child_end(struct child *child)
{
	if (child->task != HANDLE_NONE) {
		(void)sys_task_kill(child->task);
		(void)sys_handle_close(child->task);
	}
	if (child->thread != HANDLE_NONE) {
		(void)sys_handle_close(child->thread);
	}
	*child = (struct child){ 0 };
}
