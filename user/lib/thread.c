/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/thread.c - threads: creation, end, and what each of them owns.
 *
 * THEORY   One mapping holds what a thread needs: an unmapped guard page, its stack, then its
 *          struct thread and its TLS block. TPIDR_EL0 points to 16 bytes that the platform's ABI
 *          leaves to us; the first word leads to the struct.
 *
 *              guard | stack ... top | struct thread | tcb (16 bytes, or more) | TLS
 *
 *          A thread ends by signalling its own `done` event and leaving without touching its stack
 *          again, so that the one who joins may unmap it at once.
 */
#include <perch/calls.h>
#include <perch/thread.h>

#include <memmap.h>
#include <picotls.h>
#include <stdint.h>

#include "user/lib/lib.h"
#include "user/lib/thread_impl.h"

#define TLS_ALIGN 64u

extern char __main_tls[];
extern char __arm64_tls_tcb_offset[]; /* an absolute symbol: its address is the number */

static struct thread main_thread;

static uint64_t tcb_bytes(void)
{
	return (uint64_t)(uintptr_t)__arm64_tls_tcb_offset;
}

/* Fill the block that begins at `at`, and tell what TPIDR_EL0 must be. */
static uint64_t tls_make(char *at, struct thread *thread)
{
	_init_tls(at + tcb_bytes());
	*(struct thread **)(void *)at = thread;
	return (uint64_t)(uintptr_t)at;
}

struct thread *thread_self(void)
{
	return *(struct thread **)__builtin_thread_pointer();
}

void thread_init_main(void)
{
	const uint64_t tls = tls_make(__main_tls, &main_thread);

	__asm__ volatile("msr tpidr_el0, %0" : : "r"(tls));
	if (sys_event_create(&main_thread.event) != KERR_OK) {
		__builtin_trap(); /* nothing can be said before there is a console */
	}
}

void thread_sleep(struct thread *self)
{
	uint64_t bits;

	/* A cancelled wait is a stop and resume by a debugger: sleep on. */
	while (sys_event_wait(self->event, EVENT_WAKE, DEADLINE_NONE, &bits) != KERR_OK) {
	}
}

void thread_wake(struct thread *thread)
{
	(void)sys_event_signal(thread->event, EVENT_WAKE);
}

_Noreturn void thread_finish(void)
{
	const struct thread *const self = thread_self();

	console_flush();
	thread_leave(self->event, EVENT_DONE, CALL_EVENT_SIGNAL, CALL_THREAD_EXIT);
}

static void thread_begin(struct thread *self)
{
	self->function(self->argument);
	thread_finish();
}

/* Map guard, stack and the rest, zeroed; returns the struct thread in it. */
static enum kerr thread_memory(uint64_t stack_bytes, struct thread **out)
{
	const uint64_t tail =
		align_up(sizeof(struct thread), TLS_ALIGN) + tcb_bytes() + _tls_size();
	const uint64_t bytes = PAGE_BYTES + align_up(stack_bytes + tail, PAGE_BYTES);
	handle_t memory;
	uint64_t at;

	enum kerr e = sys_mem_create(MEM_ANON, bytes, HANDLE_NONE, 0, &memory);
	if (e != KERR_OK) {
		return e;
	}
	e = sys_mem_map(HANDLE_NONE, memory, 0, 0, bytes, VM_READ | VM_WRITE, &at);
	(void)sys_handle_close(memory);
	if (e != KERR_OK) {
		return e;
	}
	e = sys_mem_protect(HANDLE_NONE, at, PAGE_BYTES, 0);
	if (e != KERR_OK) {
		(void)sys_mem_unmap(HANDLE_NONE, at, bytes);
		return e;
	}
	*out = (struct thread *)(uintptr_t)align_down(at + bytes - tail, TLS_ALIGN);
	(*out)->mapping = at;
	(*out)->mapping_bytes = bytes;
	return KERR_OK;
}

static enum kerr thread_launch(struct thread *t, const struct thread_options *options)
{
	const uint32_t priority = options->priority != 0 ? options->priority : PRIORITY_DEFAULT;
	char *const tcb = (char *)t + align_up(sizeof *t, TLS_ALIGN);
	const uint64_t stack = align_down((uint64_t)(uintptr_t)t, 16);

	enum kerr e = sys_event_create(&t->event);
	if (e != KERR_OK) {
		return e;
	}
	e = sys_thread_create(HANDLE_NONE, priority, &t->handle);
	if (e == KERR_OK && options->cpus != 0) {
		e = sys_thread_set_affinity(t->handle, options->cpus);
	}
	if (e == KERR_OK) {
		e = sys_thread_start(t->handle, (uint64_t)(uintptr_t)thread_begin, stack,
				     (uint64_t)(uintptr_t)t, tls_make(tcb, t));
	}
	if (e != KERR_OK) {
		if (t->handle != HANDLE_NONE) {
			(void)sys_handle_revoke(t->handle);
			(void)sys_handle_close(t->handle);
		}
		(void)sys_handle_close(t->event);
	}
	return e;
}

enum kerr thread_create(void (*function)(void *), void *argument,
			const struct thread_options *options, struct thread **out)
{
	static const struct thread_options none;
	struct thread *t;

	options = options != nullptr ? options : &none;
	enum kerr e = thread_memory(
		options->stack_bytes != 0 ? options->stack_bytes : THREAD_STACK_DEFAULT, &t);
	if (e != KERR_OK) {
		return e;
	}
	t->function = function;
	t->argument = argument;
	e = thread_launch(t, options);
	if (e != KERR_OK) {
		(void)sys_mem_unmap(HANDLE_NONE, t->mapping, t->mapping_bytes);
		return e;
	}
	*out = t;
	return KERR_OK;
}

handle_t thread_handle(const struct thread *thread)
{
	return thread->handle;
}

void thread_join(struct thread *thread)
{
	uint64_t bits;

	while (sys_event_wait(thread->event, EVENT_DONE, DEADLINE_NONE, &bits) != KERR_OK) {
	}
	(void)sys_handle_close(thread->event);
	(void)sys_handle_close(thread->handle);
	(void)sys_mem_unmap(HANDLE_NONE, thread->mapping, thread->mapping_bytes);
}
