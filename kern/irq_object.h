/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq_object.h - interrupts of the machine, given to drivers.
 *
 * THEORY   A driver claims an interrupt by its number at the controller and binds it to bits of an
 *          event. When it arrives the kernel masks it and signals: nothing specific to a device
 *          runs in interrupt context. The driver, a thread in EL0, serves the device and
 *          acknowledges, which unmasks. Level and edge alike: an edge that arrives meanwhile stays
 *          pending at the controller.
 * LOCKING  LOCK_OBJECT for claiming and binding; the top half reads the table with LDAR.
 */
#pragma once

#include "arch/arm64/gic.h"
#include "kern/event.h"

struct irq_object {
	struct kobj obj;
	struct event *event; /* [a] referenced; nullptr: not bound */
	uint64_t bits;       /* [c] once bound */
	struct gic_line line; /* [c] */
	uint32_t number;     /* [c] */
};

/* [a] struct irq_object *, by number: whatever the controller names, for arch/arm64/irq_fast.S */
#define IRQ_NUMBERS 1024
extern uint64_t irq_claimed[IRQ_NUMBERS];

/* Claim a shared interrupt. KERR_EXISTS, KERR_ABSENT, KERR_NO_MEMORY. */
enum kerr irq_object_create(struct memcharge *payer, uint32_t number, bool edge,
			    struct irq_object **out);

/* Bind, and unmask. KERR_EXISTS: it is bound; KERR_DEAD: the event is. */
enum kerr irq_object_bind(struct irq_object *irq, struct event *ev, uint64_t bits);

/* KERR_ABSENT: it is not bound. */
enum kerr irq_object_ack(const struct irq_object *irq);

/* Who has claimed it; nullptr: nobody. For this stay in the kernel. */
const struct irq_object *irq_object_of(uint32_t number);

/* Top half, on SPx. False: nobody has claimed it. */
bool irq_object_signal(uint32_t number);
