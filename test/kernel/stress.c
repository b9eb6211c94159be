/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress.c - the promotion stress: choice of workloads, progress, the result line.
 *
 * A pass gives each workload its share of cycles; passes go on until a limit (cycles=, seconds=)
 * or, without one, until as many promotions were made and met under load as `make run` promises.
 */
#include "test/kernel/stress.h"

#include <arch/feature.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "kern/log.h"
#include "kern/run.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "test/kernel/programs.h"
#include "vm/frame.h"
#include "vm/memory.h"
#include "vm/pmap.h"
#include "vm/pmap_audit.h"

#define GOAL_PROMOTIONS 110000
#define GOAL_BUSY 11000

struct stress stress;

struct workload {
	const char *name;
	void (*cycle)(void);
	unsigned share; /* cycles of a pass */
};

static const struct workload workloads[] = {
	{ "fill", work_fill, 3 },
	{ "mismatch", work_mismatch, 6 },
	{ "protect", work_protect, 100 },
	{ "storm", work_storm, 2000 },
	{ "irq", work_irq, 200 },
	{ "duel", work_duel, 4 },
	{ "nomem", work_nomem, 1 },
	{ "table-inside", work_table_inside, 1 },
	{ "self", work_self, 50 },
	{ "extract", work_extract, 100 },
	{ "pinned", work_pinned, 1 },
	{ "exec", work_exec, 50 },
	{ "contig", work_contig, 50 },
	{ "hotplug", work_hotplug, 1 },
	{ "lost", work_lost, 1 },
	{ "locks", work_locks, 1 },
	{ "user-fill", work_user_fill, 1 },
	{ "user-mismatch", work_user_mismatch, 2 },
	{ "user-protect", work_user_protect, 2 },
	{ "user-storm", work_user_storm, 5 },
	{ "user-duel", work_user_duel, 2 },
	{ "user-asid", work_user_asid, 1 },
	{ "user-spaces", work_user_spaces, 1 },
	{ "space", work_space, 2 },
	{ "pressure", work_pressure, 1 },
	{ "share", work_share, 2 },
	{ "secret", work_secret, 2 },
	{ "hostile", work_hostile, 1 },
	{ "pager", work_pager, 2 },
	{ "el0", work_el0, 1 },
};
#define SHARES 2594

void stress_fail(const char *file, int line, const char *fact)
{
	stress.failures++;
	if (stress.failures <= 20) {
		log_printf("stress", "FAIL %s: %s:%d: %s", stress.workload, file, line, fact);
	}
}

uint64_t stress_random(void)
{
	stress.random ^= stress.random << 13;
	stress.random ^= stress.random >> 7;
	stress.random ^= stress.random << 17;
	return stress.random * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t stress_below(uint64_t limit)
{
	return stress_random() % limit;
}

static uint64_t promotions(void)
{
	return counter_sum(CTR_promote_64k) + counter_sum(CTR_promote_2m) +
	       counter_sum(CTR_promote_32m);
}

static uint64_t demotions(void)
{
	return counter_sum(CTR_demote_64k) + counter_sum(CTR_demote_2m) +
	       counter_sum(CTR_demote_32m) + counter_sum(CTR_demote_1g);
}

/* Is `word` in the list? One that ends in '-' stands for all that begin so: user-. */
static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (const char *at = list; *at != '\0';) {
		size_t n = 0;

		while (at[n] != '\0' && at[n] != ',') {
			n++;
		}
		const bool whole = n == len || (n > 0 && n < len && at[n - 1] == '-');

		if (whole && memcmp(at, word, n) == 0) {
			return true;
		}
		at += n + (at[n] == ',' ? 1 : 0);
	}
	return false;
}

/* only=-LIST: all but those. */
static bool leaves_out(void)
{
	return bootargs.only[0] == '-';
}

static bool is_chosen(const struct workload *w)
{
	if (leaves_out()) {
		return !has_word(bootargs.only + 1, w->name);
	}
	return bootargs.only[0] == '\0' || has_word(bootargs.only, w->name);
}

static bool goal_is_met(void)
{
	if (stress.cycle_limit != 0 && stress.cycles >= stress.cycle_limit) {
		return true;
	}
	if (stress.deadline != 0 && counter_now() >= stress.deadline) {
		return true;
	}
	if (stress.cycle_limit != 0 || stress.deadline != 0) {
		return false;
	}
	return promotions() >= GOAL_PROMOTIONS && (stress.busy >= GOAL_BUSY || work_cpus() == 0);
}

