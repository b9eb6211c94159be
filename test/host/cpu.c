/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/cpu.c - simulated CPUs: coroutines, the choice of who goes on, interrupts, events.
 *
 * THEORY   A CPU runs until a point at which the scheduler chooses another one, or until it waits.
 *          When nobody can run, first stores drain, then time jumps to the next interrupt, then the
 *          event stream ticks, which is counted. When nobody waits for anything that can come, it
 *          is a deadlock.
 */
#include "test/host/sim_impl.h"

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipi/park.h"
#include "ipi/park_fast.h"
#include "kern/lock.h"
#include "kern/stop.h"
#include "pcpu/pcpu.h"

#define STEPS_MAX 3000000
#define STREAM_PERIOD 4000 /* the longest WFE, where the event stream is on */
#define WFE_PATIENCE 400000 /* and where it is not: then whoever sends the event has failed */

#define WAITS_BYTES 400 /* of what everybody waits for: 5 CPUs */

struct sim sim;

static uint64_t next_random(void)
{
	sim.rng += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = sim.rng;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* From the fuzzer's bytes while there are any, so many as the bound needs; then from the seed. */
static uint64_t choose(struct sim_choices *from, uint64_t bound)
{
	uint64_t v = 0;

	if (bound < 2) {
		return 0;
	}
	if (from->left == 0) {
		return next_random() % bound;
	}
	for (uint64_t rest = bound - 1; rest != 0 && from->left > 0; rest >>= 8, from->left--) {
		v = v << 8 | *from->next++;
	}
	return v % bound;
}

uint64_t sim_random(uint64_t bound)
{
	return choose(&sim.config.work, bound);
}

uint64_t sim_chance(uint64_t bound)
{
	return choose(&sim.config.schedule, bound);
}

/* ---- coroutines ---- */
static void leave_to_main(void)
{
	struct sim_cpu *c = sim.current;

	__sanitizer_start_switch_fiber(c->alive ? &c->fake_stack : nullptr, sim.main_stack,
				       sim.main_stack_bytes);
	swapcontext(&c->context, &sim.main);
	abort(); /* a run that ended does not go on */
}

static void switch_to(struct sim_cpu *to)
{
	struct sim_cpu *from = sim.current;

	if (to == from) {
		return;
	}
	sim.current = to;
	__sanitizer_start_switch_fiber(&from->fake_stack, to->stack, SIM_STACK_BYTES);
	swapcontext(&from->context, &to->context);
	__sanitizer_finish_switch_fiber(from->fake_stack, nullptr, nullptr);
}

_Noreturn void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (!sim.running) {
		fflush(stdout); /* which tests failed before */
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fprintf(stderr, " (outside of a run)\n");
		abort();
	}
	if (!sim.result->failed) {
		const int n = snprintf(sim.result->reason, sizeof(sim.result->reason),
				       "cpu%u: ", sim_index(sim.current));

		sim.result->failed = true;
		va_start(ap, fmt);
		vsnprintf(sim.result->reason + n, sizeof(sim.result->reason) - (size_t)n, fmt, ap);
		va_end(ap);
	}
	leave_to_main();
	abort();
}

_Noreturn void sim_end(void)
{
	leave_to_main();
	abort();
}

/* ---- who goes on ---- */
static bool can_run(const struct sim_cpu *c)
{
	unsigned sgi;

	if (!c->alive || c->wait == SIM_ENDED) {
		return false;
	}
	if (c->wait == SIM_IN_WFE) {
		return c->event || sim_irq_arrived(c, &sgi) || sim.now >= c->wake_at;
	}
	if (c->wait == SIM_IN_WFI) {
		for (sgi = 0; sgi < SIM_SGIS; sgi++) {
			if (sim_sgi_arrived(c, sgi)) {
				return true;
			}
		}
		return sim.now >= c->wake_at;
	}
	return true;
}

