/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user/test/roles.h - what this program does in the tasks that tests start.
 */
#pragma once

/* Returns the status to exit with. */
int role_play(const char *role);

#define ROLE_STATUS_UNKNOWN 99
#define ROLE_STATUS_FAILED 98
