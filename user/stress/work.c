/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/stress/work.c - the workloads: what a worker does in one cycle.
 */
#include <stdlib.h>
#include <string.h>

#include "user/stress/stress.h"

#define RW (VM_READ | VM_WRITE)
#define PAGES_PER_BLOCK (BLOCK_BYTES / PAGE_BYTES)
#define HEAP_PIECES 16u
#define HEAP_MOST (UINT64_C(256) * KIB)

static volatile uint64_t *word_at(uint64_t address)
{
	return (volatile uint64_t *)(uintptr_t)address;
}

void pattern_write(uint64_t address, uint64_t bytes, uint64_t key)
{
	for (uint64_t page = address; page < address + bytes; page += PAGE_BYTES) {
		*word_at(page) = pattern(page, key);
		*word_at(page + PAGE_BYTES - 8) = pattern(page + PAGE_BYTES - 8, key);
	}
}

void pattern_check(struct worker *w, uint64_t address, uint64_t bytes, uint64_t key)
{
	for (uint64_t page = address; page < address + bytes; page += PAGE_BYTES) {
		w->wrong += *word_at(page) != pattern(page, key);
		w->wrong += *word_at(page + PAGE_BYTES - 8) != pattern(page + PAGE_BYTES - 8, key);
	}
}

bool stress_ok(struct worker *w, enum kerr e)
{
	if (e != KERR_OK && e != KERR_BUSY) {
		w->refused++;
	}
	return e == KERR_OK;
}

uint64_t stress_map(struct worker *w, enum memory_kind kind, uint64_t bytes)
{
	handle_t memory;
	uint64_t at = 0;

	if (stress_ok(w, sys_mem_create(kind, bytes, HANDLE_NONE, 0, &memory))) {
		if (!stress_ok(w, sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes, RW, &at))) {
			at = 0;
		}
		(void)stress_ok(w, sys_handle_close(memory));
	}
	return at;
}

void stress_unmap(struct worker *w, uint64_t address, uint64_t bytes)
{
	enum kerr e;

	do {
		e = sys_mem_unmap(HANDLE_NONE, address, bytes);
	} while (e == KERR_BUSY);
	(void)stress_ok(w, e);
}

static void note_leaf(struct worker *w, uint64_t address)
{
	uint64_t leaf, flags, offset, physical;

	if (stress_ok(w, sys_mem_query(HANDLE_NONE, address, &leaf, &flags, &offset, &physical)) &&
	    leaf >= BLOCK_BYTES) {
		w->superpages++;
	}
}

/* Touch two blocks page by page in some order: each becomes a superpage at its last page. */
void work_fill(struct worker *w)
{
	const uint64_t bytes = 2 * BLOCK_BYTES, key = random_next(&w->seed);
	const uint64_t at = stress_map(w, MEM_ANON, bytes);
	const uint64_t pages = bytes / PAGE_BYTES;
	const uint64_t step = random_next(&w->seed) | 1; /* odd: every page once */

	if (at == 0) {
		return;
	}
	for (uint64_t i = 0; i < pages; i++) {
		const uint64_t page = at + i * step % pages * PAGE_BYTES;

		w->wrong += *word_at(page) != 0;
		pattern_write(page, PAGE_BYTES, key);
	}
	if (w->plant) {
		*word_at(at + key % pages * PAGE_BYTES) ^= 1;
		w->plant = false;
	}
	note_leaf(w, at);
	pattern_check(w, at, bytes, key);
	stress_unmap(w, at, bytes);
}

