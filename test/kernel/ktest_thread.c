/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest_thread.c - threads in EL0: entry and exit, the scheduler, FP state, death.
 *
 * THEORY   The programs are those of el0_stub.S, in one page that EL0 may execute; a second page is
 *          their memory. A thread ends with UDF: it dies, its registers stay to be looked at
 *          until the test gives its reference back. The boot CPU gives itself to threads until all
 *          are dead, or a time limit is reached that says that something is wrong.
 */
#include <arch/atomic.h>
#include <arch/cpu.h>
#include <compiler.h>
#include <memmap.h>
#include <string.h>

#include "arch/arm64/gic.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "kern/event.h"
#include "kern/ipc.h"
#include "kern/irq_object.h"
#include "kern/reclaim.h"
#include "kern/sched.h"
#include "kern/task.h"
#include "kern/thread.h"
#include "kern/work.h"
#include "pcpu/heap.h"
#include "test/kernel/ktest.h"
#include "test/kernel/stage.h"
#include "vm/space.h"

#define LIMIT_SECONDS 20
#define TASK_LIMIT (256 * KIB)
#define CREW 8
#define BADGE 5
#define CALLS 500
#define PRIORITY 10

struct stage stage;

/* The two pages of our memory, in a task's space. */
static bool furnish(struct task *task)
{
	struct pmap *map = &task->space->pmap;

	return pmap_map(map, va(CODE_VA), heap_pa(stage.code), PAGE_BYTES,
			PMAP_EXEC | PMAP_NO_PROMOTE) == KERR_OK &&
	       pmap_map(map, va(DATA_VA), heap_pa(stage.data), PAGE_BYTES,
			PMAP_WRITE | PMAP_NO_PROMOTE) == KERR_OK;
}

bool stage_open(void)
{
	stage = (struct stage){ 0 };
	stage.code = heap_alloc(1, 1, HEAP_ANY_NODE);
	stage.data = heap_alloc(1, 1, HEAP_ANY_NODE);
	if (stage.code == nullptr || stage.data == nullptr ||
	    task_create(TASK_LIMIT, nullptr, &stage.task) != KERR_OK ||
	    task_create(TASK_LIMIT, nullptr, &stage.other) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a task");
		return false;
	}
	memcpy(stage.code, el0_stub, (size_t)(el0_stub_end - el0_stub));
	EXPECT(furnish(stage.task) && furnish(stage.other));
	__asm__ volatile("ic ialluis\n\tdsb ish\n\tisb" ::: "memory");
	return true;
}

struct thread *stage_cast(struct task *task, const struct thread_start *how)
{
	struct thread *t;

	if (thread_create(task, how, &t) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a thread");
		return nullptr;
	}
	EXPECT(kobj_get(&t->obj)); /* to look at it when it is dead */
	stage.crew[stage.crew_count++] = t;
	return t;
}

/* A thread that begins with x0 = arg and sp = the word of our memory that it waits for. */
static struct thread *cast(const char *program, uint64_t arg, unsigned word, uint64_t cpus)
{
	return stage_cast(stage.task, &(struct thread_start){ .pc = STUB(program),
							      .sp = WORD(word),
							      .arg = arg,
							      .affinity = cpus,
							      .priority = PRIORITY });
}

static void start_all(void)
{
	for (unsigned i = 0; i < stage.crew_count; i++) {
		EXPECT_EQ(thread_start(stage.crew[i], nullptr), KERR_OK);
	}
}

bool stage_all_dead(void)
{
	for (unsigned i = 0; i < stage.crew_count; i++) {
		if (__atomic_load_n(&stage.crew[i]->state, __ATOMIC_ACQUIRE) != THREAD_DEAD) {
			return false;
		}
	}
	return true;
}

static bool enough(void *arg)
{
	(void)arg;
	return stage.until() || counter_now() > stage.limit;
}

/* Every millisecond: the boot CPU looks whether it wants to come back. */
static void tick(struct timerq_node *node)
{
	if (counter_now() >= stage.go_at) {
		store_release(&stage.data[GO * 2], 1);
	}
	if (stage.pend != 0) {
		gic_pend(stage.pend);
	}
	timerq_add(node, counter_now() + arch_counter_hz() / 1000, tick);
}

