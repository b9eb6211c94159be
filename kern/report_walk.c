/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report_walk.c - the live tables and the memory behind them, read without their help.
 *
 * THEORY   See kern/report.h. The other CPUs have stopped when data are read; the first walk, of
 *          FAR, is made before, and is what the entry was when it happened.
 */
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/sysreg.h"
#include "kern/log.h"
#include "kern/physread.h"
#include "kern/report.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "vm/pmap.h"

#define TTBR_ADDRESS PTE_ADDR_MASK

/* The root that hardware starts from: of this CPU before it went to the lifeboat. */
static uint64_t live_root(va_t at)
{
	const uint64_t ttbr1 = read_sysreg(ttbr1_el1) & ~(uint64_t)LIFEBOAT_ROOT_BIT;

	return (at.v >> 48 == 0 ? read_sysreg(ttbr0_el1) : ttbr1) & TTBR_ADDRESS;
}

void report_walk(va_t at, struct report_walk *w)
{
	uint64_t table = live_root(at);

	*w = (struct report_walk){ 0 };
	for (unsigned level = 0; level < PT_LEVELS; level++) {
		w->level = level;
		w->table[level] = table;
		if (!phys_read_word(pa(table + level_index(at, level) * sizeof(pte_t)),
				    &w->entry[level].v)) {
			w->cut = true;
			return;
		}
		if (!pte_is_table(w->entry[level], level)) {
			return;
		}
		table = pte_pa(w->entry[level]).v;
	}
}

bool report_walk_same(const struct report_walk *a, const struct report_walk *b)
{
	return a->level == b->level && a->cut == b->cut &&
	       memcmp(a->entry, b->entry, sizeof(a->entry)) == 0;
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
			pa_t frame;

			if (pcpu_slice[cpu] != nullptr && pmap_extract(at, &frame)) {
				slice_frame[cpu][i] = frame.v;
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
	return phys_read_word(pa(frame), out);
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
	kprintf("  its frame %#llx is no RAM of ours, or in no map that a report may read\n",
		(unsigned long long)frame);
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

void report_print_entry(pte_t e, unsigned level)
{
	if (!pte_is_valid(e)) {
		kprintf("INVALID\n");
	} else if (pte_is_table(e, level)) {
		kprintf("table pa=%#llx\n", (unsigned long long)pte_pa(e).v);
	} else {
		print_leaf(e, level);
	}
}

/* What is odd about the table that an entry points to. */
static void print_table(const struct report_walk *w, unsigned level)
{
	const uint64_t table = pte_pa(w->entry[level]).v;

	kprintf("table pa=%#llx", (unsigned long long)table);
	for (unsigned above = 0; above <= level; above++) {
		if (w->table[above] == table) {
			kprintf(" CYCLE: the table of L%u", above);
		}
	}
	if (pin_overlaps_pa(pa(table), PAGE_BYTES) == nullptr) {
		kprintf(" not in pinned memory");
	}
	kprintf("\n");
}

void report_print_walk(va_t at, const struct report_walk *w)
{
	for (unsigned level = 0; level <= w->level; level++) {
		const pte_t e = w->entry[level];

		kprintf("  L%u[%u] ", level, level_index(at, level));
		if (w->cut && level == w->level) {
			kprintf("not read: its table %#llx is not RAM of the kernel's\n",
				(unsigned long long)w->table[level]);
			return;
		}
		kprintf("%016llx ", (unsigned long long)e.v);
		if (pte_is_table(e, level)) {
			print_table(w, level);
		} else {
			report_print_entry(e, level);
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