/* Time passes although nobody runs. False: nothing will ever happen. */
static bool pass_time(void)
{
	uint64_t next = UINT64_MAX;
	bool in_wfe = false;

	if (store_drain_one()) {
		return true;
	}
	for (unsigned i = 0; i < sim.cpus; i++) {
		const struct sim_cpu *c = &sim.cpu[i];

		if (!c->alive || c->wait == SIM_ENDED) {
			continue;
		}
		in_wfe = in_wfe || c->wait == SIM_IN_WFE;
		if (c->wait == SIM_IN_WFI && c->wake_at < next) {
			next = c->wake_at;
		}
		for (unsigned sgi = 0; sgi < SIM_SGIS; sgi++) {
			if ((c->sgi >> sgi & 1) != 0 && c->sgi_at[sgi] > sim.now &&
			    c->sgi_at[sgi] < next) {
				next = c->sgi_at[sgi];
			}
		}
	}
	if (next != UINT64_MAX && next > sim.now) {
		sim.now = next;
		return true;
	}
	if (!in_wfe || !sim.config.event_stream) {
		return false;
	}
	sim.now += SIM_STREAM_TICK;
	sim.result->stream_ticks++;
	trace(EV_TICK, 0, 0);
	for (unsigned i = 0; i < sim.cpus; i++) {
		sim.cpu[i].event = true;
	}
	return true;
}

static struct sim_cpu *choose_random(uint64_t runnable)
{
	unsigned n = (unsigned)sim_chance((uint64_t)__builtin_popcountll(runnable));

	while (n-- > 0) {
		runnable &= runnable - 1;
	}
	return &sim.cpu[__builtin_ctzll(runnable)];
}

static struct sim_cpu *choose_by_priority(uint64_t runnable)
{
	struct sim_cpu *best = nullptr;

	for (; runnable != 0; runnable &= runnable - 1) {
		struct sim_cpu *c = &sim.cpu[__builtin_ctzll(runnable)];

		if (best == nullptr || c->priority > best->priority) {
			best = c;
		}
	}
	return best;
}

/* Without preemption: whoever runs goes on; when it waits, the next by number. */
static struct sim_cpu *choose_by_script(uint64_t runnable)
{
	const unsigned me = sim_index(sim.current);

	for (unsigned n = 0; n < sim.cpus; n++) {
		const unsigned cpu = (me + n) % sim.cpus;

		if ((runnable >> cpu & 1) != 0) {
			return &sim.cpu[cpu];
		}
	}
	return nullptr;
}

static bool everyone_has_ended(void)
{
	for (unsigned i = 0; i < sim.cpus; i++) {
		if (sim.cpu[i].alive && sim.cpu[i].wait != SIM_ENDED) {
			return false;
		}
	}
	return true;
}

static const char *space_of(const struct mailbox *m)
{
	const struct park_space *space = (const struct park_space *)(uintptr_t)m->space;

	if (space == nullptr) {
		return "";
	}
	return space->window == PARK_SPACE_GONE ? ",space=gone" : ",space=runs";
}

/*
 * What everybody waits for, as the reason of a deadlock: a window that is open, or a release,
 * acknowledgement, lock or token that does not come. Seeded defects are told apart by it.
 */
static void describe_waits(char *text, size_t bytes)
{
	size_t n = (size_t)snprintf(text, bytes, " window=%u,token=%s", (unsigned)park_state.window,
				    park_state.owner != 0 ? "taken" : "free");

	for (unsigned i = 0; i < sim.cpus && n < bytes; i++) {
		static const char *const wait[] = { "runs", "wfe", "wfi", "ended" };
		const struct sim_cpu *c = &sim.cpu[i];
		const struct mailbox *m = mailbox_of(i);
		const struct spinlock *lock = c->base->lock_wanted;

		n += (size_t)snprintf(
			text + n, bytes - n, " cpu%u:%s,door=%u,req=%u,ack=%u,rel=%u,lock=%s%s", i,
			wait[c->wait], (unsigned)m->door, (unsigned)m->request, (unsigned)m->ack,
			(unsigned)m->release, lock != nullptr ? lock->name : "-", space_of(m));
	}
}

/* Apart from go_on(), which is called at each point and needs no room for a text. */
static noinline _Noreturn void stuck(const char *what)
{
	char text[WAITS_BYTES];

	describe_waits(text, sizeof(text));
	sim_fail("%s:%s", what, text);
}

static void go_on(void)
{
	uint64_t runnable;

	for (;;) {
		runnable = 0;
		for (unsigned i = 0; i < sim.cpus; i++) {
			runnable |= can_run(&sim.cpu[i]) ? UINT64_C(1) << i : 0;
		}
		if (runnable != 0) {
			break;
		}
		if (everyone_has_ended()) {
			leave_to_main();
		}
		if (!pass_time()) {
			stuck("deadlock");
		}
		if (sim.result->stream_ticks > sim.config.stream_budget) {
			stuck("livelock: only the event stream goes on");
		}
	}
	switch (sim.config.scheduler) {
	case SIM_RANDOM:
		switch_to(choose_random(runnable));
		break;
	case SIM_PCT:
		switch_to(choose_by_priority(runnable));
		break;
	default:
		switch_to(choose_by_script(runnable));
		break;
	}
}