static void progress(bool now)
{
	static uint64_t last;
	const uint64_t ticks = counter_now();

	if (!now && ticks - last < arch_counter_hz()) {
		return;
	}
	last = ticks;
	log_printf(
		"stress",
		"%-12s cycles=%llu promotions=%llu demotions=%llu busy=%llu transient_faults=%llu corruptions=%llu",
		stress.workload, (unsigned long long)stress.cycles,
		(unsigned long long)promotions(), (unsigned long long)demotions(),
		(unsigned long long)stress.busy,
		(unsigned long long)counter_sum(CTR_transient_faults),
		(unsigned long long)stress.corruptions);
}

uint64_t stress_frames(void)
{
	return frame_stats().free + heap_stats().blocks * (BLOCK_BYTES / PAGE_BYTES);
}

/* R10 and PM2, after each workload. */
static void audit(uint64_t frames_before)
{
	struct pmap_audit a;

	CHECK(pmap_audit(&kernel_pmap, &a));
	CHECK(frame_audit());
	CHECK(stress_frames() == frames_before);
}

static void run_workload(const struct workload *w, uint64_t share)
{
	const uint64_t frames = stress_frames();

	stress.workload = w->name;
	for (uint64_t i = 0; i < share; i++) {
		if (i > 0 && goal_is_met()) {
			break;
		}
		w->cycle();
		stress.cycles++;
		progress(false);
	}
	load_stop();
	audit(frames);
	if (!arena_is_intact(&stress.main)) {
		stress.corruptions++;
	}
}

static uint64_t share_of(const struct workload *w)
{
	if (bootargs.only[0] != '\0' && !leaves_out()) {
		return w->share;
	}
	if (stress.cycle_limit != 0 && stress.cycle_limit < SHARES) {
		const uint64_t share = w->share * stress.cycle_limit / SHARES;

		return share > 0 ? share : 1;
	}
	return w->share;
}

static bool run_passes(void)
{
	unsigned chosen = 0;

	do {
		for (unsigned i = 0; i < array_len(workloads); i++) {
			/* The first pass runs everything once, whatever the limit. */
			if (is_chosen(&workloads[i])) {
				if (chosen == 0 || stress.failures == 0) {
					log_printf("stress", "workload %s", workloads[i].name);
				}
				run_workload(&workloads[i], share_of(&workloads[i]));
				chosen++;
			}
		}
		if (chosen == 0) {
			log_printf("stress", "only=%s names no workload", bootargs.only);
			return false;
		}
	} while (!goal_is_met() && stress.failures == 0);
	return true;
}

/* A planted defect: the check of the contents must find it. */
static void plant(void)
{
	uint64_t *word = (uint64_t *)(uintptr_t)(stress.main.rw.v + stress_below(512) * PAGE_BYTES);

	*word ^= UINT64_C(1) << stress_below(64);
	log_printf("stress", "planted a corruption at %#llx", (unsigned long long)(uintptr_t)word);
}

/* The bucket's upper bound, in ticks (pcpu: two buckets an octave). */
static uint64_t bucket_ticks(unsigned bucket)
{
	if (bucket < 2) {
		return bucket;
	}
	const unsigned log = bucket / 2;

	return (UINT64_C(1) << log) + (bucket % 2 + 1) * (UINT64_C(1) << (log - 1)) - 1;
}

static uint64_t percentile(unsigned percent)
{
	uint64_t hist[PARK_HIST_BUCKETS] = { 0 };
	uint64_t total = 0;
	uint64_t seen = 0;

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		for (unsigned b = 0; b < PARK_HIST_BUCKETS; b++) {
			hist[b] += pcpu_of(cpu)->park_hist[b];
			total += pcpu_of(cpu)->park_hist[b];
		}
	}
	for (unsigned b = 0; b < PARK_HIST_BUCKETS; b++) {
		seen += hist[b];
		if (total != 0 && seen * 100 >= total * percent) {
			return timer_ticks_to_ns(bucket_ticks(b));
		}
	}
	return 0;
}

struct extremes {
	uint64_t window, park, masked, masked_at, parked, wait;
};

static struct extremes extremes(void)
{
	struct extremes x = { 0 };

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const struct pcpu *p = pcpu_of(cpu);

		x.window = p->window_max > x.window ? p->window_max : x.window;
		x.park = p->park_max > x.park ? p->park_max : x.park;
		x.parked = p->base.parked_max > x.parked ? p->base.parked_max : x.parked;
		x.wait = p->base.wait_max > x.wait ? p->base.wait_max : x.wait;
		if (p->base.masked_max > x.masked) {
			x.masked = p->base.masked_max;
			x.masked_at = p->base.masked_max_pc;
		}
	}
	return x;
}

#define N(counter) ((unsigned long long)counter_sum(CTR_##counter))
#define NS(ticks) ((unsigned long long)timer_ticks_to_ns(ticks))

