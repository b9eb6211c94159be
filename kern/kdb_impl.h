/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_impl.h - what the debugger's files share.
 *
 * THEORY   A command is a function of its words. It prints with kprintf(), reads memory with
 *          report_read(), never through a mapping (`xv` apart), and fails with one line that begins
 *          "kdb: ".
 */
#pragma once

#include <types.h>

#include "kern/report.h"
#include "kern/trap.h"

#define KDB_WORDS 6

struct kdb_words {
	unsigned count;
	const char *word[KDB_WORDS]; /* the command itself first */
};

struct kdb_command {
	const char *name;
	const char *arguments; /* for help */
	const char *text;
	unsigned least; /* words after the command */
	unsigned most;
	void (*run)(const struct kdb_words *w);
};

/* kdb_mem.c, kdb_cpu.c, kdb_past.c, kdb.c: each ends with a command without a name. */
extern const struct kdb_command kdb_memory_commands[];
extern const struct kdb_command kdb_cpu_commands[];
extern const struct kdb_command kdb_past_commands[];
extern const struct kdb_command kdb_flow_commands[];

/* The prompt that is open. */
struct kdb_session {
	unsigned cpu;
	struct trap_frame *frame; /* what was interrupted; nullptr: EL0, idle, or a report */
	uint64_t pc;
	bool live; /* the machine can go on; else it has failed */
	uint64_t not_held; /* CPUs that run on */
	bool leave; /* a command asked to go on */
};
extern struct kdb_session kdb;

/* The frame that a CPU's registers are in, or nullptr. */
const struct trap_frame *kdb_frame_of(unsigned cpu);
/* What it executed, EL0 included; 0: it waits in a loop, is idle, or that is not known. */
uint64_t kdb_pc_of(unsigned cpu);

/* Parse a word; false: it is not one, and a line says so. */
bool kdb_number(const char *word, uint64_t *out); /* decimal, or hexadecimal after 0x */
bool kdb_address(const char *word, uint64_t *out); /* hexadecimal, NAME, NAME+hexadecimal */
bool kdb_cpu(const char *word, unsigned *out);

/* A complaint: one line. */
[[gnu::format(printf, 1, 2)]] void kdb_error(const char *fmt, ...);

/* From memory that may not be mapped: false if a word cannot be reached. Words, aligned. */
bool kdb_copy(uint64_t from, void *to, size_t bytes);

/* kdb_words.c: cut a line, find a command. */
void kdb_split(char *line, struct kdb_words *w);
void kdb_run_line(char *line);
