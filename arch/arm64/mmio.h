/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arch/arm64/mmio.h - device register accesses.
 *
 * Assembly and not volatile C: the compiler may not choose an addressing mode with write-back,
 * nor merge or split an access, which an emulator behind a hypervisor could not decode.
 * Device-nGnRE memory keeps the accesses to one device in order; order against ordinary memory
 * is the caller's, with a barrier that names its pair.
 */
#pragma once

#include <types.h>

static inline uint32_t mmio_read32(va_t base, uint64_t offset)
{
	uint32_t value;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(base.v + offset) : "memory");
	return value;
}

static inline uint64_t mmio_read64(va_t base, uint64_t offset)
{
	uint64_t value;

	__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(base.v + offset) : "memory");
	return value;
}

static inline void mmio_write8(va_t base, uint64_t offset, uint8_t value)
{
	__asm__ volatile("strb %w0, [%1]" : : "rZ"(value), "r"(base.v + offset) : "memory");
}

static inline void mmio_write32(va_t base, uint64_t offset, uint32_t value)
{
	__asm__ volatile("str %w0, [%1]" : : "rZ"(value), "r"(base.v + offset) : "memory");
}

static inline void mmio_write64(va_t base, uint64_t offset, uint64_t value)
{
	__asm__ volatile("str %x0, [%1]" : : "rZ"(value), "r"(base.v + offset) : "memory");
}
