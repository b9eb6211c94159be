/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/bench.c - run=bench: what the changes of size cost, in instructions.
 *
 * THEORY   Under QEMU's -icount shift=0 every instruction takes one nanosecond of guest time, so
 *          a counter of 1 GHz counts instructions: of all CPUs, because QEMU runs one at a time
 *          and the clock is common. What the counter shows is therefore the work that the whole
 *          machine did meanwhile: the initiator's, and what the others did until they were parked.
 *          The initiator's own part, its barriers and its system-register accesses are counted
 *          from outside by test/bench/count.c, which knows the two marks around a sample.
 *          Measuring has a cost, which an empty sample shows; it is taken off and stated.
 * LIMITS   At 62.5 MHz a tick is 16 instructions: then the median of many is still a multiple of
 *          16. test/bench/run asks QEMU for 1 GHz.
 */
#include "pcpu/pcpu.h"
#include "pcpu/recorder.h"
#include "test/kernel/bench.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/feature.h>
#include <compiler.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "kern/log.h"
#include "kern/run.h"
#include "kern/work.h"
#include "test/kernel/programs.h"

#define SAMPLES 33
#define NAME_BYTES 48
#define INSTRUCTIONS_PER_SECOND UINT64_C(1000000000) /* -icount shift=0 */
#define PROBE_LOOPS 5000

struct sample {
	uint64_t instructions;
	uint64_t tlbi;
	const char *kind;
};

struct summary {
	uint64_t median;
	uint64_t least;
	uint64_t most;
};

static uint64_t per_tick;
static uint64_t overhead_call;
static uint64_t overhead_window;
static uint64_t others_stop;
static uint64_t others_busy;

/*
 * The marks: hints that no architecture defines, so every CPU ignores them, with the case's number
 * in x0 for test/bench/count.c. The ISB keeps the counter from being read early or late.
 */
static always_inline uint64_t mark_begin(uint64_t id)
{
	register uint64_t x0 __asm__("x0") = id;
	uint64_t ticks;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\thint #126"
			 : "=&r"(ticks)
			 : "r"(x0)
			 : "memory");
	return ticks;
}

static always_inline uint64_t mark_end(void)
{
	uint64_t ticks;

	__asm__ volatile("hint #127\n\tisb\n\tmrs %0, cntvct_el0" : "=r"(ticks)::"memory");
	return ticks;
}

static void be_busy(void *arg)
{
	(void)arg;
	__atomic_fetch_add(&others_busy, 1, __ATOMIC_RELEASE);
	while (load_acquire(&others_stop) == 0) {
		cpu_wfe();
	}
}

static void place_others(enum bench_others where)
{
	const uint64_t cpus = where == BENCH_BUSY ? work_cpus() : 0;

	store_release(&others_stop, 0);
	store_release(&others_busy, 0);
	work_start(cpus, be_busy, nullptr);
	while (load_acquire(&others_busy) != (uint64_t)__builtin_popcountll(cpus)) {
		cpu_wfe();
	}
}

static void recall_others(void)
{
	store_release(&others_stop, 1);
	dsb_ishst();
	cpu_sev();
	work_wait(work_cpus(), 0);
}

static uint64_t tlbi_counted(enum counter c)
{
	return pcpu_this()->counter[c];
}

/* From the newest record of a change to the end of its window. */
static uint64_t last_window(void)
{
	struct record r;

	for (unsigned age = 0; recorder_read(cpu_number(), age, &r); age++) {
		if (record_kind(&r) == REC_CHANGE) {
			return r.took - 1;
		}
	}
	return 0;
}

