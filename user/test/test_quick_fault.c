/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_quick_fault.c - faults to a handler that waits on the same CPU, and its answers
 * (arch/arm64/fault_fast.S): what arrives, what is kept, and each reason to leave the short way.
 *
 * Handlers and those who fault use no FP registers, unless the test says so: so this file makes its
 * calls itself, and copies by words that the compiler must not join.
 */
#include "user/test/test.h"

#define PSTATE_SS (UINT64_C(1) << 21)
#define ROUNDS 10u
#define LESS (PRIORITY_DEFAULT - 2)
#define REGS 18u /* x0 to x17 */
#define KEPT 4u

struct handler {
	handle_t endpoint;
	struct thread *thread;
	uint64_t verdict;
	uint64_t vectors; /* what it has in FP registers; 0: it uses none */
	void (*act)(struct handler *h); /* before it answers; may be nullptr */
	handle_t faulter, event;
	volatile uint64_t x[REGS]; /* its registers, before and after */
	volatile uint64_t arrived[REGS]; /* as they were when it received last */
	volatile uint64_t kind[KEPT], pc[KEPT]; /* of the first few */
	volatile uint64_t count, lost;
};

/* A call with all registers that it may take or leave. */
static void call_with(volatile uint64_t *x)
{
	register volatile uint64_t *at __asm__("x19") = x;

	__asm__ volatile("ldp x0, x1, [x19]\n\tldp x2, x3, [x19, #16]\n\t"
			 "ldp x4, x5, [x19, #32]\n\tldp x6, x7, [x19, #48]\n\t"
			 "ldp x8, x9, [x19, #64]\n\tldp x10, x11, [x19, #80]\n\t"
			 "ldp x12, x13, [x19, #96]\n\tldp x14, x15, [x19, #112]\n\t"
			 "ldp x16, x17, [x19, #128]\n\tsvc #0\n\t"
			 "stp x0, x1, [x19]\n\tstp x2, x3, [x19, #16]\n\t"
			 "stp x4, x5, [x19, #32]\n\tstp x6, x7, [x19, #48]\n\t"
			 "stp x8, x9, [x19, #64]\n\tstp x10, x11, [x19, #80]\n\t"
			 "stp x12, x13, [x19, #96]\n\tstp x14, x15, [x19, #112]\n\t"
			 "stp x16, x17, [x19, #128]"
			 :
			 : "r"(at)
			 : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			   "x12", "x13", "x14", "x15", "x16", "x17", "memory");
}

static void put_vectors(uint64_t pattern)
{
	__asm__ volatile("fmov d16, %0\n\tfmov d31, %0" : : "r"(pattern) : "v16", "v31");
}

static bool has_vectors(uint64_t pattern)
{
	uint64_t low, high;

	__asm__ volatile("fmov %0, d16\n\tfmov %1, d31" : "=r"(low), "=r"(high));
	return low == pattern && high == pattern;
}

/* Answer, or begin; then wait for the next. Registers that are no part of it are not zero. */
static bool receive_next(struct handler *h, uint64_t call)
{
	const bool answers = call == CALL_IPC_REPLY_RECV;

	for (unsigned i = 0; i < REGS; i++) {
		h->x[i] = 0x5eed0000 + i;
	}
	h->x[0] = h->verdict;
	h->x[8] = call;
	h->x[9] = h->endpoint;
	h->x[10] = answers ? IPC_INFO(1, 0) : 0;
	h->x[11] = HANDLE_NONE;
	h->x[12] = DEADLINE_NONE;
	if (h->vectors != 0) {
		put_vectors(h->vectors);
	}
	call_with(h->x);
	if (h->vectors != 0 && !has_vectors(h->vectors)) {
		h->lost++;
	}
	return h->x[8] == KERR_OK && (h->x[10] & IPC_FLAG_EXCEPTION) != 0;
}

