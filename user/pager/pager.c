/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/pager/pager.c - an external pager: memory whose contents another task makes up.
 *
 * THEORY   The pager owns a memory object and an endpoint. Whoever touches a page that is not there
 *          waits in the kernel, which asks at the endpoint; pager_supply() brings the page and lets
 *          them go on. Here a child maps the object and checks what it reads: page n holds n,
 *          n + 1, ... One page is declared to have no contents: its reader must take an exception.
 */
#include <perch/calls.h>
#include <perch/spawn.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 600u
#define PAGE_WITHOUT 599u
#define WORDS (PAGE_BYTES / sizeof(uint64_t))
#define CHILD_LIMIT (8 * MIB)
#define CHILD_NUMBER 1u
#define WAIT_NS UINT64_C(120000000000) /* a busy host starves the machine for many seconds */

static uint64_t page_buffer[WORDS] __attribute__((aligned(4096)));

/* The child: pages in a strange order, each twice, then the one that does not exist. */
static int read_pages(void)
{
	uint64_t at;

	if (sys_mem_map(HANDLE_NONE, start.extra, 0, 0, PAGES * PAGE_BYTES, VM_READ, &at) !=
	    KERR_OK) {
		return EXIT_FAILURE;
	}
	const volatile uint64_t *const words = (const volatile uint64_t *)(uintptr_t)at;
	for (unsigned i = 0; i < 2 * PAGES; i++) {
		const uint64_t page = i * 7 % PAGES;

		if (page != PAGE_WITHOUT && (words[page * WORDS] != page ||
					     words[page * WORDS + WORDS - 1] != page + WORDS - 1)) {
			return EXIT_FAILURE;
		}
	}
	return (int)words[PAGE_WITHOUT * WORDS]; /* never comes back */
}

static struct {
	handle_t endpoint, memory;
	unsigned supplied, asked;
	bool exception; /* the child's, at the page that is not there */
	bool ended;
} pager;

static void supply(uint64_t offset)
{
	const uint64_t page = offset / PAGE_BYTES;

	for (unsigned i = 0; i < WORDS; i++) {
		page_buffer[i] = page + i;
	}
	const enum kerr e =
		sys_pager_supply(pager.memory, offset, PAGE_BYTES,
				 page == PAGE_WITHOUT ? 0 : (uint64_t)(uintptr_t)page_buffer);

	pager.supplied += e == KERR_OK;
	if (e != KERR_OK && e != KERR_EXISTS) {
		printf("pager: offset %#lx: error %d\n", (unsigned long)offset, (int)e);
	}
}

static void serve(void)
{
	struct ipc_message m;

	while (!pager.ended && sys_ipc_recv(pager.endpoint, 0, HANDLE_NONE, time_now_ns() + WAIT_NS,
					    &m) == KERR_OK) {
		if ((m.info & IPC_FLAG_PAGER) != 0) {
			pager.asked++;
			supply(m.word[PAGER_WORD_OFFSET]);
		} else if ((m.info & IPC_FLAG_EXCEPTION) != 0) {
			pager.exception = m.word[EXC_WORD_KIND] == EXC_HARDWARE;
			pager.ended = true;
			m.word[0] = EXC_KILL;
			(void)sys_ipc_reply(IPC_INFO(1, 0), HANDLE_NONE, &m);
		} else {
			printf("pager: the child ended with status %lu\n",
			       (unsigned long)m.word[1]);
			pager.ended = true;
		}
	}
}

int main(int argc, char **argv)
{
	const char *const words[] = { "pager", "role=reader" };
	struct elf_program program;
	struct child child;
	const void *archive;
	size_t bytes;

	if (argc > 1 && strcmp(argv[1], "role=reader") == 0) {
		return read_pages();
	}
	if (sys_endpoint_create(&pager.endpoint) != KERR_OK ||
	    sys_mem_create(MEM_PAGER, PAGES * PAGE_BYTES, pager.endpoint, 0, &pager.memory) !=
		    KERR_OK ||
	    ramdisk_map(&archive, &bytes) != KERR_OK ||
	    !ramdisk_program(archive, bytes, "pager", &program)) {
		printf("pager: result=fail: no object or no program\n");
		return EXIT_FAILURE;
	}
	const struct spawn_options options = {
		.limit_bytes = CHILD_LIMIT,
		.number = CHILD_NUMBER,
		.parent = pager.endpoint,
		.extra = pager.memory,
		.console = start.console,
		.argc = 2,
		.argv = words,
	};
	if (spawn(&program, &options, &child) != KERR_OK) {
		printf("pager: result=fail: no child\n");
		return EXIT_FAILURE;
	}
	serve();
	child_end(&child);
	const bool pass = pager.exception && pager.supplied == PAGES;
	printf("pager: result=%s pages=%u asked=%u supplied=%u exception=%d\n",
	       pass ? "pass" : "fail", PAGES, pager.asked, pager.supplied, pager.exception);
	return pass ? EXIT_SUCCESS : EXIT_FAILURE;
}