static enum kerr take_sample(const struct bench_case *c, uint64_t id, struct sample *s)
{
	const uint64_t one = tlbi_counted(CTR_tlbi_va);
	const uint64_t range = tlbi_counted(CTR_tlbi_range);
	const uint64_t asid = tlbi_counted(CTR_tlbi_asid);
	const uint64_t all = tlbi_counted(CTR_tlbi_all);
	const uint64_t start = mark_begin(id);
	const enum kerr e = c->run();
	uint64_t ticks = mark_end() - start;
	const uint64_t kinds[] = { tlbi_counted(CTR_tlbi_va) - one,
				   tlbi_counted(CTR_tlbi_range) - range,
				   tlbi_counted(CTR_tlbi_asid) - asid,
				   tlbi_counted(CTR_tlbi_all) - all };
	static const char *const names[] = { "va", "range", "asid", "all" };
	const uint64_t over = c->metric == BENCH_WINDOW ? overhead_window : overhead_call;

	if (c->metric == BENCH_WINDOW) {
		ticks = last_window();
	}
	*s = (struct sample){ .instructions = ticks * per_tick - over, .kind = "none" };
	for (unsigned i = 0; i < array_len(kinds); i++) {
		s->tlbi += kinds[i];
		if (kinds[i] != 0) {
			s->kind = strcmp(s->kind, "none") == 0 ? names[i] : "mixed";
		}
	}
	return e;
}

static void sort(uint64_t *v, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const uint64_t x = v[i];
		unsigned j = i;

		for (; j > 0 && v[j - 1] > x; j--) {
			v[j] = v[j - 1];
		}
		v[j] = x;
	}
}

static struct summary summarise(uint64_t *v, unsigned count)
{
	sort(v, count);
	return (struct summary){ v[count / 2], v[0], v[count - 1] };
}

static uint64_t cpus_here(void)
{
	return (uint64_t)__builtin_popcountll(work_cpus()) + 1;
}

/* The kind is the last sample's; how many may differ, where a sample finds other frames. */
static void print_case(const struct bench_case *c, uint64_t id, struct summary s,
		       struct summary tlbi, const char *kind)
{
	const uint64_t cpus = cpus_here();
	char suffix[NAME_BYTES] = "";
	char goal[NAME_BYTES] = "none";

	if (cpus > 1) {
		ksnprintf(suffix, sizeof(suffix), "_%llucpu", (unsigned long long)cpus);
	}
	if (c->goal != 0) {
		ksnprintf(goal, sizeof(goal), "%llu",
			  (unsigned long long)(c->goal + c->goal_per_cpu * (cpus - 1)));
	}
	kprintf("bench: name=%s%s cpu=%s cpus=%llu instructions=%llu min=%llu max=%llu tlbi=%llu "
		"barriers=- sysregs=- goal=%s tlbi_kind=%s tlbi_min=%llu tlbi_max=%llu "
		"units=%llu id=%llu\n",
		c->name, suffix, cpu_features.model, (unsigned long long)cpus,
		(unsigned long long)s.median, (unsigned long long)s.least,
		(unsigned long long)s.most, (unsigned long long)tlbi.median, goal, kind,
		(unsigned long long)tlbi.least, (unsigned long long)tlbi.most,
		(unsigned long long)c->units, (unsigned long long)id);
}

/* Rounded up: a figure never looks better than it is. */
static uint64_t per_unit(const struct bench_case *c, uint64_t instructions)
{
	return (instructions + c->units - 1) / c->units;
}

static bool run_case(const struct bench_suite *suite, const struct bench_case *c, uint64_t id)
{
	uint64_t value[SAMPLES];
	uint64_t tlbi[SAMPLES];
	struct sample s = { 0 };

	for (unsigned i = 0; i < SAMPLES; i++) {
		if (!c->prepare()) {
			kprintf("bench: failed name=%s prepare\n", c->name);
			return false;
		}
		const enum kerr e = take_sample(c, id, &s);

		if (e != KERR_OK || (c->bytes != 0 && suite->leaf_bytes() != c->bytes)) {
			kprintf("bench: failed name=%s result=%s leaf=%llu\n", c->name,
				kerr_name(e), (unsigned long long)suite->leaf_bytes());
			return false;
		}
		value[i] = per_unit(c, s.instructions);
		tlbi[i] = s.tlbi;
	}
	print_case(c, id, summarise(value, SAMPLES), summarise(tlbi, SAMPLES), s.kind);
	return true;
}

