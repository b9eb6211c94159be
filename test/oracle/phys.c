/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/phys.c - guest physical memory.
 *
 * THEORY   The plugin interface has no physical read, and a read by virtual address needs a
 *          mapping that the guest may not have. But it tells the host address of an instruction
 *          that is being translated, and RAM is one run of host memory: one instruction whose
 *          physical address is known therefore gives the whole block. The block's bounds are
 *          those of the host mapping, so that a wild descriptor cannot make us fault.
 *
 * FAILURE  Memory in which no instruction ever ran (a second NUMA node) stays unknown. It is then
 *          read through a virtual address that maps to it, which the caller must know.
 */
#include <stdio.h>
#include <string.h>

#include "oracle.h"
#include "qemu_api.h"

#define MAX_BLOCKS 16u

/* [g.lock] for writing; a reader without it sees `block_count` last */
static struct {
	uint64_t pa, size;
	const char *host;
} block[MAX_BLOCKS];
static _Atomic(unsigned) block_count;

bool phys_known(const void *host)
{
	unsigned count = atomic_load(&block_count);

	for (unsigned i = 0; i < count; i++) {
		if ((const char *)host >= block[i].host &&
		    (const char *)host < block[i].host + block[i].size) {
			return true;
		}
	}
	return false;
}

void phys_learn(uint64_t pa, const void *host)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t at = (uintptr_t)host;
	char line[512];
	uintptr_t start, end;

	while (maps != NULL && block_count < MAX_BLOCKS && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx", &start, &end) != 2 || at < start || at >= end) {
			continue;
		}
		if (at - start > pa) {
			start = at - pa; /* the mapping begins below what address 0 would be */
		}
		block[block_count].pa = pa - (at - start);
		block[block_count].size = end - start;
		block[block_count].host = (const char *)start;
		atomic_fetch_add(&block_count, 1);
		break;
	}
	if (maps != NULL) {
		fclose(maps);
	}
}

bool phys_read(uint64_t pa, uint64_t *value)
{
	unsigned count = atomic_load(&block_count);

	for (unsigned i = 0; i < count; i++) {
		if (pa >= block[i].pa && pa - block[i].pa + 8 <= block[i].size) {
			*value = __atomic_load_n(
				(const uint64_t *)(const void *)(block[i].host +
								 (pa - block[i].pa)),
				__ATOMIC_ACQUIRE);
			return true;
		}
	}
	return false;
}

/* Read by virtual address, on the CPU that is executing: slow, and only where va is mapped. */
bool phys_read_through(uint64_t va, void *to, size_t bytes)
{
	static _Thread_local struct glib_bytes *buf;

	if (buf == NULL) {
		buf = g_byte_array_new();
	}
	if (!qemu_plugin_read_memory_vaddr(va, buf, bytes)) {
		return false;
	}
	memcpy(to, buf->data, bytes);
	return true;
}

/* One descriptor at pa, which va maps to at this moment. */
bool phys_read_either(uint64_t pa, uint64_t va, uint64_t *value)
{
	return phys_read(pa, value) || phys_read_through(va, value, sizeof(*value));
}
