/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/stress/stress.h - the promotion stress from EL0.
 *
 * THEORY   Threads and tasks use memory so that the kernel promotes and demotes it all the time,
 *          and look at every word they wrote. A word's value is made of where it is and of a key,
 *          so a word that belongs to another page, or to an earlier time, is seen as wrong. A fault
 *          that should not be kills the program, which fails the run.
 */
#pragma once

#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <memmap.h>

struct worker {
	uint64_t seed;  /* of its random numbers; changes */
	unsigned index; /* among the workers of this task */
	bool plant;     /* flip a bit once, to see that it is found */
	uint64_t wrong; /* words that were not what they must be */
	uint64_t refused; /* calls that failed and must not have */
	uint64_t superpages; /* 2 MiB leaves seen */
};

struct workload {
	const char *name;
	/* One cycle. */
	void (*run)(struct worker *w);
};

void work_fill(struct worker *w);
void work_protect(struct worker *w);
void work_heap(struct worker *w);
void work_share(struct worker *w);
void work_secret(struct worker *w);
void work_remap(struct worker *w);
void work_message(struct worker *w);

/* Memory that all workers of the task share; before and after them. */
bool share_begin(void);
void share_end(void);

static inline uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* What the word at `address` must be under `key`. */
static inline uint64_t pattern(uint64_t address, uint64_t key)
{
	const uint64_t x = (address ^ key) * UINT64_C(0x9e3779b97f4a7c15);

	return x ^ x >> 29;
}

/* Write the first and last word of each page of a range. */
void pattern_write(uint64_t address, uint64_t bytes, uint64_t key);

/* Count those that are wrong. */
void pattern_check(struct worker *w, uint64_t address, uint64_t bytes, uint64_t key);

/* Fresh memory, mapped; 0 and counted as refused if it cannot be had. */
uint64_t stress_map(struct worker *w, enum memory_kind kind, uint64_t bytes);
void stress_unmap(struct worker *w, uint64_t address, uint64_t bytes);

/* Count what must not fail. KERR_BUSY is no failure: the machine did not park in time. */
bool stress_ok(struct worker *w, enum kerr e);
