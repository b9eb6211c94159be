/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/symbols.h - names for addresses of the kernel's code, from a table in the image.
 */
#pragma once

#include <types.h>

/* The function that an address lies in, and how far in. nullptr: not in the kernel's code. */
const char *symbol_find(uint64_t pc, uint64_t *offset);

/* The address of a function by the first `length` characters of `name`. False: there is none. */
bool symbol_address(const char *name, size_t length, uint64_t *out);

/* Print ` name+0x12`, or nothing when the address has no name. */
void symbol_print(uint64_t pc);