/* ---- points ---- */
static void pct_point(void)
{
	for (unsigned i = 0; i < sim.config.change_points; i++) {
		if (sim.result->points == sim.change[i]) {
			sim.current->priority = --sim.priority_low;
		}
	}
	/* A spin without WFE would keep the highest for ever; no hardware does that. */
	if (sim.result->points - sim.stretch_start > 4000) {
		sim.current->priority = --sim.priority_low;
		sim.stretch_start = sim.result->points;
	}
}

static void script_point(struct sim_cpu *c)
{
	const uint64_t at = sim.result->points;

	for (unsigned i = 0; i < sim.cpus && at < SIM_SCRIPT_POINTS; i++) {
		if (&sim.cpu[i] != c && can_run(&sim.cpu[i])) {
			sim.result->could[at] |= (uint8_t)(1u << i);
		}
	}
	for (unsigned i = 0; i < sim.config.preemptions; i++) {
		struct sim_cpu *to = &sim.cpu[sim.config.preempt[i].to];

		if (sim.config.preempt[i].at == sim.result->points && to != c && can_run(to)) {
			switch_to(to);
			return;
		}
	}
}

static bool countdown_is_over(void)
{
	if (sim.current->in_window || sim.countdown <= 1) {
		sim.countdown = 1 + sim_chance(sim.stretch);
		return true;
	}
	sim.countdown--;
	return false;
}

/* Others go on, so it is no deadlock; but this CPU should have been woken long ago. */
static void check_patience(void)
{
	for (unsigned i = 0; i < sim.cpus; i++) {
		const struct sim_cpu *c = &sim.cpu[i];

		if (c->alive && c->wait == SIM_IN_WFE && !can_run(c) &&
		    sim.now - c->slept_at > WFE_PATIENCE) {
			char text[WAITS_BYTES];

			describe_waits(text, sizeof(text));
			sim_fail("lost event: cpu%u sleeps and nobody wakes it:%s", i, text);
		}
	}
}

void sim_step(bool major)
{
	struct sim_cpu *c = sim.current;

	if (sim.quiet != 0) {
		return;
	}
	sim.now++;
	if (++sim.result->steps > STEPS_MAX) {
		char text[WAITS_BYTES];

		describe_waits(text, sizeof(text));
		sim_fail("livelock: no end after %u points:%s", STEPS_MAX, text);
	}
	sim.result->points += major ? 1 : 0;
	if (sim.result->steps % 65536 == 0) {
		check_patience();
	}
	if (sim.config.scheduler == SIM_SCRIPT) {
		if (major) {
			script_point(c);
		}
	} else if (countdown_is_over()) {
		if (sim_chance(sim.drain_odds) == 0) {
			(void)store_drain_one();
		}
		if (sim.config.scheduler == SIM_PCT) {
			pct_point();
		}
		go_on();
	}
	if (sim.current == c) {
		sim_take_irqs(c);
	}
}

void sim_yield(void)
{
	sim_step(true);
	sim.countdown = 1;
	if (sim.config.scheduler == SIM_PCT) {
		sim.current->priority = --sim.priority_low;
	}
	sim.current->wait = SIM_IN_WFI;
	sim.current->wake_at = sim.now + 16;
	go_on();
	sim.current->wait = SIM_RUNS;
	sim_take_irqs(sim.current);
}

static void wait_until_runnable(struct sim_cpu *c, enum sim_wait wait)
{
	c->wait = wait;
	while (!can_run(c)) {
		go_on();
	}
	c->wait = SIM_RUNS;
}

void sim_wfe(void)
{
	struct sim_cpu *c = sim.current;

	sim_step(true);
	if (sim.quiet != 0) {
		return;
	}
	if (!c->event) {
		trace(EV_WFE, 0, 0);
		c->slept_at = sim.now;
		c->wake_at = sim.config.event_stream ? sim.now + STREAM_PERIOD : UINT64_MAX;
		wait_until_runnable(c, SIM_IN_WFE);
		if (!c->event && sim.now >= c->wake_at) {
			trace(EV_TICK, 0, 0);
		}
	}
	c->event = false;
	sim_take_irqs(c);
}

