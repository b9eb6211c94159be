/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/format.c - printf formats, into a buffer or into a function.
 *
 * THEORY   One character at a time to a struct format_out; nothing is allocated, nothing is
 *          buffered, and no state is kept, so it runs anywhere: with the MMU off, in the vectors.
 *          A conversion that is not ours takes no argument: the ones after it then print
 *          nonsense, which is why the compiler checks formats (see the attributes).
 * NOT HERE Floating point, positions (%1$d), %n.
 */
#include "kern/format.h"

#include <string.h>

#define NUMBER_BYTES 20 /* digits of 2^64 - 1 in decimal; hexadecimal needs 16 */

struct spec {
	bool left;
	bool zero;
	bool alternate; /* `#`: 0x before a hexadecimal number */
	bool upper;
	unsigned width;
	unsigned precision; /* UINT32_MAX: none */
	unsigned longs; /* number of l, z counts as two */
};

static void out_char(struct format_out *out, char c)
{
	if (out->put != NULL) {
		out->put(c);
	} else if (out->len + 1 < out->size_bytes) {
		out->to[out->len] = c;
	}
	out->len++;
}

static void out_fill(struct format_out *out, char c, unsigned count)
{
	while (count > 0) {
		out_char(out, c);
		count--;
	}
}

static void out_text(struct format_out *out, const struct spec *spec, const char *s, size_t len)
{
	unsigned pad = spec->width > len ? spec->width - (unsigned)len : 0;

	if (!spec->left) {
		out_fill(out, ' ', pad);
	}
	for (size_t i = 0; i < len; i++) {
		out_char(out, s[i]);
	}
	if (spec->left) {
		out_fill(out, ' ', pad);
	}
}

/* `prefix` ("-", "0x" or "") stays in front of padding zeros. */
static void out_number(struct format_out *out, const struct spec *spec, uint64_t value,
		       unsigned radix, const char *prefix)
{
	char digit[NUMBER_BYTES];
	unsigned count = 0;
	unsigned prefix_len = (unsigned)strlen(prefix);

	do {
		unsigned d = (unsigned)(value % radix);

		digit[count++] = (char)(d < 10 ? '0' + d : (spec->upper ? 'A' : 'a') + (d - 10));
		value /= radix;
	} while (value != 0);

	unsigned len = count + prefix_len;
	unsigned pad = spec->width > len ? spec->width - len : 0;

	if (!spec->left && !spec->zero) {
		out_fill(out, ' ', pad);
	}
	for (unsigned i = 0; i < prefix_len; i++) {
		out_char(out, prefix[i]);
	}
	if (!spec->left && spec->zero) {
		out_fill(out, '0', pad);
	}
	while (count > 0) {
		out_char(out, digit[--count]);
	}
	if (spec->left) {
		out_fill(out, ' ', pad);
	}
}

static const char *parse_number(const char *f, unsigned *value)
{
	*value = 0;
	while (*f >= '0' && *f <= '9') {
		*value = *value * 10 + (unsigned)(*f++ - '0');
	}
	return f;
}

/* Flags, width, precision and length; *f is left at the conversion character. */
static struct spec parse_spec(const char **fmt, va_list *ap)
{
	struct spec spec = { .precision = UINT32_MAX };
	const char *f = *fmt;

	for (; *f == '-' || *f == '0' || *f == '#'; f++) {
		spec.left |= *f == '-';
		spec.alternate |= *f == '#';
		spec.zero |= *f == '0';
	}
	if (*f == '*') {
		int width = va_arg(*ap, int);

		spec.left |= width < 0;
		spec.width = (unsigned)(width < 0 ? -width : width);
		f++;
	} else {
		f = parse_number(f, &spec.width);
	}
	if (*f == '.') {
		f++;
		if (*f == '*') {
			int precision = va_arg(*ap, int);

			spec.precision = precision < 0 ? UINT32_MAX : (unsigned)precision;
			f++;
		} else {
			f = parse_number(f, &spec.precision);
		}
	}
	for (; *f == 'l' || *f == 'z'; f++) {
		spec.longs += *f == 'z' ? 2 : 1;
	}
	*fmt = f;
	return spec;
}

static void out_signed(struct format_out *out, const struct spec *spec, int64_t v)
{
	out_number(out, spec, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "");
}

static void out_unsigned(struct format_out *out, const struct spec *spec, char conversion,
			 uint64_t v)
{
	const char *prefix = "";

	/* As in C, a zero has no prefix. */
	if (spec->alternate && conversion != 'u' && v != 0) {
		prefix = spec->upper ? "0X" : "0x";
	}
	out_number(out, spec, v, conversion == 'u' ? 10 : 16, prefix);
}

static void out_string(struct format_out *out, const struct spec *spec, const char *s)
{
	if (s == NULL) {
		s = "(null)";
	}
	out_text(out, spec, s, strnlen(s, spec->precision));
}

/* One conversion. Returns false, having taken no argument, if it is none of ours. */
static bool out_conversion(struct format_out *out, const struct spec *spec, char conversion,
			   va_list *ap)
{
	char c;

	switch (conversion) {
	case 'd':
	case 'i':
		out_signed(out, spec, spec->longs > 0 ? va_arg(*ap, long) : va_arg(*ap, int));
		return true;
	case 'u':
	case 'x':
	case 'X':
		out_unsigned(out, spec, conversion,
			     spec->longs > 0 ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned));
		return true;
	case 'p':
		out_number(out, spec, (uintptr_t)va_arg(*ap, void *), 16, "0x");
		return true;
	case 'c':
		c = (char)va_arg(*ap, int);
		out_text(out, spec, &c, 1);
		return true;
	case 's':
		out_string(out, spec, va_arg(*ap, const char *));
		return true;
	case '%':
		out_char(out, '%');
		return true;
	default:
		return false;
	}
}

static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t));

void format_out(struct format_out *out, const char *fmt, va_list ap)
{
	va_list args;

	va_copy(args, ap);
	while (*fmt != '\0') {
		if (*fmt != '%') {
			out_char(out, *fmt++);
			continue;
		}
		const char *start = fmt++;
		struct spec spec = parse_spec(&fmt, &args);

		spec.upper = *fmt == 'X';
		if (*fmt != '\0' && out_conversion(out, &spec, *fmt, &args)) {
			fmt++;
		} else {
			while (start < fmt) {
				out_char(out, *start++);
			}
		}
	}
	va_end(args);
}

size_t kvsnprintf(char *to, size_t size_bytes, const char *fmt, va_list ap)
{
	struct format_out out = { .to = to, .size_bytes = size_bytes };

	format_out(&out, fmt, ap);
	if (size_bytes > 0) {
		to[out.len < size_bytes ? out.len : size_bytes - 1] = '\0';
	}
	return out.len;
}

size_t ksnprintf(char *to, size_t size_bytes, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	size_t len = kvsnprintf(to, size_bytes, fmt, ap);

	va_end(ap);
	return len;
}
