/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/provoke_map.c - the provocations that break a mapping under somebody's feet.
 *
 * THEORY   What a kernel must keep out of memory that changes size is what exceptions touch before
 *          they can wait: per-CPU data, stacks, the running thread's control block, hooks. Each
 *          provocation puts one of them there, and then changes the mapping as the kernel does.
 *          Where the kernel's own door would refuse (R3) or would park whom it breaks, the change
 *          goes through a door without that, which records it like any other.
 */
#include <arch/barrier.h>
#include <arch/table.h>
#include <arch/tlb.h>
#include <compiler.h>
#include <string.h>

#include "arch/arm64/timer.h"
#include "ipi/inval.h"
#include "kern/assert.h"
#include "kern/irq.h"
#include "kern/log.h"
#include "kern/run.h"
#include "kern/sched.h"
#include "kern/thread.h"
#include "kern/timerq.h"
#include "kern/work.h"
#include "pcpu/recorder.h"
#include "test/kernel/provoke.h"
#include "test/kernel/stage.h"
#include "vm/frame.h"
#include "vm/kmap.h"
#include "vm/memory.h"
#include "vm/pmap_impl.h"

#define DELAY 1000 /* rounds that a window of mode naive stays open */
#define LONG_DELAY 100000 /* many ticks, as nothing makes the entry again */
#define CHANGE_SECONDS 20 /* far more than it takes */
#define LINGER 100000
#define TIMER_HZ 1000
#define FAST_HZ 10000

/* A 2 MiB block of ordinary memory, mapped where sizes change. */
static va_t open_block(unsigned flags)
{
	pa_t frames;
	va_t at;

	if (frame_alloc(9, 0, &frames) != KERR_OK ||
	    kmap_reserve(BLOCK_BYTES, BLOCK_BYTES, &at) != KERR_OK ||
	    pmap_map(&kernel_pmap, at, frames, BLOCK_BYTES, PMAP_WRITE | flags) != KERR_OK) {
		panic("provoke=%s: no memory", bootargs.provoke);
	}
	return at;
}

/*
 * Change the size of a block while the others run: what must not be done with what they use. Again
 * until one of them meets it, which stops us; a window may be too short for that.
 */
static void change_under_their_feet(va_t block)
{
	const uint64_t limit = counter_now() + CHANGE_SECONDS * arch_counter_hz();

	inval_set_mode(BBM_NAIVE);
	inval_set_window_delay(DELAY);
	while (counter_now() < limit) {
		(void)pmap_demote(&kernel_pmap, block, BLOCK_BYTES, PAGE_BYTES);
		(void)pmap_promote(&kernel_pmap, block, BLOCK_BYTES);
	}
}

/* ---- pcpu: the CPUs' slices ---- */

/* Busy, in registers alone; the timer's interrupt is the first to touch the slice. */
static void count_for_ever(void *unused)
{
	(void)unused;
	irq_timer_start(arch_counter_hz() / FAST_HZ);
	provoke_ready();
	for (;;) {
		__asm__ volatile("nop");
	}
}

void provoke_pcpu(void)
{
	const uint64_t cpus = work_cpus();

	(void)provoke_victim();
	work_start(cpus, count_for_ever, nullptr);
	provoke_wait_ready((uint64_t)__builtin_popcountll(cpus));
	provoke_linger(10);
	inval_set_window_delay(LONG_DELAY);
	(void)pmap_promote(&kernel_pmap, memory_scattered_block(), BLOCK_BYTES);
	provoke_linger(LINGER);
}

/* ---- stack: a kernel stack ---- */

static void push_for_ever(void *block)
{
	provoke_ready();
	__asm__ volatile("msr daifset, #0xf\n\t"
			 "add sp, %0, #0x1000\n"
			 "1:\tstp x0, x1, [sp, #-16]!\n\t"
			 "ldp x0, x1, [sp], #16\n\t"
			 "b 1b" ::"r"(block)
			 : "memory");
}

void provoke_stack(void)
{
	const va_t block = open_block(0);

	work_start(UINT64_C(1) << provoke_victim(), push_for_ever, (void *)(uintptr_t)block.v);
	provoke_wait_ready(1);
	provoke_linger(10);
	change_under_their_feet(block);
	provoke_linger(LINGER);
}

/* ---- timer: what a timer's top half looks at ---- */

static uint64_t *ticked; /* in the block: the next tick is so many ticks away */

static void account_tick(struct timerq_node *node)
{
	timerq_add(node, counter_now() + *(const volatile uint64_t *)ticked, account_tick);
}

static void tick_for_ever(void *block)
{
	static struct timerq_node node;

	ticked = block;
	*ticked = arch_counter_hz() / TIMER_HZ;
	irq_mask();
	timerq_add(&node, counter_now(), account_tick);
	irq_timer_arm(timerq_first());
	irq_unmask();
	provoke_ready();
	for (;;) {
		__asm__ volatile("nop");
	}
}

void provoke_timer(void)
{
	const va_t block = open_block(0);

	work_start(UINT64_C(1) << provoke_victim(), tick_for_ever, (void *)(uintptr_t)block.v);
	provoke_wait_ready(1);
	provoke_linger(10);
	change_under_their_feet(block);
	provoke_linger(LINGER);
}

/* ---- current, call: the running thread's control block ---- */

