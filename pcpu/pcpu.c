/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/pcpu.c - see pcpu/pcpu.h.
 */
#include "pcpu/pcpu.h"

#include "kern/assert.h"

#define RED_ZONE UINT64_C(0x7265647a6f6e6521)
#define RED_ZONE_WORDS 4

struct pcpu *pcpu_slice[MAX_CPUS];
static unsigned slice_count;

static_assert(sizeof(struct pcpu) <= SLICE_MAILBOX, "struct pcpu reaches into the mailbox");
static_assert(offsetof(struct pcpu, base) == 0, "x18 points to both");
static_assert(offsetof(struct mailbox, ack) == 64, "the two writers have a cache line each");

static const unsigned stack_foot[] = { SLICE_LIFEBOAT, SLICE_SPX, SLICE_SP0 };

unsigned pcpu_count(void)
{
	return slice_count;
}

static uint64_t *red_zone(const struct pcpu *p, unsigned stack)
{
	return (uint64_t *)(p->base.slice + stack_foot[stack]);
}

void pcpu_register(unsigned cpu, uint32_t node, uint64_t mpidr, void *slice)
{
	struct pcpu *p = slice;

	KASSERT(cpu < MAX_CPUS);
	KASSERT(is_aligned((uint64_t)(uintptr_t)slice, SLICE_BYTES));
	p->base.slice = (uint64_t)(uintptr_t)slice;
	p->base.cpu = cpu;
	p->base.bit = UINT64_C(1) << cpu;
	p->base.node = node;
	p->base.mpidr = mpidr;
	p->quiet = 1; /* not running */
	for (unsigned s = 0; s < array_len(stack_foot); s++) {
		for (unsigned w = 0; w < RED_ZONE_WORDS; w++) {
			red_zone(p, s)[w] = RED_ZONE;
		}
	}
	pcpu_slice[cpu] = p;
	if (cpu >= slice_count) {
		slice_count = cpu + 1;
	}
}

bool pcpu_stacks_intact(const struct pcpu *p)
{
	for (unsigned s = 0; s < array_len(stack_foot); s++) {
		for (unsigned w = 0; w < RED_ZONE_WORDS; w++) {
			if (red_zone(p, s)[w] != RED_ZONE) {
				return false;
			}
		}
	}
	return true;
}

bool pcpu_stack_untouched(const struct pcpu *p)
{
	const uint64_t *foot = (const uint64_t *)(p->base.slice + SLICE_SP0);

	return foot[RED_ZONE_WORDS - 1] == RED_ZONE;
}

uint64_t counter_sum(enum counter c)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < slice_count; cpu++) {
		sum += pcpu_slice[cpu]->counter[c];
	}
	return sum;
}

const char *counter_name(enum counter c)
{
	static const char *const name[CTR_COUNT] = {
#define COUNTER_NAME(n, text) #n,
		COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
	};

	return c < CTR_COUNT ? name[c] : "?";
}

const char *counter_text(enum counter c)
{
	static const char *const text[CTR_COUNT] = {
#define COUNTER_TEXT(n, t) t,
		COUNTERS(COUNTER_TEXT)
#undef COUNTER_TEXT
	};

	return c < CTR_COUNT ? text[c] : "?";
}
