/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report_walk.c - the live tables and the memory behind them, read without their help.
 *
 * THEORY   Tables are pinned heap: their physical address leads to the pin that holds it, and the
 *          pin says where it is mapped for ever. A table address that no pin holds is garbage, is
 *          said, and is not followed. The other CPUs have stopped when data are read.
 */
#include <compiler.h>
#include <memmap.h>

#include "arch/arm64/sysreg.h"
#include "kern/log.h"
#include "kern/report.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"

#define TTBR_ADDRESS PTE_ADDR_MASK

/* Where a pinned frame is mapped; nullptr: it is not pinned memory, or a device. */
static const void *pinned_at(uint64_t frame, uint64_t bytes)
{
	const struct pin *p = pin_overlaps_pa(pa(frame), bytes);

	if (p == nullptr || frame < p->pa.v || frame + bytes > p->pa.v + p->size ||
	    (p->va.v >= DEVICE_BASE && p->va.v < LIFEBOAT_BASE)) {
		return nullptr;
	}
	return (const void *)(uintptr_t)(p->va.v + (frame - p->pa.v));
}

void report_walk(va_t at, struct report_walk *w)
{
	uint64_t table = read_sysreg(ttbr1_el1) & TTBR_ADDRESS;

	*w = (struct report_walk){ 0 };
	if (at.v >> 48 == 0) {
		table = read_sysreg(ttbr0_el1) & TTBR_ADDRESS;
	}
	for (unsigned level = 0; level < PT_LEVELS; level++) {
		const uint64_t *page = pinned_at(table, PAGE_BYTES);

		w->level = level;
		if (page == nullptr) {
			w->cut = true;
			return;
		}
		w->entry[level].v =
			__atomic_load_n(&page[level_index(at, level)], __ATOMIC_RELAXED);
		if (!pte_is_table(w->entry[level], level)) {
			return;
		}
		table = pte_pa(w->entry[level]).v;
	}
}

/* The frame address that a finished walk leads to. */
static bool walk_leads_to(va_t at, const struct report_walk *w, uint64_t *out)
{
	const pte_t e = w->entry[w->level];

	if (w->cut || w->level == 0 || !pte_is_leaf(e, w->level) ||
	    (w->level == 3 && (e.v & PTE_TABLE) == 0) ||
	    (e.v & PTE_ATTR_MASK) >> PTE_ATTR_SHIFT != MAIR_NORMAL) {
		return false;
	}
	*out = align_down(pte_pa(e).v, level_bytes(w->level)) + at.v % level_bytes(w->level);
	return true;
}

/* Of each CPU's slice, page by page; 0: not known. */
static uint64_t slice_frame[MAX_CPUS][SLICE_BYTES / PAGE_BYTES];
uint64_t report_reads_by_note;

void report_note_slices(void)
{
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		for (unsigned i = 0; i < SLICE_BYTES / PAGE_BYTES; i++) {
			const va_t at = va((uint64_t)(uintptr_t)pcpu_slice[cpu] + i * PAGE_BYTES);
			struct report_walk w;
			uint64_t frame;

			report_walk(at, &w);
			if (walk_leads_to(at, &w, &frame)) {
				slice_frame[cpu][i] = frame;
			}
		}
	}
}

/* The frame behind an address of a slice, as it was at boot: slices never move. */
static bool noted_frame(uint64_t at, uint64_t *out)
{
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const uint64_t off = at - (uint64_t)(uintptr_t)pcpu_slice[cpu];

		if (pcpu_slice[cpu] != nullptr && off < SLICE_BYTES &&
		    slice_frame[cpu][off / PAGE_BYTES] != 0) {
			*out = slice_frame[cpu][off / PAGE_BYTES] + off % PAGE_BYTES;
			report_reads_by_note++;
			return true;
		}
	}
	return false;
}

