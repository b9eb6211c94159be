/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_user.c - user spaces, seen through the copies that judge as EL0 would.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/cpu.h"
#include "ipi/inval.h"
#include "arch/arm64/sysreg.h"
#include "kern/run.h"
#include "kern/usercopy.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/kernel/ktest_user.h"
#include "vm/asid.h"
#include "vm/frame.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_user.h"

static struct user_fault last_fault(void)
{
	return pcpu_this()->user_fault;
}

/* Nothing is mapped below the kernel's half of a CPU without a space. */
static void a_copy_without_a_space_is_a_fault(void)
{
	uint64_t word = 7;

	EXPECT_EQ(copy_from_user(&word, va(USER_BASE + 8), sizeof(word)), KERR_FAULT);
	EXPECT_EQ(last_fault().va, USER_BASE + 8);
	EXPECT(last_fault().esr != 0);
	EXPECT_EQ(last_fault().copied, 0);
	EXPECT_EQ(word, 7);
	EXPECT_EQ(copy_to_user(va(USER_END - 1), &word, 1), KERR_FAULT);
	EXPECT_EQ(last_fault().va, USER_END - 1);
	EXPECT_EQ(copy_from_user(&word, va(USER_BASE), 0), KERR_OK);
}

/* Addresses that no user space has are refused before anything is accessed. */
static void a_copy_outside_user_space_is_refused(void)
{
	static const struct {
		uint64_t at;
		uint64_t bytes;
	} bad[] = {
		{ 0, 1 },
		{ USER_BASE - 1, 1 },
		{ USER_END - 1, 2 },
		{ USER_END, 1 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 7, 16 },
		{ USER_BASE, UINT64_MAX },
		{ USER_BASE, UINT64_MAX - USER_BASE + 1 },
		{ LINEAR_BASE, 8 },
		{ IMAGE_BASE, 8 },
		{ UINT64_C(1) << 56 | USER_BASE, 8 }, /* a tag: there is no top-byte-ignore */
	};
	char buffer[16] = "unchanged";

	for (unsigned i = 0; i < array_len(bad); i++) {
		EXPECT_EQ(copy_from_user(buffer, va(bad[i].at), bad[i].bytes), KERR_FAULT);
		EXPECT_EQ(last_fault().esr, 0);
		EXPECT_EQ(copy_to_user(va(bad[i].at), buffer, bad[i].bytes), KERR_FAULT);
		EXPECT_EQ(last_fault().esr, 0);
	}
	EXPECT(strcmp(buffer, "unchanged") == 0);
}

/* ---- spaces ---- */

struct user user[USERS];

void run_space(struct pmap *pmap)
{
	irq_mask();
	pmap_activate(pmap);
	irq_unmask();
}

static unsigned users_open;
static unsigned heap_free_before; /* pages, with no space open */

bool user_open(struct user *u, unsigned order)
{
	*u = (struct user){ .charge = { .limit_bytes = 4 * MIB },
			    .size = PAGE_BYTES << order,
			    .order = order };
	if (users_open == 0) {
		heap_free_before = heap_stats().pages_free;
	}
	if (frame_alloc(order, 0, &u->memory) != KERR_OK) {
		ktest_skip("no contiguous memory of that size");
		return false;
	}
	if (pmap_user_init(&u->pmap, &u->charge) != KERR_OK) {
		frame_free(u->memory, order);
		ktest_fail(__FILE__, __LINE__, "a space can be made");
		return false;
	}
	users_open++;
	return true;
}

/* Whatever it did, it was sound, and leaves nothing. */
void user_close(struct user *u)
{
	struct pmap_audit audit;

	EXPECT(pmap_audit(&u->pmap, &audit));
	EXPECT_EQ(audit.open, 0);
	pmap_user_destroy(&u->pmap);
	EXPECT_EQ(memcharge_used(&u->charge), 0);
	if (--users_open == 0) {
		EXPECT_EQ(heap_stats().pages_free, heap_free_before);
	}
	EXPECT_EQ(mailbox_of(cpu_number())->space, 0);
	frame_free(u->memory, u->order);
}

bool map_all(struct user *u, unsigned flags)
{
	return pmap_map(&u->pmap, va(AT), u->memory, u->size, flags) == KERR_OK;
}

