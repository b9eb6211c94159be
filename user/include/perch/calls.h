/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * perch/calls.h - the calls of the kernel: sys_NAME(), as docs/api.md describes them.
 */
#pragma once

#include <gen/sys_calls.h>
