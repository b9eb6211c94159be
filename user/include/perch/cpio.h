/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/cpio.h - read a cpio archive of the kind `newc`: the initial RAM disk.
 *
 * Nothing in the archive is believed before it was checked, so a damaged one is an error that says
 * where and what. Pure: works on bytes in memory, on the host too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cpio_file {
	const char *name; /* ends in NUL, inside the archive */
	const uint8_t *data;
	size_t bytes;
	uint32_t mode;
};

enum cpio_result {
	CPIO_FILE,      /* *out is the next file */
	CPIO_END,       /* the trailer was reached */
	CPIO_TRUNCATED, /* the archive ends in the middle of an entry, or has no trailer */
	CPIO_MAGIC,     /* an entry does not begin with 070701 */
	CPIO_NUMBER,    /* a field of the header is not hexadecimal */
	CPIO_NAME,      /* a name that is empty or does not end in NUL */
};

/*
 * The entry at *offset, which is 0 at first; on CPIO_FILE it then leads to the next one, else it
 * is where the archive is wrong, and *out is not written.
 */
enum cpio_result cpio_next(const void *archive, size_t bytes, size_t *offset,
			   struct cpio_file *out);

/* The file of this name ("hello" finds "./hello" too). CPIO_END: there is none. */
enum cpio_result cpio_find(const void *archive, size_t bytes, const char *name,
			   struct cpio_file *out);

/* What a result means, in words. */
const char *cpio_says(enum cpio_result result);
