/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_cpu.c - commands about the CPUs as they stand: where, parked for what, holding what.
 *
 * Slices are copied by physical address, so these work when a slice is what broke.
 */
#include <memmap.h>
#include <string.h>

#include "ipi/park.h"
#include "kern/hold.h"
#include "kern/kdb_impl.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/stop.h"
#include "kern/symbols.h"
#include "pcpu/pcpu.h"

static_assert(sizeof(struct pcpu) % 8 == 0 && sizeof(struct mailbox) % 8 == 0, "kdb_copy()");

static struct pcpu copy; /* too large for the stack */

static bool read_slice(unsigned cpu, struct mailbox *m)
{
	const uint64_t at = (uint64_t)(uintptr_t)pcpu_slice[cpu];

	if (pcpu_slice[cpu] == nullptr || !kdb_copy(at, &copy, sizeof(copy)) ||
	    !kdb_copy(at + SLICE_MAILBOX, m, sizeof(*m))) {
		kdb_error("the slice of cpu%u cannot be read", cpu);
		return false;
	}
	return true;
}

static const char *door_name(uint64_t door)
{
	static const char *const name[] = { "off", "idle", "el0", "kernel" };

	return door < array_len(name) ? name[door] : "?";
}

/* A lock's name is in the image; the lock may be anywhere. */
static void print_lock(const struct spinlock *lock)
{
	struct spinlock l;

	if (kdb_copy((uint64_t)(uintptr_t)lock, &l, sizeof(l))) {
		kprintf(" %s", l.name);
	} else {
		kprintf(" %#llx", (unsigned long long)(uintptr_t)lock);
	}
}

static void print_state(unsigned cpu)
{
	const uint64_t pc = kdb_pc_of(cpu);

	if (cpu == kdb.cpu) {
		kprintf(" here");
	} else if ((kdb.not_held >> cpu & 1) != 0) {
		kprintf(" RUNS");
	} else if (kdb.live) {
		kprintf(hold_of(cpu)->fp != 0 ? " held" : " off");
	} else {
		kprintf(stop_frame[cpu] != 0 ? " stopped" : " off");
	}
	if (pc != 0) {
		kprintf(" at %#llx", (unsigned long long)pc);
		symbol_print(pc);
	}
}

static void cmd_cpus(const struct kdb_words *w)
{
	struct mailbox m;

	(void)w;
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (pcpu_slice[cpu] == nullptr || !read_slice(cpu, &m)) {
			continue;
		}
		kprintf("  cpu%u door=%s", cpu, door_name(m.door));
		print_state(cpu);
		for (unsigned i = 0; i < copy.base.lock_count && i < LOCKS_HELD_MAX; i++) {
			kprintf("%s", i == 0 ? " holds" : ",");
			print_lock(copy.base.lock[i]);
		}
		if (copy.base.lock_wanted != nullptr) {
			kprintf(" wants");
			print_lock(copy.base.lock_wanted);
		}
		kprintf("\n");
	}
}

static void cmd_park(const struct kdb_words *w)
{
	struct mailbox m;

	(void)w;
	kprintf("  window=%llu generation=%llu online=%#llx\n", (unsigned long long)park_window(),
		(unsigned long long)park_generation(), (unsigned long long)park_online());
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (pcpu_slice[cpu] == nullptr || !read_slice(cpu, &m)) {
			continue;
		}
		kprintf("  cpu%u door=%s request=%llu ack=%llu release=%llu%s", cpu,
			door_name(m.door), (unsigned long long)m.request, (unsigned long long)m.ack,
			(unsigned long long)m.release,
			m.request <= m.release ? ""
			: m.ack == m.request   ? " PARKED"
					       : " ASKED");
		if (m.ack_pc != 0) {
			kprintf(" interrupted");
			symbol_print(m.ack_pc);
		}
		kprintf("\n");
	}
}

static void print_ticks(const char *what, uint64_t ticks)
{
	kprintf("  %-12s %llu ticks\n", what, (unsigned long long)ticks);
}

static void cmd_pcpu(const struct kdb_words *w)
{
	unsigned cpu = kdb.cpu;
	struct mailbox m;

	if ((w->count > 1 && !kdb_cpu(w->word[1], &cpu)) || !read_slice(cpu, &m)) {
		return;
	}
	const struct cpubase *b = &copy.base;

	kprintf("  cpu%u slice=%#llx node=%u mpidr=%#llx door=%s%s\n", cpu,
		(unsigned long long)b->slice, b->node, (unsigned long long)b->mpidr,
		door_name(m.door),
		b->slice != (uint64_t)(uintptr_t)pcpu_slice[cpu] ? " WRONG" : "");
	kprintf("  stacks: lifeboat %#llx spx %#llx sp0 %#llx (tops)\n",
		(unsigned long long)(b->slice + SLICE_LIFEBOAT_TOP),
		(unsigned long long)(b->slice + SLICE_SPX_TOP),
		(unsigned long long)(b->slice + SLICE_SP0_TOP));
	kprintf("  masked depth=%u by %#llx", b->mask_depth, (unsigned long long)b->mask_pc);
	symbol_print(b->mask_pc);
	kprintf("\n  longest masked stretch at %#llx", (unsigned long long)b->masked_max_pc);
	symbol_print(b->masked_max_pc);
	kprintf("\n");
	print_ticks("masked_max", b->masked_max);
	print_ticks("parked_max", b->parked_max);
	print_ticks("wait_max", b->wait_max);
	print_ticks("window_max", copy.window_max);
	print_ticks("park_max", copy.park_max);
	kprintf("  records %llu\n", (unsigned long long)recorder_count(&copy));
}

static void cmd_counters(const struct kdb_words *w)
{
	static uint64_t sum[CTR_COUNT];
	struct mailbox m;

	memset(sum, 0, sizeof(sum));
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		if (pcpu_slice[cpu] == nullptr || !read_slice(cpu, &m)) {
			continue;
		}
		for (unsigned c = 0; c < CTR_COUNT; c++) {
			sum[c] += copy.counter[c];
		}
	}
	for (unsigned c = 0; c < CTR_COUNT; c++) {
		const char *name = counter_name((enum counter)c);

		if (w->count > 1 ? strncmp(name, w->word[1], strlen(w->word[1])) == 0
				 : sum[c] != 0) {
			kprintf("  %-16s %10llu  %s\n", name, (unsigned long long)sum[c],
				counter_text((enum counter)c));
		}
	}
}

const struct kdb_command kdb_cpu_commands[] = {
	{ "cpus", "", "where each CPU stands, what locks it holds and wants", 0, 0, cmd_cpus },
	{ "park", "", "the window, and every CPU's mailbox", 0, 0, cmd_park },
	{ "pcpu", "[CPU]", "a CPU's slice", 0, 1, cmd_pcpu },
	{ "counters", "[PREFIX]", "what was counted, all CPUs; without PREFIX what is not 0", 0, 1,
	  cmd_counters },
	{ nullptr, nullptr, nullptr, 0, 0, nullptr },
};