static void handle(void *argument)
{
	struct handler *const h = argument;
	struct ipc_message m;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	bool caught = receive_next(h, CALL_IPC_RECV);
	while (caught) {
		for (unsigned i = 0; i < REGS; i++) {
			h->arrived[i] = h->x[i];
		}
		if (h->count < KEPT) {
			h->kind[h->count] = h->x[EXC_WORD_KIND];
			h->pc[h->count] = h->x[EXC_WORD_PC];
		}
		h->count++;
		if (h->act != nullptr) {
			h->act(h);
		}
		caught = receive_next(h, CALL_IPC_REPLY_RECV);
		if (h->x[8] == KERR_ABSENT) {
			caught = receive_next(h, CALL_IPC_RECV); /* who asked is gone */
		}
	}
	if (h->x[8] == KERR_OK) {
		EXPECT_OK(sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m));
	}
}

/* It waits when this returns. The exceptions of this task are its own from then on. */
static void handler_begin(struct handler *h, uint32_t priority)
{
	if (h->verdict == 0) {
		h->verdict = EXC_SKIP;
	}
	EXPECT_OK(sys_endpoint_create(&h->endpoint));
	EXPECT_OK(sys_task_set_exception(HANDLE_NONE, h->endpoint));
	h->thread = start_thread(handle, h, priority);
	await_state(thread_handle(h->thread), THREAD_IS_RECEIVING);
}

static void handler_end(struct handler *h)
{
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_task_set_exception(HANDLE_NONE, start.parent));
	const enum kerr e = sys_ipc_call(h->endpoint, IPC_INFO(0, 0), HANDLE_NONE, in_time(), &m);
	EXPECT(e == KERR_OK || e == KERR_DEAD); /* a test has revoked it */
	thread_join(h->thread);
	EXPECT_OK(sys_handle_close(h->endpoint));
}

/* A store that is refused, so often, on CPU 0. */
struct faulter {
	uint64_t at;
	volatile uint64_t rounds;
	uint64_t vectors; /* as a handler's */
	uint64_t pc;      /* of the store */
	volatile uint64_t changed; /* registers that were not kept */
};

static void fault_on_cpu_0(void *argument)
{
	struct faulter *const f = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	for (uint64_t i = 0; i < f->rounds; i++) {
		if (f->vectors != 0) {
			put_vectors(f->vectors + i);
		}
		f->changed += store_and_compare(f->at, i << 32, &f->pc);
		if (f->vectors != 0 && !has_vectors(f->vectors + i)) {
			f->changed++;
		}
	}
}

static uint64_t map_guard(void)
{
	uint64_t at = 0;

	EXPECT_OK(sys_mem_map(HANDLE_NONE, HANDLE_NONE, 0, 0, PAGE_BYTES, VM_GUARD, &at));
	return at;
}

static void unmap_page(uint64_t at)
{
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

/* ---- what is kept ---- */

/* With FP registers on both sides, on one, on none: nobody loses any, or finds another's. */
static void fault_keeps_the_vectors_of_both(void)
{
	const uint64_t guard = map_guard();

	for (unsigned with = 0; with < 4; with++) {
		struct handler h = { .vectors = (with & 1) * 0x11110000 };
		struct faulter f = { .at = guard,
				     .rounds = ROUNDS,
				     .vectors = (with >> 1) * 0x22220000 };

		handler_begin(&h, PRIORITY_DEFAULT);
		thread_join(start_thread(fault_on_cpu_0, &f, PRIORITY_DEFAULT));
		handler_end(&h);
		EXPECT_EQ(h.count, ROUNDS);
		EXPECT_EQ(h.lost, 0);
		EXPECT_EQ(f.changed, 0);
	}
	unmap_page(guard);
}

/* A less urgent handler has the priority of who faulted, a more urgent one keeps its own. */
static void fault_to_a_handler_of_another_priority(void)
{
	static const uint32_t priorities[][2] = { { LESS, PRIORITY_DEFAULT },
						  { PRIORITY_DEFAULT, LESS },
						  { LESS, LESS } };
	const uint64_t guard = map_guard();

	for (unsigned i = 0; i < 3; i++) {
		struct handler h = { 0 };
		struct faulter f = { .at = guard, .rounds = ROUNDS };

		handler_begin(&h, priorities[i][0]);
		thread_join(start_thread(fault_on_cpu_0, &f, priorities[i][1]));
		handler_end(&h);
		EXPECT_EQ(h.count, ROUNDS);
		EXPECT_EQ(f.changed, 0);
	}
	unmap_page(guard);
}

static void fault_in_another_space(void)
{
	struct handler h = { 0 };
	struct role_result result;

	handler_begin(&h, PRIORITY_DEFAULT);
	if (run_role("faulter", h.endpoint, 4 * MIB, &result)) {
		EXPECT(result.ended && result.status == 0);
	}
	handler_end(&h);
	EXPECT_EQ(h.count, FAULTER_ROUNDS);
}

/* ---- what arrives ---- */

struct access {
	bool store;
	uint64_t at, pc, sp, lr;
	uint64_t number; /* of the thread */
};

static void access_once(void *argument)
{
	struct access *const a = argument;
	uint64_t pc, sp, state, priority, cpu;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_thread_info(HANDLE_NONE, &state, &priority, &cpu, &a->number));
	if (a->store) {
		__asm__ volatile("adr %0, 1f\n\tmov %1, sp\n\tmov x30, %3\n1:\tstr xzr, [%2]"
				 : "=&r"(pc), "=&r"(sp)
				 : "r"(a->at), "r"(a->lr)
				 : "x30", "memory");
	} else {
		__asm__ volatile("adr %0, 1f\n\tmov %1, sp\n\tmov x30, %3\n1:\tldr x30, [%2]"
				 : "=&r"(pc), "=&r"(sp)
				 : "r"(a->at), "r"(a->lr)
				 : "x30", "memory");
	}
	a->pc = pc;
	a->sp = sp;
}