uint64_t user_bytes_at(struct user *u, uint64_t at)
{
	pte_t e;
	uint64_t bytes;

	return pmap_user_query(&u->pmap, va(at), &e, &bytes) ? bytes : 0;
}

uint64_t stamp(uint64_t at, uint64_t salt)
{
	return (at ^ salt) * UINT64_C(0x9e3779b97f4a7c15) + salt;
}

bool put(uint64_t at, uint64_t word)
{
	return copy_to_user(va(at), &word, sizeof(word)) == KERR_OK;
}

bool get(uint64_t at, uint64_t *word)
{
	return copy_from_user(word, va(at), sizeof(*word)) == KERR_OK;
}

static void fill_user(struct user *u, uint64_t salt)
{
	for (uint64_t off = 0; off < u->size; off += PAGE_BYTES) {
		EXPECT(put(AT + off, stamp(off, salt)));
	}
}

static bool user_holds(struct user *u, uint64_t salt)
{
	uint64_t word = 0;

	for (uint64_t off = 0; off < u->size; off += PAGE_BYTES) {
		if (!get(AT + off, &word) || word != stamp(off, salt)) {
			return false;
		}
	}
	return true;
}

static void a_space_maps_its_memory_and_nothing_else(void)
{
	struct user *u = &user[0];
	uint64_t word = 0;

	REQUIRE(user_open(u, ORDER_2M));
	run_space(&u->pmap);
	EXPECT(!get(AT, &word));
	EXPECT(map_all(u, RW));
	fill_user(u, 1);
	EXPECT(user_holds(u, 1));
	for (uint64_t off = 0; off < u->size; off += PAGE_BYTES) {
		const uint64_t *linear = (const uint64_t *)(LINEAR_BASE + u->memory.v + off);

		EXPECT_EQ(*linear, stamp(off, 1));
	}
	EXPECT(!get(AT - 8, &word) && !get(AT + u->size, &word));
	run_space(nullptr);
	EXPECT(!get(AT, &word));
	run_space(&u->pmap);
	EXPECT(get(AT, &word));
	EXPECT_EQ(pmap_unmap(&u->pmap, va(AT), u->size), KERR_OK);
	for (uint64_t off = 0; off < u->size; off += PAGE_BYTES) {
		EXPECT(!get(AT + off, &word));
	}
	user_close(u);
}

static void permissions_are_those_of_el0(void)
{
	static const unsigned flags[] = { RO, RX, RW };
	struct user *u = &user[0];
	uint64_t word = 0;

	REQUIRE(user_open(u, ORDER_2M));
	run_space(&u->pmap);
	for (unsigned i = 0; i < array_len(flags); i++) {
		EXPECT(map_all(u, flags[i]));
		EXPECT_EQ(user_bytes_at(u, AT), BLOCK_BYTES);
		EXPECT(get(AT + 5000, &word));
		EXPECT_EQ(put(AT + 5000, word), flags[i] == RW);
		EXPECT(!probe_call(va(AT), &word)); /* PXN */
		EXPECT_EQ(probe_read(va(AT), &word), !cpu_features.pan);
		EXPECT_EQ(pmap_unmap(&u->pmap, va(AT), u->size), KERR_OK);
	}
	EXPECT(map_all(u, RW));
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), u->size, RO), KERR_OK);
	EXPECT(get(AT, &word) && !put(AT, word));
	EXPECT_EQ(last_fault().va, AT);
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), u->size, RW), KERR_OK);
	EXPECT(put(AT, word));
	user_close(u);
}

/* The bytes of a copy up to the page that is missing arrive, and no more. */
static void a_copy_tells_how_far_it_came(void)
{
	static uint8_t buffer[3 * PAGE_BYTES];
	struct user *u = &user[0];

	REQUIRE(user_open(u, 2));
	run_space(&u->pmap);
	EXPECT_EQ(pmap_map(&u->pmap, va(AT), u->memory, 2 * PAGE_BYTES, RW), KERR_OK);
	for (unsigned shift = 0; shift < 40; shift += 3) {
		const uint64_t there = 2 * PAGE_BYTES - shift;

		memset(buffer, 0xa5, sizeof(buffer));
		EXPECT_EQ(copy_to_user(va(AT + shift), buffer, there), KERR_OK);
		memset(buffer, 0, sizeof(buffer));
		EXPECT_EQ(copy_from_user(buffer, va(AT + shift), there + 1), KERR_FAULT);
		EXPECT_EQ(last_fault().va, AT + 2 * PAGE_BYTES);
		EXPECT(last_fault().copied <= there && last_fault().copied + 32 > there);
		EXPECT_EQ(buffer[last_fault().copied - 1], 0xa5);
		EXPECT_EQ(buffer[there], 0);
		EXPECT_EQ(copy_from_user(buffer + shift, va(AT + shift), there), KERR_OK);
		EXPECT_EQ(buffer[there + shift - 1], 0xa5);
	}
	user_close(u);
}

