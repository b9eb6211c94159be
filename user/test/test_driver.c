/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/test_driver.c - a device interrupts a program: which driver runs, and what is left of
 * who was interrupted. One test for each reason to leave the short way (arch/arm64/irq_fast.S), and
 * for what it leaves behind. The device is QEMU's clock; on a board without one nothing is tested.
 */
#include "user/test/rtc.h"
#include "user/test/test.h"

#define DRIVER (PRIORITY_DEFAULT - 2)
#define MORE PRIORITY_DEFAULT
#define LESS (PRIORITY_DEFAULT - 4)
#define ROUNDS 20u
#define TRIES 20u
#define PATTERN UINT64_C(0x5555666677778888)

enum bits {
	INTERRUPT = 1,
	END = 2, /* of the driver */
};

struct scene {
	struct rtc rtc;
	handle_t event;
	void (*interrupted)(struct scene *s);
	uint64_t cpus;          /* where the driver runs */
	uint64_t bits, ns;      /* what it waits for; how long */
	volatile uint64_t ran;  /* how often */
	bool acknowledges; /* it silences the device and acknowledges; else who was interrupted */
	bool vectors; /* it uses FP registers */
	uint64_t seen, changed; /* by who was interrupted; registers that changed */
	void (*other)(void *);  /* waits as well, as urgent as the driver, */
	enum thread_report waits; /* like this */
	volatile uint64_t other_ran;
	handle_t page, endpoint; /* of a driver in a task of its own */
};

/* event_wait with a pattern in d8, if `vector`; what is there afterwards. */
static uint64_t wait_with_vector(handle_t event, uint64_t bits, uint64_t due, bool vector,
				 uint64_t *got)
{
	register uint64_t x0 __asm__("x0") = event;
	register uint64_t x1 __asm__("x1") = bits;
	register uint64_t x2 __asm__("x2") = due;
	register uint64_t x8 __asm__("x8") = CALL_EVENT_WAIT;
	uint64_t found = PATTERN;

	if (vector) {
		__asm__ volatile("fmov d8, %[found]\n\tsvc #0\n\tfmov %[found], d8"
				 : "+r"(x0), "+r"(x8), [found] "+&r"(found)
				 : "r"(x1), "r"(x2)
				 : "d8", "memory", SVC_SCRUBBED);
	} else {
		__asm__ volatile("svc #0"
				 : "+r"(x0), "+r"(x8)
				 : "r"(x1), "r"(x2)
				 : "memory", SVC_SCRUBBED);
	}
	*got = x8 == KERR_OK ? x0 : 0;
	return found;
}

static void drive(void *argument)
{
	struct scene *const s = argument;
	uint64_t bits = 0;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, s->cpus));
	do {
		const uint64_t due = s->ns != 0 ? time_now_ns() + s->ns : DEADLINE_NONE;

		s->changed += wait_with_vector(s->event, s->bits | END, due, s->vectors, &bits) !=
			      PATTERN;
		if ((bits & INTERRUPT) != 0 && s->acknowledges) {
			s->rtc.reg[RTC_MASK] = 0;
			EXPECT_OK(sys_irq_ack(s->rtc.irq));
		}
		s->ran = s->ran + (bits & INTERRUPT);
	} while (bits != 0 && (bits & END) == 0);
}

static void be_interrupted(void *argument)
{
	struct scene *const s = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_irq_bind(s->rtc.irq, s->event, INTERRUPT));
	s->interrupted(s);
}

/* Run s->interrupted on the driver's CPU while the driver waits. False: there is no device. */
static bool play(struct scene *s, uint32_t priority)
{
	if (!rtc_open(&s->rtc)) {
		return false;
	}
	s->cpus = s->cpus != 0 ? s->cpus : 1;
	s->bits = s->bits != 0 ? s->bits : INTERRUPT;
	EXPECT_OK(sys_event_create(&s->event));
	struct thread *const driver = start_thread(drive, s, DRIVER);

	await_state(thread_handle(driver), THREAD_IS_WAITING);
	struct thread *const other = s->other != nullptr ? start_thread(s->other, s, DRIVER)
							 : nullptr;

	if (other != nullptr) {
		await_state(thread_handle(other), s->waits);
	}
	if (s->waits == THREAD_IS_RECEIVING) {
		EXPECT_OK(sys_event_bind(s->event, thread_handle(other)));
	}
	thread_join(start_thread(be_interrupted, s, priority));
	(void)sys_event_signal(s->event, END);
	thread_join(driver);
	if (other != nullptr) {
		thread_join(other);
	}
	rtc_close(&s->rtc);
	EXPECT_OK(sys_handle_close(s->event));
	return true;
}

