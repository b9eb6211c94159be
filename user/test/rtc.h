/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/rtc.h - a device for tests and figures: the clock of QEMU's `virt` (PL031).
 *
 * THEORY   Once its alarm has gone off it wants to interrupt for good, and does so from the moment
 *          that it is let through until it is silenced: an interrupt by level, on command.
 */
#pragma once

#include <perch/calls.h>
#include <perch/start.h>

#include <memmap.h>

#define RTC_BASE UINT64_C(0x09010000)
#define RTC_INTERRUPT 34u
#define RTC_PART 0x31u /* the first byte of its identification */

enum rtc_register { /* 32 bits each */
		    RTC_NOW = 0x00 / 4,
		    RTC_MATCH = 0x04 / 4,
		    RTC_MASK = 0x10 / 4, /* 1: let through */
		    RTC_RAW = 0x14 / 4,
		    RTC_ID = 0xfe0 / 4,
};

struct rtc {
	volatile uint32_t *reg;
	handle_t irq;
};

/* Map it, silent, with its alarm gone off, and claim its interrupt. False: there is none. */
static inline bool rtc_open(struct rtc *rtc)
{
	handle_t memory;
	uint64_t at = 0;

	if (sys_mem_create(MEM_PHYS, PAGE_BYTES, start.machine, RTC_BASE, &memory) != KERR_OK) {
		return false;
	}
	const enum kerr e =
		sys_mem_map(HANDLE_NONE, memory, 0, 0, PAGE_BYTES, VM_READ | VM_WRITE, &at);
	(void)sys_handle_close(memory);
	if (e != KERR_OK) {
		return false;
	}
	rtc->reg = (volatile uint32_t *)(uintptr_t)at;
	if (rtc->reg[RTC_ID] != RTC_PART ||
	    sys_irq_claim(start.machine, RTC_INTERRUPT, 0, &rtc->irq) != KERR_OK) {
		(void)sys_mem_unmap(HANDLE_NONE, at, PAGE_BYTES);
		return false;
	}
	rtc->reg[RTC_MASK] = 0;
	do {
		rtc->reg[RTC_MATCH] = rtc->reg[RTC_NOW]; /* unless a second begins in between */
	} while (rtc->reg[RTC_RAW] == 0);
	return true;
}

static inline void rtc_close(const struct rtc *rtc)
{
	rtc->reg[RTC_MASK] = 0;
	(void)sys_handle_revoke(rtc->irq);
	(void)sys_handle_close(rtc->irq);
	(void)sys_mem_unmap(HANDLE_NONE, (uint64_t)(uintptr_t)rtc->reg, PAGE_BYTES);
}
