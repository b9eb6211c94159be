/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/oracle.h - the oracle's own types, shared by its sources.
 *
 * THEORY
 *   The oracle keeps a copy of every translation table that a CPU of the guest can walk, and,
 *   for each descriptor that stopped being true, a *debt*: the old descriptor, who removed it,
 *   and where a TLB may still hold it (virtual address, ASID, set of CPUs). Invalidations pay
 *   debts. Making an entry valid while a TLB may hold an old one that it clashes with is the
 *   error that the oracle exists to find.
 *
 *   tables.c   the copy of the tables, found by following TTBRs and descriptors
 *   judge.c    what a store to a table does to debts, and whether it was allowed
 *   inval.c    TLBI and DSB: what pays a debt, and why something that looks alike does not
 *   decode.c   instructions to events       phys.c   guest physical memory
 *   regs.c     system registers             report.c violations, summary, JSON
 *
 * LOCKING  One mutex, `g.lock`, guards everything that is not marked otherwise. Stores that do
 *          not meet a table page never take it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pte.h"

#define MAX_CPUS 64u
#define ENTRIES 512u
#define TLBI_RING 8192u  /* a power of two; must exceed the longest run of TLBIs without a DSB */
#define DSB_RING 1024u   /* a power of two; history for diagnosis only */
#define PATHS_MAX 64u    /* virtual addresses and ASIDs of one entry that are tracked */
#define FILTER_SLOTS 512u
#define FRESH_MAX 64u
#define BROKEN_MAX 64u
#define COLD_MAX 256u    /* cold roots that are followed; the newest are */

enum rule {
	RULE_NO_BREAK,        /* valid to a different valid entry without a break */
	RULE_NO_TLBI,         /* made again, nothing invalidated in between */
	RULE_NO_DSB_BEFORE,   /* the TLBI was not ordered after the break */
	RULE_NO_DSB_AFTER,    /* the TLBI was not completed */
	RULE_WEAK_DSB,        /* completed by a DSB of too small a domain, or of stores only */
	RULE_WRONG_CPU_DSB,   /* completed by a DSB on another CPU than the one that issued it */
	RULE_LOCAL_TLBI,      /* other CPUs may still hold the entry */
	RULE_WRONG_VA,        /* the TLBIs name other addresses */
	RULE_WRONG_ASID,      /* the TLBIs name another ASID */
	RULE_LAST_LEVEL,      /* a table entry, but only last-level entries were invalidated */
	RULE_WRONG_LEVEL,     /* the TLBI's level or granule hint does not fit the entry */
	RULE_STALE_CHILD,     /* translations through the broken table are still cached */
	RULE_FROZEN_CHILD,    /* a table written while a stale walk can still reach it */
	RULE_CONTIGUOUS,      /* a contiguous run changed in part */
	RULE_ASID_REUSE,      /* an ASID given to another table, not invalidated before */
	RULE_PROTECTED,       /* an entry of a protected range was broken */
	RULE_USE_BEFORE_SYNC, /* strict=use: used by its maker before DSB and ISB */
	RULE_COUNT,
};

/* An instruction of the guest that the oracle watches. [c] const after translation */
struct site {
	uint64_t pc;
	uint32_t insn;
};

/* One place where a stale entry may live. */
struct place {
	uint64_t va;    /* first address that the entry translates */
	uint64_t root;  /* physical address of the root table */
	uint64_t cpus;  /* CPUs whose TLBs may hold it */
	uint16_t asid;
	uint8_t half;   /* 0: TTBR0, 1: TTBR1 */
};

struct debt {
	uint64_t old;            /* the descriptor that TLBs may hold */
	uint64_t seq;            /* when it was removed */
	const struct site *site; /* by which instruction; NULL: a change of registers */
	struct table *ghost;     /* the table that a stale copy of `old` still leads to */
	uint8_t cpu;
	bool orphaned;           /* removed with its table, not by a store to the entry itself */
	unsigned place_count;
	struct place place[];
};

