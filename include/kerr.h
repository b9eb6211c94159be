/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/kerr.h - the errors that a function, or a call from EL0, may return. At most 16.
 */
#pragma once

enum [[nodiscard]] kerr {
	KERR_OK = 0,
	KERR_NO_MEMORY = 1, /* no frame, table or slot is left */
	KERR_INVALID = 2,   /* an argument is malformed: alignment, size, attribute */
	KERR_EXISTS = 3,    /* something is already there */
	KERR_ABSENT = 4,    /* nothing is there */
	KERR_PINNED = 5,    /* the range meets pinned memory (R3) */
	KERR_BUSY = 6,      /* a CPU did not park in time: nothing was changed */
	KERR_RANGE = 7,     /* an address or length is out of range or overflows */
	KERR_TIMEOUT = 8,   /* the time given is over */
	KERR_UNSUPPORTED = 9, /* the machine or the mode cannot do this */
	KERR_CHANGED = 10,  /* the entry is not what the caller saw: look again */
	KERR_FAULT = 11,    /* a user address has no memory behind it, or forbids the access */
	KERR_DENIED = 12,   /* the handle lacks a right */
	KERR_HANDLE = 13,   /* no such handle, or it names another type of object */
	KERR_DEAD = 14,     /* the object was destroyed, or the partner died */
	KERR_CANCELLED = 15, /* the wait was ended by thread_stop */
};

/* The error's name without the prefix, for messages. */
const char *kerr_name(enum kerr e);
