/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/scene.c - the frame of every scenario: set-up, the other CPUs, and what is true at
 * the end.
 */
#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/feature.h>
#include <memmap.h>
#include <string.h>

#include "ipi/park.h"
#include "kern/assert.h"
#include "kern/lock.h"
#include "kern/stop.h"
#include "pcpu/heap.h"
#include "pcpu/pcpu.h"
#include "pcpu/pin.h"
#include "pcpu/recorder.h"
#include "test/host/scenario.h"
#include "vm/pmap.h"
#include "vm/asid.h"
#include "vm/frame.h"
#include "vm/pmap_audit.h"
#include "vm/pmap_user.h"

/* A user region: at the end of a table's range and the beginning of the next one's. */
#define USER_AT (64 * GIB)

struct scene scene;

/* arch/arm64/smp.c: under the token, like the kernel. */
static void set_online(unsigned cpu, bool online)
{
	irq_mask();
	token_acquire();
	park_set_online(cpu, online);
	token_release();
	irq_unmask();
}

/* From reset through the door to SP0 with interrupts open. */
static void come_in(void)
{
	stop_note_running(cpu_number());
	this_cpu()->mask_depth = 0;
	this_cpu()->lock_count = 0;
	door_enter();
	sim_set_spx(false);
	sim_irq_open();
}

static void go_out(enum door_state state)
{
	if (scene.plan.user) {
		irq_mask();
		pmap_activate(nullptr);
		irq_unmask();
	}
	sim_irq_close();
	sim_set_spx(true);
	door_leave(state);
	scene.out++;
	/* A panic must be able to stop a CPU that has nothing to do. */
	while (scene.plan.panics && scene.out < scene.plan.cpus) {
		cpu_wfi();
		stop_poll();
	}
}

static uint64_t idle_on_spx(void *arg)
{
	(void)arg;
	door_leave(DOOR_IDLE);
	cpu_wfi();
	door_enter();
	return 0;
}

static uint64_t off_on_spx(void *arg)
{
	(void)arg;
	token_acquire();
	park_set_online(cpu_number(), false);
	token_release();
	park_answer(0);
	door_leave(DOOR_OFF);
	return 0;
}

/* Somebody who holds the lock that the initiators want, and masks: R5. */
static void contend(void)
{
	spin_lock(&kernel_pmap.lock);
	sim_point();
	spin_unlock(&kernel_pmap.lock);
}

static void extract(void)
{
	struct region *r = &scene.region[sim_random(scene.regions)];
	const unsigned i = (unsigned)sim_random(r->count);
	const va_t at = va(r->base.v + i * r->step);
	pa_t out;

	sim_point();
	if (r->mapped[i] && !r->in_flux[i]) {
		const uint64_t fluxes = r->fluxes;
		const bool found = pmap_extract(at, &out);

		/* It may have been unmapped meanwhile; then the answer was true once. */
		if (!found && r->fluxes == fluxes) {
			sim_fail("pmap_extract() loses %#llx", (unsigned long long)at.v);
		}
		if (found && out.v != r->pa.v + i * r->step) {
			sim_fail("pmap_extract() finds %#llx for %#llx", (unsigned long long)out.v,
				 (unsigned long long)at.v);
		}
	}
}

/* What reports read, from any CPU, at any time: names, records, pins, stacks, counts. */
static void look_around(unsigned cpu)
{
	struct record r;

	for (unsigned c = 0; c < CTR_COUNT; c++) {
		if (strcmp(counter_name(c), "?") == 0 || counter_text(c)[0] == '\0') {
			sim_fail("counter %u has no name", c);
		}
	}
	(void)counter_sum((enum counter)sim_random(CTR_COUNT));
	if (strcmp(counter_name(CTR_COUNT), "?") != 0 ||
	    strcmp(counter_text(CTR_COUNT), "?") != 0) {
		sim_fail("a counter that is none has a name");
	}
	if (recorder_read(cpu, RECORDER_ENTRIES, &r) || recorder_read(MAX_CPUS, 0, &r)) {
		sim_fail("a record that is none is read");
	}
	for (unsigned age = 0; age < 4; age++) {
		if (recorder_read(cpu, age, &r) && rec_kind_name(record_kind(&r))[0] == '?') {
			sim_fail("a record of no kind");
		}
	}
	if (!pcpu_stacks_intact(pcpu_this()) || pin_at(0) == nullptr ||
	    pin_at(PIN_MAX) != nullptr) {
		sim_fail("pinned memory is not what it was");
	}
}

/* Run any space for a moment, or none: numbers are asked for, and CPUs come and go. */
static void run_some_space(void)
{
	const unsigned i = (unsigned)sim_random(scene.regions + scene.plan.spaces + 1);
	struct pmap *p = i < scene.regions + scene.plan.spaces ? &scene.space[i] : nullptr;

	irq_mask();
	pmap_activate(p);
	irq_unmask();
	sim_point();
}

