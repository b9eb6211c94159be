/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/console.h - how programs talk to the console server.
 *
 * THEORY   Text travels in the words of a message, so that server and client share no memory. A
 *          line is shown whole: the server keeps what has no newline yet, by badge and stream.
 */
#pragma once

#include <abi.h>

#define CONSOLE_TEXT_BYTES 56u /* words 1-7 */

/*
 * Word 0, bits 0-7; bits 8-15: bytes of text; the rest: the stream, a number that no other thread
 * of the client uses.
 */
enum console_request {
	CONSOLE_WRITE = 1, /* text; answered when it is taken */
	CONSOLE_READ = 2,  /* answered with at least one byte, at most to the end of a line */
	CONSOLE_FLUSH = 3, /* answered when the UART has sent all that was written before */
};

#define CONSOLE_WORD(request, bytes) ((uint64_t)(request) | (uint64_t)(bytes) << 8)
#define CONSOLE_REQUEST(word) ((unsigned)((word) & 0xff))
#define CONSOLE_BYTES(word) ((unsigned)((word) >> 8 & 0xff))
#define CONSOLE_STREAM(word) ((word) >> 16)
#define CONSOLE_STREAM_WORD(stream) ((uint64_t)(stream) << 16)