/* No call: we keep our CPU unless we are interrupted. */
static void spin_for(uint64_t ns)
{
	const uint64_t until = time_now_ns() + ns;

	while (time_now_ns() < until) {
	}
}

static bool spin_until_ran(const struct scene *s, uint64_t times)
{
	const uint64_t until = in_time();

	while (s->ran < times && time_now_ns() < until) {
	}
	return s->ran >= times;
}

/* ---- who runs ---- */

static void interrupt_once(struct scene *s)
{
	s->rtc.reg[RTC_MASK] = 1;
	spin_for(3 * MS);
	s->seen = s->ran;
	s->rtc.reg[RTC_MASK] = 0;
}

static void device_of_the_less_urgent_lets_it_wait(void)
{
	struct scene s = { .interrupted = interrupt_once };

	if (play(&s, MORE)) {
		EXPECT_EQ(s.seen, 0);
		EXPECT_EQ(s.ran, 1);
	}
}

/* Its turn comes when a slice ends: on a busy host one may end just then, but not each time. */
static void device_of_an_equal_lets_it_wait(void)
{
	for (unsigned tries = 0; tries < TRIES; tries++) {
		struct scene s = { .interrupted = interrupt_once };

		if (!play(&s, DRIVER)) {
			return;
		}
		EXPECT_EQ(s.ran, 1);
		if (s.seen == 0) {
			return;
		}
	}
	EXPECT(false);
}

static void interrupt_for_nobody(struct scene *s)
{
	uint64_t bits = 0;

	interrupt_once(s);
	EXPECT_OK(sys_event_wait(s->event, INTERRUPT, in_time(), &bits));
	EXPECT_EQ(bits, INTERRUPT);
}

static void device_whose_bits_nobody_waits_for_sets_them(void)
{
	struct scene s = { .interrupted = interrupt_for_nobody, .bits = 4 };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, 0);
	}
}

static void interrupt_until_it_ran(struct scene *s)
{
	for (unsigned i = 1; i <= ROUNDS; i++) {
		s->rtc.reg[RTC_MASK] = 1;
		EXPECT(spin_until_ran(s, i));
	}
}

static void device_ends_a_wait_with_a_deadline(void)
{
	struct scene s = { .interrupted = interrupt_until_it_ran,
			   .ns = LONG_NS,
			   .acknowledges = true };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, ROUNDS);
	}
}

static void device_wakes_its_driver_on_another_cpu(void)
{
	struct scene s = { .interrupted = interrupt_until_it_ran, .cpus = 2, .acknowledges = true };

	if (cpus_online() > 1 && play(&s, LESS)) {
		EXPECT_EQ(s.ran, ROUNDS);
	}
}

static void drive_second(void *argument)
{
	struct scene *const s = argument;
	uint64_t bits = 0;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_event_wait(s->event, INTERRUPT, DEADLINE_NONE, &bits));
	s->other_ran = bits;
}

/* Each takes one interrupt. */
static void interrupt_two(struct scene *s)
{
	s->rtc.reg[RTC_MASK] = 1;
	EXPECT(spin_until_ran(s, 1));
	EXPECT_EQ(s->other_ran, 0);
	EXPECT_OK(sys_irq_ack(s->rtc.irq));
	EXPECT(await_equal(&s->other_ran, INTERRUPT));
	s->rtc.reg[RTC_MASK] = 0;
}

static void device_of_two_drivers_wakes_one(void)
{
	struct scene s = { .interrupted = interrupt_two,
			   .other = drive_second,
			   .waits = THREAD_IS_WAITING };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, 1);
	}
}

static void interrupt_the_dead(struct scene *s)
{
	EXPECT_OK(sys_handle_revoke(s->event)); /* the driver's wait is over */
	interrupt_once(s);
	EXPECT_OK(sys_irq_ack(s->rtc.irq));
}

static void device_of_a_dead_event_wakes_nobody(void)
{
	struct scene s = { .interrupted = interrupt_the_dead };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, 0);
	}
}