/*
 * A thread in EL0 that never calls: this CPU runs the space, and touches it, until it has enough;
 * if the space was retired, until somebody takes it away.
 */
static void stay_in(struct region *r)
{
	const uint64_t id = (uint64_t)(uintptr_t)&r->pmap->space;

	region_touch(r);
	while (mailbox_of(cpu_number())->space == id && (r->dead || sim_random(32) != 0)) {
		if (!r->dead) {
			region_touch(r);
		}
		sim_yield();
	}
}

static void one_thing(unsigned cpu)
{
	switch (sim_random(scene.plan.small ? 1 : 16)) {
	case 9:
		if (scene.plan.user) {
			stay_in(&scene.region[sim_random(scene.regions)]);
		}
		break;
	case 10:
		if (scene.plan.user) {
			run_some_space();
		}
		break;
	case 11:
		look_around(cpu);
		break;
	case 12:
		if (!scene.plan.user) {
			extract();
		}
		break;
	case 13:
		/* It answers by polling, so a lost interrupt would rarely be missed. */
		if (scene.plan.drops == 0) {
			contend();
		}
		break;
	case 14:
	case 15:
		if (scene.plan.idle) {
			arch_call_on_spx(idle_on_spx, nullptr);
		}
		break;
	default:
		region_touch(&scene.region[(cpu + sim_random(2)) % scene.regions]);
		break;
	}
}

static void other(void *arg)
{
	const unsigned cpu = cpu_number();

	(void)arg;
	come_in();
	for (unsigned n = 0; scene.plan.small && n < 3; n++) {
		region_touch(&scene.region[0]);
		if (scene.plan.idle) {
			arch_call_on_spx(idle_on_spx, nullptr);
		}
	}
	while (!scene.stop && !scene.plan.small) {
		if (scene.plan.hotplug && cpu == scene.plan.cpus - 1 && sim_random(32) == 0) {
			arch_call_on_spx(off_on_spx, nullptr);
			return;
		}
		if (scene.plan.panics && sim_random(64) == 0) {
			panic("a test of the panic");
		}
		one_thing(cpu);
	}
	go_out(DOOR_IDLE);
}

/* The initiator's space ends, whoever runs it; its number and its tables are used again. */
static void end_space(unsigned cpu)
{
	struct pmap *p = &scene.space[cpu];

	if (!scene.plan.retire) {
		return;
	}
	scene.region[cpu].dead = true;
	pmap_user_retire(p);
	sim_space_remove(p);
	pmap_user_destroy(p);
	if (pmap_map(p, va(USER_AT), pa(0), PAGE_BYTES, 0) != KERR_DEAD) {
		sim_fail("a space that is retired takes a mapping");
	}
}

static void initiator(void *arg)
{
	const unsigned cpu = cpu_number();

	(void)arg;
	come_in();
	scene.plan.initiator(cpu);
	end_space(cpu);
	scene.initiators_left--;
	go_out(DOOR_IDLE);
}

/* arch/arm64/smp.c, smp_start(): online under the token, while the slice says OFF. */
static void bring_back(unsigned cpu)
{
	store_release(&mailbox_of(cpu)->door, DOOR_OFF);
	set_online(cpu, true);
	sim_start(cpu, other, nullptr);
}

static bool all_have_ended(void)
{
	for (unsigned cpu = 1; cpu < scene.plan.cpus; cpu++) {
		if (!sim_has_ended(cpu)) {
			return false;
		}
	}
	return true;
}

static void set_up_space(unsigned i)
{
	if (pmap_user_init(&scene.space[i], nullptr) != KERR_OK) {
		sim_fail("the set-up makes no space");
	}
	sim_space_add(&scene.space[i]);
}

/*
 * A run of 32 MiB in the linear map, of whose frames only the first block is free; and an alias of
 * that block elsewhere.
 */
static void set_up_growth(unsigned i)
{
	const pa_t block = pa(SIM_GROWTH_BASE);

	if (i == 0) {
		uint64_t *state = heap_alloc(1, 1, 0);

		region_map(&scene.region[0], &kernel_pmap, va(LINEAR_BASE + block.v), block,
			   BLOCK_BYTES, 16, PMAP_WRITE);
		frame_add_range(block, BLOCK_BYTES, 0, state);
	} else {
		region_map(&scene.region[i], &kernel_pmap, va(KMAP_BASE + 16 * GIB), block,
			   PAGE_BYTES, 512, PMAP_WRITE);
	}
}

