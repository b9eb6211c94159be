/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_user.h - what the tests of user spaces share: a space with memory to map.
 */
#pragma once

#include <memmap.h>

#include "test/kernel/ktest.h"
#include "vm/pmap_user.h"

#define AT (2 * GIB) /* where it is mapped: aligned to every leaf */
#define ORDER_2M 9
#define ORDER_32M 13

struct user {
	struct pmap pmap;
	struct memcharge charge;
	pa_t memory; /* 2^order frames */
	uint64_t size;
	unsigned order;
};

/* Pinned, as every pmap of a space must be. */
#define USERS 2
extern struct user user[USERS];

/* This CPU runs the space, nullptr: none. */
void run_space(struct pmap *pmap);

/* A space without mappings, and 2^order frames. False: skipped or failed. */
bool user_open(struct user *u, unsigned order);
/* Audit, destroy; nothing may be left. */
void user_close(struct user *u);

/* All its memory at AT. */
bool map_all(struct user *u, unsigned flags);
/* Bytes of the leaf at an address, 0: nothing mapped. */
uint64_t user_bytes_at(struct user *u, uint64_t at);

/* A word of the space that this CPU runs, as EL0 would access it. False: it faults. */
bool put(uint64_t at, uint64_t word);
bool get(uint64_t at, uint64_t *word);
/* A word that tells where it was written. */
uint64_t stamp(uint64_t at, uint64_t salt);
