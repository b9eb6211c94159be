/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_vm_model.c - random calls with anything for arguments, beside a flat model.
 *
 * THEORY   The model (test/model/vm_model.h) on the tables of the MMU. An access is a user copy,
 *          which the CPU judges as one from EL0, its TLB included; the look at everything asks the
 *          MMU for a walk. Steps take their turns on all CPUs, so that what one still holds in its
 *          TLB is asked for after another has taken it away.
 *          cycles= says how many steps, seed= which.
 */
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "kern/log.h"
#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "test/kernel/ktest.h"
#include "test/kernel/vm_user.h"
#include "test/model/vm_model.h"
#include "vm/frame.h"
#include "vm/reserv.h"

#define SHORT_STEPS 5000
#define MODEL_ORDER 6 /* 256 KiB hold it */
#define AUDIT_STEPS 1000
#define ABROAD 4u /* one in so many turns is another CPU's */
#define LEAST_FRAMES (128 * MIB / PAGE_BYTES)

struct turn {
	struct vm_model *model;
	vm_model_fn *fn;
};

static void take_turn(void *arg)
{
	const struct turn *turn = arg;

	turn->fn(turn->model);
}

/* The n-th CPU of a set. */
static uint64_t nth_of(uint64_t cpus, unsigned n)
{
	for (; n > 0; n--) {
		cpus &= cpus - 1;
	}
	return cpus & -cpus;
}

static void run(struct vm_model *m, unsigned turn, vm_model_fn *fn)
{
	static struct turn given;
	const unsigned others = (unsigned)__builtin_popcountll(work_cpus());

	if (others == 0 || turn % ABROAD != 0) {
		fn(m);
		return;
	}
	const uint64_t cpu = nth_of(work_cpus(), turn / ABROAD % others);

	given = (struct turn){ m, fn };
	work_start(cpu, take_turn, &given);
	(void)work_wait(cpu, 0);
}

static bool look(struct space *space, uint64_t at, unsigned access, uint64_t *word)
{
	uint64_t span;
	pte_t leaf;
	pa_t out;

	user_enter(space);
	if (!el0_translates(va(at), access == VM_WRITE, &out) ||
	    (access == VM_EXEC &&
	     (!pmap_user_query(&space->pmap, va(at), &leaf, &span) || (leaf.v & PTE_UXN) != 0))) {
		return false;
	}
	*word = *(const uint64_t *)(LINEAR_BASE + out.v);
	return true;
}

/* A fetch cannot be made without a thread: the kernel's own wish for one, and what came of it. */
static enum fault_verdict fetch(struct space *space, uint64_t at, uint64_t *word)
{
	const enum fault_verdict v = fault_touch(space, va(at), VM_EXEC);

	return v == FAULT_RESOLVED && !look(space, at, VM_EXEC, word) ? FAULT_ENDLESS : v;
}

static enum fault_verdict access_as_program(struct space *space, uint64_t at, unsigned access,
					    uint64_t *word)
{
	user_enter(space);
	switch (access) {
	case VM_READ:
		return user_read(space, at, word);
	case VM_WRITE:
		return user_write(space, at, *word);
	default:
		return fetch(space, at, word);
	}
}

/* Sometimes frames or the pinned heap, which tables and regions come from, fail for a while. */
static bool disturb(uint64_t random)
{
	const uint64_t which = random != 0 ? random % 4 : 3;
	const uint64_t after = random / 4;

	frame_fail_after(which == 0 ? after % 20 : UINT64_MAX);
	(void)heap_fail_after(which == 1 ? after % 3 : UINT64_MAX);
	return which < 2;
}

static void fail_as_told(const struct vm_model *m)
{
	char text[400];

	vm_model_tell(m, text, sizeof(text));
	kprintf("seed %llu: %s\n", (unsigned long long)bootargs.seed, text);
	ktest_fail(__FILE__, __LINE__, "the model agrees");
}

static bool play(struct vm_model *m, uint64_t steps)
{
	if (!vm_model_open(m, bootargs.seed)) {
		return false;
	}
	for (uint64_t n = 1; n <= steps; n++) {
		if (!vm_model_step(m) ||
		    ((n % AUDIT_STEPS == 0 || n == steps) && !vm_model_audit(m))) {
			return false;
		}
	}
	kprintf("model: steps=%llu refused=%llu bad=%llu\n", (unsigned long long)m->steps,
		(unsigned long long)m->refused, (unsigned long long)m->bad);
	EXPECT(steps < SHORT_STEPS || (m->refused > 0 && m->bad > 0));
	return vm_model_close(m);
}

static void random_calls_agree_with_the_model(void)
{
	static const struct vm_machine machine = { run, access_as_program, look, disturb };
	const uint64_t superpages = counter_sum(CTR_promote_2m);
	const uint64_t broken = reserv_stats().broken;
	const uint64_t steps = bootargs.cycles != 0 ? bootargs.cycles : SHORT_STEPS;
	struct vm_model *m;
	pa_t frames;

	static_assert(sizeof(*m) <= PAGE_BYTES << MODEL_ORDER);
	if (frame_stats().free < LEAST_FRAMES) {
		ktest_skip("too little memory");
		return;
	}
	REQUIRE(frame_alloc(MODEL_ORDER, 0, &frames) == KERR_OK);
	m = (struct vm_model *)(LINEAR_BASE + frames.v);
	memset(m, 0, sizeof(*m));
	m->machine = &machine;
	if (!play(m, steps)) {
		(void)disturb(0);
		fail_as_told(m);
	}
	EXPECT(steps < SHORT_STEPS || counter_sum(CTR_promote_2m) > superpages);
	EXPECT(steps < SHORT_STEPS || reserv_stats().broken > broken);
	EXPECT_EQ(reserv_stats().listed, 0);
	frame_free(frames, MODEL_ORDER);
}

const struct ktest ktest_vm_model[] = {
	{ "random_calls_agree_with_the_model", random_calls_agree_with_the_model, 1 },
	{ nullptr, nullptr, 0 },
};
