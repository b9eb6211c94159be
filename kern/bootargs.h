/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/bootargs.h - what the boot command line asks for: words of the form key=value.
 *
 * Numbers are decimal or 0x hexadecimal and may end in k, m or g (binary). A word that is not
 * known, or whose value is malformed or out of range, is reported and changes nothing. Of two
 * words with the same key the last counts.
 */
#pragma once

#include <modes.h> /* enum bbm_mode is the order of bbm= */
#include <types.h>

#define BOOTARG_TEXT_BYTES 64

/* In the order of the choices in the table of kern/bootargs.c. */
enum bootarg_bbml2 { BBML2_AUTO, BBML2_FORCE };
enum bootarg_pcpu { PCPU_BLOCK, PCPU_SCATTERED };
enum bootarg_park { PARK_SGI, PARK_NMI };
enum bootarg_kdb { KDB_OFF, KDB_BY_KEY, KDB_ON };

struct bootargs {
	char run[BOOTARG_TEXT_BYTES]; /* what to do after boot: stress, test, bench, ... */
	char only[BOOTARG_TEXT_BYTES]; /* which workloads or tests, comma between; empty: all */
	char plant[BOOTARG_TEXT_BYTES]; /* a defect to put in, to see that it is found */
	char provoke[BOOTARG_TEXT_BYTES]; /* a recursion to cause */
	uint64_t seed;
	uint64_t seconds; /* 0: no limit */
	uint64_t cycles; /* 0: no limit */
	uint64_t cpus; /* at most so many are started */
	uint64_t window_delay; /* counter ticks that mode retry keeps a window open */
	uint64_t warden; /* the CPU that watches the others, + 1; 0: none */
	uint64_t bbm; /* enum bbm_mode, and so on */
	uint64_t bbml2;
	uint64_t pcpu;
	uint64_t park;
	uint64_t kdb; /* when the debugger may be entered */
	bool cut; /* a text was too long: what was asked for is not known */
};

/* What holds when the command line says nothing. */
void bootargs_default(struct bootargs *args);

/*
 * Apply the words of `line` to *args. Each word that cannot be applied makes one call of
 * `report` with a line of text (valid during the call). Returns the number of such words.
 */
unsigned bootargs_parse(const char *line, struct bootargs *args, void (*report)(const char *text));
