/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/guest.h - the proof guest: sequences whose verdict is known.
 *
 * THEORY   Each case is one function. It gets tables of its own, in a region of virtual memory
 *          that no other case uses, and does one sequence, right or wrong. The oracle names the
 *          function in which it saw a violation, so the test can compare the rule that each case
 *          expects with the rule that was reported, case by case. Between two cases everything
 *          is invalidated, so that no case hears of another.
 *          A wrong sequence is harmless here: no code runs from, and no data lives in, the
 *          regions that are mapped wrongly.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifndef VA_BITS
#define VA_BITS 39
#endif

#define START_LEVEL (VA_BITS > 39 ? 0 : 1)
#define MAX_CPUS 8u
#define ENTRIES 512u
#define PAGE_BYTES 4096ull
#define BLOCK_BYTES (2ull << 20)

#define VALID 1ull
#define TABLE 3ull
#define ATTR_DEVICE (0ull << 2)
#define ATTR_NORMAL (1ull << 2)
#define READ_ONLY (1ull << 7)
#define SH_INNER (3ull << 8)
#define AF (1ull << 10)
#define NG (1ull << 11)
#define NT (1ull << 16)
#define CONT (1ull << 52)
#define XN (3ull << 53)
#define SOFTWARE (1ull << 55)

#define BLOCK(pa) ((pa) | VALID | ATTR_NORMAL | SH_INNER | AF | XN)
#define PAGE(pa) (BLOCK(pa) | 2)
#define DATA_PA 0x48000000ull  /* memory for mappings to point at */
#define OTHER_PA 0x4c000000ull

/* The tables and addresses of one case. */
struct arena {
	uint64_t va;       /* 1 GiB of the kernel half, or of the user half */
	uint64_t *l1_slot; /* the entry that leads to l2 */
	uint64_t *l2;      /* [0] = l3, [1] = a block, [16..31] = empty */
	uint64_t *l3;      /* 512 pages of DATA_PA */
	uint64_t *spare;   /* a page that is no table: all zero */
};

enum needs {
	NEEDS_NOTHING = 0,
	NEEDS_SMP = 1,      /* more than one CPU */
	NEEDS_UP = 2,       /* exactly one CPU */
	NEEDS_RANGE = 4,    /* FEAT_TLBIRANGE, and with it FEAT_TTL */
	NEEDS_LSE = 8,
	NEEDS_HAFDBS = 16,
	NEEDS_NO_LSE = 32,  /* an old core */
	IN_USER = 64,       /* the arena lies in the TTBR0 half, entries are nG, ASID 1 */
	RIGHT_AT_BBM1 = 128, /* what is expected holds below level 1 of FEAT_BBM; from it on, ok */
	RIGHT_AT_BBM2 = 256, /* the same for level 2 */
};

struct test_case {
	const char *name;
	const char *expect; /* the rule, or "ok" */
	void (*run)(struct arena *arena);
	unsigned needs;
};

#define CASE(fn, rule, need)                                                               \
	static void fn(struct arena *a);                                                   \
	[[gnu::used, gnu::section(".cases")]] static const struct test_case entry_##fn = { \
		.name = #fn, .expect = rule, .run = fn, .needs = need                      \
	};                                                                                 \
	[[gnu::noinline]] static void fn([[maybe_unused]] struct arena *a)

extern unsigned cpu_online;
extern uint64_t count_breaks, count_makes; /* what the oracle must count too */

void on_cpu(unsigned cpu, void (*fn)(uint64_t), uint64_t arg);
uint64_t *page_take(void);
extern uint64_t user_l0[2][ENTRIES];
extern uint64_t user_root[2][ENTRIES]; /* TTBR0 roots that map the guest itself alike */

#define INLINE static inline __attribute__((always_inline))

#define DSB(kind) __asm__ volatile("dsb " #kind ::: "memory")
#define TLBI_ALL(op) __asm__ volatile("tlbi " #op ::: "memory")
#define TLBI(op, operand) __asm__ volatile("tlbi " #op ", %0" ::"r"((uint64_t)(operand)) : "memory")
#define TLBI_RANGE(crm, op2, operand)                                                      \
	__asm__ volatile("sys #0, c8, c" #crm ", #" #op2 ", %0" ::"r"((uint64_t)(operand)) \
			 : "memory")

INLINE void isb(void)
{
	__asm__ volatile("isb" ::: "memory");
}

/* A store to a live entry, counted as the oracle must count it. */
INLINE void put(uint64_t *entry, uint64_t pte)
{
	count_breaks += (*entry & VALID) && !(pte & VALID);
	count_makes += !(*entry & VALID) && (pte & VALID);
	*(volatile uint64_t *)entry = pte;
}

INLINE uint64_t operand(uint64_t va)
{
	return va >> 12 & ((1ull << 44) - 1);
}

INLINE uint64_t operand_asid(uint64_t va, uint64_t asid)
{
	return operand(va) | asid << 48;
}

/* The whole sequence as it should be, by address, whatever the ASID. */
INLINE void flush(uint64_t va)
{
	DSB(ishst);
	TLBI(vaae1is, operand(va));
	DSB(ish);
	isb();
}

INLINE void finish(void)
{
	DSB(ishst);
	isb();
}

INLINE uint64_t root_of(const uint64_t *l1, const uint64_t *l0)
{
	return (uint64_t)(START_LEVEL == 0 ? l0 : l1);
}

INLINE void ttbr0_load(unsigned root, uint64_t asid)
{
	uint64_t base = root_of(user_root[root], user_l0[root]);

	__asm__ volatile("msr ttbr0_el1, %0\n\tisb" ::"r"(base | asid << 48) : "memory");
}
