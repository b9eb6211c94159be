/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/init_image.h - the first program as the kernel finds it in its own image.
 *
 * THEORY   The kernel has no ELF loader: scripts/flat turned init into this header, a page long,
 *          and segments that begin on pages of the image, so that the read-only ones can be mapped
 *          where they lie. init begins at `entry` with x0 = its handle on the machine; it makes its
 *          stack itself, and has the RAM disk in its constants.
 */
#pragma once

#include <types.h>

#define INIT_IMAGE_MAGIC UINT64_C(0x54494e4948435250) /* "PRCHINIT" */
#define INIT_IMAGE_SEGMENTS 4u

struct init_image {
	uint64_t magic;
	uint64_t entry;
	uint64_t segment_count;
	struct {
		uint64_t address;    /* page-aligned */
		uint64_t bytes;      /* in memory, whole pages */
		uint64_t offset;     /* of the contents, from this header; page-aligned */
		uint64_t fill_bytes; /* contents; the rest is zero */
		uint64_t flags;      /* VM_READ, VM_WRITE, VM_EXEC of abi.h */
	} segment[INIT_IMAGE_SEGMENTS];
};

/* user/init_image.S. */
extern const struct init_image init_image;
