/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_vm.c - address spaces under stress: made and destroyed, short of memory,
 * shared and revoked, secret, hostile, paged.
 *
 * THEORY   The other CPUs are a crew: each runs one function over and over, in user space as far as
 *          the CPU can tell (vm_user.h), until it is told to stop. What they find wrong is counted;
 *          the frames must be exact afterwards, which the runner looks at.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/page.h>
#include <memmap.h>

#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/lock.h"
#include "kern/log.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/stress.h"
#include "test/kernel/vm_user.h"
#include "vm/frame.h"
#include "vm/reserv.h"

#define AT (16 * GIB)
#define VM_RW (VM_READ | VM_WRITE)
#define SPACE_ROUNDS 12
#define SHARE_ROUNDS 20
#define SECRET_ROUNDS 6
#define HOSTILE_ROUNDS 1024
#define HOSTILE_BURST 16
#define HOSTILE_RATE 10 /* a second: less than any machine needs for the rounds */
#define TURNS_PER_SECOND 4000
#define SLICE_TURNS 16
#define SLICES 8

static struct {
	uint64_t stop;              /* [a] */
	uint64_t wrong;             /* [a] facts that did not hold */
	uint64_t rounds;            /* [a] done by all */
	struct space *space;        /* what they share */
	struct memory_object *object;
} crew;

static void crew_fact(bool fact)
{
	if (!fact) {
		fetch_add_relaxed(&crew.wrong, 1);
	}
}

static void crew_start(work_fn *fn)
{
	load_stop();
	store_release(&crew.stop, 0);
	store_release(&crew.wrong, 0);
	store_release(&crew.rounds, 0);
	work_start(work_cpus(), fn, nullptr);
}

static void crew_end(void)
{
	store_release(&crew.stop, 1);
	dsb_ishst();
	cpu_sev();
	CHECK(work_wait(work_cpus(), 60 * arch_counter_hz()));
	CHECK(load_acquire(&crew.wrong) == 0);
}

static bool crew_goes_on(void)
{
	fetch_add_relaxed(&crew.rounds, 1);
	__asm__ volatile("yield");
	return load_acquire(&crew.stop) == 0;
}

static uint64_t cheap_random(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 33;
}

/* ---- space: a whole life, over and over ---- */

static void one_life(uint64_t *random)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	const uint64_t bytes = (1 + cheap_random(random) % 700) * PAGE_BYTES;
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
		const uint64_t at = AT + cheap_random(&random) % 512 * PAGE_BYTES + 8 * own;

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

/* ---- hostile: a task that does nothing but take superpages apart ---- */

static void crew_victim(void *arg)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	(void)arg;
	if (space_create(&charge, &space) != KERR_OK) {
		return;
	}
	user_enter(space);
	if (user_map_anon(space, AT, BLOCK_BYTES, VM_RW) == KERR_OK) {
		do {
			crew_fact(user_fill(space, AT, 16 * PAGE_BYTES, 3));
		} while (crew_goes_on());
	}
	space_destroy(space);
}

static uint64_t turn_ticks(void)
{
	return arch_counter_hz() / TURNS_PER_SECOND;
}

/* Toggle a page in each 64 KiB, and make a secret now and then. True: something was refused. */
static bool hostile_step(struct space *space, uint64_t i)
{
	const uint64_t at = AT + i / 2 * 16 % 4096 * PAGE_BYTES;
	const unsigned prot = i % 2 == 0 ? VM_READ : VM_RW;
	bool refused = space_protect(space, va(at), PAGE_BYTES, prot) == KERR_BUSY;
	struct memory_object *secret;

	if (i % 64 == 0) {
		const enum kerr e =
			object_create(MEM_SECRET, PAGE_BYTES, nullptr, &space->budget, &secret);

		refused = refused || e == KERR_BUSY;
		if (e == KERR_OK) {
			object_unref(secret);
		}
	}
	return refused;
}

static uint64_t be_hostile(struct space *space)
{
	uint64_t refused = 0;

	for (uint64_t i = 0; i < HOSTILE_ROUNDS; i++) {
		refused += hostile_step(space, i) ? 1 : 0;
	}
	return refused;
}

/* A task that does as the victims do, in pages that the hostile one leaves alone. */
static bool harmless_step(struct space *space, uint64_t i)
{
	crew_fact(user_write(space, AT + (1 + i % 15) * PAGE_BYTES, i) == FAULT_RESOLVED);
	return false;
}