struct link {
	struct table *parent;
	unsigned index;
};

/* One page of memory seen as a table of one level. A page may be several of these. */
struct table {
	uint64_t pa;
	unsigned level;
	unsigned roots;       /* spaces that start here */
	unsigned ghosts;      /* debts whose old value leads here */
	unsigned debt_count;
	unsigned link_count, link_max;
	unsigned busy;        /* a walk of it is under way: do not free */
	unsigned used;        /* entries that are not invalid */
	bool blind;           /* contents could not be read when it was found */
	struct link *link;    /* entries that hold this table */
	struct debt **debt;   /* by index; allocated at the first debt */
	uint64_t debt_va;     /* address of entry 0 according to all debts, if debt_uniform */
	bool debt_uniform;
	struct table *hash_next;
	struct table *dirty_prev, *dirty_next; /* tables with debts */
	uint64_t value[ENTRIES];
};

/*
 * A root with an ASID, as loaded into a TTBR. *Cold*: no CPU has it loaded, and no TLB holds
 * anything of it. What changes then owes nothing, but is followed: the next load may come at any
 * time.
 */
struct space {
	uint64_t root;        /* physical address, page-aligned */
	uint64_t va_base;     /* address translated by the root's first entry */
	struct table *table;
	uint64_t may_cache;   /* CPUs that may hold entries of it */
	uint64_t global;      /* half 0: CPUs that may hold entries of it that serve every ASID */
	uint64_t current;     /* CPUs that have it loaded */
	unsigned level;       /* of the root */
	unsigned first, count; /* entries of the page that belong to the root */
	uint16_t asid;        /* 0 for half 1 */
	uint8_t half;
	bool reused;          /* cold, and some memory of its tables serves another purpose now */
	struct space *next;
};

enum tlbi_kind { TLBI_ALL, TLBI_ASID, TLBI_VA };

struct tlbi {
	uint64_t seq;
	const struct site *site;
	uint64_t start, end;  /* TLBI_VA: addresses, sign-extended from bit 55; end exclusive */
	enum tlbi_kind kind;
	uint16_t asid;
	bool any_asid, last_level, broadcast, bad_granule, done;
	uint8_t ttl;          /* level hint, 0xff: none */
	uint8_t cpu;
	uint64_t dsb[MAX_CPUS]; /* each CPU's last DSB that orders its stores before this TLBI */
};

struct dsb {
	uint64_t seq;
	const struct site *site;
	uint8_t cpu, crm;
	bool orders_broadcast, orders_local, completes_broadcast, completes_local;
};

/* An entry made by a CPU that it has not yet synchronised with (strict=use). */
struct fresh {
	uint64_t va, size, pte;
	const struct site *site;
	bool dsb;
};

/* An entry that this CPU broke in this operation. */
struct broken {
	uint64_t slot; /* physical address, 0: none */
	uint64_t seq;
};

struct cpu {
	/* [o] owner CPU only, no lock */
	uint64_t filter[FILTER_SLOTS]; /* [o] pages of virtual memory known to be no tables */
	uint64_t filter_epoch;         /* [o] */
	uint64_t ttbr[2], tcr, sctlr, vbar;
	struct space *space[2];
	uint64_t dsb_broadcast, dsb_local; /* sequence numbers of the last ordering DSBs */
	uint64_t tlbi_first;               /* ring position of the oldest TLBI not completed */
	unsigned depth;                    /* exceptions taken and not returned from */
	struct broken broken[BROKEN_MAX];  /* [o] a ring */
	unsigned broken_next;
	uint64_t tlbi_seq;                 /* its last TLBI */
	struct fresh fresh[FRESH_MAX];
	unsigned fresh_count;
	uint64_t bulk_va, bulk_bytes; /* a block write in progress (DC ZVA, SETP, CPYP) */
	const struct site *bulk_site;
};

