/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/provoke.c - provoke=: break the kernel on purpose, to see that it says how.
 *
 * THEORY   Each provocation is a bug that somebody has shipped. It must end in its report and in
 *          the end marker; coming back from one is a failure, which run_main() then reports.
 */
#include <compiler.h>
#include <string.h>

#include "kern/assert.h"
#include "kern/log.h"
#include "kern/report.h"
#include "kern/run.h"
#include "pcpu/pcpu.h"
#include "test/kernel/programs.h"

/* Below the kernel's half, where TTBR0 of an idle CPU maps nothing. */
#define UNMAPPED UINT64_C(0x0000200000000000)
#define DEEP_BYTES 256

/* x18 that is no slice: the next exception, here the load through it, must notice. */
static void provoke_x18(void)
{
	__asm__ volatile("mov x18, %0\n\tldr x0, [x18]" ::"r"(UNMAPPED) : "x0", "memory");
}

/* A fault on the exception stack, and one more in the report on it. */
static void provoke_report(void)
{
	report_provoked = true;
	__asm__ volatile("msr daifset, #0xf\n\tmsr spsel, #1\n\tldr x0, [%0]" ::"r"(UNMAPPED)
			 : "x0", "memory");
}

/*
 * Recursion in C without end, down through the red zone. Each level makes the check of a slow exit
 * (work_loop() makes it between pieces of work).
 */
static unsigned descend(volatile char *above);
static unsigned (*volatile deeper)(volatile char *above) = descend;

static unsigned descend(volatile char *above)
{
	volatile char here[DEEP_BYTES];

	/* All of it: a frame that is not written can step over a red zone. */
	for (unsigned i = 0; i < DEEP_BYTES; i++) {
		here[i] = above[i % 16];
	}
	if (!pcpu_stacks_intact(pcpu_this())) {
		panic("stack overflow: a red zone of cpu%u is overwritten", cpu_number());
	}
	return deeper(here) + (unsigned)here[0];
}

unsigned provoke_main(void)
{
	volatile char top[16] = { 0 };

	if (strcmp(bootargs.provoke, "x18") == 0) {
		provoke_x18();
	} else if (strcmp(bootargs.provoke, "report") == 0) {
		provoke_report();
	} else if (strcmp(bootargs.provoke, "overflow") == 0) {
		(void)deeper(top);
	} else {
		log_printf("provoke", "provoke=%s is unknown; there are: overflow report x18",
			   bootargs.provoke);
		return 2;
	}
	log_printf("provoke", "%s: nothing happened", bootargs.provoke);
	return 1;
}
