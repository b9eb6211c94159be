/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/memory.c - see vm/memory.h.
 */
#include "vm/memory.h"

#include <arch/page.h>

#include "kern/assert.h"
#include "kern/log.h"
#include "pcpu/heap.h"
#include "pcpu/pin.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/lifeboat.h"
#include "vm/object.h"
#include "vm/pmap.h"

#define FREE_RANGES 160
#define SLICE_PAGES (SLICE_BYTES / PAGE_BYTES)
/* Slices that fit a 2 MiB block beside its tags: 496 pages of 512. */
#define SLICES_PER_BLOCK 31

struct free_range {
	uint64_t base;
	uint64_t size;
	uint32_t node;
};

/* Boot only. */
static struct free_range free_list[FREE_RANGES];
static unsigned free_count;
static uint64_t pinned_slice[MAX_CPUS];

static void free_push(uint64_t base, uint64_t end, uint32_t node)
{
	base = align_up(base, PAGE_BYTES);
	end = align_down(end, PAGE_BYTES);
	if (base >= end) {
		return;
	}
	if (free_count == FREE_RANGES) {
		log_printf("boot", "memory in more than %d pieces: %#llx-%#llx is not used",
			   FREE_RANGES, (unsigned long long)base, (unsigned long long)end);
		return;
	}
	free_list[free_count++] = (struct free_range){ base, end - base, node };
}

/* Take [base, end) out of the list, whatever is there. */
static void free_cut(uint64_t base, uint64_t end)
{
	for (unsigned i = 0; i < free_count; i++) {
		const struct free_range r = free_list[i];
		const uint64_t r_end = r.base + r.size;

		if (base >= r_end || end <= r.base) {
			continue;
		}
		free_list[i] = free_list[--free_count];
		free_push(r.base, base, r.node);
		free_push(end, r_end, r.node);
		i--;
	}
}

/* 2 MiB blocks in a row, from a node's memory, the highest that fit: low memory is for devices. */
static bool carve(uint32_t node, uint64_t bytes, pa_t *out)
{
	uint64_t best = 0;
	bool found = false;

	for (unsigned i = 0; i < free_count; i++) {
		const uint64_t end = align_down(free_list[i].base + free_list[i].size, BLOCK_BYTES);

		if (free_list[i].node == node && end >= bytes && end - bytes >= free_list[i].base &&
		    (!found || end - bytes > best)) {
			best = end - bytes;
			found = true;
		}
	}
	if (found) {
		free_cut(best, best + bytes);
		*out = pa(best);
	}
	return found;
}

/* RAM that is ours can be read from the lifeboat, whatever becomes of its live mapping. */
static void lifeboat_take(pa_t base, uint64_t bytes)
{
	if (!lifeboat_ram(base, bytes)) {
		panic("memory at %#llx: no table for the lifeboat", (unsigned long long)base.v);
	}
}

static void *pin_ram(pa_t base, uint64_t bytes, const char *what)
{
	const va_t at = va(PINNED_BASE + base.v);
	const enum kerr e = pmap_map(&kernel_pmap, at, base, bytes, PMAP_WRITE | PMAP_NO_PROMOTE);

	if (e != KERR_OK) {
		panic("pinned memory at %#llx: %s", (unsigned long long)base.v, kerr_name(e));
	}
	lifeboat_take(base, bytes);
	if (!lifeboat_pin(at, bytes)) {
		panic("pinned memory at %#llx: no table for the lifeboat",
		      (unsigned long long)base.v);
	}
	pin_add(at, base, bytes, what);
	return (void *)(uintptr_t)at.v;
}

/* The slices of a node's CPUs, and the heap blocks around them. */
static void make_node(const struct bootinfo *info, uint32_t node, struct memory_summary *out)
{
	unsigned in_block = SLICES_PER_BLOCK;

	for (unsigned cpu = 0; cpu < info->cpu_count; cpu++) {
		if (info->cpu[cpu].node != node) {
			continue;
		}
		if (in_block == SLICES_PER_BLOCK) {
			pa_t block;

			if (!carve(node, BLOCK_BYTES, &block) && !carve(0, BLOCK_BYTES, &block)) {
				boot_fail(
					"memory too small: no 2 MiB block for the CPUs of node %u",
					node);
			}
			heap_add_block(pin_ram(block, BLOCK_BYTES, "pcpu block"), block,
				       BLOCK_BYTES / PAGE_BYTES, node);
			out->pcpu_blocks++;
			in_block = 0;
		}
		void *slice = heap_alloc(SLICE_PAGES, SLICE_PAGES, node);

		KASSERT(slice != nullptr);
		pinned_slice[cpu] = (uint64_t)(uintptr_t)slice;
		pcpu_register(cpu, node, info->cpu[cpu].mpidr, slice);
		out->slice_bytes += SLICE_BYTES;
		in_block++;
	}
}

