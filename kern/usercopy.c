/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/usercopy.c - see kern/usercopy.h and arch/arm64/usercopy.S.
 */
#include "kern/usercopy.h"

#include <arch/cpu.h>
#include <memmap.h>

#include "arch/arm64/sysreg.h"
#include "kern/assert.h"
#include "pcpu/pcpu.h"

/* usercopy.S; each offset is from its own place. */
struct may_fault {
	int32_t first;
	int32_t last;
	int32_t go_on;
};
extern const struct may_fault extable_start[], extable_end[];

uint64_t usercopy_in(void *dst, uint64_t src, uint64_t bytes);
uint64_t usercopy_out(uint64_t dst, const void *src, uint64_t bytes);

static uint64_t target(const int32_t *offset)
{
	return (uint64_t)((int64_t)(intptr_t)offset + *offset);
}

bool usercopy_fixup(struct trap_frame *frame)
{
	if (ESR_EC(frame->esr) != ESR_EC_DABT_SAME || (frame->esr & ESR_FNV) != 0 ||
	    frame->far >= USER_END) {
		return false;
	}
	for (const struct may_fault *e = extable_start; e < extable_end; e++) {
		if (frame->elr >= target(&e->first) && frame->elr < target(&e->last)) {
			pcpu_this()->user_fault =
				(struct user_fault){ .va = frame->far, .esr = frame->esr };
			frame->elr = target(&e->go_on);
			return true;
		}
	}
	return false;
}

/* In the user's half, without wrapping; an empty range is anywhere. */
static bool range_is_user(va_t at, uint64_t bytes)
{
	return bytes == 0 || (at.v >= USER_BASE && at.v < USER_END && bytes <= USER_END - at.v);
}

static enum kerr faulted(uint64_t copied)
{
	pcpu_this()->user_fault.copied = copied;
	count(CTR_user_faults);
	return KERR_FAULT;
}

static enum kerr refused(va_t at)
{
	pcpu_this()->user_fault = (struct user_fault){ .va = at.v };
	return faulted(0);
}

enum kerr copy_from_user(void *dst, va_t src, uint64_t bytes)
{
	KASSERT(!arch_on_spx()); /* a fault on SPx is recursion (R9) */
	if (!range_is_user(src, bytes)) {
		return refused(src);
	}
	const uint64_t left = usercopy_in(dst, src.v, bytes);

	return left == 0 ? KERR_OK : faulted(bytes - left);
}

enum kerr copy_to_user(va_t dst, const void *src, uint64_t bytes)
{
	KASSERT(!arch_on_spx()); /* R9 */
	if (!range_is_user(dst, bytes)) {
		return refused(dst);
	}
	const uint64_t left = usercopy_out(dst.v, src, bytes);

	return left == 0 ? KERR_OK : faulted(bytes - left);
}
