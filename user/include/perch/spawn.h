/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/spawn.h - start a program in a task of its own.
 *
 * THEORY   A child has what it is given: a limit of memory out of its parent's, copies of handles,
 *          strings. It reports to an endpoint of the parent under the badge `number`: its end
 *          (PARENT_EXIT) and its exceptions.
 */
#pragma once

#include <kerr.h>
#include <perch/elf.h>
#include <perch/start.h>

struct spawn_options {
	uint64_t limit_bytes; /* memory of all kinds, the program's own included */
	uint64_t number;      /* badge of its messages to the parent, not 0 */
	handle_t parent;      /* endpoint with RIGHT_RECEIVE; none: nobody listens */
	handle_t console;     /* given on with what rights the parent has, as the others below */
	handle_t ramdisk;
	handle_t machine;
	handle_t extra;
	uint64_t ramdisk_bytes;
	uint64_t word;
	uint32_t priority;
	uint32_t argc;
	const char *const *argv;
};

struct child {
	handle_t task;
	handle_t thread;
};

/*
 * Start it. On an error nothing of it is left. KERR_RANGE: the arguments are too long;
 * KERR_NO_MEMORY: its limit is too small, or what others give back within a minute was not enough.
 */
enum kerr spawn(const struct elf_program *program, const struct spawn_options *options,
		struct child *out);

/* Kill it, if it still lives, and forget it. */
void child_end(struct child *child);

/*
 * What this task uses, its children's limits included. What a killed child had comes back in steps,
 * which other tasks' calls pay for: much later than child_end() on a busy machine.
 */
uint64_t used_bytes(void);
/* Wait until at most so much is used, and then until nothing comes back for a while. */
uint64_t used_settled(uint64_t bytes);
/* Wait until at most so much is used, while something comes back; returns what is used then. */
uint64_t used_falls_to(uint64_t bytes);

/*
 * Half fill the table of handles once, and empty it. It grows while closed handles wait to be used
 * again, and never shrinks: what is used can only be compared when it does not grow any more.
 */
void handles_grow(void);

/* The RAM disk that this program was given, mapped for reading. KERR_ABSENT: none. */
enum kerr ramdisk_map(const void **archive, size_t *bytes);

/* The program of that name on a RAM disk. False: says why on the console. */
bool ramdisk_program(const void *archive, size_t bytes, const char *name, struct elf_program *out);