bool el0_translates(va_t at, bool write, pa_t *out)
{
	uint64_t par;

	irq_mask(); /* PAR_EL1: no other walk in between */
	if (write) {
		__asm__ volatile("at s1e0w, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(at.v));
	} else {
		__asm__ volatile("at s1e0r, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(at.v));
	}
	irq_unmask();
	*out = pa((par & PTE_ADDR_MASK) + at.v % PAGE_BYTES);
	return (par & PAR_F) == 0;
}

static bool el0_can_read(uint64_t at)
{
	pa_t out;

	return el0_translates(va(at), false, &out);
}

/* Asked of the MMU for every region of the kernel, with a space loaded whose page it can read. */
static void el0_reads_no_kernel_memory(void)
{
	struct user *u = &user[0];
	const uint64_t places[] = {
		(uint64_t)(uintptr_t)&el0_reads_no_kernel_memory, /* text */
		(uint64_t)(uintptr_t)&ktest_user,                 /* rodata */
		(uint64_t)(uintptr_t)&user,                       /* data */
		(uint64_t)(uintptr_t)&places,                     /* stack */
		(uint64_t)(uintptr_t)pcpu_this(),
		(uint64_t)(uintptr_t)kernel_pmap.root,
	};

	REQUIRE(user_open(u, ORDER_2M));
	EXPECT(map_all(u, RW));
	run_space(&u->pmap);
	EXPECT(el0_can_read(AT));
	EXPECT(!el0_can_read(AT - PAGE_BYTES));
	for (unsigned i = 0; i < array_len(places); i++) {
		EXPECT(!el0_can_read(places[i]));
	}
	for (unsigned i = 0; pin_at(i) != nullptr; i++) {
		EXPECT(!el0_can_read(pin_at(i)->va.v));
	}
	for (uint32_t m = 0; m < bootinfo.memory_count; m++) {
		for (uint64_t i = 0; i < 64; i++) {
			const uint64_t off = bootinfo.memory[m].size / 64 * i;

			EXPECT(!el0_can_read(LINEAR_BASE + bootinfo.memory[m].base + off));
			EXPECT(!el0_can_read(PINNED_BASE + bootinfo.memory[m].base + off));
		}
	}
	run_space(nullptr);
	EXPECT(!el0_can_read(AT));
	user_close(u);
}

static void malformed_user_ranges_are_refused(void)
{
	struct user *u = &user[0];

	REQUIRE(user_open(u, 0));
	struct pmap *p = &u->pmap;

	EXPECT_EQ(pmap_map(p, va(AT + 8), u->memory, PAGE_BYTES, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(p, va(AT), pa(u->memory.v + 8), PAGE_BYTES, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(p, va(AT), u->memory, 0, RW), KERR_INVALID);
	EXPECT_EQ(pmap_map(p, va(AT), u->memory, PAGE_BYTES, RW | RX), KERR_INVALID);
	EXPECT_EQ(pmap_map(p, va(0), u->memory, PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_map(p, va(USER_BASE - PAGE_BYTES), u->memory, 2 * PAGE_BYTES, RW),
		  KERR_RANGE);
	EXPECT_EQ(pmap_map(p, va(USER_END), u->memory, PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_map(p, va(USER_END - PAGE_BYTES), u->memory, 2 * PAGE_BYTES, RW),
		  KERR_RANGE);
	EXPECT_EQ(pmap_map(p, va(AT), u->memory, -PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_map(p, va(KMAP_BASE), u->memory, PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_unmap(p, va(KMAP_BASE), PAGE_BYTES), KERR_RANGE);
	EXPECT_EQ(pmap_protect(p, va(IMAGE_BASE), PAGE_BYTES, RO), KERR_RANGE);
	EXPECT_EQ(pmap_map(&kernel_pmap, va(AT), u->memory, PAGE_BYTES, RW), KERR_RANGE);
	EXPECT_EQ(pmap_map(&kernel_pmap, va(KMAP_BASE), u->memory, PAGE_BYTES, RW | PMAP_USER),
		  KERR_INVALID);
	EXPECT_EQ(pmap_map(p, va(USER_BASE), u->memory, PAGE_BYTES, RW), KERR_OK);
	EXPECT_EQ(pmap_map(p, va(USER_BASE), u->memory, PAGE_BYTES, RW), KERR_EXISTS);
	EXPECT_EQ(pmap_map(p, va(USER_END - PAGE_BYTES), u->memory, PAGE_BYTES, RW), KERR_OK);
	EXPECT_EQ(pmap_protect(p, va(USER_BASE), 2 * PAGE_BYTES, RO), KERR_ABSENT);
	user_close(u);
}

static void a_space_changes_size_and_holds_its_data(void)
{
	static const uint64_t sizes[] = { PAGE_BYTES, RUN64_BYTES, BLOCK_BYTES };
	struct user *u = &user[0];

	REQUIRE(user_open(u, ORDER_32M));
	run_space(&u->pmap);
	EXPECT(map_all(u, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	fill_user(u, 3);
	EXPECT_EQ(user_bytes_at(u, AT), PAGE_BYTES);
	EXPECT_EQ(pmap_promote(&u->pmap, va(AT), u->size), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), RUN32_BYTES);
	EXPECT(user_holds(u, 3));
	for (unsigned i = 0; i < array_len(sizes); i++) {
		EXPECT_EQ(pmap_demote(&u->pmap, va(AT), u->size, sizes[i]), KERR_OK);
		EXPECT(user_bytes_at(u, AT + 7 * BLOCK_BYTES) <= sizes[i]);
		EXPECT(user_holds(u, 3));
		EXPECT_EQ(pmap_promote(&u->pmap, va(AT), u->size), KERR_OK);
		EXPECT_EQ(user_bytes_at(u, AT), RUN32_BYTES);
	}
	/* One page of it is restricted, and comes back. */
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT + BLOCK_BYTES), PAGE_BYTES, RO), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT + BLOCK_BYTES), PAGE_BYTES);
	EXPECT_EQ(user_bytes_at(u, AT), BLOCK_BYTES);
	EXPECT(!put(AT + BLOCK_BYTES, 0) && put(AT, stamp(0, 3)));
	EXPECT(user_holds(u, 3));
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT + BLOCK_BYTES), PAGE_BYTES, RW), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), RUN32_BYTES);
	user_close(u);
}

static uint64_t access_flag(struct user *u, uint64_t at)
{
	pte_t e;
	uint64_t bytes;

	return pmap_user_query(&u->pmap, va(at), &e, &bytes) ? e.v & PTE_AF : 0;
}

/* Set by the CPU at the first access, where it does that; else from the beginning. */
static void an_access_sets_the_access_flag(void)
{
	struct user *u = &user[0];
	uint64_t word;

	REQUIRE(user_open(u, ORDER_2M));
	run_space(&u->pmap);
	EXPECT(map_all(u, RW | PMAP_PAGES | PMAP_NO_PROMOTE));
	EXPECT_EQ(access_flag(u, AT), cpu_features.hafdbs ? 0 : PTE_AF);
	EXPECT(get(AT, &word));
	EXPECT_EQ(access_flag(u, AT), PTE_AF);
	EXPECT_EQ(access_flag(u, AT + PAGE_BYTES), cpu_features.hafdbs ? 0 : PTE_AF);
	/* Leaves that differ in nothing else are promoted, changed and taken apart all the same. */
	EXPECT_EQ(pmap_promote(&u->pmap, va(AT), u->size), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), BLOCK_BYTES);
	EXPECT(get(AT + 5 * PAGE_BYTES, &word));
	EXPECT_EQ(access_flag(u, AT), PTE_AF);
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), PAGE_BYTES, RO), KERR_OK);
	EXPECT(get(AT, &word) && get(AT + 16 * PAGE_BYTES, &word));
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), PAGE_BYTES, RW), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), BLOCK_BYTES);
	user_close(u);
}

