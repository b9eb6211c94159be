/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/exhaust.h - all schedules of the small scenarios up to a number of preemptions.
 */
#pragma once

#include <compiler.h>
#include <types.h>

/* False: one failed, and was told. *runs grows by the schedules that were run. */
bool exhaust(unsigned preemptions, uint64_t *runs);