static void tick_only(void *unused)
{
	(void)unused;
	irq_timer_start(arch_counter_hz() / TIMER_HZ);
}

static bool never(void *unused)
{
	(void)unused;
	return false;
}

/* As the scheduler would: the thread is this CPU's, and the CPU is given to threads. */
static void run_thread(void *thread)
{
	struct thread *t = thread;

	irq_mask();
	t->state = THREAD_RUNNING;
	t->cpu = cpu_number();
	pcpu_this()->current = t;
	irq_unmask();
	provoke_ready();
	sched_give(never, nullptr);
}

/*
 * A thread in EL0 that has its control block, all of it, in a block that changes size: a kernel
 * that takes them from ordinary memory. It is moved there before it ever runs.
 */
static void provoke_thread(const char *program, bool ticks)
{
	const unsigned cpu = provoke_victim();
	const va_t block = open_block(0);
	struct thread *made;

	if (!stage_open() || thread_create(stage.task,
					   &(struct thread_start){ .pc = STUB(program),
								   .sp = WORD(0),
								   .arg = UINT64_MAX,
								   .affinity = UINT64_C(1) << cpu,
								   .priority = 1 },
					   &made) != KERR_OK) {
		panic("provoke=%s: no thread", bootargs.provoke);
	}
	struct thread *const moved = memcpy((void *)(uintptr_t)block.v, made, sizeof(*made));

	log_printf("provoke", "%s: thread %llu of cpu%u at %#llx runs %#llx", bootargs.provoke,
		   (unsigned long long)moved->number, cpu, (unsigned long long)block.v,
		   (unsigned long long)STUB(program));
	if (ticks) {
		work_start(UINT64_C(1) << cpu, tick_only, nullptr);
		(void)work_wait(UINT64_C(1) << cpu, 0);
	}
	work_start(UINT64_C(1) << cpu, run_thread, moved);
	provoke_wait_ready(1);
	provoke_linger(10);
	change_under_their_feet(block);
	provoke_linger(LINGER);
}

/* An interrupt is the first to look for it. */
void provoke_current(void)
{
	provoke_thread(el0_spin, true);
}

/* A system call is. */
void provoke_call(void)
{
	provoke_thread(el0_null, false);
}

static void break_entry(pte_t *slot)
{
	arch_pte_store(slot, (pte_t){ 0 });
	dsb_ishst();
	tlbi_vmalle1is();
	dsb_ish();
	isb();
}

/* ---- trace: a hook inside the window looks at what is being changed ---- */

static va_t traced;

static noinline void trace_hook(void)
{
	(void)*(volatile const uint64_t *)(uintptr_t)traced.v;
}

static keeps_registers void traced_window(const struct inval_batch *b)
{
	break_entry(b->entry[0].slot);
	trace_hook();
	arch_pte_store(b->entry[0].slot, b->entry[0].fresh);
	dsb_ishst();
}

static const struct inval_windows traced_windows = {
	.window = { [INVAL_VA] = { traced_window, traced_window, traced_window } },
};

void provoke_trace(void)
{
	struct inval_batch batch;

	traced = open_block(0);
	const struct walk w = pmap_walk(&kernel_pmap, traced);

	inval_begin(&batch, nullptr, (uint64_t)(uintptr_t)provoke_trace);
	struct inval_span *span = inval_add(&batch, 1);

	span->va = traced;
	span->pa = pte_pa(w.entry);
	span->size = BLOCK_BYTES;
	span->operands = 1;
	batch.entry[0] = (struct inval_entry){
		.expected = w.entry,
		.slot = w.slot,
		.fresh = w.entry,
	};
	spin_lock(&kernel_pmap.lock);
	(void)inval_flush(&batch, &traced_windows);
	spin_unlock(&kernel_pmap.lock);
}

/* ---- vector: the page that every exception needs ---- */

extern char vectors[];

/* The kernel's door refuses this page (R3); one that forgot to ask would record it all the same. */
void provoke_vector(void)
{
	const va_t at = va((uint64_t)(uintptr_t)vectors);
	const struct walk w = pmap_walk(&kernel_pmap, at);
	struct record *r = rec(REC_CHANGE, rec_span(at.v, PAGE_BYTES, INVAL_ALL), w.entry.v);

	r->c = 0;
	r->d = (uint64_t)(uintptr_t)provoke_vector;
	break_entry(w.slot);
	rec_end(r);
	(void)*(volatile const uint64_t *)UNMAPPED; /* the next exception is the last */
}

/* ---- tables: garbage where a table was ---- */

void provoke_tables(void)
{
	const va_t block = open_block(PMAP_PAGES | PMAP_NO_PROMOTE);
	const struct walk w = pmap_walk(&kernel_pmap, block);
	uint64_t noise = UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		noise = noise * UINT64_C(6364136223846793005) + 1;
		/* Reserved type bits, and no access: any of them faults, whatever else it says. */
		arch_pte_store(&w.slot[i], (pte_t){ (noise & ~(uint64_t)PTE_TABLE) | PTE_VALID });
	}
	dsb_ishst();
	tlbi_vmalle1is();
	dsb_ish();
	isb();
	(void)*(volatile const uint64_t *)(uintptr_t)(block.v + 5 * PAGE_BYTES);
}
