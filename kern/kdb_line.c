/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_line.c - see kern/kdb_line.h.
 *
 * THEORY   The terminal echoes nothing; what is shown is written here, with no more than carriage
 *          return, "erase to the end of the line" and cursor left, which every terminal knows. A
 *          character that nobody types (line noise, another baud rate) spoils its line: a command
 *          that lost a digit must not run.
 */
#include "kern/kdb_line.h"

#include <string.h>

#define CONTROL(c) ((c) - 0x40)
#define ESC 0x1b
#define BELL 7
#define DELETE 0x7f

static void put(const struct kdb_line *l, const char *s)
{
	while (*s != '\0') {
		l->put(*s++);
	}
}

/* Show the text from the cursor on, and put the cursor back. */
static void show_rest(const struct kdb_line *l)
{
	put(l, "\033[K");
	for (unsigned i = l->cursor; i < l->length; i++) {
		l->put(l->text[i]);
	}
	for (unsigned i = l->cursor; i < l->length; i++) {
		l->put('\b');
	}
}

static void move_to(struct kdb_line *l, unsigned place)
{
	for (; l->cursor > place; l->cursor--) {
		l->put('\b');
	}
	for (; l->cursor < place; l->cursor++) {
		l->put(l->text[l->cursor]);
	}
}

static void line_insert(struct kdb_line *l, char c)
{
	if (l->length + 1 == KDB_LINE_BYTES) {
		l->flaw = KDB_LINE_LONG;
		l->put(BELL);
		return;
	}
	memmove(&l->text[l->cursor + 1], &l->text[l->cursor], l->length - l->cursor);
	l->text[l->cursor++] = c;
	l->length++;
	l->put(c);
	if (l->cursor < l->length) {
		show_rest(l);
	}
}

/* Take out [from, to), to being at or right of the cursor's old place. */
static void line_erase(struct kdb_line *l, unsigned from, unsigned to)
{
	move_to(l, from);
	memmove(&l->text[from], &l->text[to], l->length - to);
	l->length -= to - from;
	show_rest(l);
}

static unsigned word_begin(const struct kdb_line *l)
{
	unsigned at = l->cursor;

	while (at > 0 && l->text[at - 1] == ' ') {
		at--;
	}
	while (at > 0 && l->text[at - 1] != ' ') {
		at--;
	}
	return at;
}

/* Show the line that is `back` lines ago; 0: an empty one. */
static void recall(struct kdb_line *l, unsigned back)
{
	if (back > l->history_count || back > KDB_HISTORY) {
		l->put(BELL);
		return;
	}
	line_erase(l, 0, l->length);
	l->history_back = back;
	if (back > 0) {
		const char *s = l->history[(l->history_count - back) % KDB_HISTORY];

		while (*s != '\0') {
			line_insert(l, *s++);
		}
	}
}

static void keep(struct kdb_line *l)
{
	const char *last = l->history[(l->history_count - 1) % KDB_HISTORY];

	if (l->length == 0 || l->flaw != KDB_LINE_GOOD ||
	    (l->history_count > 0 && strcmp(last, l->text) == 0)) {
		return;
	}
	memcpy(l->history[l->history_count++ % KDB_HISTORY], l->text, KDB_LINE_BYTES);
}

/* The last character of ESC [ or ESC [ n. */
static void take_key(struct kdb_line *l, char c)
{
	switch (c) {
	case 'A':
		recall(l, l->history_back + 1);
		break;
	case 'B':
		if (l->history_back > 0) {
			recall(l, l->history_back - 1);
		}
		break;
	case 'C':
		move_to(l, l->cursor < l->length ? l->cursor + 1 : l->cursor);
		break;
	case 'D':
		move_to(l, l->cursor > 0 ? l->cursor - 1 : 0);
		break;
	case 'H':
		move_to(l, 0);
		break;
	case 'F':
		move_to(l, l->length);
		break;
	case '~':
		if (l->parameter == 3 && l->cursor < l->length) {
			line_erase(l, l->cursor, l->cursor + 1);
		}
		break;
	default:
		break;
	}
}

static void take_escape(struct kdb_line *l, char c)
{
	if (l->escape == 1) {
		l->escape = c == '[' || c == 'O' ? 2 : 0;
		l->parameter = 0;
		return;
	}
	if (c >= '0' && c <= '9') {
		l->parameter = l->parameter < 100 ? l->parameter * 10 + (c - '0') : l->parameter;
		return;
	}
	l->escape = 0;
	take_key(l, c);
}

static void take_control(struct kdb_line *l, char c)
{
	switch (c) {
	case ESC:
		l->escape = 1;
		break;
	case '\b':
	case DELETE:
		if (l->cursor > 0) {
			line_erase(l, l->cursor - 1, l->cursor);
		}
		break;
	case CONTROL('A'):
		move_to(l, 0);
		break;
	case CONTROL('E'):
		move_to(l, l->length);
		break;
	case CONTROL('N'):
		take_key(l, 'B');
		break;
	case CONTROL('P'):
		take_key(l, 'A');
		break;
	case CONTROL('U'):
		line_erase(l, 0, l->cursor);
		break;
	case CONTROL('W'):
		line_erase(l, word_begin(l), l->cursor);
		break;
	case CONTROL('\\'): /* the break key, once more */
	case '\t':
		break;
	default:
		l->flaw = KDB_LINE_NOISE;
		break;
	}
}

void kdb_line_begin(struct kdb_line *l)
{
	l->length = 0;
	l->cursor = 0;
	l->escape = 0;
	l->flaw = KDB_LINE_GOOD;
	l->history_back = 0;
}

bool kdb_line_take(struct kdb_line *l, char c)
{
	if (c == CONTROL('C')) {
		put(l, "^C\r\n");
		kdb_line_begin(l);
		l->text[0] = '\0';
		return true;
	}
	if (c == '\r' || c == '\n') {
		l->text[l->length] = '\0';
		put(l, "\r\n");
		keep(l);
		return true;
	}
	if (l->escape != 0) {
		take_escape(l, c);
	} else if (c >= ' ' && c < DELETE) {
		line_insert(l, c);
	} else {
		take_control(l, c);
	}
	return false;
}
