/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/calls.h - the calls of the kernel: sys_NAME(), as docs/api.md describes them.
 */
#pragma once

#include <gen/sys_calls.h>

/* Close the handles of a message that nobody wants: a sender must not fill our table. */
static inline void message_drop_handles(const struct ipc_message *message)
{
	const unsigned words = IPC_INFO_WORDS(message->info);

	for (unsigned i = words - IPC_INFO_HANDLES(message->info); i < words; i++) {
		(void)sys_handle_close((handle_t)message->word[i]);
	}
}
