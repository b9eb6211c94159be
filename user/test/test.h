/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test.h - tests of what the kernel promises, seen from EL0.
 *
 * THEORY   A test is a function named after the behaviour that it pins. What it expects and does
 *          not find is one line with file and line; it goes on, so that one run tells all. Handles
 *          and memory that a test leaves behind are found by the counts before and after.
 */
#pragma once

#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <memmap.h>
#include <stdio.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(function)             \
	{                          \
		.name = #function, \
		.run = function,   \
	}
#define TEST_END { .name = nullptr, .run = nullptr }

extern const struct test tests_bound[], tests_crowd[], tests_driver[], tests_event[], tests_fault[],
	tests_handle[], tests_interrupt[], tests_ipc[], tests_memory[], tests_quick[],
	tests_quick_fault[], tests_quick_ipc[], tests_restart[], tests_sched[], tests_state[],
	tests_step[], tests_task[], tests_thread[], tests_waiting[];

/* Report unless `fact`. */
void expect(bool fact, const char *file, int line, const char *text);
/* Report unless both are equal, with their values. */
void expect_equal(uint64_t found, uint64_t wanted, const char *file, int line, const char *text);

#define EXPECT(e) expect((e), __FILE__, __LINE__, #e)
#define EXPECT_EQ(found, wanted) \
	expect_equal((uint64_t)(found), (uint64_t)(wanted), __FILE__, __LINE__, #found)
#define EXPECT_OK(call) EXPECT_EQ(call, KERR_OK)

#define MS UINT64_C(1000000)
#define LONG_NS (60000 * MS) /* a wait that does not end in time is a failure, not a hang */

static inline uint64_t in_time(void)
{
	return time_now_ns() + LONG_NS;
}

/* A thread that must exist for the test to go on. */
struct thread *start_thread(void (*function)(void *), void *argument, uint32_t priority);

/* A stop takes effect when the thread's CPU carries it out: resume it as soon as it did. */
void resume_thread(const struct thread *thread);

/* Wait until the kernel says so of the thread: no sleep is long enough on a busy host. */
void await_state(handle_t thread, enum thread_report state);

/* Wait until it is not `old` any more: another thread changes it. False: not in time. */
bool await_change(const volatile uint64_t *word, uint64_t old);
bool await_equal(const volatile uint64_t *word, uint64_t wanted);

/*
 * A thread without library: it may only make calls, and is ended by end_bare(), whatever it does.
 * There is one stack for them, so one at a time.
 */
handle_t start_bare(void (*function)(uint64_t argument), uint64_t argument);
void end_bare(handle_t thread);

/* Wait until this task's first thread is its only one: those that were killed have gone. */
void await_alone(void);

/* mem_protect, again as long as a CPU does not park in time. */
enum kerr protect(uint64_t address, uint64_t bytes, uint64_t flags);

/* Two that yield to each other, in one page: turns each has had, and registers that changed. */
struct turns {
	uint64_t first, second, wrong, over;
};
void yield_in_turn(volatile struct turns *turns, uint64_t seed, volatile uint64_t *mine);

/* thread_yield with a pattern in the registers that a call keeps: how many are not kept. */
uint64_t yield_and_compare(uint64_t seed);

/*
 * Store to `at`, a skipped fault, with a pattern in the other registers: how many have changed?
 * *pc: of the store.
 */
uint64_t store_and_compare(uint64_t at, uint64_t seed, uint64_t *pc);

/* The CPUs that there are. */
uint64_t cpus_online(void);

/* Memory of our own: a fresh object, mapped. 0 when it cannot be had (reported). */
uint64_t map_memory(enum memory_kind kind, uint64_t bytes, uint64_t flags);

/* Exceptions of this task come to a thread of it, while a catcher is there. */
struct catcher {
	handle_t endpoint;
	struct thread *thread;
	enum exception_verdict verdict;
	/* May be nullptr. Called before the verdict is given. */
	void (*fix)(const struct ipc_message *exception);
	uint64_t count; /* caught so far */
	struct ipc_message last;
};

void catcher_begin(struct catcher *c, enum exception_verdict verdict,
		   void (*fix)(const struct ipc_message *exception));
void catcher_end(struct catcher *c);

/* What the role of a faulter does, to the handler in `extra`. */
#define FAULTER_ROUNDS 10u

/* Run this program once more in a task of its own, in the role named; see test.c. */
struct role_result {
	bool ended;      /* by exit(); else by an exception or not in time */
	int status;
	uint64_t exception_kind, exception_address;
};
bool run_role(const char *role, handle_t extra, uint64_t limit_bytes, struct role_result *out);