static void a_gibibyte_is_mapped_at_once(void)
{
	struct user *u = &user[0];
	const pa_t far = pa(UINT64_C(0xc000000000)); /* nobody's: not accessed */

	REQUIRE(user_open(u, 0));
	EXPECT_EQ(pmap_map(&u->pmap, va(AT), far, GIB, RW), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), GIB);
	EXPECT_EQ(u->pmap.table_pages, 2); /* the root and one table */
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT + 5 * PAGE_BYTES), PAGE_BYTES, RO), KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT + 5 * PAGE_BYTES), PAGE_BYTES);
	user_close(u);
}

/* The same address, another memory: what a TLB holds of one space is not used for another. */
static void spaces_do_not_see_each_other(void)
{
	REQUIRE(user_open(&user[0], ORDER_2M));
	if (!user_open(&user[1], ORDER_2M)) {
		user_close(&user[0]);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		EXPECT(map_all(&user[i], RW | (i == 1 ? PMAP_PAGES | PMAP_NO_PROMOTE : 0)));
		run_space(&user[i].pmap);
		fill_user(&user[i], i);
	}
	for (unsigned round = 0; round < 4; round++) {
		run_space(&user[round % 2].pmap);
		EXPECT(user_holds(&user[round % 2], round % 2));
	}
	user_close(&user[1]);
	run_space(&user[0].pmap);
	EXPECT(user_holds(&user[0], 0));
	user_close(&user[0]);
}

