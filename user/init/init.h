/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init/init.h - what the parts of init share.
 */
#pragma once

#include <abi.h>
#include <stddef.h>

#define BOOT_ARGS_MAX 1024u

/* The boot arguments as words. word[0] is free for a program's name. */
struct boot_words {
	char text[BOOT_ARGS_MAX + 1];
	const char *word[32];
	uint32_t count;
};

void boot_words_read(struct boot_words *words);

/* The value of the last `key=value`, or nullptr. `key` ends in '='. */
const char *boot_words_value(const struct boot_words *words, const char *key);

struct ramdisk {
	const void *archive;
	size_t bytes;
	handle_t memory; /* the same, to be given on; readable only */
};

/* The boot loader's RAM disk if it brought one that is sound, else the one in our constants. */
bool ramdisk_open(struct ramdisk *out);