/* The boot CPU runs threads until `until`. */
void stage_play(bool (*until)(void))
{
	struct timerq_node alarm = { 0 };

	stage.until = until;
	stage.limit = counter_now() + LIMIT_SECONDS * arch_counter_hz();
	timerq_add(&alarm, counter_now(), tick);
	sched_give(enough, nullptr);
	timerq_cancel(&alarm);
	EXPECT(until());
}

static void play(uint64_t go_ms)
{
	stage.go_at = counter_now() + go_ms * arch_counter_hz() / 1000;
	stage_play(stage_all_dead);
}

/* The UDF that it ended at says what it found: 1 is good. */
static bool ended_well(const struct thread *t)
{
	const uint32_t *at = (const uint32_t *)(const void *)(stage.code + (t->regs.pc - CODE_VA));

	return ESR_EC(t->exit_reason) == 0 && *at == 1;
}

void stage_settle(void)
{
	const uint64_t limit = counter_now() + LIMIT_SECONDS * arch_counter_hz();

	while (reclaim_pending() && counter_now() < limit) {
		reclaim_poll_quiet(64);
	}
	EXPECT(!reclaim_pending());
}

void stage_close(void)
{
	for (unsigned i = 0; i < stage.crew_count; i++) {
		kobj_put(&stage.crew[i]->obj);
	}
	kobj_put(&stage.task->obj);
	kobj_put(&stage.other->obj);
	stage_settle();
	heap_free(stage.code, 1);
	heap_free(stage.data, 1);
}

static void a_null_call_returns(void)
{
	if (!stage_open()) {
		return;
	}
	struct thread *t = cast(el0_null, 1000, 0, ME);

	start_all();
	play(0);
	EXPECT(ended_well(t));
	EXPECT_EQ(t->regs.x[1], 0); /* TPIDRRO_EL0 shows nothing of the kernel */
	EXPECT_EQ(t->regs.x[2], 0);
	EXPECT_EQ(t->regs.x[18], 0x1818);
	EXPECT_EQ(t->regs.x[19], 0x1919);
	EXPECT_EQ(t->regs.x[28], 0x2828);
	EXPECT_EQ(t->regs.x[30], 0x3030);
	EXPECT_EQ(t->regs.x[16], 0); /* scrubbed */
	EXPECT_EQ(t->regs.x[17], 0);
	stage_close();
}

/* Neither gives its CPU away: only the end of a time slice lets the other one run. */
static void equals_take_turns(void)
{
	if (!stage_open()) {
		return;
	}
	struct thread *a = cast(el0_spin_until, WORD(1), 2, ME);
	struct thread *b = cast(el0_spin_until, WORD(2), 1, ME);

	start_all();
	play(0);
	EXPECT(ended_well(a));
	EXPECT(ended_well(b));
	stage_close();
}

static bool word_1_is_set(void)
{
	return load_acquire(&stage.data[2]) != 0;
}

/* The one that spins is never done with its slice: only preemption lets the urgent one free it. */
static void an_urgent_thread_preempts(void)
{
	if (!stage_open()) {
		return;
	}
	const uint64_t there = ALL & ~ME & -(ALL & ~ME);
	struct thread *low = cast(el0_spin_until, WORD(1), 2, there);
	struct thread *high = cast(el0_spin_until, WORD(2), 1, there);

	sched_set_priority(high, PRIORITY + 1);
	EXPECT_EQ(thread_start(low, nullptr), KERR_OK);
	stage_play(word_1_is_set);
	EXPECT_EQ(thread_start(high, nullptr), KERR_OK);
	play(0);
	EXPECT(ended_well(low));
	EXPECT(ended_well(high));
	stage_close();
}

static void registers_survive_preemption(void)
{
	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < 4; i++) {
		cast(el0_keep, UINT64_C(0x0123456789ab0000) * (i + 1), GO, ME);
	}
	start_all();
	play(100);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(ended_well(stage.crew[i]));
	}
	stage_close();
}

