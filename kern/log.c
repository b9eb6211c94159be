/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/log.c - formatted output on the console.
 *
 * THEORY   One formatter feeds one character at a time to an `out`: a buffer, or the sink.
 *          The log must be usable by a CPU that has nothing but a stack: with the MMU off, from
 *          the vectors, after the tables are found to be garbage. So it has no buffer but the
 *          stack, no state but three pointers, and a lock only if one was given.
 * LOCKING  The lock given by log_set_lock() is held for one log_printf() or kprintf(). It is a
 *          leaf: nothing is called under it but the sink. log_panic() takes it out of use.
 * NOT HERE Which UART, buffering, levels, the decision that a line is worth printing.
 */
#include "kern/log.h"

#include <string.h>

#include "arch/arm64/timer.h"

#define NUMBER_BYTES 20 /* digits of 2^64 - 1 in decimal; hexadecimal needs 16 */

/* Set by the boot CPU before the others run, or by a CPU that stopped the others. */
static void (*sink_put)(char c);
static uint64_t (*lock_acquire)(void);
static void (*lock_release)(uint64_t state);
static unsigned (*cpu_hook)(void);
static unsigned cpu_fixed; /* what to print without a hook */

/* Where formatted characters go: into `to` while they fit, else (to == NULL) to the sink. */
struct out {
	char *to;
	size_t size_bytes;
	size_t len;
};

struct spec {
	bool left;
	bool zero;
	bool upper;
	unsigned width;
	unsigned precision; /* UINT32_MAX: none */
	unsigned longs; /* number of l, z counts as two */
};

static void sink_char(char c)
{
	if (c == '\n') {
		sink_put('\r');
	}
	sink_put(c);
}

static void out_char(struct out *out, char c)
{
	if (out->to == NULL) {
		sink_char(c);
	} else if (out->len + 1 < out->size_bytes) {
		out->to[out->len] = c;
	}
	out->len++;
}

static void out_fill(struct out *out, char c, unsigned count)
{
	while (count > 0) {
		out_char(out, c);
		count--;
	}
}

static void out_text(struct out *out, const struct spec *spec, const char *s, size_t len)
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
static void out_number(struct out *out, const struct spec *spec, uint64_t value, unsigned radix,
		       const char *prefix)
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

	for (; *f == '-' || *f == '0'; f++) {
		spec.left |= *f == '-';
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

static void out_signed(struct out *out, const struct spec *spec, int64_t v)
{
	out_number(out, spec, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0 ? "-" : "");
}

static void out_string(struct out *out, const struct spec *spec, const char *s)
{
	if (s == NULL) {
		s = "(null)";
	}
	out_text(out, spec, s, strnlen(s, spec->precision));
}

/* One conversion. Returns false, having taken no argument, if it is none of ours. */
static bool out_conversion(struct out *out, const struct spec *spec, char conversion, va_list *ap)
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
		out_number(out, spec,
			   spec->longs > 0 ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned),
			   conversion == 'u' ? 10 : 16, "");
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

static void format(struct out *out, const char *fmt, va_list *ap)
{
	while (*fmt != '\0') {
		if (*fmt != '%') {
			out_char(out, *fmt++);
			continue;
		}
		const char *start = fmt++;
		struct spec spec = parse_spec(&fmt, ap);

		spec.upper = *fmt == 'X';
		if (*fmt != '\0' && out_conversion(out, &spec, *fmt, ap)) {
			fmt++;
		} else {
			while (start < fmt) {
				out_char(out, *start++);
			}
		}
	}
}

size_t kvsnprintf(char *to, size_t size_bytes, const char *fmt, va_list ap)
{
	char none;
	struct out out = { size_bytes > 0 ? to : &none, size_bytes, 0 };
	va_list args;

	va_copy(args, ap);
	format(&out, fmt, &args);
	va_end(args);
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

static uint64_t log_acquire(void)
{
	return lock_acquire != NULL ? lock_acquire() : 0;
}

static void log_release(uint64_t state)
{
	if (lock_release != NULL) {
		lock_release(state);
	}
}

void kvprintf(const char *fmt, va_list ap)
{
	struct out out = { NULL, 0, 0 };
	va_list args;

	if (sink_put == NULL) {
		return;
	}
	va_copy(args, ap);
	uint64_t state = log_acquire();

	format(&out, fmt, &args);
	log_release(state);
	va_end(args);
}

void kprintf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kvprintf(fmt, ap);
	va_end(ap);
}

void kputs(const char *s)
{
	kprintf("%s", s);
}

void log_vprintf(const char *subsystem, const char *fmt, va_list ap)
{
	char line[LOG_LINE_BYTES];
	uint64_t us = timer_ticks_to_ns(arch_counter()) / 1000;
	unsigned cpu = cpu_hook != NULL ? cpu_hook() : cpu_fixed;
	size_t len = ksnprintf(line, sizeof(line),
			       "[%4lu.%06lu] cpu%u %s: ", (unsigned long)(us / 1000000),
			       (unsigned long)(us % 1000000), cpu, subsystem);

	if (len < sizeof(line)) {
		kvsnprintf(line + len, sizeof(line) - len, fmt, ap);
	}
	kprintf("%s\n", line);
}

void log_printf(const char *subsystem, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vprintf(subsystem, fmt, ap);
	va_end(ap);
}

void log_set_sink(const struct log_sink *sink)
{
	sink_put = sink != NULL ? sink->put : NULL;
}

void log_set_lock(const struct log_lock *lock)
{
	lock_acquire = lock != NULL ? lock->acquire : NULL;
	lock_release = lock != NULL ? lock->release : NULL;
}

void log_set_cpu_hook(unsigned (*cpu)(void))
{
	cpu_hook = cpu;
}

void log_panic(unsigned cpu)
{
	log_set_lock(NULL);
	cpu_hook = NULL;
	cpu_fixed = cpu;
}
