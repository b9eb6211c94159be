/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/main.c - boots the proof guest, runs each case, says what it expects.
 *
 * The guest runs identity mapped by global entries of TTBR0. Cases have a gigabyte each, in the
 * TTBR1 half or in the TTBR0 half. Its output is one line a case, `case NAME expect RULE`, and at
 * the end `guest: end cases=N breaks=N makes=N`.
 */
#include "guest.h"

#define UART_DR (*(volatile uint32_t *)0x09000000)
#define PSCI_CPU_ON 0xc4000003
#define PSCI_SYSTEM_OFF 0x84000008
#define POOL_PAGES 400u
#define FIRST_SLOT 4u /* gigabytes 0 and 1 map the guest itself */

extern const struct test_case cases_begin[], cases_end[];
extern char secondary_entry[];
void guest_main(void);
void guest_secondary(uint64_t cpu);
void guest_fault(uint64_t esr, uint64_t elr, uint64_t far);

unsigned cpu_online = 1;
uint64_t count_breaks, count_makes;
uint64_t user_root[2][ENTRIES] __attribute__((aligned(4096)));
uint64_t user_l0[2][ENTRIES] __attribute__((aligned(4096)));
static uint64_t kernel_l1[ENTRIES] __attribute__((aligned(4096)));
static uint64_t kernel_l0[ENTRIES] __attribute__((aligned(4096)));
static uint64_t pool[POOL_PAGES][ENTRIES] __attribute__((aligned(4096)));
static unsigned pool_used;

static struct {
	void (*fn)(uint64_t);
	uint64_t arg;
	unsigned posted, done;
} mailbox[MAX_CPUS];

static void print(const char *s)
{
	for (; *s != '\0'; s++) {
		UART_DR = (uint32_t)*s;
	}
}

static void print_number(uint64_t n, unsigned base)
{
	char buf[24];
	unsigned at = sizeof(buf);

	buf[--at] = '\0';
	do {
		buf[--at] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n != 0);
	print(&buf[at]);
}

