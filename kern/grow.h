/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/grow.h - the pinned heap grows with what programs need.
 *
 * THEORY   Kernel objects and tables of programs lie in the pinned heap, whose growth changes the
 *          linear map, so it cannot be done where memory is wanted: locks are held there. It is
 *          done at the boundary of calls and faults instead, ahead of need. While one CPU does it
 *          the others may empty what is left: so a call or a fault that the heap refused a page is
 *          made again, each time after a growth, which makes it end. One that a task's limit
 *          refused is not. Task limits say who may cause all that.
 */
#pragma once

/* Let it grow if it runs low. True: it has grown, or another CPU does it now. SP0, no lock. */
bool grow_pinned_if_low(void);

/*
 * Did the heap refuse this CPU a page in the call or fault that has just failed? Then let it grow.
 * True: it has grown since, or another CPU lets it grow now: try again. SP0, no lock.
 */
bool grow_pinned_when_refused(void);
