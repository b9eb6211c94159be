/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/call_machine.c - the calls on the machine (include/calls.toml).
 */
#include <arch/machine.h>
#include <gen/call_args.h>
#include <string.h>

#include "arch/arm64/cpu.h"
#include "arch/arm64/sysreg.h"
#include "arch/arm64/timer.h"
#include "ipi/park.h"
#include "kern/init.h"
#include "kern/kdb.h"
#include "kern/log.h"
#include "kern/machine_object.h"
#include "kern/run.h"
#include "kern/usercopy.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "vm/frame.h"
#include "vm/object.h"

#define ARGS_A_TOPIC (CALL_RESULTS * sizeof(uint64_t))

/* The handle that init begins with; nobody ends it. */
static const struct kobj_ops machine_ops = { .type = KOBJ_MACHINE };
static struct kobj machine = { .ops = &machine_ops, .refs = 1 };

struct kobj *machine_object(void)
{
	return &machine;
}

enum kerr call_console_write(struct thread *self, const struct call_console_write_args *a,
			     struct call_result *r)
{
	char text[CONSOLE_WRITE_MAX + 1];

	(void)self;
	(void)r;
	if (log_is_quiet()) {
		return KERR_BUSY;
	}
	const enum kerr e = copy_from_user(text, a->address, a->bytes);

	if (e != KERR_OK) {
		return e;
	}
	text[a->bytes] = '\0'; /* what follows a zero in it is not printed */
	kputs(text);
	return KERR_OK;
}

static void tell_memory(uint64_t *x)
{
	const struct frame_stats frames = frame_stats();
	const struct heap_stats heap = heap_stats();

	x[0] = frames.total * PAGE_BYTES;
	x[1] = frames.free * PAGE_BYTES;
	x[2] = heap.pages;
	x[3] = heap.pages_free;
}

static void tell_parks(uint64_t *x)
{
	x[0] = counter_sum(CTR_promote_64k) + counter_sum(CTR_promote_2m) +
	       counter_sum(CTR_promote_32m);
	x[1] = counter_sum(CTR_demote_64k) + counter_sum(CTR_demote_2m) +
	       counter_sum(CTR_demote_32m) + counter_sum(CTR_demote_1g);
	x[2] = counter_sum(CTR_transient_faults);
	x[3] = counter_sum(CTR_parks);
}

/* 32 bytes of the boot arguments, zero after their end. */
static void tell_args(uint64_t piece, uint64_t *x)
{
	static_assert((MACHINE_TOPIC_END - MACHINE_ARGS) * ARGS_A_TOPIC <= BOOT_ARGS_BYTES);
	memcpy(x, init_args() + piece * ARGS_A_TOPIC, ARGS_A_TOPIC);
}

enum kerr call_machine_info(struct thread *self, const struct call_machine_info_args *a,
			    struct call_result *r)
{
	uint64_t *x = r->x;

	(void)self;
	if (a->topic >= MACHINE_ARGS) {
		tell_args(a->topic - MACHINE_ARGS, x);
		return KERR_OK;
	}
	switch ((enum machine_topic)a->topic) {
	case MACHINE_CPUS:
		x[0] = (uint64_t)__builtin_popcountll(park_online());
		x[1] = arch_counter_hz();
		x[2] = read_sysreg(MIDR_EL1);
		return KERR_OK;
	case MACHINE_MEMORY:
		tell_memory(x);
		return KERR_OK;
	case MACHINE_UART:
		x[0] = bootinfo.uart;
		x[1] = bootinfo.uart_base;
		x[2] = bootinfo.uart_size;
		x[3] = bootinfo.uart_irq;
		return KERR_OK;
	case MACHINE_INITRD:
		x[0] = bootinfo.initrd_base;
		x[1] = bootinfo.initrd_size;
		return KERR_OK;
	case MACHINE_PARKS:
		tell_parks(x);
		return KERR_OK;
	default:
		return KERR_INVALID;
	}
}

/* The line is the program's, or the kernel's and its debugger's again. */
enum kerr call_machine_console(struct thread *self, const struct call_machine_console_args *a,
			       struct call_result *r)
{
	(void)self;
	(void)r;
	const uint64_t first = align_down(bootinfo.uart_base, PAGE_BYTES);

	object_share_device(pa(first),
			    align_up(bootinfo.uart_base + bootinfo.uart_size, PAGE_BYTES) - first);
	kdb_lend_console(a->mine != 0);
	log_quiet(a->mine != 0);
	return KERR_OK;
}

enum kerr call_machine_off(struct thread *self, const struct call_machine_off_args *a,
			   struct call_result *r)
{
	(void)self;
	(void)r;
	log_quiet(false);
	if (!init_goes((unsigned)a->status)) {
		arch_machine_end((unsigned)a->status);
	}
	return KERR_OK;
}
