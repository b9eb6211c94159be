/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/hello/hello.c - the smallest program. Copy the folder, rename it and the file: it is built,
 * put on the RAM disk and started by `make run ARGS=run=NAME`.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("hello from EL0: %s, argc=%d\n", argv[0], argc);
	return 0;
}
