/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_bootargs.c - the boot argument parser, and the formatter it reports with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "kern/bootargs.h"
#include "kern/format.h"

static struct bootargs args;
static char reports[1024]; /* all lines, each with a newline */

static void report(const char *text)
{
	strcat(reports, text);
	strcat(reports, "\n");
}

static unsigned parse(const char *line)
{
	reports[0] = '\0';
	bootargs_default(&args);
	return bootargs_parse(line, &args, report);
}

/* One bad word: it is reported so, and nothing differs from the defaults. */
static void bad(const char *line, const char *expected)
{
	struct bootargs defaults;

	bootargs_default(&defaults);
	assert_int_equal(parse(line), 1);
	assert_string_equal(reports, expected);
	assert_memory_equal(&args, &defaults, sizeof(args));
}

static void an_empty_line_gives_the_defaults(void **state)
{
	(void)state;
	assert_int_equal(parse(""), 0);
	assert_string_equal(args.run, "stress");
	assert_int_equal(args.seed, 1);
	assert_int_equal(args.cpus, MAX_CPUS);
	assert_int_equal(args.bbm, BBM_PARK);
	assert_int_equal(args.cycles, 0);
	assert_int_equal(parse(" \t\n "), 0);
}

static void words_for_programs_pass(void **state)
{
	(void)state;
	assert_int_equal(parse("init=stress tasks=3 threads=0x4 console=kernel calls=9 role=x"), 0);
	assert_string_equal(reports, "");
	bad("initial=1", "boot argument 'initial=1': unknown, ignored\n");
}

static void every_kind_of_value_is_read(void **state)
{
	(void)state;
	assert_int_equal(
		parse("run=test seed=0xDEADbeef  seconds=30\tcycles=2m cpus=4 only=fill,irq "
		      "bbm=naive bbml2=force pcpu=scattered park=nmi "
		      "window_delay=1k warden=cpu3 plant=corruption provoke=pcpu"),
		0);
	assert_string_equal(reports, "");
	assert_string_equal(args.run, "test");
	assert_string_equal(args.only, "fill,irq");
	assert_string_equal(args.plant, "corruption");
	assert_string_equal(args.provoke, "pcpu");
	assert_int_equal(args.seed, 0xdeadbeef);
	assert_int_equal(args.seconds, 30);
	assert_int_equal(args.cycles, 2 * MIB);
	assert_int_equal(args.cpus, 4);
	assert_int_equal(args.window_delay, 1024);
	assert_int_equal(args.warden, 4);
	assert_int_equal(args.bbm, BBM_NAIVE);
	assert_int_equal(args.bbml2, BBML2_FORCE);
	assert_int_equal(args.pcpu, PCPU_SCATTERED);
	assert_int_equal(args.park, PARK_NMI);
}

static void each_choice_is_its_enumerator(void **state)
{
	(void)state;
	static const char *const bbm[] = { "bbm=park", "bbm=retry", "bbm=bbml2", "bbm=naive" };

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(parse(bbm[i]), 0);
		assert_int_equal(args.bbm, i);
	}
	assert_int_equal(parse("pcpu=scattered pcpu=block"), 0);
	assert_int_equal(args.pcpu, PCPU_BLOCK); /* the last counts */
}

static void an_unknown_word_is_named_and_ignored(void **state)
{
	(void)state;
	bad("sed=1", "boot argument 'sed=1': unknown, ignored\n");
	bad("quiet", "boot argument 'quiet': unknown, ignored\n");
	bad("=3", "boot argument '=3': unknown, ignored\n");
	bad("seed", "boot argument 'seed': needs a value, ignored\n");
	bad("seeds=1", "boot argument 'seeds=1': unknown, ignored\n");
	bad("see=1", "boot argument 'see=1': unknown, ignored\n");
}

static void a_malformed_number_is_named_and_ignored(void **state)
{
	(void)state;
	bad("seed=", "boot argument 'seed=': not a number, ignored\n");
	bad("seed=-1", "boot argument 'seed=-1': not a number, ignored\n");
	bad("seed=1x", "boot argument 'seed=1x': not a number, ignored\n");
	bad("seed=0x", "boot argument 'seed=0x': not a number, ignored\n");
	bad("seed=a", "boot argument 'seed=a': not a number, ignored\n");
	bad("seed=k", "boot argument 'seed=k': not a number, ignored\n");
	bad("seed=18446744073709551616",
	    "boot argument 'seed=18446744073709551616': not a number, ignored\n");
	bad("seed=17179869184g", "boot argument 'seed=17179869184g': not a number, ignored\n");
}

static void a_number_out_of_range_is_named_and_ignored(void **state)
{
	(void)state;
	bad("cpus=0", "boot argument 'cpus=0': not in 1-64, ignored\n");
	bad("cpus=65", "boot argument 'cpus=65': not in 1-64, ignored\n");
	assert_int_equal(parse("seed=18446744073709551615"), 0);
	assert_int_equal(args.seed, UINT64_MAX);
	assert_int_equal(parse("seed=0x3g"), 0);
	assert_int_equal(args.seed, 3 * GIB);
}

static void a_choice_that_is_none_is_named_and_ignored(void **state)
{
	(void)state;
	bad("bbm=par", "boot argument 'bbm=par': not one of park|retry|bbml2|naive, ignored\n");
	bad("warden=1", "boot argument 'warden=1': not one of cpu0 to cpu63, ignored\n");
	bad("warden=cpu", "boot argument 'warden=cpu': not one of cpu0 to cpu63, ignored\n");
	bad("warden=cpu64", "boot argument 'warden=cpu64': not one of cpu0 to cpu63, ignored\n");
	bad("bbm=", "boot argument 'bbm=': not one of park|retry|bbml2|naive, ignored\n");
	bad("bbm=park|retry",
	    "boot argument 'bbm=park|retry': not one of park|retry|bbml2|naive, ignored\n");
}