struct counters {
	uint64_t entries, breaks, makes, changes, pairs, free_changes;
	uint64_t tlbi, dsb, isb, exceptions, nested, depth_max;
	uint64_t tables, spaces, violations, by_rule[RULE_COUNT];
	uint64_t blind, paths_lost, unsupported;
};

struct range {
	uint64_t base, size;
};

struct oracle {
	pthread_mutex_t lock;
	_Atomic(uint64_t) epoch;   /* raised when a filter may have become wrong */
	uint64_t seq;              /* orders all events */
	unsigned cpu_count;
	unsigned bbm;              /* FEAT_BBM level to judge by */
	unsigned report_max;
	bool strict_use, stack_stores, vaddr_reads;
	bool off;    /* the kernel left the regime that we judge */
	const char *json_path, *kernel_path;
	unsigned access_cpu;       /* the last store to a table: by whom, */
	uint64_t access_delta;     /* and its virtual less its physical address */
	struct range protect[16];
	unsigned protect_count;
	struct cpu cpu[MAX_CPUS];
	struct tlbi tlbi[TLBI_RING];
	uint64_t tlbi_next;
	struct dsb dsb[DSB_RING];
	uint64_t dsb_next;
	struct table *dirty;       /* tables with debts */
	struct space *spaces;
	struct counters n;
};

extern struct oracle g;

/* tables.c */
bool tables_init(void);
struct table *table_find(uint64_t pa, unsigned level);
struct table *table_child(const struct table *table, uint64_t pte);
void table_link(struct table *parent, unsigned index, uint64_t pte);
void table_unlink(struct table *parent, unsigned index, uint64_t pte);
void table_put(struct table *table);
bool table_empty(const struct table *table);
bool table_global_apart(const struct table *table, const struct table *other);
unsigned table_places(const struct table *table, unsigned index, struct place *place);
bool table_watched(uint64_t pa);
void table_fill(struct table *table, const uint64_t *value, unsigned except);
void tables_refresh(unsigned cpu, const struct site *site);
void tables_collect(void);
void tables_reused(uint64_t pa);
bool tables_walk(unsigned cpu, uint64_t va, uint64_t *pa);

/* judge.c */
void judge_store(unsigned cpu, struct table *table, unsigned index, uint64_t pte,
		 const struct site *site);
void judge_use(unsigned cpu, uint64_t va, const struct site *site);
void judge_activate(unsigned cpu, const struct space *space, const struct site *site);
void debt_drop(struct table *table, unsigned index);

/* inval.c */
void inval_tlbi(unsigned cpu, uint32_t insn, uint64_t operand, const struct site *site);
void inval_dsb(unsigned cpu, unsigned crm, bool nxs, const struct site *site);
void inval_isb(unsigned cpu);
enum rule inval_diagnose(const struct table *table, const struct debt *debt,
			 const struct tlbi **tlbi, const struct dsb **dsb);

/* phys.c */
void phys_learn(uint64_t pa, const void *host);
bool phys_known(const void *host);
bool phys_read(uint64_t pa, uint64_t *value);
bool phys_read_through(uint64_t va, void *to, size_t bytes);
bool phys_read_either(uint64_t pa, uint64_t va, uint64_t *value);

/* regs.c */
enum reg {
	REG_TTBR0,
	REG_TTBR1,
	REG_TCR,
	REG_SCTLR,
	REG_VBAR,
	REG_ELR,
	REG_CPSR,
	REG_HCR,
	REG_COUNT
};
void regs_init(void);
uint64_t regs_x(unsigned index);
uint64_t regs_sys(enum reg reg);
unsigned regs_el(void);

/* report.c */
bool report_open(const char *path);
void report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_violation(enum rule rule, unsigned cpu, const struct site *site, uint64_t va,
		      uint64_t old, uint64_t new, const struct table *table,
		      const struct debt *debt);
void report_end(void);

/* symbols.c */
bool symbols_load(const char *path);
const char *symbols_find(uint64_t pc, uint64_t *offset);
