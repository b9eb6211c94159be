/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/quick.h - calls that pass no door: what the assembly of el0.S finds when they return.
 */
#pragma once

enum quick {
	QUICK_DONE,  /* the same thread goes on */
	QUICK_LEAVE, /* done, and the CPU looks for another thread */
	QUICK_SLOW,  /* nothing has happened: the whole kernel does it */
};
