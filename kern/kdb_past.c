/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_past.c - commands about how it came to this: registers, stacks, recorders, locks.
 */
#include <string.h>

#include "kern/hold.h"
#include "kern/kdb_impl.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/stop.h"
#include "kern/thread.h"
#include "pcpu/recorder.h"

#define LOCKS_MOST 256
#define TRACE_DEFAULT 16

/* The CPU that an optional word names; else the prompt's. */
static bool chosen_cpu(const struct kdb_words *w, unsigned *cpu)
{
	*cpu = kdb.cpu;
	return w->count <= 1 || kdb_cpu(w->word[1], cpu);
}

static void cmd_bt(const struct kdb_words *w)
{
	unsigned cpu;

	if (!chosen_cpu(w, &cpu)) {
		return;
	}
	const struct trap_frame *frame = kdb_frame_of(cpu);
	const uint64_t fp = kdb.live ? hold_of(cpu)->fp : stop_frame[cpu];

	if (frame != nullptr) {
		report_print_backtrace(frame->elr, frame->x[29], cpu);
	} else if (kdb_pc_of(cpu) != 0) {
		kdb_error("cpu%u was in EL0: there is no stack of the kernel", cpu);
	} else if (fp != 0) {
		kprintf("backtrace cpu%u, waiting:\n", cpu);
		report_print_stack(fp, cpu);
	} else {
		kdb_error("cpu%u is off, or runs: no frame of it is known", cpu);
	}
}

/* The registers of the thread that a CPU runs, as it left EL0. False: there is none. */
static bool print_thread(unsigned cpu)
{
	static struct trap_frame frame;
	uint64_t thread;

	static_assert(offsetof(struct trap_frame, spsr) == offsetof(struct thread_regs, pstate) &&
			      offsetof(struct trap_frame, elr) == offsetof(struct thread_regs, pc),
		      "x, sp, pc, pstate lie alike in both");
	if (!report_read((uint64_t)(uintptr_t)&pcpu_slice[cpu]->current, &thread) || thread == 0 ||
	    !kdb_copy(thread + offsetof(struct thread, regs), &frame,
		      offsetof(struct thread_regs, tls))) {
		return false;
	}
	kprintf("  EL0, thread at %#llx\n", (unsigned long long)thread);
	trap_print(&frame);
	return true;
}

static void cmd_regs(const struct kdb_words *w)
{
	unsigned cpu;

	if (!chosen_cpu(w, &cpu)) {
		return;
	}
	const struct trap_frame *frame = kdb_frame_of(cpu);

	if (frame != nullptr) {
		trap_print(frame);
	} else if (kdb_pc_of(cpu) == 0 || !print_thread(cpu)) {
		kdb_error("cpu%u has no frame: it is off, runs, idle, or waits (bt %u)", cpu, cpu);
	}
}

static void trace_cpu(unsigned cpu, uint64_t count)
{
	struct record r;
	uint64_t next;

	if (!report_read_count(cpu, &next)) {
		kdb_error("the recorder of cpu%u cannot be read", cpu);
		return;
	}
	if (count > RECORDER_ENTRIES) {
		count = RECORDER_ENTRIES;
	}
	for (uint64_t n = next > count ? next - count : 0; n < next; n++) {
		if (report_read_record(cpu, n, &r)) {
			report_print_record(cpu, &r);
		}
	}
}

static void cmd_trace(const struct kdb_words *w)
{
	uint64_t count = TRACE_DEFAULT;
	unsigned cpu;

	if (w->count == 1) {
		report_print_tail();
		return;
	}
	if (kdb_cpu(w->word[1], &cpu) && (w->count == 2 || kdb_number(w->word[2], &count))) {
		trace_cpu(cpu, count);
	}
}

/* `slice`: the owner's, 0: nobody. */
static void print_owner(uint64_t slice)
{
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (slice != 0 && (uint64_t)(uintptr_t)pcpu_slice[cpu] == slice) {
			kprintf("cpu%u\n", cpu);
			return;
		}
	}
	kprintf(slice == 0 ? "-\n" : "?\n");
}

static void cmd_lockstat(const struct kdb_words *w)
{
	const struct spinlock *lock = spin_contended();
	struct spinlock l;

	(void)w;
	kprintf("  %-12s %10s %10s %14s %12s  %s\n", "lock", "taken", "waited", "wait ticks",
		"longest", "holder");
	/* The list may be what broke: one that is a ring ends, too. */
	for (unsigned n = 0; lock != nullptr && n < LOCKS_MOST; n++, lock = l.next_contended) {
		if (!kdb_copy((uint64_t)(uintptr_t)lock, &l, sizeof(l))) {
			kdb_error("the lock at %#llx cannot be read",
				  (unsigned long long)(uintptr_t)lock);
			return;
		}
		kprintf("  %-12s %10llu %10llu %14llu %12llu  ", l.name,
			(unsigned long long)l.serving, (unsigned long long)l.contended,
			(unsigned long long)l.wait_ticks, (unsigned long long)l.wait_max);
		print_owner(l.owner);
	}
}

const struct kdb_command kdb_past_commands[] = {
	{ "bt", "[CPU]", "backtrace; below an exception too", 0, 1, cmd_bt },
	{ "regs", "[CPU]", "registers where a CPU was interrupted", 0, 1, cmd_regs },
	{ "trace", "[CPU [COUNT]]", "flight recorders: all, merged by time, or one", 0, 2,
	  cmd_trace },
	{ "lockstat", "", "the locks that were ever waited for", 0, 0, cmd_lockstat },
	{ nullptr, nullptr, nullptr, 0, 0, nullptr },
};
