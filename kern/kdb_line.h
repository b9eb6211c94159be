/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_line.h - a line from the console, with editing and history.
 */
#pragma once

#include <types.h>

#define KDB_LINE_BYTES 120
#define KDB_HISTORY 8

/* What came with the line. */
enum kdb_line_flaw {
	KDB_LINE_GOOD,
	KDB_LINE_LONG,  /* characters did not fit */
	KDB_LINE_NOISE, /* characters that nobody types */
};

/*
 * The editor's state: one, because one CPU debugs. kdb_line_take() is pure: characters in, echo
 * out through `put`; the host tests it.
 */
struct kdb_line {
	char text[KDB_LINE_BYTES];
	unsigned length;
	unsigned cursor;
	unsigned escape; /* characters of an escape sequence so far */
	int parameter;   /* its number */
	enum kdb_line_flaw flaw;
	void (*put)(char c);
	char history[KDB_HISTORY][KDB_LINE_BYTES];
	unsigned history_count; /* lines ever kept */
	unsigned history_back;  /* how far back the one shown is; 0: the new line */
};

/* Begin a new line. */
void kdb_line_begin(struct kdb_line *l);

/*
 * Take a character. True: the line is complete, in text, without its end; it is in the history,
 * unless empty, flawed, or the one before again. Ctrl-C completes an empty line.
 */
bool kdb_line_take(struct kdb_line *l, char c);
