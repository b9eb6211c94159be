/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/bench/interrupts.c - what signals and interrupts cost, until who waits for them runs.
 *
 * THEORY   One thread waits for an event, another one of the same CPU makes its bits come: by a
 *          signal, by a timer, by a device (user/test/rtc.h). Neither has used FP registers, unless
 *          the name says so. See bench.c.
 */
#include <perch/thread.h>
#include <perch/time.h>

#include <stdio.h>

#include "user/bench/bench.h"
#include "user/test/rtc.h"

#define NS_PER_S UINT64_C(1000000000)
#define PAUSE_NS UINT64_C(100000)
#define DUE_STEP_NS UINT64_C(10000) /* whole ticks, of any counter of a multiple of 100 kHz */

static struct {
	handle_t event;
	struct thread *thread;
	volatile uint64_t woke;
	struct rtc rtc;
} waiting;

/* Waits for the event, and notes when it runs. */
static void wake(void *argument)
{
	uint64_t bits;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while (sys_event_wait(waiting.event, 3, DEADLINE_NONE, &bits) == KERR_OK && bits == 1) {
		waiting.woke = stamp_end();
	}
}

/* Runs `waiter` beside `sample`, and ends it by bit 1 of the event. */
static void with_waiter(void (*waiter)(void *), uint32_t priority, void (*sample)(void *))
{
	if (sys_event_create(&waiting.event) != KERR_OK ||
	    thread_create(waiter, nullptr, &(struct thread_options){ .priority = priority },
			  &waiting.thread) != KERR_OK) {
		printf("bench: failed: no thread\n");
		return;
	}
	(void)time_sleep_ns(1000000); /* it waits now */
	bench.failed = !on_fresh_thread(sample, nullptr);
	(void)sys_event_signal(waiting.event, 2);
	thread_join(waiting.thread);
	(void)sys_handle_close(waiting.event);
}

static void sample_signal(void *argument)
{
	handle_t pause;
	uint64_t bits;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	if (sys_event_create(&pause) != KERR_OK) {
		return;
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp_begin(bench.id);
		(void)sys_event_signal(waiting.event, 1);
		bench.sample[i] = less_overhead(stamp_end() - from);
		/* It runs, and waits again. No objects that end: the next sample would pay. */
		(void)sys_event_wait(pause, 1, time_now_ns() + PAUSE_NS, &bits);
	}
	(void)sys_handle_close(pause);
}

/*
 * One sample of it. The driver is more urgent and on this CPU: once it has noted its time it waits
 * again before this thread goes on. Without icount that takes the host's time, however long.
 */
static bool interrupt_once(handle_t timer, uint64_t hz, uint64_t *ticks)
{
	const uint64_t step = time_now_ns() / DUE_STEP_NS + 6;
	const uint64_t due = step * (hz / (NS_PER_S / DUE_STEP_NS));

	waiting.woke = 0;
	if (sys_timer_set(timer, step * DUE_STEP_NS) != KERR_OK) {
		return false;
	}
	while (waiting.woke == 0 && stamp_begin(bench.id) < due + hz) {
	}
	*ticks = less_overhead(waiting.woke - due);
	return waiting.woke >= due;
}

/* From the moment the timer's interrupt is due to the driver thread that waits for it. */
static void sample_interrupt(void *argument)
{
	handle_t timer;
	uint64_t hz;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	/* Less urgent than the driver from here on, and for good: a thread cannot raise itself. */
	(void)sys_thread_set_priority(HANDLE_NONE, PRIORITY_DEFAULT - 4);
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	if (sys_timer_create(waiting.event, 1, &timer) != KERR_OK) {
		bench.failed = true;
		return;
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		bench.failed = bench.failed || !interrupt_once(timer, hz, &bench.sample[i]);
	}
	(void)sys_handle_close(timer);
}

/* ---- a device's interrupt ---- */

/* The driver: it notes when it runs, silences the device, and lets it interrupt again. */
static void drive_rtc(void *argument)
{
	uint64_t bits;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	while (sys_event_wait(waiting.event, 3, DEADLINE_NONE, &bits) == KERR_OK && bits == 1) {
		waiting.woke = stamp_end();
		waiting.rtc.reg[RTC_MASK] = 0;
		(void)sys_irq_ack(waiting.rtc.irq);
	}
}

static void sample_device(void *argument)
{
	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	(void)sys_thread_set_priority(HANDLE_NONE, PRIORITY_DEFAULT - 4);
	bench.failed = sys_irq_bind(waiting.rtc.irq, waiting.event, 1) != KERR_OK;
	for (unsigned i = 0; i < SAMPLES && !bench.failed; i++) {
		waiting.woke = 0;
		const uint64_t from = stamp_begin(bench.id);
		waiting.rtc.reg[RTC_MASK] = 1;
		while (waiting.woke == 0) {
		}
		bench.sample[i] = less_overhead(waiting.woke - from);
	}
}

void measure_events(void)
{
	with_waiter(wake, PRIORITY_DEFAULT - 2, sample_signal);
	report("signal_lower", 1, "130");
	if (rtc_open(&waiting.rtc)) {
		with_waiter(drive_rtc, PRIORITY_DEFAULT, sample_device);
		report("irq_to_driver", 1, "200");
		rtc_close(&waiting.rtc);
	}
	with_waiter(wake, PRIORITY_DEFAULT, sample_interrupt);
	report("timer_to_driver", 1, "none");
	if (bench.failed) {
		printf("bench: failed: the driver did not run\n");
	}
}
