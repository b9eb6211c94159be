/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/sim_impl.h - what the files of the simulated machine share.
 */
#pragma once

#include <arch/ipi.h>
#include <arch/pte.h>
#include <ucontext.h>

#include "test/host/sim.h"

#define SIM_STACK_BYTES (128 * 1024)
#define SIM_STORES 1100 /* a table and its surroundings */
#define SIM_TLBI_OPS 1100
#define SIM_EARLY 64
#define SIM_VA_PAGES ((UINT64_C(1) << 44) - 1) /* VA[55:12], as a TLBI's operand has it */
#define SIM_SGIS 6

enum sim_wait { SIM_RUNS, SIM_IN_WFE, SIM_IN_WFI, SIM_ENDED };

/* A store that its own CPU has done and others, walkers included, may not see yet. */
struct pending_store {
	uint64_t *p;
	uint64_t old;
	uint64_t v;
	enum sim_order order;
	bool is_pte;
};

/* An invalidation that was issued; its DSB completes it. */
struct tlbi_op {
	enum sim_tlbi kind;
	uint64_t first; /* VA[55:12] */
	uint64_t pages;
	unsigned ttl;   /* 0: any level, else the leaf level + 4 */
	uint64_t asid;
	uint64_t time;  /* entries born later are not its affair */
};

struct va_range {
	uint64_t root;
	uint64_t va;
	uint64_t size;
};

struct sim_cpu {
	ucontext_t context;
	char *stack;
	void *fake_stack;
	struct cpubase *base;
	void (*entry)(void *);
	void *arg;
	enum sim_wait wait;
	bool alive;
	bool masked;
	uint64_t user_root; /* TTBR0, 0: empty */
	uint64_t user_asid;
	bool user_runs; /* it may access user memory */
	bool spx;
	bool in_irq;          /* an interrupt's top half */
	bool event;
	bool in_window;       /* it broke entries on SPx and has not stored them all again */
	unsigned broken;      /* how many */
	const uint64_t *accessed[CONT_ENTRIES]; /* of them, leaves that had AF */
	uint64_t wake_at;     /* whatever comes or not */
	uint64_t slept_at;    /* SIM_IN_WFE */
	uint64_t sgi;         /* pending */
	uint64_t sgi_at[SIM_SGIS];
	uint64_t irqs;
	uint64_t priority;    /* SIM_PCT */
	uint64_t lock_count;  /* at the break (R4) */
	uint64_t records;
	struct pending_store store[SIM_STORES];
	unsigned store_count;
	struct tlbi_op op[SIM_TLBI_OPS];
	unsigned op_count;
	struct va_range
		early[SIM_EARLY]; /* ranges that were invalid since the last synchronisation */
	unsigned early_count;
};

struct sim {
	struct sim_config config;
	struct sim_result *result;
	struct sim_cpu cpu[SIM_CPUS];
	struct sim_cpu *current;
	ucontext_t main;
	void *main_fake_stack;
	const void *main_stack;
	size_t main_stack_bytes;
	unsigned cpus;
	unsigned quiet;
	uint64_t now;
	uint64_t countdown;
	uint64_t stretch;     /* SIM_RANDOM: points between choices, at most */
	uint64_t drain_odds;  /* a store becomes visible at one point of so many */
	uint64_t irq_delay;
	uint64_t rng;
	uint64_t change[16];  /* SIM_PCT */
	uint64_t stretch_start;
	uint64_t priority_low;
	bool running;
};
extern struct sim sim;

static inline unsigned sim_index(const struct sim_cpu *c)
{
	return (unsigned)(c - sim.cpu);
}

/* cpu.c */
/* A number below `bound`: what the machine does. What the scenario does is sim_random()'s. */
uint64_t sim_chance(uint64_t bound);
/* The machine is off: back to sim_run(). */
_Noreturn void sim_end(void);
void sim_halt(void);
void sim_step(bool major);
void sim_sync(struct sim_cpu *c);

/* irq.c */
bool sim_sgi_arrived(const struct sim_cpu *c, unsigned sgi);
/* One that c takes now, and which. */
bool sim_irq_arrived(const struct sim_cpu *c, unsigned *sgi);
void sim_take_irqs(struct sim_cpu *c);

/* store.c */
void store_reset(void);
uint64_t store_visible(const uint64_t *p);
void store_drain(struct sim_cpu *c);
/* Let one store of some CPU become visible; false: there was none. */
bool store_drain_one(void);

/* access.c: a walk that sets the access flag; UA1: an entry is about to be stored */
void sim_walk_early(uint64_t *slot);
void access_flag_is_kept(const uint64_t *slot, uint64_t va, uint64_t v, unsigned level);

/* tlb.c */
void tlb_reset(void);
void tlb_visible(uint64_t *slot, uint64_t old, uint64_t v);
bool tlb_is_linked(const uint64_t *slot);
/* Is there an entry that was born after this? */
bool tlb_has_younger(uint64_t time);
void tlb_check_program_store(const uint64_t *slot, uint64_t v);
void tlb_complete(struct sim_cpu *c, bool local_only);
void tlb_forget(struct sim_cpu *c);
void tlb_settle(void);
void tlb_link_root(const void *root);
bool tlb_slot_va(const uint64_t *slot, uint64_t *va, unsigned *level);
/* A user space's tables come, and go: then no CPU may use them any more. */
void tlb_link_space(const void *root, bool linked);

/* Entries that the tables do not say any more, and that a CPU may still use. */
struct stale {
	uint64_t root; /* of the user space that it is of, 0: the kernel's, global */
	uint64_t asid; /* number that it is cached under */
	uint64_t va;
	uint64_t size;
	uint64_t pte;
	uint64_t cpus;
	uint64_t born;
	unsigned level;
	bool table;      /* walk cache */
	bool permission; /* differs from what followed in permissions only */
};
bool tlb_is_live(const struct stale *s);
unsigned tlb_stale_count(void);
const struct stale *tlb_stale(unsigned i);

/* user.c */
void user_reset(void);
void user_complete(const struct sim_cpu *c, const struct tlbi_op *op);

/* user.c: spaces by the physical address of their root */
bool user_number_is(uint64_t root, uint64_t asid);
uint64_t user_window(uint64_t root);
bool user_runs_here(const struct sim_cpu *c, uint64_t root, uint64_t named);
bool user_filler(uint64_t root, unsigned *i, uint64_t *asid, uint64_t *cpus);
/* What TTBR0 of this CPU leads to, nullptr: nothing. */
const void *user_root_of(const struct sim_cpu *c);
/* And the space that it is of. */
struct pmap *user_space_of(const struct sim_cpu *c);

/* boot.c */
void boot_restore(void);
bool boot_is_pinned(uint64_t va, uint64_t size);
uint64_t *pool_ptr(uint64_t pa);
uint64_t pool_pa(const void *p);
bool pool_has(const void *p);

/* trace.c */
enum event {
	EV_LOAD,
	EV_STORE,
	EV_CAS,
	EV_VISIBLE,
	EV_PTE,
	EV_BARRIER,
	EV_ISB,
	EV_WFE,
	EV_SEV,
	EV_LOST,
	EV_WFI,
	EV_TLBI,
	EV_SGI,
	EV_IRQ,
	EV_ERET,
	EV_ACCESS,
	EV_USER,
	EV_TICK,
	EV_END,
	EV_TEXT,
};
void trace(enum event kind, uint64_t a, uint64_t b);
void trace_reset(void);
