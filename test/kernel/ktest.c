/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/kernel/programs.h"
unsigned ktest_main(void)
{
	return 0;
}
