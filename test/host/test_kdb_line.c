/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_kdb_line.c - the debugger's line editor, against a terminal and at random.
 *
 * The terminal is a model of one line: it knows what the editor may send and nothing else. After
 * every key the line on it must be the line in the editor, and the cursor must stand alike.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kern/kdb_line.h"

#define SCREEN_BYTES 512
#define KEYS 400000

static struct {
	char line[SCREEN_BYTES];
	unsigned cursor;
	unsigned escape;
	bool ended; /* a new line was begun */
} screen;

static void show(char c)
{
	if (screen.escape == 1) {
		assert_int_equal(c, '[');
		screen.escape = 2;
	} else if (screen.escape == 2) {
		assert_int_equal(c, 'K'); /* erase to the end of the line */
		memset(screen.line + screen.cursor, 0, SCREEN_BYTES - screen.cursor);
		screen.escape = 0;
	} else if (c == '\033') {
		screen.escape = 1;
	} else if (c == '\b') {
		assert_true(screen.cursor > 0);
		screen.cursor--;
	} else if (c == '\r' || c == '\n') {
		screen.ended = true;
	} else if (c != 7) {
		assert_true(c >= ' ' && c < 0x7f && screen.cursor < SCREEN_BYTES - 1);
		screen.line[screen.cursor++] = c;
	}
}

static void begin(struct kdb_line *l)
{
	memset(&screen, 0, sizeof(screen));
	kdb_line_begin(l);
}

static void check(const struct kdb_line *l)
{
	assert_true(l->length < KDB_LINE_BYTES);
	assert_true(l->cursor <= l->length);
	assert_int_equal(screen.cursor, l->cursor);
	assert_int_equal(strlen(screen.line), l->length);
	assert_memory_equal(screen.line, l->text, l->length);
}

/* Type keys; returns whether the line was completed, which only the last may do. */
static bool type(struct kdb_line *l, const char *keys)
{
	bool done = false;

	for (; *keys != '\0'; keys++) {
		assert_false(done);
		done = kdb_line_take(l, *keys);
		if (!done) {
			check(l);
		}
	}
	return done;
}

static void expect(struct kdb_line *l, const char *keys, const char *text)
{
	begin(l);
	assert_true(type(l, keys));
	assert_string_equal(l->text, text);
	assert_int_equal(l->flaw, KDB_LINE_GOOD);
}

static void edits(void **state)
{
	static struct kdb_line l = { .put = show };

	(void)state;
	expect(&l, "walk 0\r", "walk 0");
	expect(&l, "wx\177alk 0\n", "walk 0");
	expect(&l, "alk\001w\005 0\r", "walk 0");
	expect(&l, "wk\033[Dal\r", "walk");
	expect(&l, "waXlk\033[D\033[D\033[D\033[3~\r", "walk");
	expect(&l, "a b  c\027d\r", "a b  d");
	expect(&l, "abc\033[D\025\r", "c");
	expect(&l, "\177\027\025\033[3~\033[C\033[Dx\r", "x");
	begin(&l);
	assert_true(type(&l, "half\003"));
	assert_string_equal(l.text, "");
}

static void remembers(void **state)
{
	static struct kdb_line l = { .put = show };
	char keys[16];

	(void)state;
	for (unsigned i = 0; i < KDB_HISTORY + 2; i++) {
		snprintf(keys, sizeof(keys), "line%u\r", i);
		begin(&l);
		assert_true(type(&l, keys));
	}
	expect(&l, "\033[A\r", "line9");
	expect(&l, "\033[A\033[A\033[B\r", "line9"); /* once in the history, though twice typed */
	expect(&l, "\033[A\033[A\r", "line8");
	expect(&l, "new\033[A\033[B\r", "");
	begin(&l);
	for (unsigned i = 0; i < KDB_HISTORY + 5; i++) {
		(void)type(&l, "\033[A");
	}
	assert_true(type(&l, "\r"));
	assert_string_equal(l.text, "line3"); /* the oldest of eight */
}

static void flaws(void **state)
{
	static struct kdb_line l = { .put = show };

	(void)state;
	begin(&l);
	for (unsigned i = 0; i < 3 * KDB_LINE_BYTES; i++) {
		(void)type(&l, "x");
	}
	assert_true(type(&l, "\r"));
	assert_int_equal(l.flaw, KDB_LINE_LONG);
	assert_int_equal(strlen(l.text), KDB_LINE_BYTES - 1);
	begin(&l);
	assert_true(type(&l, "wa\377lk\r"));
	assert_int_equal(l.flaw, KDB_LINE_NOISE);
	expect(&l, "\033[A\r", ""); /* neither is remembered */
}

/* Any bytes: keys that edit are more likely than they would be by chance. */
static void anything(void **state)
{
	static const char likely[] = "\033[\033[AB\033[CD3~\033[H\033[F\001\005\025\027\177\b xyz0";
	static struct kdb_line l = { .put = show };
	uint64_t random = 1;

	(void)state;
	begin(&l);
	for (unsigned i = 0; i < KEYS; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		const unsigned r = (unsigned)(random >> 33);
		const char c = r % 16 == 0 ? (char)(r >> 8)
					   : likely[(r >> 8) % (sizeof(likely) - 1)];

		if (kdb_line_take(&l, c)) {
			begin(&l);
		} else {
			check(&l);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edits),
		cmocka_unit_test(remembers),
		cmocka_unit_test(flaws),
		cmocka_unit_test(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
