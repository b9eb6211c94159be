/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/report_past.c - how it came to this: where the CPUs stand, and what the recorders say.
 *
 * THEORY   The recorders that CPUs write may lie in the very mapping that broke (pcpu=scattered),
 *          so every word comes by report_read(), and what it cannot reach is said. The other CPUs
 *          have stopped: an initiator stops after its make.
 */
#include <arch/barrier.h>
#include <compiler.h>
#include <memmap.h>

#include "kern/log.h"
#include "kern/report.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/recorder.h"

#define TAIL 16

static uint64_t mailbox_word(unsigned cpu, size_t offset)
{
	uint64_t word;

	return report_read((uint64_t)(uintptr_t)pcpu_slice[cpu] + SLICE_MAILBOX + offset, &word)
		       ? word
		       : UINT64_MAX;
}

static uint64_t base_word(unsigned cpu, size_t offset)
{
	uint64_t word;

	return report_read((uint64_t)(uintptr_t)pcpu_slice[cpu] + offset, &word) ? word : 0;
}

/* Why a CPU may not have stopped: who masked its interrupts last, and what it waits for. */
static void print_deaf(unsigned cpu)
{
	const uint64_t pc = base_word(cpu, offsetof(struct cpubase, mask_pc));

	kprintf("  cpu%u masked interrupts last at %#llx", cpu, (unsigned long long)pc);
	symbol_print(pc - 4);
	kprintf(", waits for lock %#llx\n",
		(unsigned long long)base_word(cpu, offsetof(struct cpubase, lock_wanted)));
}

void report_cpus(uint64_t stopped_not)
{
	static const char *const door[] = { "off", "idle", "el0", "kernel" };

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (pcpu_slice[cpu] == nullptr) {
			continue;
		}
		const uint64_t state = mailbox_word(cpu, offsetof(struct mailbox, door));

		kprintf("  cpu%u %s request=%lld ack=%lld release=%lld door=%s\n", cpu,
			(stopped_not >> cpu & 1) != 0 ? "DID NOT STOP" : "stopped",
			(long long)mailbox_word(cpu, offsetof(struct mailbox, request)),
			(long long)mailbox_word(cpu, offsetof(struct mailbox, ack)),
			(long long)mailbox_word(cpu, offsetof(struct mailbox, release)),
			state < array_len(door) ? door[state] : "unreadable");
		if ((stopped_not >> cpu & 1) != 0) {
			print_deaf(cpu);
		}
	}
}

bool report_read_record(unsigned cpu, uint64_t n, struct record *out)
{
	const uint64_t at = (uint64_t)(uintptr_t)pcpu_slice[cpu] + SLICE_RECORDER +
			    n % RECORDER_ENTRIES * sizeof(struct record);

	return report_read(at, &out->time) && report_read(at + 8, &out->id_took) &&
	       report_read(at + 16, &out->a) && report_read(at + 24, &out->b) &&
	       report_read(at + 32, &out->c) && report_read(at + 40, &out->d) && record_is(out, n);
}

bool report_read_count(unsigned cpu, uint64_t *next)
{
	if (pcpu_slice[cpu] == nullptr ||
	    !report_read((uint64_t)(uintptr_t)&pcpu_slice[cpu]->recorder_next, next)) {
		return false;
	}
	*next /= RECORDER_STEP;
	return true;
}

struct culprit {
	bool found;
	unsigned cpu;
	struct record change;
};

/* Look through one ring from the newest back, for the last break of the entry's range. */
static void search_ring(unsigned cpu, uint64_t base, uint64_t bytes, struct culprit *c)
{
	struct record r;
	uint64_t next;

	if (!report_read_count(cpu, &next)) {
		kprintf("  cpu%u: its recorder cannot be reached\n", cpu);
		report_why((uint64_t)(uintptr_t)&pcpu_slice[cpu]->recorder_next);
		return;
	}
	for (uint64_t n = next; n > 0 && next - n < RECORDER_ENTRIES; n--) {
		if (!report_read_record(cpu, n - 1, &r) || record_kind(&r) != REC_CHANGE ||
		    r.a - base >= bytes) {
			continue;
		}
		if (!c->found || r.time > c->change.time) {
			*c = (struct culprit){ true, cpu, r };
		}
		return;
	}
}

