/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_interrupt.c - interrupts while a program runs: which driver runs, and what is left
 * of who was interrupted (kern/quick_irq.c).
 */
#include "user/test/rtc.h"
#include "user/test/test.h"

#define DRIVER (PRIORITY_DEFAULT - 2)
#define MORE PRIORITY_DEFAULT
#define LESS (PRIORITY_DEFAULT - 4)
#define ROUNDS 20u

struct driver {
	handle_t event;
	volatile uint64_t ran; /* how often */
	const struct rtc *rtc; /* acknowledged by who tests; nullptr: timers */
	uint64_t wrong, seen, acknowledged;
};

/* Bit 1 ends it. */
static void drive(void *argument)
{
	struct driver *const d = argument;
	uint64_t bits;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	while (sys_event_wait(d->event, 3, DEADLINE_NONE, &bits) == KERR_OK) {
		d->ran = d->ran + (bits & 1);
		if ((bits & 2) != 0) {
			break;
		}
	}
}

/* Run `beside` on the driver's CPU while the driver waits there. */
static void beside_driver(struct driver *d, void (*beside)(void *), uint32_t priority)
{
	EXPECT_OK(sys_event_create(&d->event));
	struct thread *const driver = start_thread(drive, d, DRIVER);

	await_state(thread_handle(driver), THREAD_IS_WAITING);
	thread_join(start_thread(beside, d, priority));
	EXPECT_OK(sys_event_signal(d->event, 2));
	thread_join(driver);
	EXPECT_OK(sys_handle_close(d->event));
}

/*
 * Hold x1-x26 until *word is not `old`, or the counter is at `end`: how many have changed? What is
 * in them follows from `old`.
 */
static uint64_t hold_registers(const volatile uint64_t *word, uint64_t old, uint64_t end)
{
	register uint64_t x0 __asm__("x0") = (uint64_t)(uintptr_t)word;
	register uint64_t x1 __asm__("x1") = old;
	register uint64_t x27 __asm__("x27") = end;

	__asm__ volatile(
		".irp n,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26\n\t"
		"add x\\n, x1, #\\n\n\t"
		".endr\n"
		"1:\tldr x28, [x0]\n\t"
		"cmp x28, x1\n\t"
		"b.ne 2f\n\t"
		"mrs x28, cntvct_el0\n\t"
		"cmp x28, x27\n\t"
		"b.lo 1b\n"
		"2:\tmov x0, xzr\n\t"
		".irp n,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,19,20,21,22,23,24,25,26\n\t"
		"sub x28, x\\n, #\\n\n\t"
		"cmp x28, x1\n\t"
		"cinc x0, x0, ne\n\t"
		".endr"
		: "+r"(x0)
		: "r"(x1), "r"(x27)
		: "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
		  "x15", "x16", "x17", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26",
		  "x28", "cc", "memory");
	return x0;
}

static uint64_t counter_in(uint64_t ns)
{
	uint64_t now, hz;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return now + ns / MS * hz / 1000;
}

static void set_timers_and_hold(void *argument)
{
	struct driver *const d = argument;
	handle_t timer;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_timer_create(d->event, 1, &timer));
	for (uint64_t i = 0; i < ROUNDS; i++) {
		EXPECT_OK(sys_timer_set(timer, time_now_ns() + MS / 4));
		d->wrong += hold_registers(&d->ran, i, counter_in(LONG_NS));
	}
	d->seen = d->ran;
	EXPECT_OK(sys_handle_close(timer));
}

static void timer_lets_the_more_urgent_run_and_leaves_registers(void)
{
	struct driver d = { 0 };

	beside_driver(&d, set_timers_and_hold, LESS);
	EXPECT_EQ(d.seen, ROUNDS);
	EXPECT_EQ(d.wrong, 0);
}

static void hold_past_a_timer(void *argument)
{
	struct driver *const d = argument;
	handle_t timer;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_timer_create(d->event, 1, &timer));
	EXPECT_OK(sys_timer_set(timer, time_now_ns() + MS));
	d->wrong = hold_registers(&d->ran, 0, counter_in(3 * MS));
	d->seen = d->ran;
	EXPECT(await_equal(&d->ran, 1)); /* a busy host brings the interrupt late */
	EXPECT_OK(sys_handle_close(timer));
}

static void timer_of_the_less_urgent_lets_it_wait(void)
{
	struct driver d = { 0 };

	beside_driver(&d, hold_past_a_timer, MORE);
	EXPECT_EQ(d.seen, 0);
	EXPECT_EQ(d.wrong, 0);
	EXPECT_EQ(d.ran, 1);
}

/* The device wants to interrupt all the time. Who is interrupted acknowledges for the driver. */
static void let_device_through(void *argument)
{
	struct driver *const d = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_irq_bind(d->rtc->irq, d->event, 1));
	d->rtc->reg[RTC_MASK] = 1;
	d->wrong = hold_registers(&d->ran, 0, counter_in(LONG_NS));
	d->wrong += hold_registers(&d->ran, 1, counter_in(3 * MS));
	d->seen = d->ran;
	EXPECT_OK(sys_irq_ack(d->rtc->irq));
	d->wrong += hold_registers(&d->ran, 1, counter_in(LONG_NS));
	d->acknowledged = d->ran;
	d->rtc->reg[RTC_MASK] = 0;
}

static void interrupt_is_masked_until_it_is_acknowledged(void)
{
	struct rtc rtc;
	struct driver d = { .rtc = &rtc };

	if (!rtc_open(&rtc)) {
		return; /* a board without one */
	}
	beside_driver(&d, let_device_through, LESS);
	EXPECT_EQ(d.seen, 1);
	EXPECT_EQ(d.acknowledged, 2);
	EXPECT_EQ(d.wrong, 0);
	rtc_close(&rtc);
}

const struct test tests_interrupt[] = {
	TEST(timer_lets_the_more_urgent_run_and_leaves_registers),
	TEST(timer_of_the_less_urgent_lets_it_wait),
	TEST(interrupt_is_masked_until_it_is_acknowledged),
	TEST_END,
};