static void a_bad_word_does_not_stop_the_others(void **state)
{
	(void)state;
	assert_int_equal(parse("x=1 seed=5 cpus=99 cycles=7"), 2);
	assert_int_equal(args.seed, 5);
	assert_int_equal(args.cycles, 7);
	assert_int_equal(args.cpus, MAX_CPUS);
}

static void long_texts_are_refused_and_shown_short(void **state)
{
	char line[200] = "only=";
	char expected[200];

	(void)state;
	memset(line + 5, 'a', BOOTARG_TEXT_BYTES - 1);
	assert_int_equal(parse(line), 0);
	assert_int_equal(strlen(args.only), BOOTARG_TEXT_BYTES - 1);
	assert_false(args.cut);
	line[5 + BOOTARG_TEXT_BYTES - 1] = 'a';
	snprintf(expected, sizeof(expected),
		 "boot argument '%.48s'...: longer than 63 characters, ignored\n", line);
	assert_int_equal(parse(line), 1);
	assert_string_equal(reports, expected);
	assert_int_equal(strlen(args.only), 0);
	assert_true(args.cut); /* for who would run all of them instead */
}

/* Compare with the C library's, which is what the formats mean. */
#define SAME_AS_LIBC(...)                                                       \
	do {                                                                    \
		char ours[128], theirs[128];                                    \
		size_t ours_len = ksnprintf(ours, sizeof(ours), __VA_ARGS__);   \
		int theirs_len = snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
		assert_string_equal(ours, theirs);                              \
		assert_int_equal(ours_len, theirs_len);                         \
	} while (0)

static void formats_mean_what_they_mean_in_c(void **state)
{
	(void)state;
	SAME_AS_LIBC("%d|%5d|%-5d|%05d|%i", -42, -42, -42, -42, 7);
	SAME_AS_LIBC("%d %ld %lld", INT_MIN, LONG_MIN, LLONG_MIN);
	SAME_AS_LIBC("%u %lu %llu %zu", UINT_MAX, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
	SAME_AS_LIBC("%x|%X|%08x|%-8x|%16lx|%llx", 0xbeefU, 0xbeefU, 0xbeefU, 0xbeefU, 0xfUL,
		     0x123456789abcULL);
	SAME_AS_LIBC("%#x|%#lx|%#010x|%#-8x|%#x", 0xbeefU, ~0UL, 0xbeefU, 0xfU, 0U);
	SAME_AS_LIBC("%s|%8s|%-8s|%.2s|%.*s|%*s|%-*s", "abc", "abc", "abc", "abc", 1, "abc", 5,
		     "abc", 5, "abc");
	SAME_AS_LIBC("%c%c%%|%3c|%-3c|", 'x', 'y', 'z', 'w');
	SAME_AS_LIBC("%p", (void *)(uintptr_t)0xffff000012345678);
	SAME_AS_LIBC("%4lu.%06lu", 0UL, 1234UL);
	SAME_AS_LIBC("%d", 0);
	SAME_AS_LIBC("%*d|%*d", 6, 42, -6, 42);
}

static void output_is_cut_and_terminated(void **state)
{
	char to[8] = "#######";

	(void)state;
	assert_int_equal(ksnprintf(to, 4, "%s", "abcdef"), 6);
	assert_memory_equal(to, "abc\0###", 8);
	assert_int_equal(ksnprintf(to, 0, "%s", "xyz"), 3);
	assert_memory_equal(to, "abc\0###", 8);
	assert_int_equal(ksnprintf(to, 1, "%d", 12345), 5);
	assert_int_equal(to[0], '\0');
}

static char put_text[32];

static void put(char c)
{
	size_t len = strlen(put_text);

	put_text[len] = c;
	put_text[len + 1] = '\0';
}

static void emit(struct format_out *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	format_out(out, fmt, ap);
	va_end(ap);
}

static void a_function_gets_every_character(void **state)
{
	/* Not a literal: the compiler would refuse what it does not know, and so must we. */
	static const char *volatile unknown = "%d %q %";
	struct format_out out = { .put = put };

	(void)state;
	put_text[0] = '\0';
	emit(&out, unknown, 5);
	assert_string_equal(put_text, "5 %q %");
	assert_int_equal(out.len, 6);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_line_gives_the_defaults),
		cmocka_unit_test(words_for_programs_pass),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(each_choice_is_its_enumerator),
		cmocka_unit_test(an_unknown_word_is_named_and_ignored),
		cmocka_unit_test(a_malformed_number_is_named_and_ignored),
		cmocka_unit_test(a_number_out_of_range_is_named_and_ignored),
		cmocka_unit_test(a_choice_that_is_none_is_named_and_ignored),
		cmocka_unit_test(a_bad_word_does_not_stop_the_others),
		cmocka_unit_test(long_texts_are_refused_and_shown_short),
		cmocka_unit_test(formats_mean_what_they_mean_in_c),
		cmocka_unit_test(output_is_cut_and_terminated),
		cmocka_unit_test(a_function_gets_every_character),
	};

	return cmocka_run_group_tests_name("bootargs", tests, NULL, NULL);
}