static enum kerr do_nothing(void)
{
	return KERR_OK;
}

static bool no_preparation(void)
{
	return true;
}

/* What an empty sample and an empty window show, before anything is taken off. */
static bool measure_overhead(void)
{
	static const struct bench_case call = { .name = "overhead",
						.metric = BENCH_CALL,
						.units = 1,
						.prepare = no_preparation,
						.run = do_nothing };
	static const struct bench_case window = { .name = "overhead_window",
						  .metric = BENCH_WINDOW,
						  .units = 1,
						  .prepare = no_preparation,
						  .run = bench_empty_window };
	const struct bench_case *const both[] = { &call, &window };
	uint64_t *const to[] = { &overhead_call, &overhead_window };

	for (unsigned b = 0; b < array_len(both); b++) {
		uint64_t value[SAMPLES];
		struct sample s;

		for (unsigned i = 0; i < SAMPLES; i++) {
			if (take_sample(both[b], UINT64_MAX, &s) != KERR_OK) {
				return false;
			}
			value[i] = s.instructions;
		}
		*to[b] = summarise(value, SAMPLES).median;
	}
	return true;
}

/* A loop of known length: does the counter count instructions at all? */
static bool counts_instructions(uint64_t *permille)
{
	uint64_t loops = PROBE_LOOPS;
	const uint64_t start = mark_begin(UINT64_MAX);

	__asm__ volatile("1:\tsubs %0, %0, #1\n\tb.ne 1b" : "+r"(loops)::"cc");
	const uint64_t counted = (mark_end() - start) * per_tick;

	*permille = counted * 1000 / (2 * PROBE_LOOPS);
	return *permille >= 990 && *permille <= 1010;
}

static bool wanted(const char *name)
{
	return bootargs.only[0] == '\0' || strncmp(name, bootargs.only, strlen(bootargs.only)) == 0;
}

/* Cases are numbered through all suites. Returns how many failed. */
static unsigned run_suite(const struct bench_suite *suite, uint64_t *id)
{
	unsigned failed = 0;

	if (!suite->open()) {
		kprintf("bench: failed: no memory\n");
		return 1;
	}
	for (unsigned i = 0; i < suite->count; i++, ++*id) {
		const struct bench_case *c = &suite->cases[i];

		if (cpus_here() < c->least_cpus || !wanted(c->name)) {
			continue;
		}
		place_others(c->others);
		failed += run_case(suite, c, *id) ? 0 : 1;
		recall_others();
	}
	suite->close();
	return failed;
}

unsigned bench_main(void)
{
	static const struct bench_suite *const suites[] = { &bench_kernel, &bench_user, &bench_vm };
	uint64_t permille;
	uint64_t id = 0;
	unsigned failed = 0;

	per_tick = INSTRUCTIONS_PER_SECOND / arch_counter_hz();
	if (per_tick == 0) {
		kprintf("bench: failed: the counter is faster than 1 GHz\n");
		return 1;
	}
	if (!counts_instructions(&permille)) {
		kprintf("bench: the figures are nanoseconds: without -icount shift=0 nothing counts instructions\n");
	}
	if (!measure_overhead()) {
		kprintf("bench: failed: the overhead\n");
		return 1;
	}
	kprintf("bench: overhead_call=%llu overhead_window=%llu resolution=%llu samples=%d probe_permille=%llu\n",
		(unsigned long long)overhead_call, (unsigned long long)overhead_window,
		(unsigned long long)per_tick, SAMPLES, (unsigned long long)permille);
	if (strcmp(bootargs.only, "growth") == 0) {
		return bench_growth(per_tick) != 0 ? 1 : 0;
	}
	for (unsigned i = 0; i < array_len(suites); i++) {
		failed += run_suite(suites[i], &id);
	}
	return failed != 0 ? 1 : 0;
}