void sim_wfi(void)
{
	struct sim_cpu *c = sim.current;

	trace(EV_WFI, 0, 0);
	c->wake_at = sim.now + 1 + sim_chance(2000); /* a timer */
	wait_until_runnable(c, SIM_IN_WFI);
}

void sim_sev(void)
{
	sim_step(true);
	if (sim.quiet == 0 && sim.result->lost_events < sim.config.lose_events &&
	    sim_chance(4) == 0) {
		sim.result->lost_events++;
		trace(EV_LOST, 0, 0);
		return;
	}
	trace(EV_SEV, 0, 0);
	for (unsigned i = 0; i < sim.cpus; i++) {
		sim.cpu[i].event = true;
	}
}

/* ---- runs ---- */
static void coroutine(void)
{
	struct sim_cpu *c = sim.current;
	const void *bottom;
	size_t bytes;

	__sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
	if (sim.main_stack == nullptr) {
		sim.main_stack = bottom;
		sim.main_stack_bytes = bytes;
	}
	c->entry(c->arg);
	store_drain(c);
	trace(EV_END, 0, 0);
	c->wait = SIM_ENDED;
	go_on();
	sim_fail("a CPU that ended went on");
}

/* For ever. */
void sim_halt(void)
{
	store_drain(sim.current);
	sim.current->wait = SIM_ENDED;
	go_on();
}

static void prepare(struct sim_cpu *c, void (*entry)(void *), void *arg)
{
	if (c->stack == nullptr) {
		c->stack = malloc(SIM_STACK_BYTES);
	}
	__asan_unpoison_memory_region(c->stack, SIM_STACK_BYTES);
	c->entry = entry;
	c->arg = arg;
	c->wait = SIM_RUNS;
	c->alive = true;
	c->masked = true;
	c->spx = true;
	c->in_irq = false;
	c->event = false;
	c->sgi = 0;
	getcontext(&c->context);
	c->context.uc_stack.ss_sp = c->stack;
	c->context.uc_stack.ss_size = SIM_STACK_BYTES;
	c->context.uc_link = nullptr;
	makecontext(&c->context, coroutine, 0);
}

void sim_start(unsigned cpu, void (*entry)(void *), void *arg)
{
	struct sim_cpu *c = &sim.cpu[cpu];

	prepare(c, entry, arg);
	tlb_forget(c);
	c->early_count = 0;
}

bool sim_has_ended(unsigned cpu)
{
	return sim.cpu[cpu].wait == SIM_ENDED;
}

static void reset(const struct sim_config *config, struct sim_result *result)
{
	static const uint64_t stretches[] = { 1, 2, 4, 16, 64, 256 };

	*result = (struct sim_result){ .failed = false };
	sim.config = *config;
	sim.result = result;
	sim.rng = config->seed;
	sim.cpus = config->cpus;
	sim.now = 1000;
	sim.quiet = 0;
	sim.priority_low = UINT64_C(1) << 40;
	sim.stretch_start = 0;
	sim.stretch = config->scheduler == SIM_RANDOM ? stretches[sim_chance(6)] : 1;
	sim.countdown = 1;
	sim.drain_odds = UINT64_C(1) << sim_chance(6);
	sim.irq_delay = config->scheduler == SIM_SCRIPT ? 1 : UINT64_C(1) << sim_chance(9);
	for (unsigned i = 0; i < config->change_points; i++) {
		sim.change[i] = sim_chance(4000);
	}
	for (unsigned i = 0; i < SIM_CPUS; i++) {
		struct sim_cpu *c = &sim.cpu[i];

		c->alive = false;
		c->in_window = false;
		c->broken = 0;
		memset(c->accessed, 0, sizeof(c->accessed));
		c->early_count = 0;
		c->op_count = 0;
		c->irqs = 0;
		c->priority = sim.priority_low + 1 + sim_chance(1000);
	}
	trace_reset();
	store_reset();
	tlb_reset();
	user_reset();
	boot_restore();
}

void sim_run(const struct sim_config *config, void (*main)(void *), void *arg,
	     struct sim_result *result)
{
	void *fake;

	reset(config, result);
	for (unsigned i = 0; i < config->cpus; i++) {
		sim.cpu[i].base = (struct cpubase *)pcpu_slice[i];
	}
	sim.current = &sim.cpu[0];
	prepare(sim.current, main, arg);
	sim.running = true;
	__sanitizer_start_switch_fiber(&fake, sim.current->stack, SIM_STACK_BYTES);
	swapcontext(&sim.main, &sim.current->context);
	__sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
	sim.running = false;
}
