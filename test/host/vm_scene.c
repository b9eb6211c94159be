/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/vm_scene.c - see test/host/vm_scene.h.
 */
#include "test/host/vm_scene.h"

#include <memmap.h>
#include <stdlib.h>

#include "pcpu/heap.h"
#include "test/host/fake_pmap.h"
#include "test/host/sim.h"
#include "vm/frame.h"

#define DMA_ORDER 9

struct memcharge charge = { .limit_bytes = UINT64_MAX / 2 };
struct space *space;
static uint64_t frames_before;

static uint64_t esr_of(unsigned access)
{
	return access == VM_EXEC ? UINT64_C(0x20) << 26 | 7
				 : UINT64_C(0x24) << 26 | (access == VM_WRITE ? 1u << 6 : 0) | 7;
}

void open_space(void)
{
	frames_before = frame_stats().free;
	assert_int_equal(space_create(&charge, &space), KERR_OK);
}

/* Everything is back: frames, what was charged, spares, the linear map. */
void close_space(void)
{
	frame_fail_after(UINT64_MAX);
	(void)heap_fail_after(UINT64_MAX);
	fake_fail_after(UINT64_MAX, KERR_OK);
	charge.limit_bytes = UINT64_MAX / 2;
	assert_true(space_audit(space));
	space_destroy(space);
	assert_int_equal(memcharge_used(&charge), 0);
	assert_int_equal(frame_stats().free, frames_before);
	assert_true(frame_audit());
	assert_int_equal(reserv_stats().listed, 0);
}

struct memory_object *anon(uint64_t bytes)
{
	struct memory_object *object;

	assert_int_equal(object_create(MEM_ANON, bytes, &charge, nullptr, &object), KERR_OK);
	return object;
}

enum kerr map_at(struct memory_object *object, uint64_t offset, uint64_t at, uint64_t bytes,
		 unsigned prot)
{
	const struct space_request q = { .object = object,
					 .offset = offset,
					 .at = at,
					 .bytes = bytes,
					 .prot = prot | VM_FIXED,
					 .prot_max = ALL };
	va_t out;

	return space_map(space, &q, &out);
}

enum fault_verdict fault(uint64_t at, unsigned access)
{
	struct fault_info info;

	return vm_fault(space, va(at), esr_of(access), &info);
}

void touch_all(uint64_t at, uint64_t bytes, unsigned access)
{
	for (uint64_t off = 0; off < bytes; off += PAGE_BYTES) {
		pa_t frame;

		if (!fake_access(&space->pmap, at + off, access, &frame)) {
			assert_int_equal(fault(at + off, access), FAULT_RESOLVED);
		}
	}
}

int vm_boot(void **state)
{
	static uint64_t words[FRAMES];

	(void)state;
	sim_boot();
	sim_quiet(true);
	frame_add_range(pa(FIRST_FRAME * PAGE_BYTES), FRAMES * PAGE_BYTES, 0, words);
	return dma_pool_init(DMA_ORDER) == KERR_OK ? 0 : -1;
}
