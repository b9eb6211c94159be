/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/cases_cpu.c - several CPUs, ASIDs, kinds of stores, use of what was made.
 */
#include "guest.h"

#define NEW PAGE(OTHER_PA)

CASE(local_tlbi_right, "ok", NEEDS_UP)
{
	put(&a->l3[0], 0);
	DSB(nshst);
	TLBI(vaae1, operand(a->va));
	DSB(nsh);
	put(&a->l3[0], NEW);
}

CASE(local_tlbi_wrong, "local-tlbi", NEEDS_SMP)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vaae1, operand(a->va));
	DSB(ish);
	put(&a->l3[0], NEW);
}

static void remote_local_tlbi(uint64_t va)
{
	DSB(nshst);
	TLBI(vaae1, operand(va));
	DSB(nsh);
	isb();
}

CASE(local_tlbi_on_each_right, "ok", NEEDS_SMP)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	remote_local_tlbi(a->va);
	for (unsigned cpu = 1; cpu < cpu_online; cpu++) {
		on_cpu(cpu, remote_local_tlbi, a->va);
	}
	put(&a->l3[0], NEW);
}

CASE(local_tlbi_on_others_only_wrong, "local-tlbi", NEEDS_SMP)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	for (unsigned cpu = 1; cpu < cpu_online; cpu++) {
		on_cpu(cpu, remote_local_tlbi, a->va);
	}
	put(&a->l3[0], NEW);
}

static void remote_flush(uint64_t va)
{
	DSB(ishst);
	TLBI(vaae1is, operand(va));
	DSB(ish);
	isb();
}

CASE(flush_by_another_cpu_right, "ok", NEEDS_SMP)
{
	put(&a->l3[0], 0);
	on_cpu(1, remote_flush, a->va);
	put(&a->l3[0], NEW);
}

static void remote_dsb(uint64_t arg)
{
	(void)arg;
	DSB(ish);
}

static void remote_tlbi(uint64_t va)
{
	TLBI(vaae1is, operand(va));
	__asm__ volatile("dmb ish" ::: "memory");
}

/* The mailbox itself uses DSB ISHST, which orders stores but completes no TLBI. */
CASE(dsb_on_another_cpu_wrong, "dsb-on-other-cpu", NEEDS_SMP)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	on_cpu(1, remote_tlbi, a->va);
	DSB(ish); /* ours completes our TLBIs, not those of CPU 1 */
	put(&a->l3[0], NEW);
}

static uint64_t *remote_entry;

static void remote_break(uint64_t arg)
{
	(void)arg;
	put(remote_entry, 0);
}

CASE(break_by_another_cpu_right, "ok", NEEDS_SMP)
{
	remote_entry = &a->l3[0];
	on_cpu(1, remote_break, 0);
	flush(a->va);
	put(&a->l3[0], NEW);
	on_cpu(1, remote_dsb, 0);
}

CASE(asid_by_address_right, "ok", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vae1is, operand_asid(a->va, 1));
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_all_right, "ok", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(aside1is, 1ull << 48);
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_table_right, "ok", IN_USER)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	TLBI(aside1is, 1ull << 48);
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA) | NG);
}

CASE(asid_by_address_wrong, "wrong-asid", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vae1is, operand_asid(a->va, 2));
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_all_wrong, "wrong-asid", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(aside1is, 2ull << 48);
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_table_wrong, "wrong-asid", IN_USER | RIGHT_AT_BBM2)
{
	put(&a->l2[0], 0);
	DSB(ishst);
	TLBI(aside1is, 2ull << 48);
	DSB(ish);
	put(&a->l2[0], BLOCK(DATA_PA) | NG);
}

CASE(asid_all_missing_wrong, "no-tlbi", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_all_no_dsb_before_wrong, "no-dsb-before-tlbi", IN_USER)
{
	put(&a->l3[0], 0);
	TLBI(aside1is, 1ull << 48);
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_all_no_dsb_after_wrong, "no-dsb-after-tlbi", IN_USER)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(aside1is, 1ull << 48);
	isb();
	put(&a->l3[0], NEW | NG);
}