/* Every allocation of a change fails once: an error by name, and what was mapped is mapped. */
static void a_space_pays_and_fails_whole(void)
{
	struct user *u = &user[0];
	uint64_t limit = PAGE_BYTES; /* the root */
	enum kerr e = KERR_NO_MEMORY;

	REQUIRE(user_open(u, ORDER_2M));
	for (; e != KERR_OK && limit < MIB; limit += PAGE_BYTES) {
		const uint64_t used = memcharge_used(&u->charge);

		EXPECT(used <= limit);
		u->charge.limit_bytes = limit;
		e = pmap_map(&u->pmap, va(AT), u->memory, u->size, RW | PMAP_PAGES);
		EXPECT(e == KERR_OK || e == KERR_NO_MEMORY);
		EXPECT(e == KERR_OK || user_bytes_at(u, AT) == 0);
		EXPECT_EQ(memcharge_used(&u->charge), u->pmap.table_pages * PAGE_BYTES);
	}
	EXPECT_EQ(e, KERR_OK);
	EXPECT_EQ(user_bytes_at(u, AT), BLOCK_BYTES);
	EXPECT_EQ(limit, 6 * PAGE_BYTES); /* root, L1, L2 and what it saves, L3; and one step */
	/* Demotion needs nothing: the table was saved. */
	EXPECT_EQ(pmap_protect(&u->pmap, va(AT), PAGE_BYTES, RO), KERR_OK);
	user_close(u);
}

const struct ktest ktest_user[] = {
	{ "a_copy_without_a_space_is_a_fault", a_copy_without_a_space_is_a_fault, 1 },
	{ "a_copy_outside_user_space_is_refused", a_copy_outside_user_space_is_refused, 1 },
	{ "a_space_maps_its_memory_and_nothing_else", a_space_maps_its_memory_and_nothing_else, 1 },
	{ "permissions_are_those_of_el0", permissions_are_those_of_el0, 1 },
	{ "a_copy_tells_how_far_it_came", a_copy_tells_how_far_it_came, 1 },
	{ "el0_reads_no_kernel_memory", el0_reads_no_kernel_memory, 1 },
	{ "malformed_user_ranges_are_refused", malformed_user_ranges_are_refused, 1 },
	{ "a_space_changes_size_and_holds_its_data", a_space_changes_size_and_holds_its_data, 1 },
	{ "an_access_sets_the_access_flag", an_access_sets_the_access_flag, 1 },
	{ "a_gibibyte_is_mapped_at_once", a_gibibyte_is_mapped_at_once, 1 },
	{ "spaces_do_not_see_each_other", spaces_do_not_see_each_other, 1 },
	{ "a_space_pays_and_fails_whole", a_space_pays_and_fails_whole, 1 },
	{ nullptr, nullptr, 0 },
};
