/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test/kernel/programs.h - the programs that run= can name. Each returns the status: 0 is a pass.
 */
#pragma once

unsigned stress_main(void);
unsigned ktest_main(void);
unsigned bench_main(void);

/* What provoke= names: it does not come back, if all is well. */
unsigned provoke_main(void);

/* What a provocation needs to be so from the start of boot. */
struct bootargs;
void provoke_arguments(struct bootargs *args);