/* Where a frame can be read: pinned, or in the linear map if its walk leads there. */
static const uint64_t *frame_at(uint64_t frame)
{
	const uint64_t *where = pinned_at(frame, sizeof(*where));
	const va_t linear = va(LINEAR_BASE + frame);
	struct report_walk w;
	uint64_t alias;

	if (where != nullptr || frame >= LINEAR_BYTES) {
		return where;
	}
	report_walk(linear, &w);
	if (!walk_leads_to(linear, &w, &alias) || alias != frame) {
		return nullptr;
	}
	return (const uint64_t *)(uintptr_t)linear.v;
}

bool report_read(uint64_t at, uint64_t *out)
{
	struct report_walk w;
	uint64_t frame;

	if (at % sizeof(*out) != 0 || at >> 48 != 0xffff) {
		return false;
	}
	report_walk(va(at), &w);
	if (!walk_leads_to(va(at), &w, &frame) && !noted_frame(at, &frame)) {
		return false;
	}
	const uint64_t *where = frame_at(frame);

	if (where == nullptr) {
		return false;
	}
	*out = __atomic_load_n(where, __ATOMIC_RELAXED);
	return true;
}

void report_why(uint64_t at)
{
	struct report_walk w;
	uint64_t frame;

	report_walk(va(at), &w);
	if (!walk_leads_to(va(at), &w, &frame) && !noted_frame(at, &frame)) {
		kprintf("  no frame is known for %#llx:\n", (unsigned long long)at);
		report_print_walk(va(at), &w);
		return;
	}
	kprintf("  its frame %#llx cannot be read in the linear map:\n", (unsigned long long)frame);
	report_walk(va(LINEAR_BASE + frame), &w);
	report_print_walk(va(LINEAR_BASE + frame), &w);
}

static void print_leaf(pte_t e, unsigned level)
{
	static const char *const type[] = { "normal", "device", "uncached" };
	const uint64_t attr = (e.v & PTE_ATTR_MASK) >> PTE_ATTR_SHIFT;

	kprintf("%s pa=%#llx %s %s%s%s%s%s\n", level == 3 ? "page" : "block",
		(unsigned long long)pte_pa(e).v, attr < array_len(type) ? type[attr] : "attr?",
		(e.v & PTE_AP_RO) != 0 ? "ro" : "rw", (e.v & PTE_PXN) == 0 ? " exec" : "",
		(e.v & PTE_AF) == 0 ? " AF=0" : "", (e.v & PTE_CONT) != 0 ? " contiguous" : "",
		(e.v & PTE_AP_EL0) != 0 ? " el0" : "");
}

void report_print_walk(va_t at, const struct report_walk *w)
{
	for (unsigned level = 0; level <= w->level; level++) {
		const pte_t e = w->entry[level];

		kprintf("  L%u[%u] ", level, level_index(at, level));
		if (w->cut && level == w->level) {
			kprintf("not read: its table is not in pinned memory\n");
			return;
		}
		kprintf("%016llx ", (unsigned long long)e.v);
		if (!pte_is_valid(e)) {
			kprintf("INVALID\n");
		} else if (pte_is_table(e, level)) {
			kprintf("table pa=%#llx\n", (unsigned long long)pte_pa(e).v);
		} else {
			print_leaf(e, level);
		}
	}
}

void report_print_owner(va_t at)
{
	const struct pin *p = pin_overlaps_va(at, 1);

	if (p != nullptr) {
		kprintf("owner: pinned, %s, %#llx bytes at %#llx\n", p->what,
			(unsigned long long)p->size, (unsigned long long)p->va.v);
		return;
	}
	const char *what = "no region of the kernel";

	if (at.v - LINEAR_BASE < LINEAR_BYTES) {
		what = "linear map, which changes size";
	} else if (at.v - KMAP_BASE < KMAP_BYTES) {
		what = "kmap, which changes size";
	}
	kprintf("owner: not pinned: %s\n", what);
}
