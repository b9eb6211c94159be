/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/run.c - see kern/run.h.
 */
#include "kern/run.h"

#include <string.h>

#include "kern/init.h"
#include "kern/kdb.h"
#include "kern/log.h"
#include "kern/warden.h"
#include "kern/work.h"
#include "pcpu/pcpu.h"
#include "test/kernel/programs.h"

struct program {
	const char *name;
	unsigned (*main)(void);
};

static const struct program programs[] = {
	{ "stress", stress_main }, { "test", ktest_main }, { "bench", bench_main },
	{ "kdb", kdb_main },       { "none", nullptr },
};

void run_secondary(void)
{
	if (warden_is(cpu_number())) {
		warden_main();
	}
	work_loop();
}

/* Everything, where a long only= asked for something, would look like an answer. */
static unsigned run_program(const struct program *program)
{
	if (bootargs.cut) {
		log_printf("boot", "run=%s: not run, for an argument was too long", program->name);
		return 1;
	}
	return program->main();
}

unsigned run_main(void)
{
	if (bootargs.provoke[0] != '\0') {
		if (PERCH_DEBUG) {
			return provoke_main();
		}
		log_printf("boot", "provoke= is for debug builds only");
	}
	for (unsigned i = 0; i < array_len(programs); i++) {
		if (strcmp(bootargs.run, programs[i].name) == 0) {
			return programs[i].main != nullptr ? run_program(&programs[i]) : 0;
		}
	}
	return init_main(); /* a program of its RAM disk, or init says that there is none */
}
