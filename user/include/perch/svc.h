/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/svc.h - what the stubs of the calls are made of. Programs include <perch/calls.h>.
 *
 * THEORY   The kernel keeps every register but x8, the result registers x0-x3 and the scratch
 *          registers x9-x17, which it scrubs. An IPC call exchanges x0-x7 with another program, so
 *          a message passes through registers only, and never through memory that both could see.
 */
#pragma once

#include <abi.h>
#include <kerr.h>

#define SVC_SCRUBBED "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory"

/* A message: words[IPC_INFO_WORDS(info)...] are not part of it. */
struct ipc_message {
	uint64_t word[IPC_WORDS];
	uint64_t badge; /* of one that arrived: who sent it; the kernel's own events: 0 */
	uint64_t info;  /* of one that arrived: IPC_INFO() and IPC_FLAG_* */
};

/*
 * An IPC call: sends the message's words, receives into the same struct, whatever the error.
 * x9-x12 as include/abi.h says.
 */
static inline enum kerr svc_ipc(uint64_t number, uint64_t handle, uint64_t info, uint64_t reply,
				uint64_t deadline, struct ipc_message *message)
{
	register uint64_t x0 __asm__("x0") = message->word[0];
	register uint64_t x1 __asm__("x1") = message->word[1];
	register uint64_t x2 __asm__("x2") = message->word[2];
	register uint64_t x3 __asm__("x3") = message->word[3];
	register uint64_t x4 __asm__("x4") = message->word[4];
	register uint64_t x5 __asm__("x5") = message->word[5];
	register uint64_t x6 __asm__("x6") = message->word[6];
	register uint64_t x7 __asm__("x7") = message->word[7];
	register uint64_t x8 __asm__("x8") = number;
	register uint64_t x9 __asm__("x9") = handle;
	register uint64_t x10 __asm__("x10") = info;
	register uint64_t x11 __asm__("x11") = reply;
	register uint64_t x12 __asm__("x12") = deadline;

	__asm__ volatile("svc #0"
			 : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6),
			   "+r"(x7), "+r"(x8), "+r"(x9), "+r"(x10), "+r"(x11), "+r"(x12)
			 :
			 : "x13", "x14", "x15", "x16", "x17", "memory");
	message->word[0] = x0;
	message->word[1] = x1;
	message->word[2] = x2;
	message->word[3] = x3;
	message->word[4] = x4;
	message->word[5] = x5;
	message->word[6] = x6;
	message->word[7] = x7;
	message->badge = x9;
	message->info = x10;
	return (enum kerr)x8;
}