CASE(asid_all_local_wrong, "local-tlbi", IN_USER | NEEDS_SMP)
{
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(aside1, 1ull << 48);
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

/* The second root, with a block in it, under a number of its own; then nobody runs it. */
static void visit_space(const struct arena *a, uint64_t asid)
{
	a->spare[0] = BLOCK(DATA_PA) | NG;
	user_root[1][2] = (uint64_t)a->spare | TABLE;
	DSB(ishst);
	ttbr0_load(1, asid);
	ttbr0_load(0, 1);
}

/* No TLB holds anything of it, so nothing is owed; what is made in it is right at the next load. */
CASE(space_cold_right, "ok", NEEDS_NOTHING)
{
	visit_space(a, 7);
	TLBI(aside1is, 7ull << 48);
	DSB(ish);
	a->spare[0] = BLOCK(OTHER_PA) | NG;
	finish();
	ttbr0_load(1, 7);
	ttbr0_load(0, 1);
}

/* The same before its number is invalidated. */
CASE(space_left_wrong, "no-break", NEEDS_NOTHING)
{
	visit_space(a, 8);
	a->spare[0] = BLOCK(OTHER_PA) | NG;
	finish();
}

CASE(asid_two_for_one_root_wrong, "wrong-asid", IN_USER)
{
	ttbr0_load(0, 9); /* the same tables, cached under both from here on */
	ttbr0_load(0, 1);
	put(&a->l3[0], 0);
	DSB(ishst);
	TLBI(vae1is, operand_asid(a->va, 1));
	DSB(ish);
	put(&a->l3[0], NEW | NG);
}

CASE(asid_global_wrong, "no-break", IN_USER)
{
	put(&a->l3[0], a->l3[0] & ~NG);
	put(&a->l3[0], 0); /* as it was, for the cases that load another root */
	flush(a->va);
	put(&a->l3[0], PAGE(DATA_PA) | NG);
}

/* Stores through SP are watched with stack=on, and with strict=use for its own sake. */
CASE(store_through_stack_wrong, "no-break", NEEDS_NOTHING)
{
	__asm__ volatile("mov x9, sp\n\tmov sp, %0\n\tstr %1, [sp]\n\tmov sp, x9" ::"r"(a->l3),
			 "r"(NEW)
			 : "x9", "memory");
}

CASE(asid_reuse_right, "ok", NEEDS_NOTHING)
{
	ttbr0_load(1, 5);
	ttbr0_load(0, 1);
	TLBI(aside1is, 5ull << 48);
	DSB(ish);
	ttbr0_load(0, 5);
	ttbr0_load(0, 1);
}

CASE(asid_reuse_wrong, "asid-reuse", NEEDS_NOTHING)
{
	ttbr0_load(1, 6);
	ttbr0_load(0, 1);
	ttbr0_load(0, 6);
	ttbr0_load(0, 1);
}

/* The second root with a global block in it, once; then nobody runs it. */
static void visit_global(const struct arena *a, uint64_t asid)
{
	visit_space(a, asid);
	put(&a->spare[0], 0);
	flush(2ull << 30);
	put(&a->spare[0], BLOCK(DATA_PA));
	finish();
	ttbr0_load(1, asid);
}

CASE(asid_global_elsewhere_right, "ok", NEEDS_NOTHING)
{
	visit_global(a, 10);
	put(&a->spare[0], 0);
	flush(2ull << 30);
	ttbr0_load(0, 1);
}

/* Its number is invalidated, but global entries serve every number. */
CASE(asid_global_elsewhere_wrong, "asid-reuse", NEEDS_NOTHING)
{
	visit_global(a, 11);
	TLBI(aside1is, 11ull << 48);
	DSB(ish);
	ttbr0_load(0, 1);
}

CASE(store_pair_right, "ok", NEEDS_NOTHING)
{
	count_breaks += 2;
	__asm__ volatile("stp xzr, xzr, [%0]" ::"r"(a->l3) : "memory");
	DSB(ishst);
	TLBI(vaae1is, operand(a->va));
	TLBI(vaae1is, operand(a->va + PAGE_BYTES));
	DSB(ish);
	count_makes += 2;
	__asm__ volatile("stp %1, %1, [%0]" ::"r"(a->l3), "r"(NEW) : "memory");
}

CASE(store_pair_second_wrong, "wrong-va", NEEDS_NOTHING)
{
	count_breaks += 2;
	__asm__ volatile("stp xzr, xzr, [%0]" ::"r"(a->l3) : "memory");
	flush(a->va);
	count_makes += 2;
	__asm__ volatile("stp %1, %1, [%0]" ::"r"(a->l3), "r"(NEW) : "memory");
}

CASE(store_exclusive_wrong, "no-break", NEEDS_NOTHING)
{
	uint64_t old;
	uint32_t failed;

	__asm__ volatile("1: ldxr %0, [%2]\n\tstxr %w1, %3, [%2]\n\tcbnz %w1, 1b"
			 : "=&r"(old), "=&r"(failed)
			 : "r"(a->l3), "r"(NEW)
			 : "memory");
}

CASE(store_swap_wrong, "no-break", NEEDS_LSE)
{
	uint64_t old;

	__asm__ volatile(".arch_extension lse\n\tswpal %2, %0, [%1]"
			 : "=&r"(old)
			 : "r"(a->l3), "r"(NEW)
			 : "memory");
}

CASE(store_swap_right, "ok", NEEDS_LSE)
{
	uint64_t old;

	count_breaks++;
	__asm__ volatile(".arch_extension lse\n\tswpal xzr, %0, [%1]"
			 : "=&r"(old)
			 : "r"(a->l3)
			 : "memory");
	flush(a->va);
	put(&a->l3[0], NEW);
}

CASE(store_bit_clear_right, "ok", NEEDS_LSE)
{
	count_breaks++;
	__asm__ volatile(".arch_extension lse\n\tstclr %1, [%0]" ::"r"(a->l3), "r"(VALID)
			 : "memory");
	flush(a->va);
	put(&a->l3[0], NEW);
}

CASE(store_half_wrong, "no-break", NEEDS_NOTHING)
{
	*(volatile uint32_t *)a->l3 = (uint32_t)NEW; /* the low half alone moves the page */
}

CASE(store_zero_block_wrong, "no-tlbi", NEEDS_NOTHING)
{
	uint64_t dczid;

	__asm__("mrs %0, dczid_el0" : "=r"(dczid));
	count_breaks += (4u << (dczid & 0xf)) / 8;
	__asm__ volatile("dc zva, %0" ::"r"(a->l3) : "memory");
	DSB(ish);
	put(&a->l3[0], NEW);
}

CASE(use_after_dsb_isb_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(OTHER_PA));
	finish();
	(void)*(volatile uint64_t *)(a->va + 2 * BLOCK_BYTES);
}