static void vector_registers_are_each_threads_own(void)
{
	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		cast(el0_fp, UINT64_C(0xfeed000000) + i * 16, 0, ME);
	}
	struct thread *without = cast(el0_wfi, 0, 0, ME);

	start_all();
	play(0);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(ended_well(stage.crew[i]));
	}
	EXPECT(stage.crew[0]->fpu != nullptr);
	EXPECT(without->fpu == nullptr);
	stage_close();
}

static void vector_registers_move_along(void)
{
	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < CREW; i++) {
		cast(el0_fp, UINT64_C(0xfeed000000) + i * 16, 0, ALL);
	}
	start_all();
	play(0);
	for (unsigned i = 0; i < CREW; i++) {
		EXPECT(ended_well(stage.crew[i]));
	}
	stage_close();
}

static void idle_cpus_pull(void)
{
	unsigned moved = 0;

	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < CREW; i++) {
		cast(el0_keep, i << 8, GO, ALL);
	}
	start_all();
	play(50);
	for (unsigned i = 0; i < CREW; i++) {
		EXPECT(ended_well(stage.crew[i]));
		moved += stage.crew[i]->cpu != cpu_number() ? 1 : 0;
	}
	EXPECT(moved > 0);
	stage_close();
}

static void affinity_moves_a_thread_that_runs(void)
{
	if (!stage_open()) {
		return;
	}
	const uint64_t there = ALL & ~ME & -(ALL & ~ME);
	struct thread *t = cast(el0_spin_until, WORD(1), GO, there);

	stage.go_at = UINT64_MAX;
	start_all();
	stage_play(word_1_is_set);
	EXPECT_EQ(t->cpu, __builtin_ctzll(there));
	sched_set_affinity(t, ME);
	play(20);
	EXPECT(ended_well(t));
	EXPECT_EQ(t->cpu, cpu_number());
	stage_close();
}

static void exclusives_fail_across_a_switch(void)
{
	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < CREW; i++) {
		cast(el0_count, WORD(3), 0, i < CREW / 2 ? ME : ALL);
	}
	start_all();
	play(0);
	EXPECT_EQ(stage.data[6], CREW * 1000);
	stage_close();
}

static void a_kill_reaches_a_thread_that_runs(void)
{
	if (!stage_open()) {
		return;
	}
	const uint64_t there = ALL & ~ME & -(ALL & ~ME);
	struct thread *t = cast(el0_spin_until, WORD(1), GO, there);
	struct thread *ready = cast(el0_spin, 0, 0, there);
	struct thread *fresh = cast(el0_spin, 0, 0, there);

	stage.go_at = UINT64_MAX;
	EXPECT_EQ(thread_start(t, nullptr), KERR_OK);
	EXPECT_EQ(thread_start(ready, nullptr), KERR_OK);
	stage_play(word_1_is_set);
	thread_ask(t, REQUEST_KILL);
	thread_ask(ready, REQUEST_KILL);
	thread_ask(fresh, REQUEST_KILL);
	stage_play(stage_all_dead);
	EXPECT_EQ(thread_start(t, nullptr), KERR_DEAD);
	EXPECT_EQ(t->exit_reason, 0);
	stage_close();
}

static bool first_is_stopped(void)
{
	return __atomic_load_n(&stage.crew[0]->state, __ATOMIC_ACQUIRE) == THREAD_STOPPED;
}

static void a_stopped_thread_goes_on_where_it_was(void)
{
	if (!stage_open()) {
		return;
	}
	const uint64_t there = ALL & ~ME & -(ALL & ~ME);
	struct thread *t = cast(el0_spin_until, WORD(1), GO, there);

	stage.go_at = UINT64_MAX;
	start_all();
	stage_play(word_1_is_set);
	thread_ask(t, REQUEST_STOP);
	stage_play(first_is_stopped);
	EXPECT(t->regs.pc > STUB(el0_spin_until) && t->regs.pc < STUB(el0_keep));
	EXPECT_EQ(t->regs.sp, WORD(GO));
	start_all();
	play(5);
	EXPECT(ended_well(t));
	stage_close();
}

