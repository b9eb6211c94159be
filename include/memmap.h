/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/memmap.h - the kernel's half of the virtual address space (48 bits, 4 KiB granule).
 *
 *   ffff_0000_0000_0000  linear map   PA + LINEAR_BASE; all RAM but pinned RAM; changes size
 *   ffff_8000_0000_0000  pinned map   PA + PINNED_BASE; pinned RAM only, 2 MiB blocks, for ever
 *   ffff_a000_0000_0000  kmap         the dynamic kernel map; changes size
 *   ffff_b000_0000_0000  devices      GIC, UART, watchdog; pinned
 *   ffff_c000_0000_0000  lifeboat     all RAM, in the lifeboat root only: live tables leave it
 *   empty
 *   ffff_d000_0000_0000  boot window  the device tree while it is parsed, then empty
 *   ffff_ffff_8000_0000  image        kernel text, rodata, data; pinned
 *
 * A pinned frame has no alias in the linear map, so a range check by physical address (R3)
 * never refuses anything that the linear map may change.
 */
#pragma once

#ifdef __ASSEMBLER__
#define MM_U64(x) x
#else
#include <types.h>
#define MM_U64(x) UINT64_C(x)
#endif

#define PAGE_SHIFT 12
#define PAGE_BYTES MM_U64(0x1000)
#define BLOCK_SHIFT 21
#define BLOCK_BYTES MM_U64(0x200000)

/* What user space may map: the first 64 KiB never, so that a null pointer faults. */
#define USER_BASE MM_U64(0x10000)
#define USER_END MM_U64(0x0000800000000000) /* 128 TiB: half of what TTBR0 could hold */

#define LINEAR_BASE MM_U64(0xffff000000000000)
#define LINEAR_BYTES MM_U64(0x0000100000000000) /* 16 TiB of physical addresses */
#define PINNED_BASE MM_U64(0xffff800000000000)
#define KMAP_BASE MM_U64(0xffffa00000000000)
#define KMAP_BYTES MM_U64(0x0000001000000000) /* 64 GiB */
#define DEVICE_BASE MM_U64(0xffffb00000000000)
#define LIFEBOAT_BASE MM_U64(0xffffc00000000000)
/*
 * The live root and the lifeboat's are the two pages of an aligned pair, so a CPU gets from one to
 * the other by a bit of TTBR1_EL1: no memory is read for it.
 */
#define LIFEBOAT_ROOT_BIT 0x1000
#define BOOTWIN_BASE MM_U64(0xffffd00000000000)
#define IMAGE_BASE MM_U64(0xffffffff80000000)

/*
 * A CPU's slice of a per-CPU block: 64 KiB, 64 KiB-aligned, so that one mask tells whether
 * an address lies in it. Offsets grow upwards; stacks grow down from their top.
 */
#define SLICE_SHIFT 16
#define SLICE_BYTES 0x10000
#define SLICE_PCPU 0x0000     /* struct pcpu */
#define SLICE_MAILBOX 0x1000  /* struct mailbox */
#define SLICE_LIFEBOAT 0x2000 /* lifeboat stack, 8 KiB */
#define SLICE_LIFEBOAT_TOP 0x4000
#define SLICE_SPX 0x4000      /* exception stack, 8 KiB */
#define SLICE_SPX_TOP 0x6000
#define SLICE_SP0 0x6000      /* kernel stack, 16 KiB */
#define SLICE_SP0_TOP 0xa000
#define SLICE_RECORDER 0xa000 /* flight recorder, 24 KiB */
#define SLICE_RECORDER_TOP 0x10000
