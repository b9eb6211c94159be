/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/reclaim.c - see kern/reclaim.h.
 *
 * Nodes move from `fresh` to `waiting`, all at once, when the last grace period has ended, and from
 * there to the tail of `ready` when theirs has. What runs and is not done goes to that tail again,
 * so a long end does not hold up the others.
 */
#include "kern/reclaim.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/ipi.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "pcpu/pcpu.h"

struct queue {
	struct reclaim_node *first;
	struct reclaim_node *last;
};

static struct spinlock lock = SPINLOCK("reclaim", LOCK_RECLAIM);
static struct queue fresh;   /* [l] deferred since the grace period began */
static struct queue waiting; /* [l] for the grace period that runs */
static struct queue ready;   /* [l] to be run */
static uint64_t quiet_then[MAX_CPUS];    /* [l] the counts when it began */
static unsigned polls;                   /* [l] since it began */
static uint64_t runner;                  /* [a] 1: a CPU runs what is ready */
uint64_t reclaim_deferred;               /* [a] nodes on any list, or running */

void reclaim_asleep(void)
{
	struct pcpu *p = pcpu_this();

	KASSERT((p->quiet & 1) == 0);
	store_release(&p->quiet, p->quiet + 1);
}

void reclaim_awake(void)
{
	struct pcpu *p = pcpu_this();

	KASSERT((p->quiet & 1) != 0);
	store_release(&p->quiet, p->quiet + 1);
	dmb_ish(); /* pairs with begin_grace(): nothing is looked up before the count is even */
}

/* Put all of `from` behind `to`; `from` is empty then. */
static void append(struct queue *to, struct queue *from)
{
	if (from->first == nullptr) {
		return;
	}
	if (to->first == nullptr) {
		to->first = from->first;
	} else {
		to->last->next = from->first;
	}
	to->last = from->last;
	*from = (struct queue){ 0 };
}

static void append_node(struct queue *to, struct reclaim_node *node)
{
	struct queue one = { node, node };

	node->next = nullptr;
	append(to, &one);
}

void reclaim_defer(struct reclaim_node *node, bool (*fn)(struct reclaim_node *node))
{
	node->fn = fn;
	fetch_add_relaxed(&reclaim_deferred, 1);
	spin_lock(&lock);
	append_node(&fresh, node);
	spin_unlock(&lock);
}

static void begin_grace(void)
{
	append(&waiting, &fresh);
	polls = 0;
	dmb_ish(); /* pairs with reclaim_quiet() and LDAR, and with reclaim_awake() */
	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		quiet_then[cpu] = load_acquire(&pcpu_of(cpu)->quiet);
	}
}

/* CPUs that have not been quiet since the grace period began. */
static uint64_t laggards(void)
{
	uint64_t cpus = 0;

	for (uint64_t scan = park_online(); scan != 0; scan &= scan - 1) {
		const unsigned cpu = (unsigned)__builtin_ctzll(scan);
		const uint64_t now = load_acquire(&pcpu_of(cpu)->quiet);

		if ((now & 1) == 0 && now == quiet_then[cpu]) {
			cpus |= UINT64_C(1) << cpu;
		}
	}
	return cpus;
}

/* See whether the grace period is over. Returns CPUs that hold it up and should be interrupted. */
static uint64_t advance(void)
{
	uint64_t kick = 0;

	if (waiting.first != nullptr) {
		const uint64_t late = laggards();

		if (late == 0) {
			append(&ready, &waiting);
		} else if (++polls > 2) {
			kick = late & ~(UINT64_C(1) << cpu_number());
		}
	}
	if (waiting.first == nullptr && fresh.first != nullptr) {
		begin_grace();
	}
	return kick;
}

static struct reclaim_node *take_ready(void)
{
	struct reclaim_node *node;

	spin_lock(&lock);
	node = ready.first;
	if (node != nullptr) {
		ready.first = node->next;
	}
	spin_unlock(&lock);
	return node;
}

static void run(struct reclaim_node *node)
{
	bool (*fn)(struct reclaim_node *) = node->fn;

	if (fn(node)) {
		fetch_add_seq_cst(&reclaim_deferred, UINT64_MAX); /* pairs with reclaim_pending() */
		return;
	}
	spin_lock(&lock); /* its grace period is over */
	append_node(&ready, node);
	spin_unlock(&lock);
}

/* For the one that runs. */
static void advance_and_run(unsigned steps, const uint64_t *asked)
{
	uint64_t kick;

	spin_lock(&lock);
	kick = advance();
	spin_unlock(&lock);
	if (kick != 0) {
		arch_ipi_send(SGI_WAKE, kick);
	}
	for (unsigned n = 0; n < steps; n++) {
		struct reclaim_node *node = take_ready();

		if (node == nullptr) {
			return;
		}
		run(node);
		if (load_relaxed(asked) != 0) {
			return; /* at least one: what is given up comes back also under load */
		}
	}
}

void reclaim_poll_until(unsigned steps, const uint64_t *asked)
{
	if (load_relaxed(&runner) == 0 && cas_acquire(&runner, 0, 1)) {
		advance_and_run(steps, asked);
		store_release(&runner, 0);
	}
}

void reclaim_poll(unsigned steps)
{
	const uint64_t nobody_asks = 0;

	reclaim_poll_until(steps, &nobody_asks);
}

void reclaim_poll_quiet(unsigned steps)
{
	irq_mask();
	reclaim_quiet();
	irq_unmask();
	reclaim_poll(steps);
}