void report_print_culprit(va_t at, const struct report_walk *first)
{
	struct culprit c = { 0 };
	uint64_t bytes = level_bytes(first->level);

	/* The fault may have won a race with the make: then what was broken was at most a block. */
	if (first->level == 3 && pte_is_valid(first->entry[3])) {
		bytes = BLOCK_BYTES;
	}
	const uint64_t base = align_down(at.v, bytes);

	kprintf("who broke [%#llx, +%#llx):\n", (unsigned long long)base,
		(unsigned long long)bytes);
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		search_ring(cpu, base, bytes, &c);
	}
	if (report_reads_by_note != 0) {
		kprintf("  slices are unmapped: read by the frames that held them at boot\n");
	}
	if (!c.found) {
		kprintf("  nobody: no recorder holds a break of it\n");
		return;
	}
	kprintf("  cpu%u at tick %llu: broke va=%#llx, old entry %016llx\n", c.cpu,
		(unsigned long long)c.change.time,
		(unsigned long long)(c.change.a & ~REC_SPAN_BITS), (unsigned long long)c.change.b);
	kprintf("  for");
	symbol_print(c.change.d);
	kprintf(", to become %016llx\n", (unsigned long long)c.change.c);
	if (c.change.took != 0 && !pte_is_valid((pte_t){ c.change.c })) {
		kprintf("  left broken: the window took %u ticks\n", c.change.took - 1);
	} else if (c.change.took != 0) {
		kprintf("  made again: the window took %u ticks\n", c.change.took - 1);
	} else {
		kprintf("  never made again: no make is on record\n");
	}
}

/* The newest record of any CPU whose turn has not come; advances that CPU. */
static bool newest(uint64_t *next, const uint64_t *floor, unsigned *cpu, struct record *out)
{
	bool found = false;

	for (unsigned i = 0; i < pcpu_count(); i++) {
		struct record r;

		if (next[i] == floor[i] || !report_read_record(i, next[i] - 1, &r)) {
			continue;
		}
		if (!found || r.time > out->time) {
			*out = r;
			*cpu = i;
			found = true;
		}
	}
	if (found) {
		next[*cpu]--;
	}
	return found;
}

/* Too large for half a lifeboat stack; one CPU reports. */
static struct {
	uint64_t next[MAX_CPUS];
	uint64_t floor[MAX_CPUS];
	struct record record[TAIL];
	unsigned cpu[TAIL];
} tail;

void report_print_record(unsigned cpu, const struct record *r)
{
	const enum rec_kind kind = record_kind(r);

	kprintf("  %llu cpu%u %s a=%#llx b=%#llx", (unsigned long long)r->time, cpu,
		rec_kind_name(kind), (unsigned long long)r->a, (unsigned long long)r->b);
	if (kind == REC_CHANGE) {
		kprintf(" new=%#llx for", (unsigned long long)r->c);
		symbol_print(r->d);
	} else if (rec_kind_b(kind) == 'p') {
		symbol_print(r->b);
	}
	if (rec_kind_lasts(kind)) {
		kprintf(r->took != 0 ? " took=%u" : " goes on", r->took - 1);
	}
	kprintf("\n");
}

void report_print_tail(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pcpu_count(); i++) {
		uint64_t next = 0;

		(void)report_read_count(i, &next);
		tail.next[i] = next;
		tail.floor[i] = next > RECORDER_ENTRIES ? next - RECORDER_ENTRIES : 0;
	}
	while (count < TAIL &&
	       newest(tail.next, tail.floor, &tail.cpu[count], &tail.record[count])) {
		count++;
	}
	kprintf("recorders, the last %u records by time:\n", count);
	while (count-- > 0) {
		report_print_record(tail.cpu[count], &tail.record[count]);
	}
}