/* Pinned, zeroed memory for the frame states of a range: heap pages, or blocks of its own. */
static uint64_t *state_memory(uint64_t bytes, uint32_t node, struct memory_summary *out)
{
	const unsigned pages = (unsigned)(align_up(bytes, PAGE_BYTES) / PAGE_BYTES);
	uint64_t *state = pages <= 128 ? heap_alloc(pages, 1, node) : nullptr;
	pa_t block;

	if (state != nullptr) {
		return state;
	}
	bytes = align_up(bytes, BLOCK_BYTES);
	if (!carve(node, bytes, &block)) {
		boot_fail("memory too small: no room for the frame array (%llu KiB)",
			  (unsigned long long)(bytes / KIB));
	}
	state = pin_ram(block, bytes, "frame array");
	for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
		arch_page_zero(va((uint64_t)(uintptr_t)state + at));
	}
	out->frame_blocks += bytes / BLOCK_BYTES;
	return state;
}

static void make_linear(pa_t base, uint64_t size)
{
	const enum kerr e =
		pmap_map(&kernel_pmap, va(LINEAR_BASE + base.v), base, size, PMAP_WRITE);

	if (e != KERR_OK) {
		panic("linear map of %#llx: %s", (unsigned long long)base.v, kerr_name(e));
	}
	lifeboat_take(base, size);
}

/* pcpu=scattered: slices in memory like any other, so that the disease can be shown. */
static void scatter_slices(const struct bootinfo *info, va_t *block)
{
	pa_t frames;
	va_t at;

	if (frame_alloc(9, 0, &frames) != KERR_OK ||
	    kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, &at) != KERR_OK ||
	    pmap_map(&kernel_pmap, at, frames, BLOCK_BYTES,
		     PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE) != KERR_OK) {
		panic("pcpu=scattered: no memory");
	}
	for (unsigned cpu = 0; cpu < info->cpu_count && cpu < BLOCK_BYTES / SLICE_BYTES; cpu++) {
		uint64_t *slice = (uint64_t *)(uintptr_t)(at.v + (uint64_t)cpu * SLICE_BYTES);

		for (unsigned i = 0; i < SLICE_BYTES / sizeof(*slice); i++) {
			slice[i] = 0;
		}
		pcpu_register(cpu, info->cpu[cpu].node, info->cpu[cpu].mpidr, slice);
	}
	*block = at;
}

static va_t scattered_block;
static const struct memory_summary *summary; /* [c] after boot: the caller keeps it */

va_t memory_scattered_block(void)
{
	return scattered_block;
}

static void list_free(const struct bootinfo *info, pa_t image, uint64_t image_bytes,
		      struct memory_summary *out)
{
	for (uint32_t i = 0; i < info->memory_count; i++) {
		const struct mem_range *m = &info->memory[i];

		free_push(m->base, m->base + m->size, m->node);
		out->ram += m->size;
	}
	for (uint32_t i = 0; i < info->reserved_count; i++) {
		const struct mem_range *r = &info->reserved[i];

		free_cut(align_down(r->base, PAGE_BYTES), align_up(r->base + r->size, PAGE_BYTES));
	}
	free_cut(image.v, image.v + align_up(image_bytes, PAGE_BYTES));
}

static void list_frames(struct memory_summary *out)
{
	/* state_memory() carves, so the list shrinks and moves while it is walked. */
	for (unsigned i = 0; i < free_count; i++) {
		const struct free_range r = free_list[i];
		uint64_t *state = state_memory(r.size / PAGE_BYTES * sizeof(uint64_t), r.node, out);
		unsigned now = 0;

		while (now < free_count && free_list[now].base != r.base) {
			now++;
		}
		if (now == free_count) {
			i--; /* this very piece gave the array: it is listed again, smaller */
			continue;
		}
		const struct free_range left = free_list[now];

		free_list[now] = free_list[i];
		free_list[i] = left;
		make_linear(pa(left.base), left.size);
		frame_add_range(pa(left.base), left.size, left.node, state);
		out->linear += left.size;
	}
}

void memory_init(const struct bootinfo *info, pa_t image, uint64_t image_bytes, bool scattered,
		 struct memory_summary *out)
{
	*out = (struct memory_summary){ 0 };
	summary = out;
	lifeboat_take(image, align_up(image_bytes, PAGE_BYTES));
	list_free(info, image, image_bytes, out);
	for (uint32_t node = 0; node < MAX_NODES; node++) {
		make_node(info, node, out);
	}
	list_frames(out);
	if (info->initrd_size != 0) {
		const uint64_t base = align_down(info->initrd_base, PAGE_BYTES);
		const uint64_t end = align_up(info->initrd_base + info->initrd_size, PAGE_BYTES);

		make_linear(pa(base), end - base);
	}
	if (scattered) {
		scatter_slices(info, &scattered_block);
	}
}

struct memory_use memory_use(void)
{
	struct memory_use use = { .heap_free = (uint64_t)heap_stats().pages_free * PAGE_BYTES,
				  .pool_free = dma_stats().free };
	const uint64_t free = frame_stats().free * PAGE_BYTES + use.heap_free + use.pool_free;

	use.in_use = summary->ram - free;
	return use;
}

uint64_t memory_lifeboat_slice(unsigned cpu)
{
	return pinned_slice[cpu];
}