/* The control: what no task may come to, everyone parked, four turns at a time. */
static bool parking_step(struct space *space, uint64_t i)
{
	struct park park = { 0 };

	(void)space;
	(void)i;
	irq_mask();
	token_acquire();
	if (park_begin(&park) == KERR_OK) {
		const struct wait held = wait_begin();
		const uint64_t start = counter_now();

		while (counter_now() - start < 4 * turn_ticks()) {
		}
		park_end(&park);
		wait_end(&held); /* on purpose: not what R8 measures */
	}
	token_release();
	irq_unmask();
	return false;
}

/* Rounds of the victims, and the guest's time that they took. */
struct work_done {
	uint64_t rounds;
	uint64_t ticks;
};

/*
 * This CPU takes steps, turn by turn; the victims' work is added up. Where one host thread emulates
 * all CPUs they get theirs between the turns, which are of one length whatever a step costs.
 */
static void run_slice(bool (*step)(struct space *, uint64_t), struct space *space, uint64_t *i,
		      struct work_done *sum)
{
	const uint64_t before = load_acquire(&crew.rounds);
	const uint64_t start = counter_now();

	for (unsigned turn = 0; turn < SLICE_TURNS; turn++) {
		const uint64_t from = counter_now();

		do {
			(void)step(space, (*i)++);
		} while (counter_now() - from < turn_ticks());
		__asm__ volatile("yield" ::: "memory");
	}
	sum->rounds += load_acquire(&crew.rounds) - before;
	sum->ticks += counter_now() - start;
}

/*
 * What the victims get done beside such a task, in thousandths of what they get done beside a
 * harmless one in the same time. The two alternate in short slices: a host that is busy elsewhere
 * for a while takes from both.
 */
static uint64_t throughput_permille(bool (*step)(struct space *, uint64_t), struct space *space)
{
	struct work_done harmless = { 0 };
	struct work_done hostile = { 0 };
	uint64_t i = 0;
	uint64_t k = 0;

	for (unsigned slice = 0; slice < SLICES; slice++) {
		run_slice(harmless_step, space, &i, &harmless);
		run_slice(step, space, &k, &hostile);
	}
	const uint64_t usual = harmless.rounds * arch_counter_hz() / harmless.ticks;

	CHECK(usual > 0);
	return usual > 0 ? hostile.rounds * arch_counter_hz() / hostile.ticks * 1000 / usual : 0;
}

/* The hostile task has spent its burst: from now on it is throttled. */
static void compare_throughput(struct space *space)
{
	if (work_cpus() == 0) {
		return; /* no victims */
	}
	uint64_t kept = 0;

	/* A host that is busy elsewhere spoils one comparison, not all of them. */
	for (unsigned i = 0; i < 3 && kept < 500; i++) {
		kept = throughput_permille(hostile_step, space);
	}
	const uint64_t parked = throughput_permille(parking_step, space);

	log_printf("stress", "hostile others_keep=%llu/1000 control=%llu/1000",
		   (unsigned long long)kept, (unsigned long long)parked);
	CHECK(kept >= 500);
	CHECK(parked < 500); /* else the comparison shows nothing */
}

void work_hostile(void)
{
	struct memcharge charge = { .limit_bytes = 64 * MIB };
	struct space *space;

	crew_start(crew_victim);
	CHECK(space_create(&charge, &space) == KERR_OK);
	user_enter(space);
	CHECK(user_map_anon(space, AT, 4096 * PAGE_BYTES, VM_RW) == KERR_OK);
	CHECK(user_fill(space, AT, 4096 * PAGE_BYTES, 1));
	budget_set(arch_counter_hz(), HOSTILE_RATE, HOSTILE_BURST);
	const uint64_t before = counter_sum(CTR_windows);
	const uint64_t start = counter_now();
	const uint64_t refused = be_hostile(space);
	const uint64_t elapsed = counter_now() - start;
	const uint64_t windows = counter_sum(CTR_windows) - before;
	const uint64_t tokens = HOSTILE_BURST + elapsed * HOSTILE_RATE / arch_counter_hz() + 1;

	compare_throughput(space);
	budget_init(arch_counter_hz());
	CHECK(refused > 0);
	/* What the victims do by touching memory aside: 16 windows of theirs at most. */
	CHECK(windows <= 3 * tokens + 64);
	crew_end();
	space_destroy(space);
	CHECK(memcharge_used(&charge) == 0);
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
		const uint64_t page = cheap_random(&random) % 512;
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
