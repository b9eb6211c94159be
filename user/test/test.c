/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test.c - runs the tests: run=test, or init=test; only=NAME takes those that begin so.
 *
 * THEORY   The same program plays the other tasks of a test: started with role=NAME it does what
 *          roles[] says and exits.
 */
#include "user/test/test.h"
#include "user/test/roles.h"

#include <stdlib.h>

static struct {
	const char *name;
	_Atomic(unsigned) failures; /* of the test that runs */
	unsigned passed, failed;
} now;

void expect(bool fact, const char *file, int line, const char *text)
{
	if (!fact) {
		now.failures++;
		printf("FAIL %s: %s:%d: %s\n", now.name, file, line, text);
	}
}

void expect_equal(uint64_t found, uint64_t wanted, const char *file, int line, const char *text)
{
	if (found != wanted) {
		now.failures++;
		printf("FAIL %s: %s:%d: %s: %#lx, expected %#lx\n", now.name, file, line, text,
		       (unsigned long)found, (unsigned long)wanted);
	}
}

static uint64_t open_handles(void)
{
	uint64_t limit, used, threads, handles = 0;

	EXPECT_OK(sys_task_info(HANDLE_NONE, &limit, &used, &threads, &handles));
	return handles;
}

static void run_test(const struct test *test)
{
	now.name = test->name;
	now.failures = 0;
	const uint64_t before = open_handles();
	test->run();
	EXPECT_EQ(open_handles(), before);
	if (now.failures == 0) {
		now.passed++;
		printf("test: %s ok\n", test->name);
	} else {
		now.failed++;
		printf("test: %s FAILED\n", test->name);
	}
}

static const char *value(int argc, char **argv, const char *key)
{
	for (int i = argc - 1; i > 0; i--) {
		if (strncmp(argv[i], key, strlen(key)) == 0) {
			return argv[i] + strlen(key);
		}
	}
	return "";
}

int main(int argc, char **argv)
{
	static const struct test *const groups[] = {
		tests_handle, tests_interrupt, tests_ipc,         tests_bound,  tests_state,
		tests_event,  tests_quick,     tests_quick_fault, tests_thread, tests_sched,
		tests_memory, tests_fault,     tests_restart,     tests_task,   tests_step,
		tests_crowd,  tests_waiting,   tests_quick_ipc,   tests_driver,
	};
	const char *const only = value(argc, argv, "only=");
	const char *const role = value(argc, argv, "role=");

	if (role[0] != '\0') {
		return role_play(role);
	}
	for (unsigned g = 0; g < sizeof groups / sizeof groups[0]; g++) {
		for (const struct test *t = groups[g]; t->name != nullptr; t++) {
			if (strncmp(t->name, only, strlen(only)) == 0) {
				run_test(t);
			}
		}
	}
	const bool pass = now.failed == 0 && now.passed > 0;
	printf("test: result=%s passed=%u failed=%u\n", pass ? "pass" : "fail", now.passed,
	       now.failed);
	return pass ? EXIT_SUCCESS : EXIT_FAILURE;
}
