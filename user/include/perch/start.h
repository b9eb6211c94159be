/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/start.h - what a program finds when it starts, and how it ends.
 *
 * THEORY   A program has nothing but the handles that it was given. They are named in its start
 *          block, a page that its parent wrote and mapped for reading; the kernel knows nothing of
 *          it. init gets no block, but the machine's handle in its place.
 */
#pragma once

#include <abi.h>

#define START_BLOCK_ADDRESS UINT64_C(0x100000)
#define START_ARGS_BYTES 1024u
#define START_ARGS_MAX 32u

struct start_block {
	uint64_t number;     /* chosen by the parent; the badge of its messages to the parent */
	handle_t parent;     /* endpoint: PARENT_EXIT; 0: nobody wants to know */
	handle_t console;    /* endpoint of the console server; 0: console_write */
	handle_t ramdisk;    /* memory, readable; 0: none */
	handle_t machine;    /* drivers and init only */
	handle_t extra;      /* what parent and child agree on */
	handle_t self;       /* the program's first thread */
	uint32_t args_count; /* strings in args, each with its NUL */
	uint64_t ramdisk_bytes;
	uint64_t word; /* what parent and child agree on */
	char args[START_ARGS_BYTES];
};

/* This program's; all zero but for the machine in init. */
extern struct start_block start;

/* Messages to the parent: word 0. Exceptions of the child come to the same endpoint. */
enum parent_message {
	PARENT_EXIT = 1, /* word 1: the status; the program waits to be killed */
};
