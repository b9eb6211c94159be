/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/format.h - printf formats, into a buffer or into a function.
 *
 * Formats: %s %c %d %i %u %x %X %p %%, length l, ll, z, flags `-`, `0` and (x, X) `#`, a width
 * and, for %s, a precision (both may be `*`). Anything else is printed as it stands, and no
 * argument is taken.
 */
#pragma once

#include <stdarg.h>
#include <types.h>

/* Where formatted characters go: to `put` if it is set, else into `to` while they fit. */
struct format_out {
	char *to;
	size_t size_bytes;
	size_t len; /* characters so far, those that did not fit too */
	void (*put)(char c);
};

[[gnu::format(printf, 2, 0)]] void format_out(struct format_out *out, const char *fmt, va_list ap);

/*
 * Format into `to`, at most size_bytes with the terminating 0 (always written if size_bytes > 0).
 * Returns the length the whole text would have had, without the 0.
 */
[[gnu::format(printf, 3, 4)]] size_t ksnprintf(char *to, size_t size_bytes, const char *fmt, ...);
[[gnu::format(printf, 3, 0)]] size_t kvsnprintf(char *to, size_t size_bytes, const char *fmt,
						va_list ap);
