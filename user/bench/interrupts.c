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

#include "user/bench/message.h"
#include "user/test/rtc.h"

#define NS_PER_S UINT64_C(1000000000)
#define PAUSE_NS UINT64_C(100000)
#define DUE_STEP_NS UINT64_C(10000) /* whole ticks, of any counter of a multiple of 100 kHz */

#define FAR_NS (10 * NS_PER_S)

static struct {
	handle_t event;
	struct thread *thread;
	volatile uint64_t woke;
	struct rtc rtc;
	bool deadline; /* it waits with one */
	bool fp;       /* it uses FP registers */
} waiting;

/* Waits for the event, and notes when it runs; it silences the device, if that is open. */
static void wake(void *argument)
{
	uint64_t bits = 1;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	if (waiting.fp) {
		__asm__ volatile("fmov d0, xzr" : : : "v0");
	}
	while (bits == 1) {
		const uint64_t due = waiting.deadline ? time_now_ns() + FAR_NS : DEADLINE_NONE;

		if (sys_event_wait(waiting.event, 3, due, &bits) != KERR_OK) {
			break;
		}
		waiting.woke = stamp_end();
		if (waiting.rtc.reg != nullptr) {
			waiting.rtc.reg[RTC_MASK] = 0;
			(void)sys_irq_ack(waiting.rtc.irq);
		}
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

/* Let who is less urgent run, until it waits again. No objects that end: the next sample pays. */
static void pause_a_while(handle_t pause)
{
	uint64_t bits;

	(void)sys_event_wait(pause, 1, time_now_ns() + PAUSE_NS, &bits);
}

static void sample_signal(void *argument)
{
	handle_t pause;

	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	if (sys_event_create(&pause) != KERR_OK) {
		return;
	}
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp_begin(bench.id);
		(void)sys_event_signal(waiting.event, 1);
		bench.sample[i] = less_overhead(stamp_end() - from);
		pause_a_while(pause);
	}
	(void)sys_handle_close(pause);
}

/* From the signal to who is more urgent. */
static void sample_signal_higher(void *argument)
{
	(void)argument;
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	(void)sys_thread_set_priority(HANDLE_NONE, PRIORITY_DEFAULT - 4);
	for (unsigned i = 0; i < SAMPLES; i++) {
		const uint64_t from = stamp_begin(bench.id);
		(void)sys_event_signal(waiting.event, 1);
		bench.sample[i] = less_overhead(waiting.woke - from);
	}
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

static bool bind_device(void)
{
	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	(void)sys_thread_set_priority(HANDLE_NONE, PRIORITY_DEFAULT - 4);
	return sys_irq_bind(waiting.rtc.irq, waiting.event, 1) == KERR_OK;
}

/* Until the driver runs, which notes that in *woke. */
static void sample_until(volatile uint64_t *woke)
{
	bench.failed = !bind_device();
	for (unsigned i = 0; i < SAMPLES && !bench.failed; i++) {
		*woke = 0;
		const uint64_t from = stamp_begin(bench.id);
		waiting.rtc.reg[RTC_MASK] = 1;
		while (*woke == 0) {
		}
		bench.sample[i] = less_overhead(*woke - from);
		/* A driver without the device leaves that to us. */
		waiting.rtc.reg[RTC_MASK] = 0;
		(void)sys_irq_ack(waiting.rtc.irq);
	}
}

static void sample_device(void *argument)
{
	(void)argument;
	sample_until(&waiting.woke);
}

static void sample_device_fp(void *argument)
{
	(void)argument;
	__asm__ volatile("fmov d0, xzr" : : : "v0");
	sample_until(&waiting.woke);
}

/* The driver is less urgent: until who was interrupted goes on. */
static void sample_device_lower(void *argument)
{
	handle_t pause;

	(void)argument;
	bench.failed = !bind_device() || sys_event_create(&pause) != KERR_OK;
	for (unsigned i = 0; i < SAMPLES && !bench.failed; i++) {
		const uint64_t from = stamp_begin(bench.id);
		waiting.rtc.reg[RTC_MASK] = 1;
		bench.sample[i] = less_overhead(stamp_end() - from);
		pause_a_while(pause);
	}
}

/* A driver in a task of its own: a call brings the event. */
void serve_driver(void *argument)
{
	struct stamps *const stamps = argument;
	struct ipc_message m;
	uint64_t bits;

	(void)sys_thread_set_affinity(HANDLE_NONE, 1);
	if (sys_ipc_recv(start.extra, 0, HANDLE_NONE, DEADLINE_NONE, &m) != KERR_OK) {
		return;
	}
	const handle_t event = (handle_t)m.word[0];

	(void)sys_ipc_reply(IPC_INFO(0, 0), HANDLE_NONE, &m);
	while (sys_event_wait(event, 1, DEADLINE_NONE, &bits) == KERR_OK) {
		stamps->received = stamp_end();
	}
}

static void sample_device_space(void *argument)
{
	struct ipc_message m = { 0 };

	(void)argument;
	if (sys_event_create(&waiting.event) != KERR_OK) {
		bench.failed = true;
		return;
	}
	m.word[0] = waiting.event;
	(void)sys_ipc_call(bench.endpoint, IPC_INFO(1, 1), HANDLE_NONE, DEADLINE_NONE, &m);
	(void)time_sleep_ns(1000000); /* it waits now */
	sample_until(&bench.stamps->received);
	(void)sys_handle_revoke(waiting.event);
	(void)sys_handle_close(waiting.event);
}

static void measure_device(const char *name, const char *goal, uint32_t priority,
			   void (*sample)(void *))
{
	if (rtc_open(&waiting.rtc)) {
		with_waiter(wake, priority, sample);
		report(name, 1, goal);
		rtc_close(&waiting.rtc);
	}
	waiting.rtc.reg = nullptr;
	waiting.deadline = false;
	waiting.fp = false;
}

static void measure_devices(const char *program_name)
{
	measure_device("irq_to_driver", "200", PRIORITY_DEFAULT, sample_device);
	waiting.fp = true;
	measure_device("irq_to_driver_fp", "400", PRIORITY_DEFAULT, sample_device);
	measure_device("irq_from_fp", "400", PRIORITY_DEFAULT, sample_device_fp);
	waiting.deadline = true;
	measure_device("irq_to_driver_deadline", "400", PRIORITY_DEFAULT, sample_device);
	measure_device("irq_lower", "400", PRIORITY_DEFAULT - 6, sample_device_lower);
	if (rtc_open(&waiting.rtc)) {
		if (start_server(program_name, "role=driver")) {
			bench.failed = !on_fresh_thread(sample_device_space, nullptr);
			report("irq_to_driver_space", 1, "400");
			child_end(&bench.server);
		}
		rtc_close(&waiting.rtc);
	}
	waiting.rtc.reg = nullptr;
}

static void measure_signals(void)
{
	with_waiter(wake, PRIORITY_DEFAULT - 2, sample_signal);
	report("signal_lower", 1, "130");
	waiting.deadline = true;
	with_waiter(wake, PRIORITY_DEFAULT - 2, sample_signal);
	report("signal_lower_deadline", 1, "260");
	waiting.deadline = false;
	with_waiter(wake, PRIORITY_DEFAULT, sample_signal_higher);
	report("signal_higher", 1, "260");
}

void measure_events(const char *program_name)
{
	measure_signals();
	measure_devices(program_name);
	with_waiter(wake, PRIORITY_DEFAULT, sample_interrupt);
	report("timer_to_driver", 1, "400");
	if (bench.failed) {
		printf("bench: failed: the driver did not run\n");
	}
}
