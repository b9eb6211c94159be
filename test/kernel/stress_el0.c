/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/stress_el0.c - the stress from EL0, as a workload of the kernel's.
 *
 * THEORY   init is started as at a boot with run=stress, finds the program of that name on its RAM
 *          disk, and that starts tasks and threads that promote and demote their own memory. When
 *          it has ended, every frame must be back.
 */
#include <bootinfo.h>
#include <string.h>

#include "ipi/inval.h"
#include "kern/format.h"
#include "kern/init.h"
#include "kern/run.h"
#include "test/kernel/stress.h"

void work_el0(void)
{
	static char args[BOOT_ARGS_BYTES];
	const uint64_t frames = stress_frames();

	if (inval_mode() == BBM_RETRY || inval_mode() == BBM_NAIVE) {
		return; /* programs judge themselves by the promise of the other modes */
	}
	memset(args, 0, sizeof(args));
	ksnprintf(args, sizeof(args), "run=stress console=kernel seed=%llu",
		  (unsigned long long)bootargs.seed);
	CHECK(init_visit(args) == 0);
	CHECK(stress_frames() == frames);
}