/* Everything that a handler finds in its registers, and nothing of what was there before. */
static void expect_arrival(const struct handler *h, const struct access *a, uint64_t badge)
{
	const volatile uint64_t *const x = h->arrived;

	EXPECT_EQ(h->count, 1);
	EXPECT_EQ(x[EXC_WORD_KIND], EXC_PAGE_FAULT);
	EXPECT_EQ(x[EXC_WORD_THREAD], a->number);
	EXPECT_EQ(x[EXC_WORD_PC], a->pc);
	EXPECT_EQ(x[EXC_WORD_ADDRESS], a->at);
	EXPECT_EQ(x[EXC_WORD_ESR] >> 26, 0x24);
	EXPECT_EQ(x[EXC_WORD_ACCESS], a->store ? VM_WRITE : VM_READ);
	EXPECT_EQ(x[EXC_WORD_SP], a->sp);
	EXPECT_EQ(x[EXC_WORD_LR], a->lr);
	EXPECT_EQ(x[8], KERR_OK);
	EXPECT_EQ(x[9], badge);
	EXPECT_EQ(x[10], IPC_INFO(IPC_WORDS, 0) | IPC_FLAG_EXCEPTION | IPC_FLAG_CALL);
	for (unsigned i = 11; i < REGS; i++) {
		EXPECT_EQ(x[i], 0);
	}
}

static void expect_fault(bool store, uint64_t at, uint64_t badge)
{
	struct handler h = { 0 };
	struct access a = { .store = store, .at = at, .lr = 0x1234567 };
	handle_t badged;

	handler_begin(&h, PRIORITY_DEFAULT);
	EXPECT_OK(sys_endpoint_badge(h.endpoint, badge, &badged));
	EXPECT_OK(sys_task_set_exception(HANDLE_NONE, badged));
	thread_join(start_thread(access_once, &a, PRIORITY_DEFAULT));
	handler_end(&h);
	expect_arrival(&h, &a, badge);
	EXPECT_OK(sys_handle_close(badged));
}

/* A guard, a region that may only be read, and a hole between two regions. */
static void fault_arrives_with_its_words_alone(void)
{
	const uint64_t guard = map_guard();
	const uint64_t at = map_memory(MEM_ANON, 3 * PAGE_BYTES, VM_READ);

	unmap_page(at + PAGE_BYTES);
	expect_fault(true, guard + 8, 0xfa17);
	expect_fault(false, guard + 8, 1);
	expect_fault(true, at + 2 * PAGE_BYTES - 8 + PAGE_BYTES, 2);
	expect_fault(false, at + PAGE_BYTES + 16, 3);
	expect_fault(true, at + PAGE_BYTES + 24, 4);
	unmap_page(guard);
	unmap_page(at);
	unmap_page(at + 2 * PAGE_BYTES);
}

