/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm/asid.c - see vm/asid.h.
 *
 * THEORY   Each CPU publishes the word that it runs with (`active`). A rollover takes these words
 *          away, by an atomic exchange with 0, and sets them aside (`kept`). Whoever publishes a
 *          word, in turn, replaces what it found there by compare-and-swap. So one of two things
 *          happens to a CPU that is on its fast path during a rollover: its swap came first, and
 *          the rollover keeps the number for it; or the exchange came first, the swap fails, and
 *          the CPU goes to the lock. A CPU whose active word is 0 has not flushed since.
 *          A CPU that went idle leaves its word: the number is kept for it in vain, at most one
 *          for each CPU.
 * LOCKING  asid_lock for everything but the fast path.
 */
#include "vm/asid.h"

#include <arch/atomic.h>
#include <arch/barrier.h>
#include <arch/cpu.h>
#include <arch/tlb.h>
#include <compiler.h>

#include "pcpu/pcpu.h"

#define GENERATION_ONE (UINT64_C(1) << ASID_NUMBER_BITS)
#define NUMBERS (UINT64_C(1) << ASID_NUMBER_BITS)

struct spinlock asid_lock = SPINLOCK("asid", LOCK_ASID);

/* [l] asid_lock  [a] atomic */
struct asid_cpu {
	cacheline_aligned uint64_t active; /* [a] word that it runs with, 0: rolled over since */
	uint64_t kept;                     /* [l] word that it ran with at the last rollover */
	bool must_flush; /* [l] its TLB may hold numbers of an older generation */
};

static struct asid_cpu asid_cpu[MAX_CPUS];
static uint64_t generation; /* [a] in the bits of a word; changed under the lock */
static uint64_t used[NUMBERS / 64]; /* [l] numbers of this generation */
static uint64_t limit; /* [l] numbers below this are given out */
static uint64_t next; /* [l] where to look first */

static bool is_used(uint64_t number)
{
	return (used[number / 64] >> (number % 64) & 1) != 0;
}

static void mark(uint64_t number)
{
	used[number / 64] |= UINT64_C(1) << (number % 64);
}

static uint64_t take_active(struct asid_cpu *c)
{
	uint64_t word = load_relaxed(&c->active);

	while (!cas_acquire(&c->active, word, 0)) {
		word = load_relaxed(&c->active);
	}
	return word;
}

static void rollover(void)
{
	store_release(&generation, generation + GENERATION_ONE);
	for (uint64_t i = 0; i < NUMBERS / 64; i++) {
		used[i] = 0;
	}
	mark(0);
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		struct asid_cpu *c = &asid_cpu[cpu];
		const uint64_t word = take_active(c);

		if (word != 0) {
			c->kept =
				word; /* 0: not been here since the last one; what it kept stands */
		}
		mark(asid_number(c->kept));
		c->must_flush = true;
	}
	next = 1;
	count(CTR_asid_rollovers);
}

void asid_set_bits(unsigned bits)
{
	KASSERT(bits <= ASID_NUMBER_BITS);
	KASSERT((UINT64_C(1) << bits) > pcpu_count() + 1);
	spin_lock(&asid_lock);
	limit = UINT64_C(1) << bits;
	rollover();
	spin_unlock(&asid_lock);
}

/* AS3: some CPU ran with this word at a rollover, and may still. All of them go on with `now`. */
static bool was_kept(uint64_t word, uint64_t now)
{
	bool found = false;

	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (asid_cpu[cpu].kept == word) {
			asid_cpu[cpu].kept = now;
			found = true;
		}
	}
	return found;
}

static bool find_free(uint64_t from, uint64_t end, uint64_t *number)
{
	for (uint64_t n = from; n < end; n++) {
		if (n % 64 == 0 && used[n / 64] == UINT64_MAX) {
			n += 63;
		} else if (!is_used(n)) {
			*number = n;
			return true;
		}
	}
	return false;
}

static uint64_t renew(uint64_t word)
{
	const uint64_t kept = generation | asid_number(word);
	uint64_t number = 0;

	if (word != 0 && was_kept(word, kept)) {
		return kept;
	}
	/* Round and round: a number that was given back may lie behind. */
	if (!find_free(next, limit, &number) && !find_free(1, limit, &number)) {
		rollover();
		/* The caller's own word may be among those that were kept just now. */
		if (word != 0 && was_kept(word, generation | asid_number(word))) {
			return generation | asid_number(word);
		}
		const bool found = find_free(next, limit, &number);

		KASSERT(found); /* more numbers than CPUs: asid_set_bits() */
	}
	mark(number);
	next = number + 1;
	return generation | number;
}

static bool is_current(uint64_t word)
{
	return ((word ^ load_acquire(&generation)) >> ASID_NUMBER_BITS) == 0;
}

static noinline uint64_t use_slowly(uint64_t *word)
{
	struct asid_cpu *me = &asid_cpu[cpu_number()];

	spin_lock(&asid_lock);
	uint64_t now = load_relaxed(word);

	if (!is_current(now)) {
		now = renew(now);
		store_release(word, now);
	}
	if (me->must_flush) {
		/* AS2. What TTBR0 holds still was kept for us, so nothing foreign comes back. */
		me->must_flush = false;
		tlbi_vmalle1();
	}
	store_relaxed(&me->active, now);
	spin_unlock(&asid_lock);
	/*
	 * The flush is complete before TTBR0 is loaded.
	 * AS4: who stores an entry, then reads the word, sees this one, or we see the entry. Pairs
	 * with the DSB ISHST before the word is read, in the invalidations of vm/pmap_user.h.
	 */
	dsb_ish();
	return asid_number(now);
}

uint64_t asid_use(uint64_t *word)
{
	struct asid_cpu *me = &asid_cpu[cpu_number()];
	const uint64_t now = load_relaxed(word);
	const uint64_t was = load_relaxed(&me->active);

	if (was != 0 && is_current(now) && (was == now || cas_acquire(&me->active, was, now))) {
		return asid_number(now);
	}
	return use_slowly(word);
}

uint64_t *asid_active(unsigned cpu)
{
	return &asid_cpu[cpu].active;
}

void asid_give_back(uint64_t *word)
{
	spin_lock(&asid_lock);
	const uint64_t now = load_relaxed(word);

	/*
	 * Of an older generation: the number is not ours any more. A CPU that left may have it in
	 * `active` or `kept`: it is then kept in vain, or for the next space that gets it.
	 */
	if (now != 0 && is_current(now)) {
		const uint64_t number = asid_number(now);

		KASSERT(is_used(number));
		used[number / 64] &= ~(UINT64_C(1) << (number % 64));
	}
	store_relaxed(word, 0);
	spin_unlock(&asid_lock);
}

uint64_t asid_generations(void)
{
	return load_acquire(&generation) >> ASID_NUMBER_BITS;
}
