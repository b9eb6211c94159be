/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/kernel/programs.h"
unsigned bench_main(void)
{
	return 0;
}
