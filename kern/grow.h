/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/grow.h - the pinned heap grows with what programs need.
 *
 * THEORY   Kernel objects and tables of programs lie in the pinned heap, whose growth changes the
 *          linear map, so it cannot be done where memory is wanted: locks are held there. It is
 *          done at the boundary of calls and faults instead, ahead of need; and a call that found
 *          no memory all the same is run again after it. Task limits say who may cause that.
 */
#pragma once

/* Let it grow if it runs low. True: it has grown, or another CPU does it now. SP0, no lock. */
bool grow_pinned_if_low(void);
