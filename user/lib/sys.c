/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/sys.c - what the C library asks of the system: memory and time.
 *
 * THEORY   The heap is one object, mapped once with room to grow; frames come at first touch and
 *          count for the task's limit only then. It begins at a multiple of 2 MiB and is filled
 *          from one end, so the kernel promotes it to superpages without being asked.
 *          Time is the machine's counter, scaled: no call.
 */
#include <perch/calls.h>
#include <perch/start.h>
#include <perch/thread.h>
#include <perch/time.h>

#include <errno.h>
#include <memmap.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/times.h>
#include <time.h>
#include <unistd.h>

#include "user/lib/thread_impl.h"

#define HEAP_MAX UINT64_C(0x100000000) /* 4 GiB of addresses */
#define HEAP_MIN UINT64_C(0x100000)
#define NS_PER_S UINT64_C(1000000000)

static struct {
	uint64_t base, top, end; /* [base, top) is given out */
} heap;

/* The most that the kernel lets us have. */
static bool heap_make(void)
{
	for (uint64_t bytes = HEAP_MAX; bytes >= HEAP_MIN; bytes /= 2) {
		handle_t memory;

		if (sys_mem_create(MEM_ANON, bytes, HANDLE_NONE, 0, &memory) != KERR_OK) {
			continue;
		}
		const enum kerr e = sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes,
						VM_READ | VM_WRITE, &heap.base);
		(void)sys_handle_close(memory);
		if (e == KERR_OK) {
			heap.top = heap.base;
			heap.end = heap.base + bytes;
			return true;
		}
	}
	return false;
}

/* Called under the C library's lock. */
void *sbrk(ptrdiff_t change)
{
	if (heap.end == 0 && !heap_make()) {
		errno = ENOMEM;
		return (void *)-1;
	}
	const uint64_t old = heap.top;
	if (change < 0 ? (uint64_t)-change > old - heap.base : (uint64_t)change > heap.end - old) {
		errno = ENOMEM;
		return (void *)-1;
	}
	heap.top = old + (uint64_t)change;
	if (heap.top < align_down(old, BLOCK_BYTES)) {
		/* Whole blocks go back to the kernel; a failure only keeps them. */
		const uint64_t from = align_up(heap.top, BLOCK_BYTES);
		(void)sys_mem_advise(HANDLE_NONE, from, align_up(old, PAGE_BYTES) - from,
				     VM_DONTNEED);
	}
	return (void *)(uintptr_t)old;
}

uint64_t time_now_ns(void)
{
	uint64_t ticks, hz;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(ticks) : : "memory");
	__asm__("mrs %0, cntfrq_el0" : "=r"(hz));
	return ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz;
}

/* On the thread's own event, for a bit that nobody sets: no object is made for it. */
enum kerr time_sleep_ns(uint64_t ns)
{
	uint64_t bits;
	const enum kerr e =
		sys_event_wait(thread_self()->event, EVENT_NEVER, time_now_ns() + ns, &bits);

	return e == KERR_TIMEOUT ? KERR_OK : e;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	const uint64_t ns = time_now_ns();

	(void)zone;
	now->tv_sec = (time_t)(ns / NS_PER_S);
	now->tv_usec = (suseconds_t)(ns % NS_PER_S / 1000);
	return 0;
}

clock_t times(struct tms *spent)
{
	const clock_t now = (clock_t)(time_now_ns() / (NS_PER_S / CLOCKS_PER_SEC));

	*spent = (struct tms){ .tms_utime = now };
	return now;
}
