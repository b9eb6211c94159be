/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/bootargs.c - the table of boot arguments and its parser.
 *
 * THEORY   The table is the documentation: a key, what its value may be, and the field. Its texts
 *          are arrays in the table and not pointers, so it needs no relocation and can be read
 *          with the MMU off. A choice is one of the names between bars; its value is its place.
 * FAILURE  A word is applied whole or not at all; the rest of the line is parsed in any case.
 * NOT HERE What the arguments mean; which of them this build or machine allows.
 */
#include "kern/bootargs.h"

#include <compiler.h>
#include <string.h>

#include "kern/format.h"

#define NAME_BYTES 16
#define CHOICES_BYTES 32
#define REPORT_BYTES 160
#define WORD_SHOWN 48 /* characters of a bad word that a report repeats */

enum kind { NUMBER, CHOICE, TEXT, CPU_NAME };

struct argument {
	char name[NAME_BYTES];
	enum kind kind;
	uint16_t offset; /* of the field in struct bootargs */
	uint64_t least; /* NUMBER */
	uint64_t most;
	char choices[CHOICES_BYTES]; /* CHOICE */
};

#define FIELD(f) offsetof(struct bootargs, f)

static const struct argument arguments[] = {
	{ "run", TEXT, FIELD(run), 0, 0, "" },
	{ "only", TEXT, FIELD(only), 0, 0, "" },
	{ "plant", TEXT, FIELD(plant), 0, 0, "" },
	{ "provoke", TEXT, FIELD(provoke), 0, 0, "" },
	{ "seed", NUMBER, FIELD(seed), 0, UINT64_MAX, "" },
	{ "seconds", NUMBER, FIELD(seconds), 0, 31536000, "" },
	{ "cycles", NUMBER, FIELD(cycles), 0, UINT64_MAX, "" },
	{ "cpus", NUMBER, FIELD(cpus), 1, MAX_CPUS, "" },
	{ "window_delay", NUMBER, FIELD(window_delay), 0, UINT32_MAX, "" },
	{ "warden", CPU_NAME, FIELD(warden), 0, 0, "" },
	{ "bbm", CHOICE, FIELD(bbm), 0, 0, "park|retry|bbml2|naive" },
	{ "bbml2", CHOICE, FIELD(bbml2), 0, 0, "auto|force" },
	{ "pcpu", CHOICE, FIELD(pcpu), 0, 0, "block|scattered" },
	{ "park", CHOICE, FIELD(park), 0, 0, "sgi|nmi" },
	{ "kdb", CHOICE, FIELD(kdb), 0, 0, "off|key|on" },
};

/* A part of the command line; not terminated. */
struct span {
	const char *text;
	size_t len;
};

void bootargs_default(struct bootargs *args)
{
	memset(args, 0, sizeof(*args));
	memcpy(args->run, "stress", sizeof("stress"));
	args->seed = 1;
	args->cpus = MAX_CPUS;
	args->bbm = BBM_PARK;
	args->bbml2 = BBML2_AUTO;
	args->pcpu = PCPU_BLOCK;
	args->park = PARK_SGI;
	args->kdb = KDB_BY_KEY;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Cut the next word off *line. Empty at the end. */
static struct span next_word(const char **line)
{
	struct span word;

	while (is_blank(**line)) {
		(*line)++;
	}
	word.text = *line;
	while (**line != '\0' && !is_blank(**line)) {
		(*line)++;
	}
	word.len = (size_t)(*line - word.text);
	return word;
}

static bool span_is(struct span s, const char *text)
{
	return strlen(text) == s.len && memcmp(s.text, text, s.len) == 0;
}

static const struct argument *find(struct span key)
{
	for (size_t i = 0; i < array_len(arguments); i++) {
		if (span_is(key, arguments[i].name)) {
			return &arguments[i];
		}
	}
	return NULL;
}

/* Words for programs (user/): init reads them all, the kernel lets them pass. */
static bool is_for_programs(struct span key)
{
	static const char names[][NAME_BYTES] = { "init",    "console", "tasks",
						  "threads", "calls",   "role" };

	for (size_t i = 0; i < array_len(names); i++) {
		if (span_is(key, names[i])) {
			return true;
		}
	}
	return false;
}

/* Take a factor off the end: 1, or what k, m, g stand for. */
static uint64_t take_suffix(struct span *s)
{
	uint64_t factor = 1;

	if (s->len == 0) {
		return 1;
	}
	switch (s->text[s->len - 1]) {
	case 'k':
	case 'K':
		factor = KIB;
		break;
	case 'm':
	case 'M':
		factor = MIB;
		break;
	case 'g':
	case 'G':
		factor = GIB;
		break;
	default:
		return 1;
	}
	s->len--;
	return factor;
}

/* A digit's value in any radix up to 16, or 16. */
static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'f') {
		return (unsigned)(c - 'a') + 10;
	}
	if (c >= 'A' && c <= 'F') {
		return (unsigned)(c - 'A') + 10;
	}
	return 16;
}

