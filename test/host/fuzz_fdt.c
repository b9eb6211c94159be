/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/host/fuzz_fdt.c - libFuzzer target: no blob makes the device tree parser read outside
 * it, run for ever, or give a bootinfo that breaks a promise of include/bootinfo.h.
 *
 * The blob is copied into an allocation of its own size, so that the address sanitizer sees the
 * first byte read past it. Corpus: the trees of dts/, compiled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fdt_invariants.h"

#define BLOB_PA UINT64_C(0x48000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
	if (!holds) {
		fprintf(stderr, "fuzz_fdt: %s\n", what);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bootinfo info;
	char error[96] = "";
	void *blob = malloc(size); /* aligned for anything, and not a byte longer */

	require(blob != NULL || size == 0, "no memory");
	if (size > 0) {
		memcpy(blob, data, size);
	}
	if (fdt_parse(size > 0 ? blob : NULL, size, BLOB_PA, &info, error, sizeof(error))) {
		const char *wrong = bootinfo_wrong(&info);

		require(wrong == NULL, wrong);
		require(info.memory_count > 0, "a result without memory");
		require(error[0] == '\0', "a result with an error line");
	} else {
		require(error[0] != '\0', "failed without an error line");
		require(text_wrong(error, sizeof(error)) == NULL, "an error line that is no text");
	}
	free(blob);
	return 0;
}
