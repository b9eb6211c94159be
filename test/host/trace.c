/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/trace.c - the story of a run: its last events, CPU by CPU in one column each.
 */
#include <arch/pte.h>
#include <memmap.h>
#include <stdio.h>

#include "pcpu/pcpu.h"
#include "test/host/sim_impl.h"

#define TRACE_EVENTS 256

struct entry {
	uint64_t time;
	unsigned cpu;
	enum event kind;
	uint64_t a;
	uint64_t b;
};

static struct entry ring[TRACE_EVENTS];
static uint64_t next;

void trace_reset(void)
{
	next = 0;
}

static const char *const sgi_name[] = { "park", "stop", "wake", "storm", "hold", "space" };
static const char *const barrier_name[] = { "dsb ish", "dsb ishst", "dsb nsh", "dmb ish" };
static const char *const tlbi_name[] = { "vaae1is", "vaale1is", "vaae1",  "rvaae1is", "vmalle1is",
					 "vmalle1", "aside1is", "vae1is", "rvae1is" };

/* A word's name: a mailbox field, or a table entry's address. */
static void word_name(uint64_t at, char *text, size_t bytes)
{
	static const char *const field[] = { "request", "release", nullptr, nullptr,
					     nullptr,   nullptr,   nullptr, nullptr,
					     "ack",     "door",    "ack_pc" };
	uint64_t va;
	unsigned level;

	for (unsigned cpu = 0; cpu < SIM_CPUS; cpu++) {
		const uint64_t off = (at - (uint64_t)(uintptr_t)mailbox_of(cpu)) / 8;

		if (at >= (uint64_t)(uintptr_t)mailbox_of(cpu) && off < array_len(field) &&
		    field[off] != nullptr) {
			snprintf(text, bytes, "mailbox%u.%s", cpu, field[off]);
			return;
		}
	}
	if (pool_has((const void *)(uintptr_t)at)) {
		const bool linked = tlb_slot_va((const uint64_t *)(uintptr_t)at, &va, &level);

		snprintf(text, bytes, "%s[L%u %#llx]", linked ? "entry" : "unlinked", level,
			 (unsigned long long)va);
		return;
	}
	snprintf(text, bytes, "word %#llx", (unsigned long long)at);
}

static void print_entry(const struct entry *e)
{
	char word[80] = "";
	const unsigned long long a = e->a;
	const unsigned long long b = e->b;

	fprintf(stderr, "%9llu %*scpu%u ", (unsigned long long)e->time, (int)(e->cpu * 4), "",
		e->cpu);
	switch (e->kind) {
	case EV_LOAD:
	case EV_STORE:
	case EV_CAS:
	case EV_VISIBLE:
	case EV_PTE: {
		static const char *const verb[] = { "load", "store", "cas",
						    "visible:", "table store" };

		word_name(e->a, word, sizeof(word));
		fprintf(stderr, "%s %s = %#llx\n", verb[e->kind], word, b);
		return;
	}
	case EV_BARRIER:
		fprintf(stderr, "%s\n", barrier_name[e->a]);
		return;
	case EV_TLBI:
		fprintf(stderr, "tlbi %s, %#llx\n", tlbi_name[e->a], b);
		return;
	case EV_SGI:
		fprintf(stderr, "sgi %s to %#llx\n", sgi_name[e->a], b);
		return;
	case EV_IRQ:
		fprintf(stderr, "takes the %s interrupt\n", sgi_name[e->a]);
		return;
	case EV_USER:
		fprintf(stderr, "ttbr0 = %#llx, number %llu\n", a, b);
		break;
	case EV_ACCESS:
		fprintf(stderr, "access %#llx -> %#llx\n", a, b);
		return;
	default: {
		static const char *const name[] = { [EV_ISB] = "isb",
						    [EV_WFE] = "waits in wfe",
						    [EV_SEV] = "sev",
						    [EV_LOST] = "sev, which is lost",
						    [EV_WFI] = "waits in wfi",
						    [EV_ERET] = "returns",
						    [EV_TICK] = "(event stream)",
						    [EV_END] = "has ended" };

		fprintf(stderr, "%s\n", name[e->kind]);
		return;
	}
	}
}

void trace(enum event kind, uint64_t a, uint64_t b)
{
	if (sim.quiet != 0) {
		return;
	}
	struct entry *e = &ring[next++ % TRACE_EVENTS];

	*e = (struct entry){ sim.now, sim_index(sim.current), kind, a, b };
	if (sim.config.verbose) {
		print_entry(e);
	}
}

void sim_trace_print(void)
{
	const uint64_t first = next > TRACE_EVENTS ? next - TRACE_EVENTS : 0;

	for (uint64_t i = first; i < next; i++) {
		print_entry(&ring[i % TRACE_EVENTS]);
	}
}