/* What may be written may be read: the page is brought, and the handler that waits is not asked. */
static void fault_that_memory_resolves_is_not_told(void)
{
	const uint64_t at = map_memory(MEM_ANON, PAGE_BYTES, VM_WRITE);
	struct access a = { .store = false, .at = at };
	struct handler h = { 0 };

	handler_begin(&h, PRIORITY_DEFAULT);
	thread_join(start_thread(access_once, &a, PRIORITY_DEFAULT));
	handler_end(&h);
	EXPECT_EQ(h.count, 0);
	unmap_page(at);
}

/* The one set last has it. */
static void fault_goes_to_the_handler_of_the_moment(void)
{
	struct handler old = { 0 }, new = { 0 };
	struct faulter f = { .at = map_guard(), .rounds = 1 };

	handler_begin(&old, PRIORITY_DEFAULT);
	thread_join(start_thread(fault_on_cpu_0, &f, PRIORITY_DEFAULT));
	handler_begin(&new, PRIORITY_DEFAULT);
	thread_join(start_thread(fault_on_cpu_0, &f, PRIORITY_DEFAULT));
	EXPECT_EQ(old.count, 1);
	EXPECT_EQ(new.count, 1);
	EXPECT_EQ(f.changed, 0);
	handler_end(&new);
	handler_end(&old);
	unmap_page(f.at);
}

/* ---- what is in the way ---- */

static void wait_for_event_once(struct handler *h)
{
	uint64_t bits;

	if (h->count == 1) {
		EXPECT_OK(sys_event_wait(h->event, 1, DEADLINE_NONE, &bits));
	}
}

static void fault_waits_for_a_busy_handler(void)
{
	struct handler h = { .act = wait_for_event_once };
	struct faulter f[2] = { { .at = map_guard(), .rounds = 1 } };

	f[1] = f[0];
	EXPECT_OK(sys_event_create(&h.event));
	handler_begin(&h, PRIORITY_DEFAULT);
	struct thread *const first = start_thread(fault_on_cpu_0, &f[0], PRIORITY_DEFAULT);

	await_state(thread_handle(h.thread), THREAD_IS_WAITING);
	struct thread *const second = start_thread(fault_on_cpu_0, &f[1], PRIORITY_DEFAULT);

	await_state(thread_handle(second), THREAD_IS_SENDING);
	EXPECT_EQ(h.count, 1);
	EXPECT_OK(sys_event_signal(h.event, 1));
	thread_join(first);
	thread_join(second);
	handler_end(&h);
	EXPECT_EQ(h.count, 2);
	EXPECT_EQ(f[0].changed + f[1].changed, 0);
	EXPECT_OK(sys_handle_close(h.event));
	unmap_page(f[0].at);
}

/* Who faulted, as the handler finds it: by the handle of the test's own. */
static void fault_once(uint64_t argument)
{
	struct faulter *const f = (struct faulter *)(uintptr_t)argument;

	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while (f->rounds == 0) { /* until the handler knows us */
		(void)sys_thread_yield();
	}
	f->changed = store_and_compare(f->at, 5, &f->pc);
	f->rounds = 0;
	for (;;) {
		(void)sys_thread_yield();
	}
}

/* One who faults once while `act` does something to it. Ended by the caller: end_bare(). */
static void let_one_fault(struct handler *h, struct faulter *f, void (*act)(struct handler *h))
{
	*f = (struct faulter){ .at = map_guard(), .changed = UINT64_MAX };
	h->act = act;
	handler_begin(h, PRIORITY_DEFAULT);
	h->faulter = start_bare(fault_once, (uint64_t)(uintptr_t)f);
	f->rounds = 1;
}

static void one_has_faulted(struct handler *h, const struct faulter *f)
{
	end_bare(h->faulter);
	handler_end(h);
	unmap_page(f->at);
}

static struct user_regs regs;

/* Its debugger wants one instruction, the next; then all the others. */
static void step_first(struct handler *h)
{
	if (h->count == 1) {
		EXPECT_OK(sys_thread_regs_read(h->faulter, (uint64_t)(uintptr_t)&regs));
		regs.pstate |= PSTATE_SS;
		regs.pc += 4;
		EXPECT_OK(sys_thread_regs_write(h->faulter, (uint64_t)(uintptr_t)&regs));
	}
}

