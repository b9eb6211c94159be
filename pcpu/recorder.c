/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/recorder.c - reading the flight recorders; see pcpu/recorder.h.
 */
#include "pcpu/recorder.h"

#define NAME_BYTES 13

struct rec_info {
	char name[NAME_BYTES];
	char a;
	char b;
	bool lasts;
};

/*
 * For readers of a memory dump: found by its symbol in the image, then read from the dump. What it
 * says is enough to find and decode every record; scripts/recorder.py knows this struct.
 */
static struct {
	uint64_t counter_hz;
	uint64_t root; /* physical address of the kernel's root table */
	uint32_t entries;
	uint32_t record_bytes;
	uint32_t ring_offset; /* in a slice */
	uint32_t next_offset;
	uint32_t mailbox_offset;
	uint32_t spx_top; /* of the exception stack */
	uint32_t max_cpus;
	uint32_t kind_count;
	struct rec_info kind[REC_KIND_COUNT];
} recorder_layout = {
	.entries = RECORDER_ENTRIES,
	.record_bytes = sizeof(struct record),
	.ring_offset = SLICE_RECORDER,
	.next_offset = offsetof(struct pcpu, recorder_next),
	.mailbox_offset = SLICE_MAILBOX,
	.spx_top = SLICE_SPX_TOP,
	.max_cpus = MAX_CPUS,
	.kind_count = REC_KIND_COUNT,
	.kind = {
#define REC_INFO(kind_, name_, a_, b_, lasts_) { .name = name_, .a = a_, .b = b_, .lasts = lasts_ },
		REC_KINDS(REC_INFO)
#undef REC_INFO
	},
};

void recorder_init(uint64_t counter_hz, pa_t root)
{
	recorder_layout.counter_hz = counter_hz;
	recorder_layout.root = root.v;
}

const char *rec_kind_name(enum rec_kind kind)
{
	return kind < REC_KIND_COUNT ? recorder_layout.kind[kind].name : "?";
}

char rec_kind_b(enum rec_kind kind)
{
	return kind < REC_KIND_COUNT ? recorder_layout.kind[kind].b : 'x';
}

bool rec_kind_lasts(enum rec_kind kind)
{
	return kind < REC_KIND_COUNT && recorder_layout.kind[kind].lasts;
}

bool record_is(const struct record *r, uint64_t n)
{
	return r->id >> 8 == ((uint32_t)n & 0xffffff);
}

bool recorder_read(unsigned cpu, unsigned age, struct record *out)
{
	struct pcpu *p = cpu < pcpu_count() ? pcpu_of(cpu) : nullptr;

	if (p == nullptr || age >= RECORDER_ENTRIES || age >= recorder_count(p)) {
		return false;
	}
	const uint64_t n = recorder_count(p) - 1 - age;

	*out = recorder_ring(p)[n % RECORDER_ENTRIES];
	return record_is(out, n);
}
