/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/irq_object.c - see kern/irq_object.h.
 */
#include "kern/irq_object.h"

#include <arch/atomic.h>
#include <arch/cpu.h>

#include "arch/arm64/gic.h"
#include "kern/lock.h"
#include "pcpu/slab.h"

#define GIC_LINES 1020
#define SPI_FIRST 32 /* below: SGIs and PPIs, the kernel's own */

static struct slab_class irqs = SLAB_CLASS("interrupts", struct irq_object);
static struct spinlock claim_lock = SPINLOCK("interrupts", LOCK_OBJECT);
uint64_t irq_claimed[IRQ_NUMBERS];

const struct irq_object *irq_object_of(uint32_t number)
{
	return number < GIC_LINES ? (struct irq_object *)load_acquire(&irq_claimed[number])
				  : nullptr;
}

bool irq_object_signal(uint32_t number)
{
	const struct irq_object *irq = irq_object_of(number);

	if (irq == nullptr) {
		return false;
	}
	struct event *ev =
		(struct event *)load_acquire((const uint64_t *)(const void *)&irq->event);

	gic_disable(number);
	if (ev != nullptr) {
		event_signal_interrupt(ev, irq->bits);
	}
	return true;
}

enum kerr irq_object_bind(struct irq_object *irq, struct event *ev, uint64_t bits)
{
	enum kerr e = KERR_OK;

	if (!kobj_get(&ev->obj)) {
		return KERR_DEAD;
	}
	spin_lock(&claim_lock);
	if (irq->event != nullptr) {
		e = KERR_EXISTS;
	} else {
		irq->bits = bits;
		store_release((uint64_t *)(void *)&irq->event, (uint64_t)(uintptr_t)ev);
		gic_route(irq->number, cpu_number());
		gic_enable(irq->number);
	}
	spin_unlock(&claim_lock);
	if (e != KERR_OK) {
		kobj_put(&ev->obj);
	}
	return e;
}

enum kerr irq_object_ack(const struct irq_object *irq)
{
	if (load_acquire((const uint64_t *)(const void *)&irq->event) == 0) {
		return KERR_ABSENT;
	}
	gic_enable(irq->number);
	return KERR_OK;
}

static void let_go(struct irq_object *irq)
{
	spin_lock(&claim_lock);
	if (irq_claimed[irq->number] == (uint64_t)(uintptr_t)irq) {
		gic_disable(irq->number);
		store_release(&irq_claimed[irq->number], 0);
	}
	spin_unlock(&claim_lock);
}

static bool irq_revoke(struct kobj *obj)
{
	let_go((struct irq_object *)obj);
	return true;
}

/* Out of the table first; freed when the top halves that saw it there are through. */
static enum kobj_end irq_end(struct kobj *obj)
{
	struct irq_object *irq = (struct irq_object *)obj;

	if (kobj_end_begins(obj)) {
		let_go(irq);
		return END_LATER;
	}
	if (irq->event != nullptr) {
		kobj_put(&irq->event->obj);
	}
	slab_free(&irqs, irq, obj->payer);
	return END_GONE;
}

static const struct kobj_ops irq_ops = { .type = KOBJ_IRQ, .revoke = irq_revoke, .end = irq_end };

enum kerr irq_object_create(struct memcharge *payer, uint32_t number, bool edge,
			    struct irq_object **out)
{
	struct irq_object *irq;

	if (number < SPI_FIRST) {
		return KERR_EXISTS;
	}
	if (number >= GIC_LINES || number >= gic_line_count()) {
		return KERR_ABSENT;
	}
	irq = slab_alloc(&irqs, payer);
	if (irq == nullptr) {
		return KERR_NO_MEMORY;
	}
	kobj_init(&irq->obj, &irq_ops, payer);
	irq->number = number;
	gic_find_line(number, &irq->line);
	spin_lock(&claim_lock);
	const bool taken = irq_claimed[number] != 0;

	if (!taken) {
		gic_disable(number);
		gic_set_edge(number, edge);
		store_release(&irq_claimed[number], (uint64_t)(uintptr_t)irq);
	}
	spin_unlock(&claim_lock);
	if (taken) {
		slab_free(&irqs, irq, payer);
		return KERR_EXISTS;
	}
	*out = irq;
	return KERR_OK;
}