static void receive_bound(void *argument)
{
	struct scene *const s = argument;
	struct ipc_message m = { 0 };

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	EXPECT_OK(sys_ipc_recv(s->endpoint, 0, HANDLE_NONE, DEADLINE_NONE, &m));
	EXPECT_EQ(m.info, IPC_FLAG_EVENT);
	EXPECT_EQ(m.word[0], INTERRUPT);
	s->other_ran = 1;
}

/* Whoever waits in the event has other bits: the interrupt is for who is bound. */
static void interrupt_the_bound(struct scene *s)
{
	s->rtc.reg[RTC_MASK] = 1;
	EXPECT(await_equal(&s->other_ran, 1));
	s->rtc.reg[RTC_MASK] = 0;
}

static void device_wakes_who_is_bound(void)
{
	struct scene s = { .interrupted = interrupt_the_bound,
			   .bits = 4,
			   .other = receive_bound,
			   .waits = THREAD_IS_RECEIVING };

	EXPECT_OK(sys_endpoint_create(&s.endpoint));
	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, 0);
	}
	EXPECT_OK(sys_handle_close(s.endpoint));
}

/* ---- what it leaves ---- */

/* Hold d8 while *word is `old`, but so many times round at most; what is there afterwards. */
static uint64_t hold_vector(const volatile uint64_t *word, uint64_t old, uint64_t pattern)
{
	uint64_t left = UINT32_MAX, now;

	__asm__ volatile("fmov d8, %[pattern]\n"
			 "1:\tldr %[now], [%[word]]\n\t"
			 "cmp %[now], %[old]\n\t"
			 "b.ne 2f\n\t"
			 "subs %[left], %[left], #1\n\t"
			 "b.ne 1b\n"
			 "2:\tfmov %[pattern], d8"
			 : [pattern] "+&r"(pattern), [now] "=&r"(now), [left] "+&r"(left)
			 : [word] "r"(word), [old] "r"(old)
			 : "d8", "cc", "memory");
	return pattern;
}

/* The driver's registers and ours are not each other's. */
static void interrupt_with_vectors(struct scene *s)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const uint64_t pattern = PATTERN + 1 + i;

		s->rtc.reg[RTC_MASK] = 1;
		s->changed += hold_vector(&s->ran, i, pattern) != pattern;
		EXPECT_EQ(s->ran, i + 1);
	}
}

static void device_keeps_vectors_of_both(void)
{
	struct scene s = { .interrupted = interrupt_with_vectors,
			   .acknowledges = true,
			   .vectors = true };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, ROUNDS);
		EXPECT_EQ(s.changed, 0);
	}
}

static void device_keeps_vectors_of_the_driver(void)
{
	struct scene s = { .interrupted = interrupt_until_it_ran,
			   .acknowledges = true,
			   .vectors = true };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, ROUNDS);
		EXPECT_EQ(s.changed, 0);
	}
}

static void device_keeps_vectors_of_the_interrupted(void)
{
	struct scene s = { .interrupted = interrupt_with_vectors, .acknowledges = true };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, ROUNDS);
		EXPECT_EQ(s.changed, 0);
	}
}

static void run_once(void *argument)
{
	struct scene *const s = argument;

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	s->other_ran = 1;
}

/* Interrupt ourselves many times in each slice, over fifty slices at least, if nobody else runs. */
static void interrupt_until_an_other_ran(struct scene *s)
{
	struct thread *const equal = start_thread(run_once, s, LESS);

	for (unsigned i = 1; s->other_ran == 0 && i <= 2000; i++) {
		s->rtc.reg[RTC_MASK] = 1;
		EXPECT(spin_until_ran(s, i));
		spin_for(MS / 4);
	}
	s->seen = s->other_ran;
	thread_join(equal);
}

static void equal_priorities_share_a_cpu_though_interrupted(void)
{
	struct scene s = { .interrupted = interrupt_until_an_other_ran, .acknowledges = true };

	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, 1));
	if (play(&s, LESS)) {
		EXPECT_EQ(s.seen, 1);
	}
	EXPECT_OK(sys_thread_set_affinity(HANDLE_NONE, UINT64_MAX));
}

