/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/recorder.c - reading the flight recorders; see pcpu/recorder.h.
 */
#include "pcpu/recorder.h"

const char *rec_kind_name(enum rec_kind kind)
{
	static const char *const name[] = {
		[REC_NONE] = "none",
		[REC_BREAK] = "break",
		[REC_MAKE] = "make",
		[REC_PARK_SEND] = "park-send",
		[REC_PARK_ABANDON] = "park-abandon",
		[REC_PARK_ENTER] = "park-enter",
		[REC_PARK_LEAVE] = "park-leave",
		[REC_DOOR] = "door",
		[REC_IRQ] = "irq",
		[REC_FAULT] = "fault",
		[REC_PROTECT] = "protect",
		[REC_CPU] = "cpu",
	};

	return (unsigned)kind < array_len(name) ? name[kind] : "?";
}

bool recorder_read(unsigned cpu, unsigned age, struct record *out)
{
	struct pcpu *p = cpu < pcpu_count() ? pcpu_of(cpu) : nullptr;

	if (p == nullptr || age >= RECORDER_ENTRIES || age >= p->recorder_next) {
		return false;
	}
	const uint64_t n = p->recorder_next - 1 - age;

	*out = recorder_ring(p)[n % RECORDER_ENTRIES];
	return out->kind >> 8 == n;
}