static uint64_t psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
	register uint64_t x0 __asm__("x0") = function;
	register uint64_t x1 __asm__("x1") = a;
	register uint64_t x2 __asm__("x2") = b;
	register uint64_t x3 __asm__("x3") = c;

	__asm__ volatile("hvc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

void guest_fault(uint64_t esr, uint64_t elr, uint64_t far)
{
	print("guest: fault esr=");
	print_number(esr, 16);
	print(" elr=");
	print_number(elr, 16);
	print(" far=");
	print_number(far, 16);
	print("\n");
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}

uint64_t *page_take(void)
{
	return pool[pool_used++];
}

static void mmu_on(void)
{
	uint64_t tsz = 64 - VA_BITS;
	uint64_t tcr = tsz | 1ull << 8 | 1ull << 10 | 3ull << 12 | tsz << 16 | 1ull << 24 |
		       1ull << 26 | 3ull << 28 | 2ull << 30 | 2ull << 32;
	uint64_t sctlr;

	__asm__ volatile("msr mair_el1, %0" ::"r"(0xff04ull));
	__asm__ volatile("msr tcr_el1, %0" ::"r"(tcr));
	__asm__ volatile("msr ttbr1_el1, %0" ::"r"(root_of(kernel_l1, kernel_l0)));
	ttbr0_load(0, 1);
	DSB(ish);
	TLBI_ALL(vmalle1);
	DSB(nsh);
	isb();
	__asm__ volatile("mrs %0, sctlr_el1" : "=r"(sctlr));
	__asm__ volatile("msr sctlr_el1, %0\n\tisb" ::"r"(sctlr | 1 | 4 | 0x1000) : "memory");
}

void on_cpu(unsigned cpu, void (*fn)(uint64_t), uint64_t arg)
{
	unsigned n = mailbox[cpu].posted + 1;

	mailbox[cpu].fn = fn;
	mailbox[cpu].arg = arg;
	__atomic_store_n(&mailbox[cpu].posted, n, __ATOMIC_RELEASE);
	__asm__ volatile("dsb ishst\n\tsev" ::: "memory");
	while (__atomic_load_n(&mailbox[cpu].done, __ATOMIC_ACQUIRE) != n) {
		__asm__ volatile("wfe" ::: "memory");
	}
}

void guest_secondary(uint64_t cpu)
{
	mmu_on();
	for (unsigned n = 0;; n++) {
		__atomic_store_n(&mailbox[cpu].done, n, __ATOMIC_RELEASE);
		__asm__ volatile("dmb ishst\n\tsev" ::: "memory");
		while (__atomic_load_n(&mailbox[cpu].posted, __ATOMIC_ACQUIRE) == n) {
			__asm__ volatile("wfe" ::: "memory");
		}
		mailbox[cpu].fn(mailbox[cpu].arg);
	}
}

static void nothing(uint64_t arg)
{
	(void)arg;
}

static void start_cpus(void)
{
	for (unsigned cpu = 1; cpu < MAX_CPUS; cpu++) {
		if (psci(PSCI_CPU_ON, cpu, (uint64_t)secondary_entry, cpu) != 0) {
			return;
		}
		on_cpu(cpu, nothing, 0); /* returns when it has its MMU on */
		cpu_online++;
	}
}

static bool can_run(unsigned needs)
{
	uint64_t isar0, mmfr1;

	__asm__("mrs %0, id_aa64isar0_el1" : "=r"(isar0));
	__asm__("mrs %0, id_aa64mmfr1_el1" : "=r"(mmfr1));
	return (!(needs & NEEDS_SMP) || cpu_online > 1) &&
	       (!(needs & NEEDS_UP) || cpu_online == 1) &&
	       (!(needs & NEEDS_RANGE) || (isar0 >> 56 & 0xf) >= 2) &&
	       (!(needs & NEEDS_LSE) || (isar0 >> 20 & 0xf) >= 2) &&
	       (!(needs & NEEDS_NO_LSE) || (isar0 >> 20 & 0xf) == 0) &&
	       (!(needs & NEEDS_HAFDBS) || (mmfr1 & 0xf) >= 1);
}

[[gnu::noinline]] static void setup(struct arena *a, unsigned slot, bool user)
{
	uint64_t ng = user ? NG : 0;

	a->l2 = page_take();
	a->l3 = page_take();
	a->spare = page_take();
	a->va = ((uint64_t)slot << 30) | (user ? 0 : ~0ull << VA_BITS);
	a->l1_slot = user ? &user_root[0][slot] : &kernel_l1[slot];
	for (unsigned i = 0; i < ENTRIES; i++) {
		a->l3[i] = PAGE(DATA_PA + i * PAGE_BYTES) | ng;
	}
	a->l2[0] = (uint64_t)a->l3 | TABLE;
	a->l2[1] = BLOCK(DATA_PA) | ng;
	put(a->l1_slot, (uint64_t)a->l2 | TABLE);
	DSB(ishst);
	isb();
}

[[gnu::noinline]] static void settle(void)
{
	DSB(ishst);
	TLBI_ALL(vmalle1is);
	DSB(ish);
	isb();
}

static unsigned run_cases(void)
{
	unsigned count = 0;
	unsigned slot = FIRST_SLOT;

	for (const struct test_case *c = cases_begin; c < cases_end; c++) {
		struct arena arena;

		if (!can_run(c->needs)) {
			continue;
		}
		setup(&arena, slot++, c->needs & IN_USER);
		c->run(&arena);
		settle();
		print("case ");
		print(c->name);
		print(" expect ");
		print(c->expect);
		print(c->needs & RIGHT_AT_BBM1   ? " bbm1\n"
		      : c->needs & RIGHT_AT_BBM2 ? " bbm2\n"
						 : "\n");
		count++;
	}
	return count;
}

void guest_main(void)
{
	unsigned count;

	for (unsigned i = 0; i < 2; i++) {
		user_root[i][0] = VALID | ATTR_DEVICE | AF | XN;
		user_root[i][1] = (1ull << 30) | VALID | ATTR_NORMAL | SH_INNER | AF;
		user_l0[i][0] = (uint64_t)user_root[i] | TABLE;
	}
	kernel_l0[0] = (uint64_t)kernel_l1 | TABLE;
	mmu_on();
	start_cpus();
	print("guest: cpus=");
	print_number(cpu_online, 10);
	print("\n");
	count = run_cases();
	print("guest: end cases=");
	print_number(count, 10);
	print(" breaks=");
	print_number(count_breaks, 10);
	print(" makes=");
	print_number(count_makes, 10);
	print("\n");
	psci(PSCI_SYSTEM_OFF, 0, 0, 0);
}
