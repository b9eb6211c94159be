/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench.h - what one benchmark is, and the memory that they all change.
 */
#pragma once

#include <kerr.h>
#include <types.h>

/* What of a sample is the figure. */
enum bench_metric {
	BENCH_CALL,   /* the call to run() */
	BENCH_WINDOW, /* how long the last window that run() opened was open */
};

/* Where the other CPUs are meanwhile. One CPU: no difference. */
enum bench_others {
	BENCH_BUSY, /* past the door: each has to be asked to park */
	BENCH_IDLE, /* before the door: none is */
};

struct bench_case {
	const char *name;
	enum bench_metric metric;
	enum bench_others others;
	uint64_t units; /* the figure is for one of so many */
	uint64_t goal;         /* instructions on one CPU; 0: no goal stated */
	uint64_t goal_per_cpu; /* more for each further CPU */
	unsigned least_cpus;
	bool (*prepare)(void);   /* before each sample: the state that run() starts from */
	enum kerr (*run)(void);  /* what is measured */
	uint64_t bytes; /* afterwards the first leaf must map so many; 0: not looked at */
};

/* Benchmarks on the same memory. */
struct bench_suite {
	const struct bench_case *cases;
	unsigned count;
	bool (*open)(void); /* false: there is not so much memory */
	void (*close)(void);
	uint64_t (*leaf_bytes)(void); /* behind the first leaf, 0: not mapped */
};

extern const struct bench_suite bench_kernel; /* the kernel's map */
extern const struct bench_suite bench_user;   /* a user map */
extern const struct bench_suite bench_vm;     /* address spaces: regions, objects, faults */

/* The cost of a page by the number of pages, up to what memory there is. Returns what failed. */
unsigned bench_growth(uint64_t per_tick);

/* A window of one entry that changes nothing: what measuring a window costs. */
enum kerr bench_empty_window(void);
