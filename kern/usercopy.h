/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/usercopy.h - copies between kernel and user memory: all of it, or a fault to be resolved.
 *
 * THEORY   A page that is not there is no error of the copy. The copy says KERR_FAULT, leaves what
 *          it met in pcpu->user_fault, and the call that needed it returns to its boundary without
 *          a side effect, where vm_fault() judges: the page comes and the call begins anew, or it
 *          ends with the error. So a call copies in before it does anything, and out at the end.
 * LOCKING  None held that a fault's resolution needs; the copy itself takes none. On SP0, past the
 *          door: kernel memory at the other end may be anything mapped.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "kern/trap.h"

/*
 * Copy between this CPU's user space (TTBR0) and kernel memory; any alignment. KERR_OK: all of it.
 * KERR_FAULT: the range leaves [USER_BASE, USER_END), or an access faulted as it would have at EL0;
 * pcpu->user_fault tells where, why, and how much was copied before.
 */
enum kerr copy_from_user(void *dst, va_t src, uint64_t bytes);
enum kerr copy_to_user(va_t dst, const void *src, uint64_t bytes);

/* trap_sync(): a user access of a copy faulted; go on at its fix-up. False: it is another fault. */
bool usercopy_fixup(struct trap_frame *frame);