static bool parse_number(struct span s, uint64_t *value)
{
	uint64_t factor = take_suffix(&s);
	uint64_t v = 0;
	unsigned radix = 10;

	if (s.len > 2 && s.text[0] == '0' && (s.text[1] == 'x' || s.text[1] == 'X')) {
		radix = 16;
		s.text += 2;
		s.len -= 2;
	}
	if (s.len == 0) {
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = digit_of(s.text[i]);

		if (digit >= radix || __builtin_mul_overflow(v, radix, &v) ||
		    __builtin_add_overflow(v, digit, &v)) {
			return false;
		}
	}
	return !__builtin_mul_overflow(v, factor, value);
}

/* The place of a name among those between bars; false if it is none of them. */
static bool parse_choice(const char *choices, struct span s, uint64_t *value)
{
	uint64_t place = 0;

	for (const char *c = choices; *c != '\0'; place++) {
		struct span name = { c, 0 };

		while (c[name.len] != '\0' && c[name.len] != '|') {
			name.len++;
		}
		if (name.len == s.len && memcmp(c, s.text, s.len) == 0) {
			*value = place;
			return true;
		}
		c += name.len + (c[name.len] == '|' ? 1 : 0);
	}
	return false;
}

/* cpuN: N + 1, so that 0 can be none. */
static bool parse_cpu(struct span s, uint64_t *value)
{
	uint64_t cpu;

	if (s.len < 4 || memcmp(s.text, "cpu", 3) != 0) {
		return false;
	}
	if (!parse_number((struct span){ s.text + 3, s.len - 3 }, &cpu) || cpu >= MAX_CPUS) {
		return false;
	}
	*value = cpu + 1;
	return true;
}

/* Apply one value. On failure no field changes but `cut`, and `why` says what was expected. */
static bool apply(const struct argument *a, struct span value, struct bootargs *args, char *why,
		  size_t why_bytes)
{
	char *field = (char *)args + a->offset;
	uint64_t v;

	switch (a->kind) {
	case NUMBER:
		if (!parse_number(value, &v)) {
			ksnprintf(why, why_bytes, "not a number");
			return false;
		}
		if (v < a->least || v > a->most) {
			ksnprintf(why, why_bytes, "not in %lu-%lu", (unsigned long)a->least,
				  (unsigned long)a->most);
			return false;
		}
		break;
	case CPU_NAME:
		if (!parse_cpu(value, &v)) {
			ksnprintf(why, why_bytes, "not one of cpu0 to cpu%d", MAX_CPUS - 1);
			return false;
		}
		break;
	case CHOICE:
		if (!parse_choice(a->choices, value, &v)) {
			ksnprintf(why, why_bytes, "not one of %s", a->choices);
			return false;
		}
		break;
	case TEXT:
		if (value.len >= BOOTARG_TEXT_BYTES) {
			ksnprintf(why, why_bytes, "longer than %d characters",
				  BOOTARG_TEXT_BYTES - 1);
			args->cut = true;
			return false;
		}
		memcpy(field, value.text, value.len);
		field[value.len] = '\0';
		return true;
	}
	memcpy(field, &v, sizeof(v));
	return true;
}

static bool parse_word(struct span word, struct bootargs *args, char *why, size_t why_bytes)
{
	struct span key = { word.text, 0 };

	while (key.len < word.len && word.text[key.len] != '=') {
		key.len++;
	}
	const struct argument *a = find(key);

	if (a == NULL && is_for_programs(key)) {
		return true;
	}
	if (a == NULL) {
		ksnprintf(why, why_bytes, "unknown");
		return false;
	}
	if (key.len == word.len) {
		ksnprintf(why, why_bytes, "needs a value");
		return false;
	}
	struct span value = { word.text + key.len + 1, word.len - key.len - 1 };

	return apply(a, value, args, why, why_bytes);
}

unsigned bootargs_parse(const char *line, struct bootargs *args, void (*report)(const char *text))
{
	unsigned bad = 0;

	for (;;) {
		struct span word = next_word(&line);
		char why[CHOICES_BYTES + 32];
		char text[REPORT_BYTES];

		if (word.len == 0) {
			return bad;
		}
		if (parse_word(word, args, why, sizeof(why))) {
			continue;
		}
		bad++;
		ksnprintf(text, sizeof(text), "boot argument '%.*s'%s: %s, ignored",
			  (int)(word.len < WORD_SHOWN ? word.len : WORD_SHOWN), word.text,
			  word.len > WORD_SHOWN ? "..." : "", why);
		report(text);
	}
}