static void set_up_regions(void)
{
	const struct plan *p = &scene.plan;

	scene.regions = p->initiators;
	for (unsigned i = 0; i < scene.regions; i++) {
		if (p->initiator == initiate_big) {
			region_map(&scene.region[i], &kernel_pmap, va(LINEAR_BASE + (i + 4) * GIB),
				   pa((i + 4) * GIB), BLOCK_BYTES, 512,
				   PMAP_WRITE | (i == 0 ? 0 : PMAP_NO_PROMOTE));
		} else if (p->initiator == initiate_batch) {
			if (p->user) {
				set_up_space(i);
			}
			region_map(&scene.region[i], p->user ? &scene.space[i] : &kernel_pmap,
				   va(p->user ? USER_AT : KMAP_BASE + i * GIB), pa((i + 4) * GIB),
				   PAGE_BYTES, 512, PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE);
		} else if (p->initiator == initiate_small_run) {
			if (p->user) {
				set_up_space(i);
			}
			region_map(&scene.region[i], p->user ? &scene.space[i] : &kernel_pmap,
				   va(p->user ? USER_AT : KMAP_BASE), pa(4 * GIB), PAGE_BYTES, 16,
				   PMAP_WRITE | PMAP_PAGES | PMAP_NO_PROMOTE);
		} else if (p->initiator == initiate_growth) {
			set_up_growth(i);
		} else if (p->user) {
			set_up_space(i);
			region_map(&scene.region[i], &scene.space[i], va(USER_AT),
				   pa((i + 4) * GIB), PAGE_BYTES,
				   p->initiator == initiate_operations ? 640 : 512, PMAP_WRITE);
		} else {
			region_map(&scene.region[i], &kernel_pmap, va(KMAP_BASE + i * GIB),
				   pa((i + 4) * GIB + (p->skewed ? PAGE_BYTES : 0)), PAGE_BYTES,
				   p->initiator == initiate_operations ? 640 : 512, PMAP_WRITE);
		}
	}
}

static void set_up(void)
{
	const struct plan *p = &scene.plan;

	cpu_features = (struct cpu_features){
		.tlb_range = p->tlb_range, .hafdbs = p->hafdbs, .bbm = 2, .bbml2_safe = true
	};
	inval_set_mode(BBM_PARK);
	inval_set_kind(INVAL_AUTO);
	inval_set_window_delay(2); /* mode retry lingers, in the code at least */
	park_set_limits(p->drops != 0 ? LOST_PARK_TICKS : 300000, LOST_PARK_ATTEMPTS);
	for (unsigned cpu = 0; cpu < p->cpus; cpu++) {
		set_online(cpu, true);
		pcpu_of(cpu)->irq_drop_parks = cpu == 0 ? 0 : p->drops;
	}
	come_in();
	asid_set_bits(p->user ? 4 : 8);
	set_up_regions();
	for (unsigned i = 0; i < p->spaces; i++) {
		set_up_space(scene.regions + i);
	}
	inval_set_mode(p->mode);
	inval_set_kind(p->kind);
}

/* The promises of the tables, of the heap and of every CPU. */
static void check_the_end(void)
{
	struct pmap_audit audit;

	sim_quiet(true);
	for (unsigned i = 0; i < scene.regions && scene.plan.user; i++) {
		if (!scene.region[i].dead && !pmap_audit(&scene.space[i], &audit)) {
			sim_fail("the audit of a user space: %u wrong counts, %u broken runs",
				 audit.bad_notes, audit.bad_runs);
		}
	}
	if (!pmap_audit(&kernel_pmap, &audit)) {
		sim_fail(
			"the audit of the tables: %u writable and executable, %u wrong counts, %u broken runs, "
			"at %#llx",
			audit.wx, audit.bad_notes, audit.bad_runs, (unsigned long long)audit.bad.v);
	}
	sim_quiet(false);
	for (unsigned i = 0; i < scene.regions; i++) {
		if (!scene.region[i].dead) {
			region_check(&scene.region[i]);
		}
	}
	for (unsigned cpu = 0; cpu < scene.plan.cpus; cpu++) {
		if (pcpu_of(cpu)->base.lock_count != 0 || pcpu_of(cpu)->base.mask_depth != 0) {
			sim_fail("cpu%u ends with a lock held or interrupts masked", cpu);
		}
	}
	if (park_window() != 0) {
		sim_fail("a window is left open");
	}
}

void scene_main(void *arg)
{
	const struct plan plan = *(const struct plan *)arg;

	scene = (struct scene){ .plan = plan, .initiators_left = plan.initiators - 1 };
	sim_quiet(true);
	set_up();
	sim_settle();
	sim_quiet(false);
	for (unsigned cpu = 1; cpu < plan.cpus; cpu++) {
		sim_start(cpu, cpu < plan.initiators ? initiator : other, nullptr);
	}
	plan.initiator(0);
	end_space(0);
	while (scene.initiators_left > 0) {
		if (plan.hotplug && sim_has_ended(plan.cpus - 1)) {
			bring_back(plan.cpus - 1);
		}
		region_touch(&scene.region[0]);
		sim_yield();
	}
	scene.stop = true;
	while (plan.panics ? scene.out < plan.cpus - 1 : !all_have_ended()) {
		sim_yield();
	}
	if (plan.panics && sim_console()[0] != '\0') {
		sim_fail("the machine went on after a panic");
	}
	check_the_end();
	go_out(DOOR_IDLE);
}
