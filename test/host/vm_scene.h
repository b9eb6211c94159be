/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/vm_scene.h - a space, frames and a charge for the tests of memory objects.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vm/fault.h"
#include "vm/space_impl.h"

#define FRAMES (UINT64_C(1) << 13)
#define FIRST_FRAME UINT64_C(0x8000)
#define AT (4 * BLOCK_BYTES)
#define RW (VM_READ | VM_WRITE)
#define ALL (VM_READ | VM_WRITE | VM_EXEC)

extern struct memcharge charge;
extern struct space *space;

/* Boot the simulated machine, silent, with FRAMES frames and a pool; for cmocka. */
int vm_boot(void **state);

void open_space(void);
/* Everything must be back: frames, what was charged, spares. */
void close_space(void);

struct memory_object *anon(uint64_t bytes);
enum kerr map_at(struct memory_object *object, uint64_t offset, uint64_t at, uint64_t bytes,
		 unsigned prot);
/* A fault as a CPU would report it. */
enum fault_verdict fault(uint64_t at, unsigned access);
/* Access every page of a range; all must be resolved. */
void touch_all(uint64_t at, uint64_t bytes, unsigned access);