static void a_dying_task_takes_its_threads_along(void)
{
	struct thread *late;

	if (!stage_open()) {
		return;
	}
	for (unsigned i = 0; i < CREW; i++) {
		cast(el0_spin, 0, 0, ALL);
	}
	start_all();
	kobj_revoke(&stage.task->obj);
	stage_play(stage_all_dead);
	const struct thread_start how = { .affinity = ME };

	EXPECT_EQ(thread_create(stage.task, &how, &late), KERR_DEAD);
	stage_close();
}

static void threads_cost_their_task(void)
{
	const struct thread_start how = { .affinity = ME };
	struct task *poor;
	struct thread *t;

	EXPECT_EQ(task_create(0, nullptr, &poor), KERR_NO_MEMORY);
	if (task_create(TASK_LIMIT, nullptr, &poor) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a task");
		return;
	}
	const uint64_t left = TASK_LIMIT - memcharge_used(&poor->charge);
	unsigned made = 0;

	while (thread_create(poor, &how, &t) == KERR_OK) {
		made++;
	}
	EXPECT(made > 0 && made <= left / sizeof(struct thread));
	EXPECT_EQ(thread_create(poor, &how, &t), KERR_NO_MEMORY);
	task_kill(poor);
	kobj_put(&poor->obj);
	if (stage_open()) {
		stage_play(stage_all_dead); /* of none: requests are served on the way */
		stage_close();
	}
}

/* As by a CPU that looked the task up before another one closed the last handle. */
static void a_task_at_its_end_may_be_killed(void)
{
	struct task *task;

	if (task_create(TASK_LIMIT, nullptr, &task) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "a task");
		return;
	}
	kobj_put(&task->obj);
	task_kill(task);
	stage_settle();
}

static bool first_is_dead(void)
{
	return __atomic_load_n(&stage.crew[0]->state, __ATOMIC_ACQUIRE) == THREAD_DEAD;
}

/* Having answered, it comes back to its call; the client may be the first to go on. */
static bool second_receives(void)
{
	return __atomic_load_n(&stage.crew[1]->state, __ATOMIC_ACQUIRE) == THREAD_RECEIVING;
}

/* A client calls a server of another task, each on its CPU. */
static void call_and_answer(uint64_t client_cpu, uint64_t server_cpu, uint8_t server_priority)
{
	struct endpoint *ep;
	handle_t to = 0;
	handle_t from = 0;

	if (!stage_open()) {
		return;
	}
	if (endpoint_create(nullptr, &ep) != KERR_OK ||
	    handle_new(&stage.task->handles, &ep->obj, RIGHT_SEND, BADGE, &to) != KERR_OK ||
	    handle_new(&stage.other->handles, &ep->obj, RIGHT_RECEIVE, 0, &from) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "an endpoint");
		return;
	}
	stage.data[2] = CALLS;
	struct thread *client = cast(el0_client, to, 1, client_cpu);
	struct thread *server =
		stage_cast(stage.other, &(struct thread_start){ .pc = STUB(el0_server),
								.sp = WORD(1),
								.arg = from,
								.affinity = server_cpu,
								.priority = server_priority });

	start_all();
	stage_play(first_is_dead);
	EXPECT(ended_well(client));
	stage_play(second_receives);
	thread_ask(server, REQUEST_KILL);
	stage_play(stage_all_dead);
	EXPECT_EQ(handle_close(&stage.task->handles, to), KERR_OK);
	EXPECT_EQ(handle_close(&stage.other->handles, from), KERR_OK);
	kobj_put(&ep->obj);
	stage_close();
}

static void a_server_answers_on_the_same_cpu(void)
{
	call_and_answer(ME, ME, PRIORITY);
}

static void a_more_urgent_server_answers(void)
{
	call_and_answer(ME, ME, PRIORITY + 1);
}

static void a_less_urgent_server_answers(void)
{
	call_and_answer(ME, ME, PRIORITY - 1);
}

static void a_server_answers_from_another_cpu(void)
{
	call_and_answer(ME, ALL & ~ME & -(ALL & ~ME), PRIORITY);
}