CASE(use_after_exception_right, "ok", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(OTHER_PA));
	DSB(ishst);
	__asm__ volatile("svc #0" ::: "memory"); /* entry and return synchronise the context */
	(void)*(volatile uint64_t *)(a->va + 2 * BLOCK_BYTES);
}

CASE(use_before_isb_wrong, "use-before-sync", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(OTHER_PA));
	DSB(ishst);
	(void)*(volatile uint64_t *)(a->va + 2 * BLOCK_BYTES);
}

CASE(use_before_dsb_wrong, "use-before-sync", NEEDS_NOTHING)
{
	put(&a->l2[2], BLOCK(OTHER_PA));
	isb();
	*(volatile uint64_t *)(a->va + 2 * BLOCK_BYTES) = 0;
}

extern char vectors[], nesting_vectors[];

/* No violation, but the oracle must count one exception inside exception entry. */
CASE(exception_in_entry_right, "ok", NEEDS_NOTHING)
{
	__asm__ volatile("msr vbar_el1, %0\n\tisb\n\tsvc #2\n\tmsr vbar_el1, %1\n\tisb" ::"r"(
				 nesting_vectors),
			 "r"(vectors)
			 : "x0", "x1", "x2", "memory");
}

/* The test names gigabyte PROTECTED_VA of the kernel half to the oracle: protect=VA:SIZE. */
CASE(protected_wrong, "protected", NEEDS_NOTHING)
{
	uint64_t va = ~0ull << VA_BITS | 2ull << 30;
	uint64_t *slot = a->l1_slot - (a->va - va) / (1ull << 30);

	put(slot, BLOCK(1ull << 30));
	finish();
	put(slot, 0);
	flush(va);
	put(slot, BLOCK(1ull << 30));
}
