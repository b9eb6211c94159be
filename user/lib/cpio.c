/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/cpio.c - see perch/cpio.h.
 *
 * THEORY   An entry is a header of 110 characters (a magic number and 13 fields of eight
 *          hexadecimal digits), the name with its NUL, and the data; name and data are each padded
 *          so that the next part begins at a multiple of four. The last entry is called TRAILER!!!.
 */
#include <perch/cpio.h>

#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 110u
#define MAGIC_BYTES 6u
#define FIELD_BYTES 8u

enum cpio_field { FIELD_MODE = 1, FIELD_FILE_BYTES = 6, FIELD_NAME_BYTES = 11 };

static bool read_field(const uint8_t *header, enum cpio_field field, uint32_t *out)
{
	const uint8_t *digits = header + MAGIC_BYTES + FIELD_BYTES * (unsigned)field;
	uint32_t value = 0;

	for (unsigned i = 0; i < FIELD_BYTES; i++) {
		const uint8_t c = digits[i];
		uint32_t digit;

		if (c >= '0' && c <= '9') {
			digit = (uint32_t)(c - '0');
		} else if (c >= 'a' && c <= 'f') {
			digit = (uint32_t)(c - 'a') + 10;
		} else if (c >= 'A' && c <= 'F') {
			digit = (uint32_t)(c - 'A') + 10;
		} else {
			return false;
		}
		value = value << 4 | digit;
	}
	*out = value;
	return true;
}

static size_t padded(size_t bytes)
{
	return (bytes + 3) & ~(size_t)3;
}

enum cpio_result cpio_next(const void *archive, size_t bytes, size_t *offset, struct cpio_file *out)
{
	const size_t at = *offset;
	const uint8_t *const header = (const uint8_t *)archive + at;
	uint32_t name_bytes, file_bytes, mode;

	if (at > bytes || bytes - at < HEADER_BYTES) {
		return CPIO_TRUNCATED;
	}
	if (memcmp(header, "070701", MAGIC_BYTES) != 0) {
		return CPIO_MAGIC;
	}
	if (!read_field(header, FIELD_NAME_BYTES, &name_bytes) ||
	    !read_field(header, FIELD_FILE_BYTES, &file_bytes) ||
	    !read_field(header, FIELD_MODE, &mode)) {
		return CPIO_NUMBER;
	}
	const size_t left = bytes - at - HEADER_BYTES;
	if (name_bytes > left) {
		return CPIO_TRUNCATED;
	}
	const char *const name = (const char *)header + HEADER_BYTES;
	if (name_bytes < 2 || memchr(name, '\0', name_bytes) != name + name_bytes - 1) {
		return CPIO_NAME;
	}
	if (strcmp(name, "TRAILER!!!") == 0) {
		return CPIO_END;
	}
	/* The archive begins at a multiple of four, so offsets can be padded. */
	const size_t data = padded(at + HEADER_BYTES + name_bytes);
	if (data > bytes || file_bytes > bytes - data) {
		return CPIO_TRUNCATED;
	}
	*out = (struct cpio_file){ name, (const uint8_t *)archive + data, file_bytes, mode };
	*offset = padded(data + file_bytes);
	return CPIO_FILE;
}

enum cpio_result cpio_find(const void *archive, size_t bytes, const char *name,
			   struct cpio_file *out)
{
	struct cpio_file file;
	enum cpio_result result;
	size_t offset = 0;

	while ((result = cpio_next(archive, bytes, &offset, &file)) == CPIO_FILE) {
		const char *const plain = strncmp(file.name, "./", 2) == 0 ? file.name + 2
									   : file.name;

		if (strcmp(plain, name) == 0) {
			*out = file;
			return CPIO_FILE;
		}
	}
	return result;
}

const char *cpio_says(enum cpio_result result)
{
	switch (result) {
	case CPIO_FILE:
		return "found";
	case CPIO_END:
		return "not in the archive";
	case CPIO_TRUNCATED:
		return "the archive is cut off";
	case CPIO_MAGIC:
		return "an entry does not begin with 070701";
	case CPIO_NUMBER:
		return "a field of an entry is no number";
	case CPIO_NAME:
		return "an entry has no proper name";
	}
	return "?";
}
