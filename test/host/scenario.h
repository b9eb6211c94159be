/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/scenario.h - what runs on the simulated machine, and what must be true then.
 */
#pragma once

#include <kerr.h>
#include <modes.h>

#include "ipi/inval.h"
#include "test/host/sim.h"
#include "vm/pmap.h"

#define REGION_PAGES_MAX 1024
#define REGIONS_MAX 4
#define SPACES_MAX 24
/* Where parks are dropped: how long an attempt waits, and how often one is made. */
#define LOST_PARK_TICKS 3000
#define LOST_PARK_ATTEMPTS 3

/* A range of the kernel's map, and the truth about it: an array beside the tables. */
struct region {
	struct pmap *pmap;
	bool dead; /* a user space that is retired */
	va_t base;
	pa_t pa;
	uint64_t step;  /* bytes that one element of the arrays stands for */
	unsigned count; /* elements */
	bool mapped[REGION_PAGES_MAX];
	bool writable[REGION_PAGES_MAX];
	bool in_flux[REGION_PAGES_MAX]; /* its owner changes what it maps or allows: hands off */
	uint64_t fluxes;     /* times that some of it came into flux */
	uint64_t narrowings; /* times that some of it may have become read-only */
};

/* Everything about a run but the schedule. */
struct plan {
	const char *name;
	void (*initiator)(unsigned cpu); /* what CPUs below `initiators` do */
	enum bbm_mode mode;
	enum inval_kind kind;
	bool tlb_range;
	bool hafdbs; /* the CPU sets access flags */
	unsigned cpus;
	unsigned initiators;
	unsigned rounds;    /* of the initiator */
	bool idle;          /* others go through the door now and then */
	bool hotplug;       /* CPU cpus-1 goes off and comes back */
	unsigned drops;     /* park interrupts that each other CPU loses */
	unsigned lost;      /* SEVs that do nothing */
	bool may_be_busy;   /* so that KERR_BUSY is an answer */
	bool fail_memory;   /* the heap refuses, later and later */
	bool skewed;        /* memory that is not aligned as its addresses are: no block fits */
	bool panics;        /* a CPU panics in the middle of it */
	bool small;         /* as little as can be, for exhaustive schedules */
	bool user;          /* regions of user spaces, which the others run now and then */
	unsigned spaces;    /* further user spaces, empty, that ask for numbers */
	bool retire;        /* the initiator ends its space while others run it */
};

/* Variables of the run; cleared before it. */
struct scene {
	struct plan plan;
	struct region region[REGIONS_MAX];
	unsigned regions;
	struct pmap space[SPACES_MAX]; /* of the regions first */
	unsigned initiators_left;
	bool stop;       /* the others shall end */
	unsigned out;    /* CPUs that are done */
	uint64_t mapped_epoch;       /* moves when something was mapped */
	uint64_t learned[SIM_CPUS];  /* the last one that a CPU knows of */
	uint64_t fresh;  /* ranges of do_fresh() so far */
	uint64_t busy;   /* KERR_BUSY answers */
	uint64_t refused_memory;
};
extern struct scene scene;

/* All plans: name, and how to make one from a number; the number chooses among variants. */
struct scenario {
	const char *name;
	unsigned weight; /* of 100 schedules of the mixed run */
	void (*make)(struct plan *plan, uint64_t variant);
};
extern const struct scenario scenarios[];
/* What the machine must be like for a plan. */
struct sim_config plan_config(const struct plan *plan, uint64_t number);
extern const unsigned scenario_count;

/* CPU 0 of every scenario. */
void scene_main(void *arg);

/* Initiators. */
void initiate_sizes(unsigned cpu);
void initiate_operations(unsigned cpu);
void initiate_big(unsigned cpu);
void initiate_refused(unsigned cpu);
void initiate_batch(unsigned cpu);
void initiate_growth(unsigned cpu);
void initiate_small_block(unsigned cpu);
void initiate_small_run(unsigned cpu);

/* region.c */
void region_map(struct region *r, struct pmap *pmap, va_t base, pa_t pa, uint64_t step,
		unsigned count, unsigned flags);
void region_touch(struct region *r);
void region_check(struct region *r);
struct region *region_of(unsigned cpu);
/* KERR_OK, or KERR_BUSY where that is an answer; anything else fails the run. */
bool scene_done(enum kerr e, const char *what);
