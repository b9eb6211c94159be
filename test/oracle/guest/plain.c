/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/oracle/guest/plain.c - code that never stores to a table, to measure the oracle's cost.
 *
 * Runs at EL1, where every store is watched: fills an array, sorts it, hashes it, again and
 * again. About one instruction in eight stores.
 */
#include <stdint.h>

#define COUNT 4096u
#define ROUNDS 400u
#define UART_DR (*(volatile uint32_t *)0x09000000)
#define PSCI_SYSTEM_OFF 0x84000008

void guest_main(void);
void guest_secondary(uint64_t cpu);
void guest_fault(uint64_t esr, uint64_t elr, uint64_t far);

static uint64_t array[COUNT];

static uint64_t fill(uint64_t seed)
{
	for (unsigned i = 0; i < COUNT; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		array[i] = seed >> 20;
	}
	return seed;
}

static void sort(void)
{
	for (unsigned gap = COUNT / 2; gap > 0; gap /= 2) {
		for (unsigned i = gap; i < COUNT; i++) {
			uint64_t value = array[i];
			unsigned j = i;

			for (; j >= gap && array[j - gap] > value; j -= gap) {
				array[j] = array[j - gap];
			}
			array[j] = value;
		}
	}
}

static uint64_t hash(void)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < COUNT; i++) {
		h = (h ^ array[i]) * 0x100000001b3ull;
	}
	return h;
}

static void power_off(void)
{
	register uint64_t x0 __asm__("x0") = PSCI_SYSTEM_OFF;

	__asm__ volatile("hvc #0" : "+r"(x0)::"memory");
}

void guest_fault(uint64_t esr, uint64_t elr, uint64_t far)
{
	(void)esr;
	(void)elr;
	(void)far;
	UART_DR = '!';
	power_off();
}

void guest_secondary(uint64_t cpu)
{
	(void)cpu;
}

void guest_main(void)
{
	uint64_t seed = 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		seed = fill(seed);
		sort();
		seed ^= hash();
	}
	UART_DR = 'a' + (uint32_t)(seed % 26);
	UART_DR = '\n';
	power_off();
}
