/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/model/vm_model.h - address spaces, objects and faults beside a flat model.
 *
 * THEORY   The model says for each page of each space which page of which object it shows and what
 *          may be done there, and for each page of each object whether it has contents, and which.
 *          A random sequence of calls, with anything for arguments, and of accesses is played to
 *          the real thing and to the model. Each result must be the one that the model says, and
 *          what can be seen afterwards too: by access before and after each call, and every so
 *          often by a look at every page, table and count.
 *          The model is the same on the host, where tables are flat arrays and any step can be
 *          made to fail, and in the kernel, where they are those of the MMU: a *machine* says how
 *          to access and how to make memory fail.
 *          What the model cannot know it asks, and checks apart: how many regions a range has
 *          (joining them is the space's business), and how large a leaf is (so is promoting).
 * INVARIANTS
 *   MO1  In fair weather a result is exactly the model's. While memory fails it is that, or
 *        KERR_NO_MEMORY or KERR_BUSY with nothing changed.
 *   MO2  Tables allow nothing that the model does not.
 *   MO3  An object holds as many pages as were touched, and they hold what was written last.
 * FAILURE  The first fact that does not hold is kept, and nothing is done after it.
 */
#pragma once

#include <types.h>

#include "vm/fault.h"

#define MODEL_SPACES 3u
#define MODEL_OBJECTS 5u
#define MODEL_PAGES 4608u /* of a space, from address 0 on: nine superpages, the first cut */
#define MODEL_OBJECT_PAGES 1600u
#define MODEL_NOTHING (-1) /* instead of an object */
#define MODEL_GUARD ((int)MODEL_OBJECTS)
#define MODEL_PROBES 4u

struct vm_model;
typedef void vm_model_fn(struct vm_model *m);

struct vm_machine {
	/* fn(m), on the CPU whose turn it is. */
	void (*run)(struct vm_model *m, unsigned turn, vm_model_fn *fn);
	/* As a program: until it works, or the verdict is final. *word: found there, or written. */
	enum fault_verdict (*access)(struct space *space, uint64_t at, unsigned access,
				     uint64_t *word);
	/* What the tables let EL0 do now, and the word it would find; false: it would fault. */
	bool (*look)(struct space *space, uint64_t at, unsigned access, uint64_t *word);
	/* Let memory fail from now on, as `random` says; 0: no more. Returns whether it may. */
	bool (*disturb)(uint64_t random);
};

struct vm_model_page {
	uint16_t page; /* of the object */
	int8_t object; /* or MODEL_NOTHING, MODEL_GUARD */
	uint8_t prot;
	uint8_t max;
};

struct vm_model_object {
	struct memory_object *object;
	uint32_t pages;
	bool revoked;
	bool has[MODEL_OBJECT_PAGES]; /* contents */
	uint64_t word[MODEL_OBJECT_PAGES];
};

/* The call that is made: for who makes it, and for the report. */
struct vm_model_call {
	const char *name;
	unsigned space;
	int object; /* MODEL_NOTHING: none */
	uint64_t at;
	uint64_t bytes;
	uint64_t offset;
	unsigned prot; /* flags, access or advice */
	unsigned prot_max;
	uint64_t probe[MODEL_PROBES]; /* pages that are accessed before and after */
};

struct vm_model {
	const struct vm_machine *machine;
	uint64_t random;
	uint64_t steps;
	uint64_t refused; /* calls that failed because memory did, or the budget was spent */
	uint64_t bad; /* calls that were refused for their arguments or what is there */
	bool disturbed; /* MO1: memory may fail */
	bool spent; /* no budget for windows is left */
	const char *wrong; /* the first fact that did not hold */
	uint64_t is;
	uint64_t wanted;
	struct vm_model_call call;
	struct memcharge charge;
	struct space *space[MODEL_SPACES];
	struct vm_model_object object[MODEL_OBJECTS];
	struct vm_model_page page[MODEL_SPACES][MODEL_PAGES];
};

/* Make spaces and objects. Pre: zeroed but for `machine`. False, of all these: it is wrong. */
bool vm_model_open(struct vm_model *m, uint64_t seed);
bool vm_model_step(struct vm_model *m);
/* Every page, table and count. */
bool vm_model_audit(struct vm_model *m);
/* The spaces go with everything in them, the objects last; nothing may be charged then. */
bool vm_model_close(struct vm_model *m);

/* One line that says what is wrong, and after which call. */
void vm_model_tell(const struct vm_model *m, char *text, size_t bytes);
