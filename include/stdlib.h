/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/stdlib.h - for libfdt, which includes it and wants strtoul().
 */
#pragma once

#include <string.h>
