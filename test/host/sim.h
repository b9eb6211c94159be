/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/sim.h - the simulated machine, as the kernel's sources and the scenarios see it.
 *
 * THEORY   CPUs are coroutines on one host thread. Every operation of the seam (<arch/...>) ends
 *          in a call below, and is a point where another CPU may go on, a store may become visible,
 *          or an interrupt may arrive. Nothing else is: the host runs what lies between two points
 *          as one step. All choices come from one random stream, so a seed is a run.
 * NOT HERE What is modelled, and on which side it errs: docs/model.md.
 */
#pragma once

#include <cpubase.h>
#include <memmap.h>
#include <types.h>

#define SIM_CPUS 8
#define SIM_POOL_BASE UINT64_C(0x81e00000) /* physical address of pinned memory */
#define SIM_POOL_PAGES 512
#define SIM_GROWTH_BASE (SIM_POOL_BASE + BLOCK_BYTES) /* what it may grow by: aligned to 32 MiB */
#define SIM_TABLE_PAGES (2 * SIM_POOL_PAGES) /* that may become tables */

#define SIM_STREAM_TICK 64 /* the time that passes when only the event stream goes on */

#define SIM_SCRIPT_POINTS 4096

enum sim_order { SIM_RELAXED, SIM_ACQUIRE, SIM_RELEASE, SIM_SEQ_CST };
enum sim_barrier { SIM_DSB_ISH, SIM_DSB_ISHST, SIM_DSB_NSH, SIM_DMB_ISH };
enum sim_tlbi {
	SIM_TLBI_VA,
	SIM_TLBI_VA_LAST,
	SIM_TLBI_VA_LOCAL,
	SIM_TLBI_RANGE,
	SIM_TLBI_ALL,
	SIM_TLBI_ALL_LOCAL,
	SIM_TLBI_ASID,
	SIM_TLBI_VA_ASID,
	SIM_TLBI_RANGE_ASID,
};

/* ---- the seam --------------------------------------------------------------------------- */
uint64_t sim_load(const uint64_t *p, enum sim_order order);
void sim_store(uint64_t *p, uint64_t v, enum sim_order order);
bool sim_cas(uint64_t *p, uint64_t expected, uint64_t v);
uint64_t sim_fetch_add(uint64_t *p, uint64_t v);
void sim_barrier(enum sim_barrier barrier);
void sim_isb(void);
void sim_wfe(void);
void sim_sev(void);
void sim_wfi(void);
uint64_t sim_pte_load(const uint64_t *slot);
void sim_pte_store(uint64_t *slot, uint64_t v);
bool sim_pte_exchange(uint64_t *slot, uint64_t expected, uint64_t v);
void sim_tlbi(enum sim_tlbi kind, uint64_t operand);
void sim_user_root(uint64_t root, uint64_t asid); /* TTBR0; 0: the empty root */
struct cpubase *sim_this(void);
uint64_t sim_now(void);
void sim_set_now(uint64_t ticks); /* unit tests, outside of a run: time stands still there */

/* ---- what a scenario does ---------------------------------------------------------------- */
enum sim_scheduler { SIM_RANDOM, SIM_PCT, SIM_SCRIPT };

/* Choices made by somebody else (test/host/fuzz_pmap.c), until they are used up. */
struct sim_choices {
	const uint8_t *next;
	size_t left;
};

/* How a run goes; constant during the run. */
struct sim_config {
	uint64_t seed;
	struct sim_choices work;     /* before the seed, for what CPUs do */
	struct sim_choices schedule; /* and for whose turn it is, what is seen when, what is late */
	unsigned cpus;
	enum sim_scheduler scheduler;
	unsigned change_points; /* SIM_PCT */
	bool park_by_nmi; /* the park interrupt arrives where SP0 has masked interrupts */
	bool ordered_stores; /* stores are visible at once, in their order */
	bool expect_panic;
	bool verbose; /* print every event as it happens */
	bool event_stream; /* ends a WFE late; without it a WFE ends by its event or never */
	unsigned lose_events; /* so many SEVs do nothing */
	uint64_t stream_budget; /* times that only the event stream may go on */
	unsigned preemptions; /* SIM_SCRIPT: how many of the two below */
	struct {
		uint64_t at; /* point */
		unsigned to; /* CPU */
	} preempt[4];
};