/* Nothing drives the last line that a controller of any board has here. */
static void a_driver_gets_its_interrupt(void)
{
	const uint32_t line = gic_line_count() - 1;
	struct event *ev;
	struct irq_object *irq;
	struct irq_object *again;
	handle_t event;
	handle_t number;

	if (!stage_open()) {
		return;
	}
	if (event_create(nullptr, &ev) != KERR_OK ||
	    irq_object_create(nullptr, line, true, &irq) != KERR_OK ||
	    irq_object_bind(irq, ev, 0x10) != KERR_OK ||
	    handle_new(&stage.task->handles, &ev->obj, RIGHT_READ, 0, &event) != KERR_OK ||
	    handle_new(&stage.task->handles, &irq->obj, RIGHT_MANAGE, 0, &number) != KERR_OK) {
		ktest_fail(__FILE__, __LINE__, "an interrupt with its event");
		return;
	}
	EXPECT_EQ(irq_object_create(nullptr, line, true, &again), KERR_EXISTS);
	stage.data[2] = number;
	struct thread *driver = cast(el0_driver, event, 1, ALL);

	stage.pend = line;
	start_all();
	play(0);
	EXPECT(ended_well(driver));
	EXPECT_EQ(handle_close(&stage.task->handles, event), KERR_OK);
	EXPECT_EQ(handle_close(&stage.task->handles, number), KERR_OK);
	kobj_put(&ev->obj);
	kobj_put(&irq->obj);
	stage_close();
}

static void a_step_is_one_instruction(void)
{
	struct thread_regs regs;

	if (!stage_open()) {
		return;
	}
	struct thread *t = cast(el0_null, 1000, 0, ME);

	EXPECT_EQ(thread_read_regs(t, &regs), KERR_OK);
	regs.pstate = SPSR_SS | SPSR_I; /* of these, EL0 may have the first */
	EXPECT_EQ(thread_write_regs(t, &regs), KERR_OK);
	EXPECT_EQ(t->regs.pstate, SPSR_SS);
	start_all();
	play(0);
	EXPECT_EQ(ESR_EC(t->exit_reason), ESR_EC_STEP_EL0);
	EXPECT_EQ(t->regs.pc, STUB(el0_null) + 4);
	EXPECT_EQ(thread_write_regs(t, &regs), KERR_DEAD);
	stage_close();
}

const struct ktest ktest_thread[] = {
	{ "a_step_is_one_instruction", a_step_is_one_instruction, 1 },
	{ "a_driver_gets_its_interrupt", a_driver_gets_its_interrupt, 1 },
	{ "a_server_answers_on_the_same_cpu", a_server_answers_on_the_same_cpu, 1 },
	{ "a_more_urgent_server_answers", a_more_urgent_server_answers, 1 },
	{ "a_less_urgent_server_answers", a_less_urgent_server_answers, 1 },
	{ "a_server_answers_from_another_cpu", a_server_answers_from_another_cpu, 2 },
	{ "a_null_call_returns", a_null_call_returns, 1 },
	{ "equals_take_turns", equals_take_turns, 1 },
	{ "an_urgent_thread_preempts", an_urgent_thread_preempts, 2 },
	{ "registers_survive_preemption", registers_survive_preemption, 1 },
	{ "vector_registers_are_each_threads_own", vector_registers_are_each_threads_own, 1 },
	{ "vector_registers_move_along", vector_registers_move_along, 2 },
	{ "idle_cpus_pull", idle_cpus_pull, 2 },
	{ "affinity_moves_a_thread_that_runs", affinity_moves_a_thread_that_runs, 2 },
	{ "exclusives_fail_across_a_switch", exclusives_fail_across_a_switch, 1 },
	{ "a_kill_reaches_a_thread_that_runs", a_kill_reaches_a_thread_that_runs, 2 },
	{ "a_stopped_thread_goes_on_where_it_was", a_stopped_thread_goes_on_where_it_was, 2 },
	{ "a_dying_task_takes_its_threads_along", a_dying_task_takes_its_threads_along, 1 },
	{ "threads_cost_their_task", threads_cost_their_task, 1 },
	{ "a_task_at_its_end_may_be_killed", a_task_at_its_end_may_be_killed, 1 },
	{ nullptr, nullptr, 0 },
};
