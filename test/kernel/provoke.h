/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/provoke.h - what the files of the provocations share.
 */
#pragma once

#include <types.h>

/* Below the kernel's half, where TTBR0 of an idle CPU maps nothing. */
#define UNMAPPED UINT64_C(0x0000200000000000)

/* Each ends in its report; one that comes back has failed. test/kernel/provoke_map.c */
void provoke_pcpu(void);
void provoke_stack(void);
void provoke_timer(void);
void provoke_current(void);
void provoke_call(void);
void provoke_trace(void);
void provoke_tables(void);
void provoke_vector(void);

/* test/kernel/provoke.c: a CPU that takes work; panics when there is none. */
unsigned provoke_victim(void);
/* A victim says that it is where it is to be caught, and waits for that. */
void provoke_ready(void);
void provoke_wait_ready(uint64_t count);
/* Let other CPUs run, so many rounds: bounded, so that a provocation that fails comes back. */
void provoke_linger(unsigned rounds);