/* Make pages of a superpage read-only and writable again, and see that the rest does not care. */
void work_protect(struct worker *w)
{
	const uint64_t key = random_next(&w->seed), at = stress_map(w, MEM_ANON, BLOCK_BYTES);

	if (at == 0) {
		return;
	}
	pattern_write(at, BLOCK_BYTES, key);
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t first = random_next(&w->seed) % PAGES_PER_BLOCK;
		const uint64_t room = PAGES_PER_BLOCK - first;
		const uint64_t count = 1 + random_next(&w->seed) % (room < 20 ? room : 20);
		const uint64_t page = at + first * PAGE_BYTES;

		if (!stress_ok(w,
			       sys_mem_protect(HANDLE_NONE, page, count * PAGE_BYTES, VM_READ))) {
			continue;
		}
		pattern_check(w, page, count * PAGE_BYTES, key);
		enum kerr e;
		do {
			e = sys_mem_protect(HANDLE_NONE, page, count * PAGE_BYTES, RW);
		} while (e == KERR_BUSY);
		(void)stress_ok(w, e);
		pattern_write(page, count * PAGE_BYTES, key);
	}
	note_leaf(w, at);
	pattern_check(w, at, BLOCK_BYTES, key);
	stress_unmap(w, at, BLOCK_BYTES);
}

/* The C library's heap, with many threads in it. */
void work_heap(struct worker *w)
{
	struct {
		unsigned char *data;
		size_t bytes;
		unsigned char mark;
	} piece[HEAP_PIECES] = { 0 };

	for (unsigned i = 0; i < 4 * HEAP_PIECES; i++) {
		const unsigned n = (unsigned)(random_next(&w->seed) % HEAP_PIECES);

		if (piece[n].data != nullptr) {
			w->wrong += piece[n].data[0] != piece[n].mark ||
				    piece[n].data[piece[n].bytes - 1] != piece[n].mark;
			free(piece[n].data);
		}
		piece[n].bytes = 1 + random_next(&w->seed) % HEAP_MOST;
		piece[n].mark = (unsigned char)random_next(&w->seed);
		piece[n].data = malloc(piece[n].bytes);
		if (piece[n].data == nullptr) {
			w->refused++;
			continue;
		}
		memset(piece[n].data, piece[n].mark, piece[n].bytes);
	}
	for (unsigned n = 0; n < HEAP_PIECES; n++) {
		free(piece[n].data);
	}
}

/* A hole in a superpage, filled again: the neighbours stay, the hole is zero. */
void work_remap(struct worker *w)
{
	const uint64_t key = random_next(&w->seed), at = stress_map(w, MEM_ANON, BLOCK_BYTES);
	const uint64_t page = at + random_next(&w->seed) % PAGES_PER_BLOCK * PAGE_BYTES;
	handle_t memory;
	uint64_t mapped;

	if (at == 0) {
		return;
	}
	pattern_write(at, BLOCK_BYTES, key);
	stress_unmap(w, page, PAGE_BYTES);
	if (stress_ok(w, sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &memory))) {
		const enum kerr e = sys_mem_map(HANDLE_NONE, memory, 0, page, PAGE_BYTES,
						RW | VM_FIXED, &mapped);

		(void)stress_ok(w, sys_handle_close(memory));
		/* Another thread may have been given the hole. */
		if (e == KERR_OK) {
			w->wrong += *word_at(page) != 0;
			pattern_write(page, PAGE_BYTES, key);
			pattern_check(w, at, BLOCK_BYTES, key);
		} else {
			w->refused += e != KERR_EXISTS && e != KERR_BUSY;
		}
		if (e == KERR_OK) {
			stress_unmap(w, at, BLOCK_BYTES);
			return;
		}
	}
	if (page > at) {
		stress_unmap(w, at, page - at);
	}
	if (page + PAGE_BYTES < at + BLOCK_BYTES) {
		stress_unmap(w, page + PAGE_BYTES, at + BLOCK_BYTES - page - PAGE_BYTES);
	}
}

/* Memory that leaves the kernel's linear map, which is demoted for it while all CPUs run. */
void work_secret(struct worker *w)
{
	const uint64_t bytes = (1 + random_next(&w->seed) % 8) * PAGE_BYTES;
	const uint64_t key = random_next(&w->seed), at = stress_map(w, MEM_SECRET, bytes);

	if (at == 0) {
		return;
	}
	w->wrong += *word_at(at) != 0;
	pattern_write(at, bytes, key);
	(void)sys_thread_yield();
	pattern_check(w, at, bytes, key);
	stress_unmap(w, at, bytes);
}