static bool report(bool ran)
{
	const struct extremes x = extremes();
	const bool parks = inval_mode() == BBM_PARK;
	const bool zeros = N(recursions) == 0 && stress.corruptions == 0 &&
			   (!parks || N(transient_faults) == 0);
	const bool pass = ran && zeros && stress.failures == 0;

	for (unsigned cpu = 0; cpu < pcpu_count(); cpu++) {
		const struct pcpu *p = pcpu_of(cpu);

		log_printf(
			"stress",
			"cpu%u irqs=%llu parked=%llu polled=%llu doors=%llu transient_faults=%llu",
			cpu, (unsigned long long)p->counter[CTR_irqs],
			(unsigned long long)p->counter[CTR_park_answers],
			(unsigned long long)p->counter[CTR_park_polls],
			(unsigned long long)p->counter[CTR_doors],
			(unsigned long long)p->counter[CTR_transient_faults]);
	}
	log_printf(
		"stress",
		"windows=%llu breaks=%llu makes=%llu tlbi_va=%llu tlbi_range=%llu tlbi_all=%llu failures=%llu",
		N(windows), N(breaks), N(makes), N(tlbi_va), N(tlbi_range), N(tlbi_all),
		(unsigned long long)stress.failures);
	kprintf("stress: result=%s board=%s cpu=%s cpus=%llu mode=%s seed=%llu cycles=%llu promotions=%llu "
		"demotions=%llu busy=%llu parks=%llu ipis_sent=%llu ipis_spared=%llu retries=%llu "
		"transient_faults=%llu spurious_make=%llu recursions=%llu corruptions=%llu refused=%llu ",
		pass ? "pass" : "fail", bootinfo.bcm_pm_size != 0 ? "raspi4b" : "virt",
		cpu_features.model, (unsigned long long)__builtin_popcountll(work_cpus()) + 1,
		inval_mode_name(inval_mode()), (unsigned long long)bootargs.seed,
		(unsigned long long)stress.cycles, (unsigned long long)promotions(),
		(unsigned long long)demotions(), (unsigned long long)stress.busy, N(parks),
		N(ipis_sent), N(ipis_spared), N(retries), N(transient_faults), N(spurious_make),
		N(recursions), (unsigned long long)stress.corruptions, N(refused));
	kprintf("breaks=%llu window_max=%lluns park_p50=%lluns park_p99=%lluns park_max=%lluns masked_max=%lluns "
		"masked_at=%#llx parked_max=%lluns wait_max=%lluns\n",
		N(breaks), NS(x.window), (unsigned long long)percentile(50),
		(unsigned long long)percentile(99), NS(x.park), NS(x.masked),
		(unsigned long long)x.masked_at, NS(x.parked), NS(x.wait));
	return pass;
}

/*
 * The pinned heap grows under load: out of the linear map through the window, registered, usable.
 */
static void grow(void)
{
	const struct heap_stats before = heap_stats();
	const uint64_t frames = frame_stats().free;

	stress.workload = "growth";
	load_start(&stress.main, LOAD_ALL);
	CHECK(memory_grow_pinned() == KERR_OK);
	load_stop();
	CHECK(heap_stats().pages > before.pages && heap_stats().pages_free > before.pages_free);
	CHECK(frame_stats().free == frames - BLOCK_BYTES / PAGE_BYTES);
	void *page = heap_alloc(1, 1, HEAP_ANY_NODE);

	CHECK(page != nullptr);
	const va_t at = va((uint64_t)(uintptr_t)page);

	CHECK(at.v >= PINNED_BASE && at.v < KMAP_BASE);
	CHECK(pin_overlaps_va(at, PAGE_BYTES) != nullptr);
	CHECK(pin_overlaps_pa(heap_pa(page), PAGE_BYTES) != nullptr);
	CHECK(stress_leaf(va(LINEAR_BASE + heap_pa(page).v)) == 0); /* no alias */
	heap_free(page, 1);
}

unsigned stress_main(void)
{
	stress.random = bootargs.seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	stress.cycle_limit = bootargs.cycles;
	stress.deadline =
		bootargs.seconds != 0 ? counter_now() + bootargs.seconds * arch_counter_hz() : 0;
	stress.workload = "set-up";
	if (arena_make(&stress.main, BLOCK_BYTES) != KERR_OK) {
		log_printf("stress", "no memory for the arena");
		return 1;
	}
	if (arena_make(&stress.big, 16 * BLOCK_BYTES) != KERR_OK) {
		log_printf("stress", "no 32 MiB of contiguous memory: contig=64k-only");
		stress.big.size = 0;
	}
	grow();
	if (strcmp(bootargs.plant, "1") == 0) {
		plant();
	}
	const bool ran = run_passes();

	progress(true);
	return report(ran) ? 0 : 1;
}
