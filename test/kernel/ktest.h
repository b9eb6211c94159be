/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/ktest.h - run=test: tests inside the kernel, one behaviour each.
 *
 * THEORY   A test is a function that states facts. EXPECT goes on after a fact that does not hold,
 *          REQUIRE leaves the test. Whatever a test did, frames, tables and counts must be exact
 *          after it: the runner looks, and a test that leaks has failed.
 * OUTPUT   `ok NAME`, `FAIL NAME file:line fact`, `skip NAME reason`; last `N passed, N failed`.
 */
#pragma once

#include <kerr.h>
#include <types.h>

#include "vm/pmap.h"

struct ktest {
	const char *name;
	void (*run)(void);
	unsigned least_cpus;
};

/* The suites; each ends with a test without a name. */
extern const struct ktest ktest_map[];
extern const struct ktest ktest_size[];
extern const struct ktest ktest_saved[];
extern const struct ktest ktest_access[];
extern const struct ktest ktest_pin[];
extern const struct ktest ktest_memory[];
extern const struct ktest ktest_vm[];
extern const struct ktest ktest_vm_object[];
extern const struct ktest ktest_vm_model[];
extern const struct ktest ktest_cpu[];
extern const struct ktest ktest_thread[];
extern const struct ktest ktest_churn[];
extern const struct ktest ktest_heap[];
extern const struct ktest ktest_timerq[];
extern const struct ktest ktest_budget[];
extern const struct ktest ktest_record[];
extern const struct ktest ktest_user[];
extern const struct ktest ktest_user_cpus[];
extern const struct ktest ktest_lifeboat[];

void ktest_fail(const char *file, int line, const char *fact);
void ktest_fail_values(const char *file, int line, const char *fact, uint64_t is, uint64_t wanted);
/* The machine cannot do this: the test counts as neither. */
void ktest_skip(const char *reason);

#define EXPECT(fact)                                           \
	do {                                                   \
		if (!(fact)) {                                 \
			ktest_fail(__FILE__, __LINE__, #fact); \
		}                                              \
	} while (0)

#define EXPECT_EQ(is, wanted)                                                               \
	do {                                                                                \
		const uint64_t ktest_is = (uint64_t)(is);                                   \
		const uint64_t ktest_wanted = (uint64_t)(wanted);                           \
                                                                                            \
		if (ktest_is != ktest_wanted) {                                             \
			ktest_fail_values(__FILE__, __LINE__, #is " == " #wanted, ktest_is, \
					  ktest_wanted);                                    \
		}                                                                           \
	} while (0)

#define REQUIRE(fact)                                          \
	do {                                                   \
		if (!(fact)) {                                 \
			ktest_fail(__FILE__, __LINE__, #fact); \
			return;                                \
		}                                              \
	} while (0)

#define RUN64_BYTES (16 * PAGE_BYTES)
#define RUN32_BYTES (16 * BLOCK_BYTES)
#define RW PMAP_WRITE
#define RO PMAP_READ
#define RX PMAP_EXEC

/* Memory and kernel addresses of one size, aligned to it, neither mapped. */
struct ktest_area {
	va_t va;
	pa_t pa;
	uint64_t size;
	unsigned order;
	bool has_frames;
};

/* 2^order frames and addresses to map them at; false: skipped, there is not so much memory. */
bool area_open(struct ktest_area *area, unsigned order);
/*
 * Addresses only, over physical memory that nobody has: map it as a device, do not access it. The
 * addresses were never used before, so no table of an earlier test hangs there. Whole GiB, few.
 */
bool area_open_fake(struct ktest_area *area, uint64_t size);
/* Unmaps what is mapped. */
void area_close(struct ktest_area *area);

/* Bytes of the leaf at an address, 0: nothing mapped. */
uint64_t bytes_at(va_t at);

/* Shorthand for the kernel's map: true is KERR_OK. */
bool map(va_t at, pa_t out, uint64_t size, unsigned flags);
bool unmap(va_t at, uint64_t size);
bool protect(va_t at, uint64_t size, unsigned flags);
bool demote(va_t at, uint64_t size, uint64_t bytes);
bool promote(va_t at, uint64_t size);

/* By access: does every page read back what fill() wrote there? Every 4 KiB page is touched. */
void fill(va_t at, uint64_t size, uint64_t salt);
bool holds(va_t at, uint64_t size, uint64_t salt);

/* By access: what may be done at an address now? */
bool can_read(va_t at);
bool can_write(va_t at); /* writes what is there already */

/* What the MMU lets EL0 do in the space that is loaded, by AT S1E0R or S1E0W (Arm ARM C5.4). */
bool el0_translates(va_t at, bool write, pa_t *out);

/* Every address of a range is mapped to pa, in order; looked up page by page. */
bool maps_in_order(va_t at, pa_t out, uint64_t size);
