/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_vm.c - address spaces under stress: made and destroyed, short of memory,
 * shared and revoked, secret, paged. Hostile tasks: stress_hostile.c.
 *
 * THEORY   The other CPUs are a crew (crew.h). The frames must be exact afterwards: the runner
 *          looks.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/page.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/crew.h"
#include "test/kernel/stress.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"
#include "vm/reserv.h"

#define AT (16 * GIB)
#define VM_RW (VM_READ | VM_WRITE)
#define SPACE_ROUNDS 12
#define SHARE_ROUNDS 20
#define SECRET_ROUNDS 6

/* ---- space: a whole life, over and over ---- */

static void one_life(uint64_t *random)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	const uint64_t bytes = (1 + crew_random(random) % 700) * PAGE_BYTES;
	struct space *space;

	if (space_create(&charge, &space) != KERR_OK) {
		return;
	}
	user_enter(space);
	if (user_map_anon(space, AT, bytes, VM_RW) == KERR_OK) {
		crew_fact(user_fill(space, AT, bytes, *random));
		crew_fact(space_protect(space, va(AT), PAGE_BYTES, VM_READ) == KERR_OK);
		crew_fact(user_write(space, AT, 1) == FAULT_BAD_ACCESS);
		crew_fact(user_holds(space, AT, bytes, *random));
		const uint64_t middle = bytes / PAGE_BYTES / 2 * PAGE_BYTES;

		crew_fact(space_unmap(space, va(AT + middle), PAGE_BYTES) == KERR_OK);
		crew_fact(user_write(space, AT + middle, 1) == FAULT_BAD_ADDRESS);
	}
	/* It still runs here. */
	space_destroy(space);
	crew_fact(memcharge_used(&charge) == 0);
}

static void crew_space(void *arg)
{
	uint64_t random = cpu_number() + 99;

	(void)arg;
	do {
		one_life(&random);
	} while (crew_goes_on());
	user_enter(nullptr);
}

void work_space(void)
{
	uint64_t random = stress_random();

	crew_start(crew_space);
	for (unsigned i = 0; i < SPACE_ROUNDS; i++) {
		one_life(&random);
	}
	crew_end();
	user_enter(nullptr);
}

/* ---- pressure: memory runs out while everybody promotes ---- */

static void fill_until_full(uint64_t salt)
{
	struct memcharge charge = { .limit_bytes = GIB };
	struct space *space;
	uint64_t page = 0;

	if (space_create(&charge, &space) != KERR_OK) {
		return;
	}
	user_enter(space);
	if (user_map_anon(space, AT, 128 * MIB, VM_RW) == KERR_OK) {
		/* A page here and there first, so that there are spares to give back. */
		for (uint64_t off = 7 * PAGE_BYTES; off < 16 * BLOCK_BYTES; off += BLOCK_BYTES) {
			(void)user_write(space, AT + off, salt + off / PAGE_BYTES);
		}
		while (user_write(space, AT + page * PAGE_BYTES, salt + page) == FAULT_RESOLVED) {
			page++;
		}
		crew_fact(user_holds(space, AT, page * PAGE_BYTES, salt));
	}
	space_destroy(space);
	crew_fact(memcharge_used(&charge) == 0);
}

static void crew_fill(void *arg)
{
	(void)arg;
	fill_until_full(cpu_number() * UINT64_C(1000003));
	user_enter(nullptr);
}

void work_pressure(void)
{
	static pa_t hoard[512];
	const uint64_t broken = reserv_stats().broken;
	unsigned count = 0;

	load_stop();
	while (count < 512 && frame_stats().free > 8192 &&
	       frame_alloc(9, 0, &hoard[count]) == KERR_OK) {
		count++;
	}
	crew_start(crew_fill);
	fill_until_full(17);
	crew_end();
	user_enter(nullptr);
	CHECK(frame_stats().free > 8192 - 1024 || reserv_stats().broken > broken);
	CHECK(reserv_stats().listed == 0);
	while (count > 0) {
		frame_free(hoard[--count], 9);
	}
}

/* ---- share: one object in a space of each CPU, changed and then revoked while it is used ---- */

static void use_shared(struct space *space, uint64_t own)
{
	uint64_t random = own;
	uint64_t value = 0;
	enum fault_verdict v;

	do {
		const uint64_t at = AT + crew_random(&random) % 512 * PAGE_BYTES + 8 * own;

		v = user_write(space, at, random);
		if (v == FAULT_RESOLVED) {
			v = user_read(space, at, &value);
			crew_fact(v != FAULT_RESOLVED || value == random);
		}
	} while (v == FAULT_RESOLVED && crew_goes_on());
	/* Only the revocation ends it. */
	crew_fact(v == FAULT_BAD_ACCESS || v == FAULT_RESOLVED);
}

static void crew_share(void *arg)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	(void)arg;
	if (space_create(&charge, &space) != KERR_OK) {
		return;
	}
	user_enter(space);
	if (user_map(space, crew.object, 0, AT, BLOCK_BYTES, VM_RW) == KERR_OK) {
		use_shared(space, 1 + cpu_number());
	}
	space_destroy(space);
	crew_fact(memcharge_used(&charge) == 0);
}