/* What became of a run. */
struct sim_result {
	bool failed;
	char reason[512];
	uint64_t steps; /* points */
	uint64_t points; /* of them, where SIM_SCRIPT may preempt */
	uint8_t could[SIM_SCRIPT_POINTS]; /* at each of the first: CPUs that could have gone on */
	uint64_t stream_ticks; /* times that only the event stream could go on */
	uint64_t lost_events;
	uint64_t windows; /* breaks by window */
	uint64_t accesses;
	uint64_t retried; /* accesses that faulted and were repeated (modes without park) */
};

/* Run main(arg) on CPU 0 of a fresh machine, until every CPU that was started has ended. */
void sim_run(const struct sim_config *config, void (*main)(void *), void *arg,
	     struct sim_result *result);

/* From CPU 0: start a CPU that is prepared. It runs entry(arg) as after a reset: masked, on SPx. */
void sim_start(unsigned cpu, void (*entry)(void *), void *arg);
bool sim_has_ended(unsigned cpu);

/* The points of a stretch of CPU 0's set-up do not count and nobody else runs. */
void sim_quiet(bool quiet);
/* The set-up is over: whatever it changed is known to every CPU. */
void sim_settle(void);

/* A number below `bound`: what a CPU does next. */
uint64_t sim_random(uint64_t bound);

/* A point without an operation. */
void sim_point(void);

/* Let others go on, if there are any. */
void sim_yield(void);

/* The run has failed: its reason. Does not return. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Give a CPU's boot stack back, on its own: off SPx, interrupts open or not. */
void sim_irq_open(void);
void sim_irq_close(void);
/* SPx and back, for scenario code that acts for a vector or a door. */
void sim_set_spx(bool spx);

unsigned sim_cpu_count(void);
bool sim_is_quiet(void);

/* ---- memory through mappings ------------------------------------------------------------- */
/* What an access by this CPU to va could meet now. */
struct sim_view {
	bool fault; /* the walk, or one since the last context synchronisation, may fault */
	bool early; /* of these, only an early one */
	bool conflict; /* entries of different size or address match */
	bool writable; /* by every entry that may be used */
	bool any; /* some entry maps it */
	uint64_t pa; /* by the walk, or by a stale entry when the walk faults */
	uint64_t other; /* conflict: what the other entry says */
};
struct sim_view sim_view(va_t va);

/*
 * Access va, which must be mapped to `expected`; fails the run when the architecture lets it go
 * wrong. In modes that do not park, a fault is retried as kern/trap.c does. False: some entry that
 * this CPU may hold does not allow it, or the kernel does not take its fault for transient; right
 * only if the mapping was changed or taken out while the access was under way.
 */
bool sim_access(va_t va, pa_t expected, bool write);

/*
 * A user space comes: its root is walked from now on. It goes: after pmap_user_retire(), before its
 * tables are freed; fails if some CPU could use it yet.
 */
struct pmap;
void sim_space_add(struct pmap *pmap);
void sim_space_remove(const struct pmap *pmap);

/* The leaf at va by the newest stores, without a point; false: none. */
bool sim_lookup(const struct pmap *pmap, va_t va, uint64_t *pte, uint64_t *pa);

/* No CPU may use any entry for the range: nothing is mapped there, nothing is stale. */
void sim_must_be_unmapped(const struct pmap *pmap, va_t va, uint64_t size, uint64_t step);
/* No CPU holds an entry for the range that is not what the tables say. */
void sim_must_be_clean(const struct pmap *pmap, va_t va, uint64_t size);

/* Until it loads TTBR0 again, this CPU makes no access to user memory. */
void sim_user_leaves(void);

/* Some TLB may still hold entries of a space, by its root, under a number. */
bool sim_is_tainted(uint64_t root, uint64_t asid);

/* ---- machine set-up ---------------------------------------------------------------------- */
/* Once per process: pinned memory, slices, an empty map; every run begins with this state. */
void sim_boot(void);

/* The last events of the run, to standard error. */
void sim_trace_print(void);

/* What the kernel printed last: the line of a panic. */
const char *sim_console(void);
/* And whatever line was its last. */
const char *sim_last_line(void);
