/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pcpu/counter.h - what is counted, per CPU. One list: enum and names come from it.
 */
#pragma once

#define COUNTERS(X)                                                              \
	X(promote_64k, "runs of 16 pages made contiguous")                       \
	X(promote_2m, "tables replaced by a block")                              \
	X(promote_32m, "runs of 16 blocks made contiguous")                      \
	X(demote_64k, "64 KiB runs taken apart")                                 \
	X(demote_2m, "2 MiB blocks replaced by a table")                         \
	X(demote_32m, "32 MiB runs taken apart")                                 \
	X(demote_1g, "1 GiB blocks replaced by a table")                         \
	X(demote_stale, "saved tables that had to be refilled")                  \
	X(promote_declined, "promotions not done: the run is not uniform")       \
	X(windows, "windows opened: one park, one batch")                        \
	X(makes, "entries made valid again in a window")                         \
	X(breaks, "valid entries made invalid in a window")                      \
	X(breaks_unloaded, "the same of user spaces that no CPU had loaded yet") \
	X(parks, "CPUs parked on request: acknowledgements awaited")             \
	X(ipis_sent, "park interrupts sent")                                     \
	X(ipis_spared, "CPUs before the door: no interrupt needed")              \
	X(retries, "parks abandoned before the break and tried again")           \
	X(protects, "entries changed without a break")                           \
	X(installs, "invalid entries made valid")                                \
	X(removes, "valid entries made invalid for good")                        \
	X(refused, "changes refused: pinned memory (R3)")                        \
	X(changed, "changes given up: the entry was not what was expected")      \
	X(tlbi_va, "TLBI by address")                                            \
	X(tlbi_range, "TLBI by range")                                           \
	X(tlbi_all, "TLBI of everything")                                        \
	X(tlbi_asid, "TLBI of one address space")                                \
	X(busy_errors, "changes given up: a CPU did not park")                   \
	X(park_answers, "parks answered on this CPU")                            \
	X(park_polls, "of these, from a wait loop")                              \
	X(park_stale, "park interrupts that found nothing outstanding")          \
	X(doors, "entries through the door")                                     \
	X(door_waits, "of these, waits for a window to close")                   \
	X(irqs, "interrupts taken")                                              \
	X(irq_timer, "timer interrupts")                                         \
	X(irq_sgi, "storm interrupts")                                           \
	X(irq_spurious, "interrupts that were gone when acknowledged")           \
	X(transient_faults, "faults on a mapping that was being changed")        \
	X(spurious_make, "faults whose walk was good, with no change on record") \
	X(recursions, "exceptions taken on the exception stack")                 \
	X(faults, "faults in user maps judged by their regions")                 \
	X(faults_spurious, "of these, found the tables as they should be")       \
	X(extract_retries, "look-ups repeated: a window opened meanwhile")       \
	X(asid_rollovers, "generations of address space identifiers begun")      \
	X(user_faults, "copies from or to user memory that met a fault")

enum counter {
#define COUNTER_ENUM(name, text) CTR_##name,
	COUNTERS(COUNTER_ENUM)
#undef COUNTER_ENUM
		CTR_COUNT
};

const char *counter_name(enum counter c);
const char *counter_text(enum counter c);
