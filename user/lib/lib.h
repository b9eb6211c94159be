/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/lib/lib.h - what the parts of the library share.
 */
#pragma once

#include <perch/thread.h>

/* Give what this thread printed, and did not end with a newline, to the console. */
void console_flush(void);

/* Make the first thread one of the thread library's, and set its TLS block up. Once, first. */
void thread_init_main(void);

/* In crt0.S. */
_Noreturn void thread_leave(handle_t event, uint64_t bits, uint64_t signal_number,
			    uint64_t exit_number);
