/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/test_string.c - the string functions against the C library's.
 *
 * kern/string.c is included with its functions renamed, so that it does not replace the
 * library's. Every length up to a few words, at every alignment of both pointers, and every
 * distance of an overlap: that is where such code is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define memcpy our_memcpy
#define memmove our_memmove
#define memset our_memset
#define memcmp our_memcmp
#define memchr our_memchr
#define strlen our_strlen
#define strnlen our_strnlen
#define strcmp our_strcmp
#define strncmp our_strncmp
#define strchr our_strchr
#define strrchr our_strrchr
#define strtoul our_strtoul
#include "include/string.h"
#include "kern/string.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strnlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr
#undef strtoul

#define LEN_MAX 80
#define ROOM (3 * LEN_MAX)

static unsigned char ours[ROOM], theirs[ROOM], source[ROOM];

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void fill(void)
{
	for (unsigned i = 0; i < ROOM; i++) {
		source[i] = (unsigned char)(i * 7 + 1);
		ours[i] = theirs[i] = (unsigned char)(255 - i);
	}
}

static void copies_at_every_alignment(void **state)
{
	(void)state;
	for (size_t to = 0; to < 8; to++) {
		for (size_t from = 0; from < 8; from++) {
			for (size_t len = 0; len <= LEN_MAX; len++) {
				fill();
				assert_ptr_equal(our_memcpy(ours + to, source + from, len),
						 ours + to);
				memcpy(theirs + to, source + from, len);
				assert_memory_equal(ours, theirs, ROOM);
			}
		}
	}
}

static void moves_over_every_overlap(void **state)
{
	(void)state;
	for (size_t from = 24; from < 32; from++) {
		for (size_t to = from - 24; to <= from + 24; to++) {
			for (size_t len = 0; len <= LEN_MAX; len++) {
				fill();
				assert_ptr_equal(our_memmove(ours + to, ours + from, len),
						 ours + to);
				memmove(theirs + to, theirs + from, len);
				assert_memory_equal(ours, theirs, ROOM);
			}
		}
	}
}

static void sets_at_every_alignment(void **state)
{
	(void)state;
	for (size_t to = 0; to < 8; to++) {
		for (size_t len = 0; len <= LEN_MAX; len++) {
			fill();
			assert_ptr_equal(our_memset(ours + to, 0x1a5, len), ours + to);
			memset(theirs + to, 0x1a5, len);
			assert_memory_equal(ours, theirs, ROOM);
		}
	}
}

static void compares_and_finds_as_unsigned_bytes(void **state)
{
	(void)state;
	fill();
	for (size_t len = 0; len <= LEN_MAX; len++) {
		for (size_t at = 0; at <= LEN_MAX; at++) {
			memcpy(ours, source, ROOM);
			ours[at] ^= 0x80;
			assert_int_equal(sign(our_memcmp(ours, source, len)),
					 sign(memcmp(ours, source, len)));
			assert_ptr_equal(our_memchr(source, source[at], len),
					 memchr(source, source[at], len));
		}
	}
}

static void strings(void **state)
{
	static const char *const text[] = { "", "a", "ab", "abc", "abd", "a\xff", "aab", "/a/b/c" };

	(void)state;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		const char *s = text[i];

		assert_int_equal(our_strlen(s), strlen(s));
		for (size_t n = 0; n < 6; n++) {
			assert_int_equal(our_strnlen(s, n), strnlen(s, n));
		}
		for (const char *c = "ab/z";; c++) {
			assert_ptr_equal(our_strchr(s, *c), strchr(s, *c));
			assert_ptr_equal(our_strrchr(s, *c), strrchr(s, *c));
			if (*c == '\0') {
				break;
			}
		}
		for (size_t j = 0; j < sizeof(text) / sizeof(text[0]); j++) {
			assert_int_equal(sign(our_strcmp(s, text[j])), sign(strcmp(s, text[j])));
			for (size_t n = 0; n < 5; n++) {
				assert_int_equal(sign(our_strncmp(s, text[j], n)),
						 sign(strncmp(s, text[j], n)));
			}
		}
	}
}

static void numbers(void **state)
{
	static const char *const text[] = {
		"",
		"0",
		"42",
		" \t42x",
		"-1",
		"+7",
		"0x",
		"0x1F",
		"0xg",
		"010",
		"08",
		"zz",
		"-",
		"18446744073709551615",
		"18446744073709551616",
		"0xffffffffffffffffff",
		"1z",
	};
	static const int radix[] = { 0, 2, 8, 10, 16, 36 };

	(void)state;
	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		for (size_t r = 0; r < sizeof(radix) / sizeof(radix[0]); r++) {
			char *our_end, *their_end;
			unsigned long our_value = our_strtoul(text[i], &our_end, radix[r]);
			unsigned long their_value = strtoul(text[i], &their_end, radix[r]);

			assert_int_equal(our_value, their_value);
			assert_ptr_equal(our_end, their_end);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_at_every_alignment),
		cmocka_unit_test(moves_over_every_overlap),
		cmocka_unit_test(sets_at_every_alignment),
		cmocka_unit_test(compares_and_finds_as_unsigned_bytes),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
