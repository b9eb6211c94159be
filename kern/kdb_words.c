/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kdb_words.c - a line becomes words, a word a number, an address, a CPU; and `help`.
 */
#include <compiler.h>
#include <stdarg.h>
#include <string.h>

#include "kern/kdb_impl.h"
#include "kern/log.h"
#include "kern/symbols.h"
#include "pcpu/pcpu.h"

static const struct kdb_command *const tables[] = { kdb_memory_commands, kdb_cpu_commands,
						    kdb_past_commands, kdb_flow_commands };

void kdb_error(const char *fmt, ...)
{
	va_list ap;

	kprintf("kdb: ");
	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
	kprintf("\n");
}

static unsigned digit(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'f') {
		return (unsigned)(c - 'a') + 10;
	}
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

/* All of a word in one radix; false: it is not, or does not fit. */
static bool digits(const char *s, unsigned radix, uint64_t *out)
{
	uint64_t v = 0;

	if (*s == '\0') {
		return false;
	}
	for (; *s != '\0'; s++) {
		const unsigned d = digit(*s);

		if (d >= radix || __builtin_mul_overflow(v, radix, &v) ||
		    __builtin_add_overflow(v, d, &v)) {
			return false;
		}
	}
	*out = v;
	return true;
}

static bool has_0x(const char *s)
{
	return s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
}

bool kdb_number(const char *word, uint64_t *out)
{
	if (has_0x(word) ? digits(word + 2, 16, out) : digits(word, 10, out)) {
		return true;
	}
	kdb_error("%s is not a number", word);
	return false;
}

/* NAME or NAME+OFFSET */
static bool symbol_word(const char *word, uint64_t *out)
{
	const char *plus = strchr(word, '+');
	const size_t length = plus != nullptr ? (size_t)(plus - word) : strlen(word);
	uint64_t offset = 0;

	if (plus != nullptr && !digits(plus + (has_0x(plus + 1) ? 3 : 1), 16, &offset)) {
		return false;
	}
	if (!symbol_address(word, length, out)) {
		return false;
	}
	*out += offset;
	return true;
}

bool kdb_address(const char *word, uint64_t *out)
{
	/* A function may have a name of hexadecimal digits; with 0x it is a number for certain. */
	if (!has_0x(word) && symbol_word(word, out)) {
		return true;
	}
	if (digits(word + (has_0x(word) ? 2 : 0), 16, out)) {
		return true;
	}
	kdb_error("%s is neither an address nor a function", word);
	return false;
}

bool kdb_cpu(const char *word, unsigned *out)
{
	uint64_t cpu;

	if (!digits(word, 10, &cpu) || cpu >= pcpu_count() || pcpu_slice[cpu] == nullptr) {
		kdb_error("%s is not a CPU: there are 0 to %u", word, pcpu_count() - 1);
		return false;
	}
	*out = (unsigned)cpu;
	return true;
}

void kdb_split(char *line, struct kdb_words *w)
{
	w->count = 0;
	for (char *c = line; *c != '\0'; c++) {
		if (*c == ' ') {
			*c = '\0';
		} else if (c == line || c[-1] == '\0') {
			if (w->count < KDB_WORDS) {
				w->word[w->count] = c;
			}
			w->count++;
		}
	}
}

static const struct kdb_command *find(const char *name)
{
	for (unsigned t = 0; t < array_len(tables); t++) {
		for (const struct kdb_command *c = tables[t]; c->name != nullptr; c++) {
			if (strcmp(c->name, name) == 0) {
				return c;
			}
		}
	}
	return nullptr;
}

static void print_help(const char *name)
{
	for (unsigned t = 0; t < array_len(tables); t++) {
		for (const struct kdb_command *c = tables[t]; c->name != nullptr; c++) {
			if (name == nullptr || strcmp(c->name, name) == 0) {
				kprintf("  %-9s%-20s %s\n", c->name, c->arguments, c->text);
			}
		}
	}
}

static void help(const struct kdb_words *w)
{
	const char *name = w->count > 1 ? w->word[1] : nullptr;

	if (name != nullptr && find(name) == nullptr && strcmp(name, "help") != 0) {
		kdb_error("%s is no command: help lists them", name);
		return;
	}
	print_help(name);
	if (name == nullptr) {
		kprintf("  %-9s%-20s %s\n", "help", "[COMMAND]", "this");
		kprintf("ADDR is hexadecimal, or FUNCTION, or FUNCTION+HEX; numbers are decimal, or 0x.\n");
	}
}

void kdb_run_line(char *line)
{
	struct kdb_words w = { 0 };

	kdb_split(line, &w);
	if (w.count == 0) {
		return;
	}
	if (w.count > KDB_WORDS) {
		kdb_error("more than %u words", KDB_WORDS);
		return;
	}
	if (strcmp(w.word[0], "help") == 0 && w.count <= 2) {
		help(&w);
		return;
	}
	const struct kdb_command *c = find(w.word[0]);

	if (c == nullptr) {
		kdb_error("%s is no command: help lists them", w.word[0]);
	} else if (w.count - 1 < c->least || w.count - 1 > c->most) {
		kdb_error("usage: %s %s", c->name, c->arguments);
	} else {
		c->run(&w);
	}
}
