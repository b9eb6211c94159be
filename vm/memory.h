/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/memory.h - physical memory at boot: which is pinned, which is linear, which is not ours.
 *
 * THEORY   RAM, less what is reserved and the image, is free. From it each node that has CPUs
 *          gives 2 MiB blocks for their slices, mapped in the pinned map by one level-2 entry each
 *          and never again (R1); what the slices leave is the pinned heap. The frame array is
 *          pinned too. All the rest is mapped in the linear map with the largest entries, and its
 *          frames are managed by vm/frame.h. A pinned frame has no linear alias.
 */
#pragma once

#include <bootinfo.h>
#include <kerr.h>
#include <types.h>

struct memory_summary {
	uint64_t ram;           /* bytes in the tree */
	uint64_t linear;        /* bytes in the linear map */
	uint64_t pcpu_blocks;   /* 2 MiB blocks for slices, and the heap around them */
	uint64_t frame_blocks;  /* 2 MiB blocks of frame states */
	uint64_t slice_bytes;   /* of them: slices */
};

/*
 * Lay out memory, make slices for info->cpu[0..cpu_count). Panics when there is too little.
 * Boot CPU, once. *out stays. `image`, `image_bytes`: where the kernel lies.
 */
void memory_init(const struct bootinfo *info, pa_t image, uint64_t image_bytes, bool scattered,
		 struct memory_summary *out);

/*
 * Let the pinned heap grow by a 2 MiB block: out of the linear map through the window, into the
 * pinned map, registered. KERR_NO_MEMORY: no free block, or the cap is reached; KERR_BUSY.
 */
enum kerr memory_grow_pinned(void);

/* What RAM is used for now, in bytes. */
struct memory_use {
	uint64_t in_use;    /* the image, slices, frame states, tables, objects, contents */
	uint64_t heap_free; /* pinned, for the kernel's objects to come */
	uint64_t pool_free; /* set aside for devices */
};
struct memory_use memory_use(void);

/* Pinned slice of a CPU, also with pcpu=scattered, where the CPU itself uses another. */
uint64_t memory_lifeboat_slice(unsigned cpu);

/* pcpu=scattered: the 2 MiB of the kernel map in which the slices lie, by 4 KiB pages. */
va_t memory_scattered_block(void);
