/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/time.h - the machine's clock, in nanoseconds since it started: what deadlines are made of.
 */
#pragma once

#include <kerr.h>
#include <types.h>

uint64_t time_now_ns(void);

/* Sleep so long. KERR_CANCELLED: a debugger stopped the thread; KERR_NO_MEMORY. */
enum kerr time_sleep_ns(uint64_t ns);