/* An edge that comes while it is masked is not lost, though the device is silent again. */
static void interrupt_by_edges(struct scene *s)
{
	s->rtc.reg[RTC_MASK] = 1;
	EXPECT(spin_until_ran(s, 1));
	s->rtc.reg[RTC_MASK] = 0;
	s->rtc.reg[RTC_MASK] = 1;
	s->rtc.reg[RTC_MASK] = 0;
	spin_for(MS);
	EXPECT_EQ(s->ran, 1);
	EXPECT_OK(sys_irq_ack(s->rtc.irq));
	EXPECT(spin_until_ran(s, 2));
	EXPECT_OK(sys_irq_ack(s->rtc.irq));
	spin_for(MS);
	EXPECT_EQ(s->ran, 2);
}

static void claim_by_edge(struct scene *s)
{
	EXPECT_OK(sys_handle_revoke(s->rtc.irq));
	EXPECT_OK(sys_handle_close(s->rtc.irq));
	EXPECT_OK(sys_irq_claim(start.machine, RTC_INTERRUPT, 1, &s->rtc.irq));
	EXPECT_OK(sys_irq_bind(s->rtc.irq, s->event, INTERRUPT));
	interrupt_by_edges(s);
}

static void device_by_edge_stays_pending_until_acknowledged(void)
{
	struct scene s = { .interrupted = claim_by_edge };

	if (play(&s, LESS)) {
		EXPECT_EQ(s.ran, 2);
	}
}

/* ---- a driver in a task of its own ---- */

static void play_driver(void *argument)
{
	const struct scene *const s = argument;
	struct role_result result;

	if (run_role("driver", s->endpoint, 4 * MIB, &result)) {
		EXPECT(result.ended && result.status == 0);
	}
}

/* It has the event and the page, whose first word is how often it ran. */
static void interrupt_another_space(struct scene *s)
{
	struct ipc_message m = { .word = { s->event, s->page } };
	const uint64_t until = in_time();
	uint64_t at;

	EXPECT_OK(sys_ipc_call(s->endpoint, IPC_INFO(2, 2), HANDLE_NONE, until, &m));
	EXPECT_OK(sys_mem_map(HANDLE_NONE, s->page, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at));
	const volatile uint64_t *const ran = (const volatile uint64_t *)(uintptr_t)at;

	for (unsigned i = 1; i <= ROUNDS; i++) {
		s->rtc.reg[RTC_MASK] = 1;
		while (*ran < i && time_now_ns() < until) {
		}
		s->rtc.reg[RTC_MASK] = 0;
		EXPECT_OK(sys_irq_ack(s->rtc.irq));
	}
	s->seen = *ran;
	EXPECT_OK(sys_event_signal(s->event, 4 | END)); /* both drivers */
	EXPECT_OK(sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES));
}

static bool has_device(void)
{
	struct rtc rtc;
	const bool has = rtc_open(&rtc);

	if (has) {
		rtc_close(&rtc);
	}
	return has;
}

static void device_runs_a_driver_in_another_space(void)
{
	struct scene s = { .interrupted = interrupt_another_space, .bits = 8 };

	if (!has_device()) {
		return; /* and no driver is started that would wait for it */
	}
	EXPECT_OK(sys_endpoint_create(&s.endpoint));
	EXPECT_OK(sys_mem_create(MEM_ANON, PAGE_BYTES, HANDLE_NONE, 0, &s.page));
	struct thread *const other = start_thread(play_driver, &s, PRIORITY_DEFAULT);

	EXPECT(play(&s, LESS));
	EXPECT_EQ(s.seen, ROUNDS);
	thread_join(other);
	EXPECT_OK(sys_handle_close(s.page));
	EXPECT_OK(sys_handle_close(s.endpoint));
}

const struct test tests_driver[] = {
	TEST(device_of_the_less_urgent_lets_it_wait),
	TEST(device_of_an_equal_lets_it_wait),
	TEST(device_whose_bits_nobody_waits_for_sets_them),
	TEST(device_ends_a_wait_with_a_deadline),
	TEST(device_wakes_its_driver_on_another_cpu),
	TEST(device_of_two_drivers_wakes_one),
	TEST(device_of_a_dead_event_wakes_nobody),
	TEST(device_wakes_who_is_bound),
	TEST(device_keeps_vectors_of_both),
	TEST(device_keeps_vectors_of_the_driver),
	TEST(device_keeps_vectors_of_the_interrupted),
	TEST(equal_priorities_share_a_cpu_though_interrupted),
	TEST(device_by_edge_stays_pending_until_acknowledged),
	TEST(device_runs_a_driver_in_another_space),
	TEST_END,
};