static void answer_to_one_that_steps(void)
{
	struct handler h = { .verdict = EXC_RESUME };
	struct faulter f;

	let_one_fault(&h, &f, step_first);
	EXPECT(await_equal(&f.changed, 0));
	EXPECT_EQ(h.count, 2);
	EXPECT_EQ(h.kind[0], EXC_PAGE_FAULT);
	EXPECT_EQ(h.kind[1], EXC_STEP);
	EXPECT_EQ(h.pc[1], h.pc[0] + 8);
	one_has_faulted(&h, &f);
}

static void make_less_urgent(struct handler *h)
{
	EXPECT_OK(sys_thread_set_priority(h->faulter, LESS - 1));
}

/* Its key is made anew while it waits: the answer is one to an exception all the same. */
static void answer_to_one_whose_priority_changed(void)
{
	uint64_t state, priority = 0, cpu, number;
	struct handler h = { 0 };
	struct faulter f;

	let_one_fault(&h, &f, make_less_urgent);
	EXPECT(await_equal(&f.changed, 0));
	EXPECT_OK(sys_thread_info(h.faulter, &state, &priority, &cpu, &number));
	EXPECT_EQ(priority, LESS - 1);
	EXPECT_EQ(h.count, 1);
	one_has_faulted(&h, &f);
}

static void stop_it(struct handler *h)
{
	EXPECT_OK(sys_thread_stop(h->faulter));
}

static void answer_to_one_that_is_to_stop(void)
{
	struct handler h = { 0 };
	struct faulter f;

	let_one_fault(&h, &f, stop_it);
	await_state(h.faulter, THREAD_IS_STOPPED);
	EXPECT_EQ(f.changed, UINT64_MAX);
	EXPECT_OK(sys_thread_resume(h.faulter));
	EXPECT(await_equal(&f.changed, 0));
	EXPECT_EQ(h.count, 1);
	one_has_faulted(&h, &f);
}

static void kill_it(struct handler *h)
{
	EXPECT_OK(sys_handle_revoke(h->faulter));
}

/* The answer finds nobody, and the handler is there for the next. */
static void killed_while_its_fault_is_handled(void)
{
	struct handler h = { 0 };
	struct faulter f, next;

	let_one_fault(&h, &f, kill_it);
	await_state(h.faulter, THREAD_IS_DEAD);
	await_state(thread_handle(h.thread), THREAD_IS_RECEIVING);
	EXPECT_EQ(f.changed, UINT64_MAX);
	h.act = nullptr;
	next = (struct faulter){ .at = f.at, .rounds = 1 };
	thread_join(start_thread(fault_on_cpu_0, &next, PRIORITY_DEFAULT));
	EXPECT_EQ(next.changed, 0);
	EXPECT_EQ(h.count, 2);
	one_has_faulted(&h, &f);
}

/* Nobody answers: who faults is killed. */
static void fault_to_a_revoked_endpoint_kills(void)
{
	struct handler h = { 0 };
	struct faulter f = { .at = map_guard(), .rounds = 1 };

	handler_begin(&h, PRIORITY_DEFAULT);
	EXPECT_OK(sys_handle_revoke(h.endpoint));
	const handle_t t = start_bare(fault_once, (uint64_t)(uintptr_t)&f);

	await_state(t, THREAD_IS_DEAD);
	EXPECT_EQ(h.count, 0);
	end_bare(t);
	handler_end(&h);
	unmap_page(f.at);
}

const struct test tests_quick_fault[] = {
	TEST(fault_keeps_the_vectors_of_both),
	TEST(fault_to_a_handler_of_another_priority),
	TEST(fault_in_another_space),
	TEST(fault_arrives_with_its_words_alone),
	TEST(fault_that_memory_resolves_is_not_told),
	TEST(fault_goes_to_the_handler_of_the_moment),
	TEST(fault_waits_for_a_busy_handler),
	TEST(answer_to_one_that_steps),
	TEST(answer_to_one_whose_priority_changed),
	TEST(answer_to_one_that_is_to_stop),
	TEST(killed_while_its_fault_is_handled),
	TEST(fault_to_a_revoked_endpoint_kills),
	TEST_END,
};
