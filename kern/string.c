/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/string.c - the C library string functions of include/string.h.
 *
 * THEORY   Before the MMU is on, all memory is Device memory, where an unaligned access faults.
 *          So a word is accessed only at a multiple of its size: both pointers are brought there
 *          byte by byte when they can be, and everything else goes by bytes.
 *          Built without builtins: the compiler must not turn a loop in memset() into memset().
 */
#include <stdint.h>
#include <string.h>

typedef uint64_t word_t [[gnu::may_alias]];

#define WORD_BYTES sizeof(word_t)

static size_t misalign_bytes(const void *p)
{
	return (uintptr_t)p % WORD_BYTES;
}

/* Whole words first to last, both pointers aligned; returns the number of bytes copied. */
static size_t copy_words_up(unsigned char *to, const unsigned char *from, size_t len_bytes)
{
	word_t *t = (word_t *)(void *)to;
	const word_t *f = (const word_t *)(const void *)from;
	size_t count = len_bytes / WORD_BYTES;

	/* Frames are copied with this: a cache line a round. */
	while (count >= 8) {
		const word_t a = f[0], b = f[1], c = f[2], d = f[3];
		const word_t g = f[4], h = f[5], i = f[6], j = f[7];

		t[0] = a, t[1] = b, t[2] = c, t[3] = d;
		t[4] = g, t[5] = h, t[6] = i, t[7] = j;
		t += 8;
		f += 8;
		count -= 8;
	}
	while (count > 0) {
		*t++ = *f++;
		count--;
	}
	return len_bytes - len_bytes % WORD_BYTES;
}

static void copy_up(unsigned char *t, const unsigned char *f, size_t len_bytes)
{
	if (misalign_bytes(t) == misalign_bytes(f)) {
		while (len_bytes > 0 && misalign_bytes(t) != 0) {
			*t++ = *f++;
			len_bytes--;
		}
		size_t done = copy_words_up(t, f, len_bytes);

		t += done;
		f += done;
		len_bytes -= done;
	}
	while (len_bytes > 0) {
		*t++ = *f++;
		len_bytes--;
	}
}

static void copy_down(unsigned char *t, const unsigned char *f, size_t len_bytes)
{
	bool words = misalign_bytes(t) == misalign_bytes(f);

	t += len_bytes;
	f += len_bytes;
	while (len_bytes > 0 && !(words && misalign_bytes(t) == 0 && len_bytes >= WORD_BYTES)) {
		*--t = *--f;
		len_bytes--;
	}
	while (len_bytes >= WORD_BYTES) {
		t -= WORD_BYTES;
		f -= WORD_BYTES;
		*(word_t *)(void *)t = *(const word_t *)(const void *)f;
		len_bytes -= WORD_BYTES;
	}
	while (len_bytes > 0) {
		*--t = *--f;
		len_bytes--;
	}
}

void *memcpy(void *restrict to, const void *restrict from, size_t len_bytes)
{
	copy_up(to, from, len_bytes);
	return to;
}

void *memmove(void *to, const void *from, size_t len_bytes)
{
	if ((uintptr_t)to - (uintptr_t)from >= len_bytes) {
		copy_up(to, from, len_bytes);
	} else {
		copy_down(to, from, len_bytes);
	}
	return to;
}

void *memset(void *to, int byte, size_t len_bytes)
{
	unsigned char *t = to;
	unsigned char b = (unsigned char)byte;
	word_t pattern = UINT64_C(0x0101010101010101) * b;

	while (len_bytes > 0 && misalign_bytes(t) != 0) {
		*t++ = b;
		len_bytes--;
	}
	/* Tables and objects are zeroed with this, under locks: a cache line a round. */
	while (len_bytes >= 8 * WORD_BYTES) {
		word_t *w = (word_t *)(void *)t;

		w[0] = pattern, w[1] = pattern, w[2] = pattern, w[3] = pattern;
		w[4] = pattern, w[5] = pattern, w[6] = pattern, w[7] = pattern;
		t += 8 * WORD_BYTES;
		len_bytes -= 8 * WORD_BYTES;
	}
	while (len_bytes >= WORD_BYTES) {
		*(word_t *)(void *)t = pattern;
		t += WORD_BYTES;
		len_bytes -= WORD_BYTES;
	}
	while (len_bytes > 0) {
		*t++ = b;
		len_bytes--;
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t len_bytes)
{
	const unsigned char *p = a;
	const unsigned char *q = b;

	for (; len_bytes > 0; p++, q++, len_bytes--) {
		if (*p != *q) {
			return *p - *q;
		}
	}
	return 0;
}

void *memchr(const void *in, int byte, size_t len_bytes)
{
	const unsigned char *p = in;

	for (; len_bytes > 0; p++, len_bytes--) {
		if (*p == (unsigned char)byte) {
			return (void *)(uintptr_t)p;
		}
	}
	return NULL;
}

size_t strlen(const char *s)
{
	const char *end = s;

	while (*end != '\0') {
		end++;
	}
	return (size_t)(end - s);
}

size_t strnlen(const char *s, size_t max_bytes)
{
	size_t len = 0;

	while (len < max_bytes && s[len] != '\0') {
		len++;
	}
	return len;
}

int strncmp(const char *a, const char *b, size_t max_bytes)
{
	for (; max_bytes > 0; a++, b++, max_bytes--) {
		unsigned char p = (unsigned char)*a;
		unsigned char q = (unsigned char)*b;

		if (p != q || p == '\0') {
			return p - q;
		}
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	while (*s != (char)c) {
		if (*s == '\0') {
			return NULL;
		}
		s++;
	}
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c) {
			last = s;
		}
	} while (*s++ != '\0');
	return (char *)(uintptr_t)last;
}

/* The value of a digit in any radix up to 36, or 36. */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'z') {
		return (unsigned)(c - 'a') + 10;
	}
	if (c >= 'A' && c <= 'Z') {
		return (unsigned)(c - 'A') + 10;
	}
	return 36;
}

/* Skip the prefix that the radix allows, and settle a radix of 0. */
static const char *radix_prefix(const char *s, unsigned *radix)
{
	if ((*radix == 0 || *radix == 16) && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') &&
	    digit_value(s[2]) < 16) {
		*radix = 16;
		return s + 2;
	}
	if (*radix == 0) {
		*radix = s[0] == '0' ? 8 : 10;
	}
	return s;
}

unsigned long strtoul(const char *restrict s, char **restrict end, int radix)
{
	const char *p = s;
	unsigned base = (unsigned)radix;
	unsigned long value = 0;
	bool negative = false, any = false, overflow = false;

	while (*p == ' ' || (*p >= '\t' && *p <= '\r')) {
		p++;
	}
	if (*p == '-' || *p == '+') {
		negative = *p++ == '-';
	}
	p = radix_prefix(p, &base);
	for (unsigned d; (d = digit_value(*p)) < base; p++) {
		overflow |= __builtin_mul_overflow(value, (unsigned long)base, &value);
		overflow |= __builtin_add_overflow(value, (unsigned long)d, &value);
		any = true;
	}
	if (end != NULL) {
		*end = (char *)(uintptr_t)(any ? p : s);
	}
	if (overflow) {
		return ~0UL;
	}
	return negative ? 0 - value : value;
}
