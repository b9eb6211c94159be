/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_restart.c - calls that copy to or from user memory whose page is missing.
 *
 * THEORY   The memory is of a pager: none of its pages is there before a thread of this program
 *          has brought it. A call that meets one ends without a trace, its thread waits like after
 *          a fault, and the call begins anew: the program sees nothing but its result.
 */
#include "user/test/test.h"

#include <perch/console.h>

#define RW (VM_READ | VM_WRITE)
#define PAGES 4u

/* What the pager brings; of pages, as pager_supply wants it. */
static _Alignas(4096) char pages[PAGES][PAGE_BYTES];

struct pager {
	handle_t endpoint, memory;
	uint64_t at; /* the memory, mapped */
	struct thread *thread;
	unsigned asked;
};

#define SVC_0 UINT32_C(0xd4000001)

/* Who asks stands before its call, for a debugger too: there it goes on. */
static void expect_before_its_call(handle_t thread)
{
	struct user_regs regs = { 0 };

	EXPECT_OK(sys_thread_regs_read(thread, (uint64_t)(uintptr_t)&regs));
	EXPECT_EQ(*(const uint32_t *)(uintptr_t)regs.pc, SVC_0);
}

static void bring(void *argument)
{
	struct pager *const p = argument;
	struct ipc_message m;

	while (sys_ipc_recv(p->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m) == KERR_OK &&
	       (m.info & IPC_FLAG_PAGER) != 0) {
		const uint64_t offset = m.word[PAGER_WORD_OFFSET];

		p->asked++;
		expect_before_its_call(start.self);
		EXPECT_OK(sys_pager_supply(p->memory, offset, PAGE_BYTES,
					   (uint64_t)(uintptr_t)pages[offset / PAGE_BYTES]));
	}
}

static void begin(struct pager *p)
{
	*p = (struct pager){ 0 };
	EXPECT_OK(sys_endpoint_create(&p->endpoint));
	EXPECT_OK(sys_mem_create(MEM_PAGER, PAGES * PAGE_BYTES, p->endpoint, 0, &p->memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, p->memory, 0, 0, PAGES * PAGE_BYTES, RW, &p->at));
	p->thread = start_thread(bring, p, PRIORITY_DEFAULT);
}

static void end(struct pager *p, unsigned asked)
{
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_ipc_send(p->endpoint, 0, in_time(), &m));
	thread_join(p->thread);
	EXPECT_EQ(p->asked, asked);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, p->at, PAGES * PAGE_BYTES));
	EXPECT_OK(sys_handle_close(p->memory));
	EXPECT_OK(sys_handle_close(p->endpoint));
}

/* A stopped thread, whose registers are moved to and from two pages at once. */
static void thread_regs_read_and_write_restart_after_missing_pages(void)
{
	struct pager p;
	handle_t thread;

	memset(pages, 0x5a, sizeof pages);
	begin(&p);
	struct user_regs *const out = (struct user_regs *)(uintptr_t)(p.at + PAGE_BYTES - 64);
	const uint64_t in = p.at + 3 * PAGE_BYTES - 128;
	EXPECT_OK(sys_thread_create(HANDLE_NONE, 1, &thread));
	EXPECT_OK(sys_thread_regs_read(thread, (uint64_t)(uintptr_t)out));
	EXPECT_EQ(out->x[0], 0);
	EXPECT_EQ(out->tls, 0);
	EXPECT_EQ(*((const unsigned char *)out - 1), 0x5a);
	EXPECT_OK(sys_thread_regs_write(thread, in));
	EXPECT_OK(sys_thread_regs_read(thread, (uint64_t)(uintptr_t)out));
	EXPECT_EQ(out->x[30], UINT64_C(0x5a5a5a5a5a5a5a5a));
	EXPECT_EQ(out->tls, UINT64_C(0x5a5a5a5a5a5a5a5a));
	end_bare(thread);
	end(&p, 4);
}

/* One pager's pages are another's: the second asks while the call for the first is under way. */
static void pager_supply_restarts_after_missing_pages(void)
{
	struct pager p;
	handle_t endpoint, memory;
	uint64_t at;

	memset(pages, 0, sizeof pages);
	strcpy(pages[1] + 100, "from another pager");
	begin(&p);
	EXPECT_OK(sys_endpoint_create(&endpoint));
	EXPECT_OK(sys_mem_create(MEM_PAGER, 2 * PAGE_BYTES, endpoint, 0, &memory));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, memory, 0, 0, 2 * PAGE_BYTES, VM_READ, &at));
	EXPECT_OK(sys_pager_supply(memory, 0, 2 * PAGE_BYTES, p.at));
	EXPECT_EQ(strcmp((const char *)(uintptr_t)(at + PAGE_BYTES + 100), "from another pager"),
		  0);
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, 2 * PAGE_BYTES));
	EXPECT_OK(sys_handle_close(memory));
	EXPECT_OK(sys_handle_close(endpoint));
	end(&p, 2);
}

/* The kernel prints again for the moment, when the console server has nothing left to send. */
static void console_write_restarts_after_a_missing_page(void)
{
	static const char text[] = "test: printed by the kernel, from two missing pages\n";
	struct ipc_message m = { .word = { CONSOLE_WORD(CONSOLE_FLUSH, 0) } };
	const uint64_t half = sizeof text / 2;
	struct pager p;

	memset(pages, 0, sizeof pages);
	memcpy(pages[0] + PAGE_BYTES - half, text, half);
	memcpy(pages[1], text + half, sizeof text - 1 - half);
	begin(&p);
	if (start.console != HANDLE_NONE) {
		EXPECT_OK(sys_ipc_call(start.console, IPC_INFO(1, 0), HANDLE_NONE, in_time(), &m));
		EXPECT_OK(sys_machine_console(start.machine, 0));
	}
	const enum kerr e = sys_console_write(p.at + PAGE_BYTES - half, sizeof text - 1);
	if (start.console != HANDLE_NONE) {
		EXPECT_OK(sys_machine_console(start.machine, 1));
	}
	EXPECT_OK(e);
	end(&p, 2);
}

const struct test tests_restart[] = {
	TEST(thread_regs_read_and_write_restart_after_missing_pages),
	TEST(pager_supply_restarts_after_missing_pages),
	TEST(console_write_restarts_after_a_missing_page),
	TEST_END,
};
