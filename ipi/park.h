/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ipi/park.h - the park: every CPU that could touch unpinned memory waits in pinned memory.
 *
 * THEORY   A mapping is broken for a few instructions, and nobody may look. The initiator holds
 *          the window token, opens a window with a new generation g, and reads where every CPU
 *          stands. A CPU before the door (idle, EL0, off) touches pinned memory only and, coming
 *          in, sees the open window and waits: no interrupt. A CPU past the door gets a request
 *          and an interrupt, acknowledges exactly g, and waits for the release of g.
 *
 *              initiator                        target
 *              window = g       (seq_cst)       door = KERNEL    (seq_cst)
 *              read door        (seq_cst)       read window      (seq_cst)
 *
 *          Each stores, then loads what the other stores: at least one sees the other (Dekker).
 *          Release and acquire would not do: both loads could be early.
 *          For a window on a user space the door is no matter, since EL0 is before it: a CPU
 *          that runs the space is asked wherever it stands, and the space's own window word is
 *          the one that whoever comes to the space reads.
 * INVARIANTS
 *   PK1  A break happens only after every CPU of `online` acknowledged exactly g, or was seen
 *        before the door (not running the space) with `window == g` stored earlier.
 *   PK2  A park that is not acknowledged in time is abandoned before the break (R5): its generation
 *        is released and never used again; every new generation sends its own interrupts.
 *   PK3  A parked CPU leaves only when release >= the newest request, then executes ISB.
 *   PK4  `online` changes only under the token.
 * LOCKING  The token. Callers run on SPx or with interrupts masked.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "pcpu/pcpu.h"

struct record;

/*
 * A user space as windows see it. Its address is its name: a CPU that runs it says so in
 * mailbox.space (vm/pmap_user.h). Pinned.
 */
struct park_space {
	uint64_t window; /* [token] generation that is open, 0: none, or PARK_SPACE_GONE */
	uint64_t asid;   /* [a] vm/asid.h; read after the entries are visible */
};
#define PARK_SPACE_GONE UINT64_MAX /* no CPU may run it again, no window opens on it again */

/* A window that is open. Who opens one and asks nobody keeps it in registers. */
struct park_window {
	uint64_t *word;   /* what publishes it */
	uint64_t gen;     /* its generation */
	uint64_t targets; /* CPUs that were asked, */
	struct record *record; /* and the record of that, which the release completes */
};

struct park {
	struct park_space *space;  /* set before: whose window it is, nullptr: the kernel's */
	struct park_window window; /* what park_begin() opened */
	uint64_t culprits; /* KERR_BUSY: CPUs that did not answer the last attempt */
};

/* The window token. Waiting answers parks and stop requests. Pre: interrupts masked. */
void token_acquire(void);
void token_release(void);
bool token_is_mine(void);

/*
 * Open a window: on KERR_OK every other CPU is parked or before the door until park_end(); a
 * window of a user space: is parked, or does not run the space.
 * KERR_BUSY: abandoned, nothing is open, p->culprits names who did not answer.
 * Pre: token held, interrupts masked. Until park_end() the caller takes no lock (R4).
 */
enum kerr park_begin(struct park *p);
void park_end(struct park *p);

/* A window that parks nobody: modes retry and naive, where others meet the broken entry. */
void park_begin_unparked(struct park *p);

/*
 * Answer a request, if one is outstanding: acknowledge, wait for the release, ISB.
 * `pc`: what was interrupted, 0 from a wait loop. Any context with interrupts masked. True: it
 * parked.
 */
bool park_answer(uint64_t pc);

/* The door. Enter: from pinned-only code to anything. Leave: back; then pinned memory only. */
void door_enter(void);
void door_leave(enum door_state state);

/* A CPU joins or leaves. Pre: token held. */
void park_set_online(unsigned cpu, bool online);
uint64_t park_online(void);

/*
 * The newest generation; odd uses: a reader that finds it unchanged met no window (pmap_extract).
 */
uint64_t park_generation(void);

/* The open window's generation, 0: none. */
uint64_t park_window(void);

/*
 * Log where a CPU stands that did not answer: door, masked since where, lock wanted, last record.
 */
void park_report_culprits(uint64_t cpus);

/* Limits, set at boot and by tests: how long an attempt waits, how many there are (1 or more). */
void park_set_limits(uint64_t attempt_ticks, unsigned attempts);
void park_get_limits(uint64_t *attempt_ticks, unsigned *attempts);

/* Set the wait hook of kern/lock.h, and the limits' defaults. Boot CPU, once. */
void park_init(uint64_t counter_hz);

/* Poll for stop, then answer parks; true if there was one. The hook. */
bool ipi_poll(void);
