/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/init/boot_words.c - the boot arguments, word by word.
 */
#include "user/init/init.h"

#include <perch/calls.h>
#include <perch/start.h>

#include <string.h>

#define BYTES_PER_TOPIC 32u

void boot_words_read(struct boot_words *words)
{
	*words = (struct boot_words){ .count = 1 };
	for (unsigned i = 0; i < BOOT_ARGS_MAX / BYTES_PER_TOPIC; i++) {
		uint64_t part[4];

		if (sys_machine_info(start.machine, MACHINE_ARGS + i, &part[0], &part[1], &part[2],
				     &part[3]) != KERR_OK) {
			break;
		}
		memcpy(words->text + i * BYTES_PER_TOPIC, part, BYTES_PER_TOPIC);
	}
	char *rest = nullptr;
	for (char *word = strtok_r(words->text, " \t\n", &rest);
	     word != nullptr && words->count < sizeof words->word / sizeof words->word[0];
	     word = strtok_r(nullptr, " \t\n", &rest)) {
		words->word[words->count++] = word;
	}
}

const char *boot_words_value(const struct boot_words *words, const char *key)
{
	for (uint32_t i = words->count; i-- > 1;) {
		if (strncmp(words->word[i], key, strlen(key)) == 0) {
			return words->word[i] + strlen(key);
		}
	}
	return nullptr;
}