void work_share(void)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	load_stop();
	CHECK(object_create(MEM_ANON, BLOCK_BYTES, nullptr, nullptr, &crew.object) == KERR_OK);
	CHECK(space_create(&charge, &space) == KERR_OK);
	CHECK(user_map(space, crew.object, 0, AT, BLOCK_BYTES, VM_RW) == KERR_OK);
	crew_start(crew_share);
	user_enter(space);
	for (unsigned i = 0; i < SHARE_ROUNDS; i++) {
		const uint64_t at = AT + stress_below(512) * PAGE_BYTES;

		CHECK(user_fill(space, AT, BLOCK_BYTES, i));
		(void)space_advise(space, va(at), PAGE_BYTES, VM_SPLIT);
		(void)reserv_reclaim();
		(void)space_advise(space, va(AT), BLOCK_BYTES, VM_COLLAPSE);
	}
	CHECK(object_unmap_all(crew.object) == KERR_OK);
	CHECK(user_write(space, AT, 1) == FAULT_BAD_ACCESS);
	crew_end();
	space_destroy(space);
	object_unref(crew.object);
	CHECK(memcharge_used(&charge) == 0);
}

/* ---- secret: the linear map is carved under load ---- */

void work_secret(void)
{
	load_start(&stress.main, LOAD_ALL);
	for (unsigned i = 0; i < SECRET_ROUNDS; i++) {
		const uint64_t bytes = BLOCK_BYTES * (1 + i % 2) + stress_below(20) * PAGE_BYTES;
		struct memory_object *object;

		CHECK(object_create(MEM_SECRET, bytes, nullptr, nullptr, &object) == KERR_OK);
		CHECK(object_resident(object) == bytes);
		object_unref(object);
	}
	load_stop();
}

/* ---- pager: one that is slow, lies, and dies ---- */

static struct {
	uint64_t asked[64]; /* offset + 1, [a] */
	uint64_t next;      /* [a] */
	uint64_t readies;   /* [a] */
} pager;

static enum kerr on_request(void *arg, uint64_t offset, unsigned access)
{
	(void)arg;
	(void)access;
	store_release(&pager.asked[fetch_add_relaxed(&pager.next, 1) % 64], offset + 1);
	return KERR_OK;
}

static void on_ready(void *arg, uint64_t offset)
{
	(void)arg;
	(void)offset;
	fetch_add_relaxed(&pager.readies, 1);
}

static const struct pager_ops pager_ops = { on_request, on_ready };

static void crew_paged(void *arg)
{
	uint64_t random = cpu_number() * 77 + 5;

	(void)arg;
	user_enter(crew.space);
	do {
		const uint64_t page = crew_random(&random) % 512;
		uint64_t value = 0;
		enum fault_verdict v = user_read(crew.space, AT + page * PAGE_BYTES, &value);

		while (v == FAULT_WAIT_PAGER && load_acquire(&crew.stop) == 0) {
			__asm__ volatile("yield");
			v = user_read(crew.space, AT + page * PAGE_BYTES, &value);
		}
		crew_fact(v != FAULT_RESOLVED || value == page + 1);
		crew_fact(v == FAULT_RESOLVED || v == FAULT_HARDWARE || v == FAULT_WAIT_PAGER);
	} while (crew_goes_on());
	user_enter(nullptr);
}

static enum kerr supply(struct memory_object *object, uint64_t offset)
{
	pa_t frame;
	const enum kerr e = object_supply_frame(object, offset, &frame);

	if (e != KERR_OK) {
		return e;
	}
	arch_frame_zero(frame);
	*(uint64_t *)(uintptr_t)(LINEAR_BASE + frame.v) = offset / PAGE_BYTES + 1;
	return object_supply(object, offset, frame);
}

/* Answer what was asked, one in eight with a failure, and lie besides. */
static void answer(struct memory_object *object)
{
	for (unsigned i = 0; i < 64; i++) {
		const uint64_t asked = swap_acq_rel(&pager.asked[i], 0);

		if (asked != 0) {
			const uint64_t offset = asked - 1;

			CHECK((stress_below(8) == 0 ? object_supply_fail(object, offset)
						    : supply(object, offset)) == KERR_OK);
			const enum kerr again = supply(object, offset);

			CHECK(again == KERR_EXISTS || again == KERR_OK); /* failed, now it comes */
		}
	}
	CHECK(supply(object, object_bytes(object)) == KERR_RANGE);
}

void work_pager(void)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct memory_object *object;
	uint64_t value;

	load_stop();
	/* What was asked of the object before, after the last answer, is not asked of this one. */
	memset(pager.asked, 0, sizeof(pager.asked));
	CHECK(space_create(&charge, &crew.space) == KERR_OK);
	CHECK(object_create_pager(BLOCK_BYTES, &pager_ops, nullptr, &charge, &object) == KERR_OK);
	CHECK(user_map(crew.space, object, 0, AT, BLOCK_BYTES, VM_RW) == KERR_OK);
	crew_start(crew_paged);
	user_enter(crew.space);
	for (unsigned i = 0; i < 200; i++) {
		(void)user_read(crew.space, AT + stress_below(512) * PAGE_BYTES, &value);
		answer(object);
		__asm__ volatile("yield");
	}
	object_pager_gone(object);
	crew_end();
	space_destroy(crew.space);
	object_unref(object);
	CHECK(memcharge_used(&charge) == 0);
}
