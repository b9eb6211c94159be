/* SPDX-License-Identifier: BSD-2-Clause */
#include "test/kernel/ktest.h"
const struct ktest ktest_cpu[] = { { nullptr, nullptr, 0 } };
