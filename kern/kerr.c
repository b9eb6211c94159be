/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kern/kerr.c - names of the errors.
 *
 * A switch and not a table: no pointer needs relocation, so it works before the MMU is on, and
 * the compiler names an enumerator that was forgotten.
 */
#include <kerr.h>

const char *kerr_name(enum kerr e)
{
	switch (e) {
	case KERR_OK:
		return "OK";
	case KERR_NO_MEMORY:
		return "NO_MEMORY";
	case KERR_INVALID:
		return "INVALID";
	case KERR_EXISTS:
		return "EXISTS";
	case KERR_ABSENT:
		return "ABSENT";
	case KERR_PINNED:
		return "PINNED";
	case KERR_BUSY:
		return "BUSY";
	case KERR_RANGE:
		return "RANGE";
	case KERR_TIMEOUT:
		return "TIMEOUT";
	case KERR_UNSUPPORTED:
		return "UNSUPPORTED";
	case KERR_CHANGED:
		return "CHANGED";
	case KERR_FAULT:
		return "FAULT";
	case KERR_DENIED:
		return "DENIED";
	case KERR_HANDLE:
		return "HANDLE";
	case KERR_DEAD:
		return "DEAD";
	case KERR_CANCELLED:
		return "CANCELLED";
	}
	return "?";
}
